"""A network in training: all that its next step depends on, to be stepped, saved and taken up again.

A step draws a batch B of contexts (all of them when the plan names no size, never those held out) and moves the
parameters by the gradient of

    mean over j in B of  -log softmax(W h_j)[label_j],

as the optimiser and the schedule say, times the rate of the body or the head; with smoothing the label's one-hot column
is the structured one of `ufmflow.numerics.smoothing`.  Flow time is the sum of the learning rates of the steps taken so
far.  With an expansion of the network's gates in place (`ufmflow.numerics.gates`) the same steps are a forecast's.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from ..theory.errors import InputError
from .gates import GateExpansion
from .networks import MLPBody, Network, TransformerBody
from .plan import BETAS, Plan
from .sign_descent import SignDescent


def build(plan: Plan) -> Network:
    """The plan's network at its start; the caller has seeded torch."""
    sizes: dict[str, Any] = {
        "vocabulary": plan.contexts.vocabulary, "layers": plan.layers, "width": plan.width, "features": plan.features,
        "scale": plan.embedding_scale,
    }  # fmt: skip
    # The body first: with seed 0 this is the start of the reference runs, bit for bit.
    body: MLPBody | TransformerBody = (
        MLPBody(**sizes)
        if plan.arch == "mlp"
        else TransformerBody(positions=plan.contexts.tokens.shape[1], norm=plan.norm, **sizes)
    )
    network = Network(body, plan.features, plan.contexts.n_labels, plan.norm, plan.final_affine, plan.final_norm)
    with torch.no_grad():
        network.head.weight *= plan.head_scale
    return network


def optimizers(network: Network, plan: Plan) -> list[torch.optim.Optimizer]:
    """The optimisers that a step steps, each with a group for the head and one for the rest where it has both."""
    head = {id(p) for p in network.head.parameters()}

    def groups(chosen: Sequence[Tensor]) -> list[dict[str, Any]]:
        parts = (
            ([p for p in chosen if id(p) not in head], plan.weight_decay_body, plan.body_rate),
            ([p for p in chosen if id(p) in head], plan.weight_decay_head, plan.head_rate),
        )
        return [{"params": part, "weight_decay": decay, "rate": rate} for part, decay, rate in parts if part]

    every = list(network.parameters())
    if plan.optimizer == "adamw":
        return [torch.optim.AdamW(groups(every), lr=plan.lr, betas=plan.betas or BETAS)]
    momentum, nesterov = plan.momentum or 0.0, bool(plan.nesterov)
    if plan.optimizer == "muon":
        # Only matrices, the head among them, have an orthogonal factor; biases and gains take AdamW's steps.
        matrices = groups([p for p in every if p.ndim == 2])
        others = groups([p for p in every if p.ndim != 2])
        found: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=plan.lr, momentum=momentum, nesterov=nesterov)
        ]
        return [*found, torch.optim.AdamW(others, lr=plan.lr)] if others else found
    if plan.optimizer == "sign":
        return [SignDescent(groups(every), lr=plan.lr, momentum=momentum)]
    return [torch.optim.SGD(groups(every), lr=plan.lr, momentum=momentum, nesterov=nesterov)]


class Batches:
    """Contexts in random order without replacement, epoch after epoch, from a generator of their own.

    Examples
    --------
    >>> batches = Batches(contexts=5, size=2, seed=0)
    >>> epoch = [batches.draw() for _ in range(3)]
    >>> [len(batch) for batch in epoch], sorted(torch.cat(epoch).tolist())
    ([2, 2, 1], [0, 1, 2, 3, 4])
    """

    def __init__(self, contexts: int, size: int, seed: int):
        self.contexts, self.size = contexts, size
        self.generator = torch.Generator().manual_seed(seed)
        self.order = torch.empty(0, dtype=torch.int64)

    def draw(self) -> Tensor:
        """Indices of the next batch."""
        if not len(self.order):
            self.order = torch.randperm(self.contexts, generator=self.generator)
        batch, self.order = self.order[: self.size], self.order[self.size :]
        return batch

    def state(self) -> dict[str, Tensor]:
        """What is left of the epoch, and the generator's state."""
        return {"order": self.order, "generator": self.generator.get_state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a saved state."""
        self.order = state["order"]
        self.generator.set_state(state["generator"])


class Training:
    """A network, its optimisers, schedules and batches.

    Attributes
    ----------
    step : int
        Steps taken.
    time : float
        Flow time: the sum of their learning rates.
    expansion : GateExpansion or None
        In place of the network's own gates; none by default.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.network = build(plan)
        self.tokens, self.label = torch.from_numpy(plan.contexts.tokens), torch.from_numpy(plan.contexts.label)
        self.optimizers = optimizers(self.network, plan)
        made = [plan.schedule.scheduler(optimizer, plan.steps) for optimizer in self.optimizers]
        self.schedulers = [scheduler for scheduler in made if scheduler is not None]
        self.trained = torch.from_numpy(plan.trained)
        self.batches = None if plan.batch is None else Batches(len(self.trained), plan.batch, plan.seed)
        self.targets = None if plan.smoothing is None else torch.from_numpy(plan.smoothing.targets(plan.contexts.label))
        self.average = None if plan.average_from is None else RunningMean(self.network)
        self.step = 0
        self.time = 0.0
        self._count()
        self.expansion: GateExpansion | None = None

    def expand_gates(self, order: int) -> GateExpansion:
        """From here on, the network's gates are expanded about where they are now."""
        self.expansion = GateExpansion(self.network, self.tokens, order)
        return self.expansion

    @property
    def shown(self) -> Network:
        """The network that is recorded: the one in training, or the mean of its checkpoints so far."""
        return self.network if self.average is None or not self.average.count else self.average.network

    def features(self) -> Tensor:
        """Features before the norm of all contexts (m, d), of the network that is shown."""
        with torch.no_grad(), self._gates(None):
            return self.shown.features_before_norm(self.tokens)

    def _gates(self, batch: Tensor | None) -> AbstractContextManager:
        if self.expansion is None:
            return nullcontext()
        self.expansion.rows = batch
        return self.expansion

    def advance(self) -> None:
        """Take one step; refuse to go on from a loss that is not finite."""
        tokens, label, batch = self.tokens, self.label, None
        if self.batches is not None or self.plan.hold_out:
            batch = self.trained if self.batches is None else self.trained[self.batches.draw()]
            tokens, label = tokens[batch], label[batch]
        with self._gates(batch):
            features = self.network.embeddings(tokens)
            logits = self.network.head(features)
        if self.targets is not None:
            label = self.targets if batch is None else self.targets[batch]
        loss = torch.nn.functional.cross_entropy(logits, label)
        if self.plan.ridge_features:
            # A batch stands for all contexts.
            loss = loss + self.plan.ridge_features / 2 * len(self.label) * features.square().sum(dim=1).mean()
        if not math.isfinite(loss.item()):
            raise self.diverged()
        self.network.zero_grad()
        loss.backward()
        lr = self.optimizers[0].param_groups[0]["lr"]
        for optimizer in self.optimizers:
            with _at_rates(optimizer):
                optimizer.step()
        for scheduler in self.schedulers:
            scheduler.step()
        self.step += 1
        # With one learning rate, its multiple: no rounding adds up.
        self.time = self.time + lr if self.schedulers else lr * self.step
        self._count()

    def _count(self) -> None:
        """The parameters of this step enter the mean, where they are to."""
        if self.average is not None and self.plan.average_from is not None and self.step >= self.plan.average_from:
            self.average.add(self.network)

    def diverged(self) -> InputError:
        """The error for a loss that stopped being finite."""
        return InputError(
            f"lr: {self.plan.lr:g} is too large; the loss stopped being finite after {self.step} steps; use a smaller "
            "one."
        )

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, in the types that `torch.load(weights_only=True)` reads."""
        return {
            "step": self.step,
            "time": self.time,
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
            "batches": None if self.batches is None else self.batches.state(),
            "average": None if self.average is None else self.average.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state of the same plan."""
        self.step, self.time = state["step"], state["time"]
        self.network.load_state_dict(state["network"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for scheduler, saved in zip(self.schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        if self.batches is not None:
            self.batches.restore(state["batches"])
        if self.average is not None:
            self.average.restore(state["average"])


class RunningMean:
    """The mean of a network's parameters over the steps added so far, as a network.

    Attributes
    ----------
    network : Network with the mean as its parameters
    count : int
        Steps added.

    Examples
    --------
    >>> layer = torch.nn.Linear(1, 1)
    >>> mean = RunningMean(layer)
    >>> for value in (1.0, 3.0):
    ...     _ = torch.nn.init.constant_(layer.weight, value)
    ...     mean.add(layer)
    >>> mean.network.weight.item()
    2.0
    """

    def __init__(self, network: Any):
        self.network, self.count = copy.deepcopy(network), 0

    def add(self, network: Any) -> None:
        """Take in one more step."""
        self.count += 1
        with torch.no_grad():
            for mean, new in zip(self.network.parameters(), network.parameters(), strict=True):
                mean += (new - mean) / self.count

    def state(self) -> dict[str, Any]:
        """The mean and how many steps it is of."""
        return {"count": self.count, "network": self.network.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.count = state["count"]
        self.network.load_state_dict(state["network"])


@contextmanager
def _at_rates(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Each group's learning rate times its rate for one step: schedules go on from the learning rate itself."""
    before = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group.get("rate", 1.0)
    try:
        yield
    finally:
        for group, lr in zip(optimizer.param_groups, before, strict=True):
            group["lr"] = lr
