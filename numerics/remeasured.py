"""What a forecast from the kernel misses, taken apart: the kernel measured anew along the run.

Two diagnoses, no forecasts: both look at the run's weights, each time that the steps since the start have doubled, and
hold what they measure there until the next doubling.  With J the Jacobian of the features before the norm in the body's
parameters at the run's weights, the head and the features F (m, d) take the optimiser's steps from the run's start on:

- `isotropic`:    F moves by -Theta dL/dF, Theta the mean of J_c J_c^T over the directions c that F has: one kernel for
                  all of them (of mean-centred features d - 1, so that Theta is d/(d - 1) times the recorded kernel);
- `directional`:  the parameters step at the gradient J^T dL/dF, and F moves by J times that step.

The level `map` has the first kernel of `isotropic` throughout.  What `isotropic` gains on it is what the kernel's growth
costs a forecast, what `directional` gains on `isotropic` is what its dependence on direction costs, and what is left is
its motion within a doubling.

Importing this module needs torch (the extra `train`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..theory.attributes import Attributes
from .gated import advance, at_start, doubled
from .integrate import Progress
from .observe import observe
from .plan import Plan
from .recording import kernel_of
from .runs import Run
from .train import reproducible
from .training_steps import Training
from .trajectory import Trajectory


class Isotropic(nn.Module):
    """Features (m, d) as parameters whose gradients are multiplied by Theta (m, m), in the place of a body."""

    def __init__(self, moving: Training):
        super().__init__()
        self.tokens = moving.tokens
        body = {id(p) for p in moving.network.body.parameters()}
        self.held = nn.Parameter(moving.features())
        self.held.register_hook(lambda gradient: self.Theta @ gradient)
        self.Theta: Tensor
        for optimizer in moving.optimizers:
            for group in optimizer.param_groups:
                if body & {id(p) for p in group["params"]}:
                    group["params"] = [self.held]

    @property
    def features(self) -> Tensor:
        """Where the features are, (m, d)."""
        return self.held.detach()

    def measure(self, trained: Training) -> None:
        """Take the kernel of a network at its present weights."""
        d = self.held.shape[1]
        # Its trace is over d coordinates; features that are mean-centred have d - 1 directions.
        directions = d - 1 if trained.network.centred else d
        self.Theta = torch.from_numpy(kernel_of(trained) * d / directions).to(self.held.dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.held[rows_of(tokens, self.tokens)]

    def follow(self) -> None:
        """The optimiser has moved the features themselves."""


class Directional(nn.Module):
    """Features (m, d) that follow the steps of a body's parameters by a Jacobian, in the place of the body."""

    def __init__(self, moving: Training):
        super().__init__()
        self.tokens, self.features = moving.tokens, moving.features()
        self.body, self.centred = moving.network.body, moving.network.centred
        self._keep()

    def _keep(self) -> None:
        self.before = [p.detach().clone() for p in self.body.parameters()]

    def measure(self, trained: Training) -> None:
        """Take the Jacobian of a network at its present weights."""
        at = {name: p.detach().clone().requires_grad_() for name, p in trained.network.body.named_parameters()}
        with torch.enable_grad():
            b = torch.func.functional_call(self.body, at, (self.tokens,))
            self.at, self.f = tuple(at.values()), b - b.mean(dim=-1, keepdim=True) if self.centred else b
            # J^T u is linear in u, so that its graph at any u has J for its own gradient.
            self.u = torch.zeros_like(self.f, requires_grad=True)
            self.pulled = torch.autograd.grad(self.f, self.at, self.u, create_graph=True)

    def pull(self, u: Tensor) -> tuple[Tensor, ...]:
        """J^T u for u (m, d), parameter by parameter."""
        return torch.autograd.grad(self.f, self.at, u, retain_graph=True)

    def push(self, step: Sequence[Tensor]) -> Tensor:
        """J times a step of the parameters, (m, d)."""
        return torch.autograd.grad(self.pulled, self.u, step, retain_graph=True)[0]

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = _Pulled.apply(self.features, self.pull, *self.body.parameters())
        return found[rows_of(tokens, self.tokens)]

    def follow(self) -> None:
        """Move the features by the Jacobian times the step that the parameters have taken."""
        step = [p.detach() - before for p, before in zip(self.body.parameters(), self.before, strict=True)]
        self.features = self.features + self.push(step)
        self._keep()


class _Pulled(torch.autograd.Function):
    """The features as they are, with the gradient J^T u in the parameters."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, pull: Callable, *parameters: Tensor) -> Tensor:
        ctx.pull = pull
        return features.clone()

    @staticmethod
    def backward(ctx: Any, *u: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *ctx.pull(u[0])


HELD: dict[str, type[Isotropic] | type[Directional]] = {"isotropic": Isotropic, "directional": Directional}
DIAGNOSES = tuple(HELD)


def diagnoses_of(plan: Plan) -> tuple[str, ...]:
    """Which diagnoses the runs of a plan have: one number for a pair of contexts knows no preconditioner, and no decay.

    Examples
    --------
    >>> diagnoses_of(Plan("objects")), diagnoses_of(Plan("objects", optimizer="adamw"))
    (('isotropic', 'directional'), ('directional',))
    """
    if plan.average_from is not None or plan.hold_out:
        return ()
    return DIAGNOSES if plan.optimizer in ("sgd", "momentum") and not plan.weight_decay_body else DIAGNOSES[1:]


def remeasure(run: Run, diagnosis: str, progress: Progress | None = None) -> Trajectory:
    """Where the kernel, measured anew along a recorded run of `train`, brings the run's start.

    Parameters
    ----------
    run : Run
        It is trained again from its record, up to its last doubling.
    diagnosis : "isotropic" or "directional", one of `diagnoses_of` the run's plan

    Returns
    -------
    Trajectory at the run's times, with `H` (T, m, d) and `W` (T, V, d)

    Raises
    ------
    InputError
        For a run whose network cannot be built anew, or has another start than the recorded one.
    IntegrationError
        When the loss stops being finite.
    """
    plan = Plan.of_record(run.meta)
    steps = run.data["step"].values
    with reproducible(plan.seed):
        trained = at_start(run, plan)
    with reproducible(plan.seed):
        moving = at_start(run, plan)
        body = HELD[diagnosis](moving)
        body.measure(trained)
        moving.network.body = body
        H, W = _follow(trained, moving, body, steps, diagnosis, progress)
    # Contexts of a plan are in the formula's order.
    found = observe(H, W, plan.contexts.label, Attributes(str(run.attributes)), run.time)
    return Trajectory(found.data.assign_attrs(source=f"kernel measured along the run, {diagnosis}"))


def _follow(
    trained: Training, moving: Training, body: Isotropic | Directional, steps: np.ndarray, diagnosis: str,
    progress: Progress | None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """H (T, m, d) and W (T, V, d) at the steps."""
    H, W = [], []
    for done, step in enumerate(steps):
        while moving.step < step:
            if doubled(moving.step - int(steps[0])):
                while trained.step < moving.step:
                    trained.advance()
                body.measure(trained)
            advance(moving, diagnosis)
            body.follow()
        with torch.no_grad():
            H.append(moving.network.embed(body.features).numpy().copy())
        W.append(moving.network.head.weight.detach().numpy().copy())
        if progress is not None:
            progress(done, len(steps) - 1)
    return np.stack(H), np.stack(W)


def rows_of(tokens: Tensor, every: Tensor) -> Tensor:
    """The row of each of the tokens (k, positions) among all (m, positions).

    Examples
    --------
    >>> every = torch.tensor([[0, 2], [0, 3], [1, 2]])
    >>> rows_of(every[[2, 0]], every).tolist()
    [2, 0]
    """
    return (tokens[:, None] == every).all(dim=-1).int().argmax(dim=1)
