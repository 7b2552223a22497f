"""What a forecast from the kernel starts from: the kernel, the features and the head of a network at one moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from ..theory.model import UFM
from ..theory.optimisers import effective_time
from . import strata
from .kernel_parts import KernelParts, check_parts
from .runs import Run
from .schedule import Schedule
from .smoothing import Smoothing
from .trajectory import in_formula_order

KERNEL_LEVELS = ("modes", "flow", "map", "flow_deep", "map_deep")
ADAPTIVE = ("adamw", "sign", "muon")  # optimisers whose steps have a size of their own
LARGEST_RESIDUAL = 0.5  # of a centred kernel's norm outside the algebra: networks have 0.2, shuffled attributes 0.7
ROUNDING = 1e-6  # of a kernel measured in float32, relative to its largest eigenvalue
LARGEST = {"kernel_init": 1e280, "feature_norm": 1e140}  # of which squares, summed, are still numbers


@dataclass(frozen=True)
class Start:
    """What a forecast starts from; contexts and labels in the formula's order.

    Attributes
    ----------
    attributes, labels : structure of the contexts, and the factors that the label keeps
    kernel : array (m, m), Theta at initialisation
    W, F : arrays (V, d) and (d, m), head and mean-centred features before the norm at initialisation
    lr : learning rate of the discrete steps; None when only flows are asked for
    depth : number of linear layers of the body; None when unknown
    momentum, nesterov : of the steps, in PyTorch's convention
    head_rate, body_rate : multiples of the learning rate, for the head and for the features
    decay_head, decay_body : weight decay.  Of the head it is a ridge on W; a balanced body of L layers shrinks its
        features at L times its decay, and its kernel with them by the depth law, which has to be known.
    targets : eigenvalue of the labels' soft targets on each stratum; None for one-hot
    normalized : whether the network ends in a norm; if not, F is H
    ridge_features : ridge on H, without a final norm
    optimizer : "sgd" (with or without momentum), or "adamw", "sign", "muon", whose steps need `parts`
    betas : of AdamW
    parts : kernels of groups of parameters
    rates : array (steps,), the learning rate of each step, where it is not one
    reduction : "mean" or "sum" over the contexts, of the loss that is trained; losses are means all the same
    batches : step -> row numbers of its batch in the formula's order; None for all contexts, and where it is not known
    """

    attributes: Attributes
    labels: tuple[str, ...] | None
    kernel: np.ndarray
    W: np.ndarray
    F: np.ndarray
    lr: float | None = None
    depth: int | None = None
    momentum: float = 0.0
    nesterov: bool = False
    head_rate: float = 1.0
    body_rate: float = 1.0
    decay_head: float = 0.0
    decay_body: float = 0.0
    targets: Mapping[str, Any] | None = None
    normalized: bool = True
    ridge_features: float = 0.0
    optimizer: str = "sgd"
    betas: tuple[float, float] = (0.9, 0.999)
    parts: KernelParts | None = None
    rates: np.ndarray | None = None
    reduction: str = "mean"
    batches: Callable[[int], np.ndarray] | None = None

    @classmethod
    def of(cls, run: Run) -> "Start":
        """The initial kernel, features and head of a recorded run."""
        for name in ("kernel_init", "feature_norm"):
            if name not in run.data:
                raise InputError(f"{name}: the run {run.name} has none; record it at initialisation to forecast.")
            # Of the features those at the start: what comes later is not looked at, and may not be known.
            values = run.data[name].values if name == "kernel_init" else run.data[name].values[0]
            if not np.abs(values).max() < LARGEST[name]:
                raise InputError(f"{name}: {np.abs(values).max():g} in {run.name} is beyond what floats hold squared.")
        if run.data["step"].values[0] != run.meta.get("from_step", 0):
            raise InputError(
                f"step: the run {run.name} starts at step {run.data['step'].values[0]}, where no kernel was measured; "
                "record it from step 0."
            )
        optimizer, depth = str(run.meta.get("optimizer", "sgd")).lower(), run.body_depth
        decay = run.meta.get("weight_decay_body", run.meta.get("weight_decay", 0.0))
        known = run.meta.get("setting") is not None and find_spec("torch") is not None
        if optimizer not in ("sgd", "momentum", *(ADAPTIVE if known else ())) or (decay and depth is None):
            raise InputError(
                f"optimizer: the run {run.name} used {optimizer} with weight decay {decay}; a forecast from the kernel "
                "covers sgd with or without momentum, adamw, sign and muon where `ufmflow train` built the network, "
                "and weight decay of the body for a known depth alone; ask for the level gated."
            )
        if run.meta.get("hold_out"):
            raise InputError(
                f"run: {run.name} held labels out of training, which no forecast covers; see `ufmflow value`."
            )
        if run.meta.get("average_from") is not None:
            raise InputError(
                f"run: {run.name} records the mean of its checkpoints; a forecast from the kernel has no parameters to "
                "average, so ask for the level gated."
            )
        if run.meta.get("final_affine"):
            raise InputError(
                f"run: {run.name} has a final norm with affine part, which a forecast from the kernel does not cover; "
                "ask for the level gated."
            )
        if run.data.attrs["unused_labels"]:
            raise InputError(f"W: the run {run.name} has rows that label no context, which the model does not cover.")
        H, norm = run.data["H"].values[0], run.data["feature_norm"].values[0]
        F = (H / np.linalg.norm(H, axis=1, keepdims=True) * norm[:, None]).T
        W = run.data["W"].values[0]
        rates = _rates(run)
        lr = run.lr if rates is None else None
        kernel, momentum = run.data["kernel_init"].values, run.meta.get("momentum") or 0.0
        nesterov = bool(run.meta.get("nesterov"))
        decay_head = run.meta.get("weight_decay_head", run.meta.get("weight_decay", 0.0))
        return cls(
            run.attributes, run.labels, kernel, W, F, lr, depth, momentum, nesterov, run.meta.get("head_rate", 1.0),
            run.meta.get("body_rate", 1.0), decay_head, decay, smoothed_targets(run.attributes, run.labels, run.meta),
            run.meta.get("final_norm") != "none", run.meta.get("ridge_features", 0.0),
            "sgd" if optimizer == "momentum" else optimizer, tuple(run.meta.get("betas") or (0.9, 0.999)),
            _parts(run) if optimizer in ADAPTIVE else None, rates, run.meta.get("reduction", "mean"),
            _batches(run) if known else None,
        )  # fmt: skip

    @classmethod
    def of_network(
        cls,
        network: Any,
        inputs: Any,
        attributes: Attributes,
        labels: Any = None,
        lr: float | None = None,
        depth: int | None = None,
    ) -> "Start":
        """Measure the kernel, features and head of an untrained PyTorch network (extra `train`).

        Parameters
        ----------
        network : module with `features_before_norm(inputs)` (m, d), `body` and a linear `head` without bias, such as
            `ufmflow.numerics.networks.Network`
        inputs : Tensor with m rows, in the order of the attributes
        """
        missing = [name for name in ("features_before_norm", "body", "head") if not hasattr(network, name)]
        if missing:
            raise InputError(
                f"network: it has no {missing[0]!r}; give one with features_before_norm, body and head, or measure "
                "Theta with ufmflow.numerics.kernel.empirical_kernel and pass it with W0 and F0."
            )
        from .kernel import empirical_kernel

        kernel = empirical_kernel(network.features_before_norm, network.body.parameters(), inputs)
        F = network.features_before_norm(inputs).detach().numpy().T
        return cls.of_arrays(kernel, network.head.weight.detach().numpy(), F, attributes, labels, lr, depth)

    @classmethod
    def of_arrays(
        cls,
        kernel: Any,
        W: Any,
        F: Any,
        attributes: Attributes,
        labels: Any = None,
        lr: float | None = None,
        depth: int | None = None,
    ) -> "Start":
        """Contexts in the order of the attributes' table, put into the formula's order.

        Rows of W are in the order of the contexts when every context has its own label (labels None), else in the
        formula's order of the labels' combinations.
        """
        kernel, W, F = (np.asarray(part, dtype=float) for part in (kernel, W, F))
        kept = attributes.keep(labels)
        V, m = int(kept.cardinality), int(attributes.cardinality)
        if F.ndim != 2 or F.shape[1] != m or W.shape != (V, F.shape[0]):
            raise InputError(f"W0, F0: shapes {W.shape} and {F.shape}; they must be ({V}, d) and (d, {m}).")
        _check_shape(kernel, attributes)
        kernel = in_formula_order(in_formula_order(kernel, attributes), attributes, axis=1)
        W = in_formula_order(W, attributes) if V == m else W
        names = tuple(kept.sizes) if V < m else None
        return cls(attributes, names, kernel, W, in_formula_order(F, attributes, axis=1), lr, depth)

    @property
    def model(self) -> UFM:
        """The model with Theta's eigenvalues on the strata, `normalized` where the network ends in a norm."""
        kernel = strata.matrix_eigenvalues(self.kernel, self.attributes)
        # Theta is a Gram matrix: where it vanishes on a stratum, rounding may put the eigenvalue below 0.
        rounding = ROUNDING * max(map(abs, kernel.values()))
        kernel = {A: self.body_rate * (0.0 if -rounding <= value < 0 else value) for A, value in kernel.items()}
        return UFM(
            self.attributes, labels=self.labels, feature_kernel=kernel, label_kernel=self.head_rate,
            targets=self.targets, ridge=(self.decay_head, self.ridge_features), width=self.F.shape[0],
            constraint="normalized" if self.normalized else "free", reduction=self.reduction,
        )  # fmt: skip

    @property
    def stepwise(self) -> bool:
        """Whether the size of every step is known, so that it can be taken: from one learning rate or a schedule."""
        return self.lr is not None or self.rates is not None

    def steps_at(self, times: np.ndarray) -> np.ndarray:
        """The numbers of steps nearest to times of the run (T,), the sum of the learning rates so far."""
        if self.rates is None:
            return np.rint(times / self.lr).astype(int)
        passed = np.concatenate([[0.0], np.cumsum(self.rates)])
        return np.rint(np.interp(times, passed, np.arange(len(passed)))).astype(int)

    def step_rates(self, steps: int) -> np.ndarray:
        """The learning rates of the first so many steps."""
        return np.full(steps, self.lr, dtype=float) if self.rates is None else self.rates[:steps]

    def weights(self, step: int) -> np.ndarray | None:
        """What the contexts' pulls are multiplied by at a step (m,): m/|B| on its batch B; None for all contexts."""
        if self.batches is None:
            return None
        rows, m = self.batches(step), self.F.shape[1]
        found = np.zeros(m)
        found[rows] = m / len(rows)
        return found

    def flow_time(self, times: np.ndarray) -> np.ndarray:
        """The time of gradient flow at times of the run (learning rate x steps): what momentum makes of it.

        Where each step's rate is not known, the limit of many steps, times / (1 - momentum).
        """
        if not self.momentum:
            return times
        if not self.stepwise:
            return times / (1 - self.momentum)
        steps = self.steps_at(times)
        return effective_time(steps, self.step_rates(int(steps[-1])), self.momentum, nesterov=self.nesterov)

    def levels(self) -> tuple[str, ...]:
        """The levels that can be forecast: a map needs the steps' sizes, a body's decay the depth law, that a depth.

        Steps with a size of their own have maps alone (see `ufmflow.numerics.kernel_steps`).
        """
        adaptive = self.optimizer != "sgd"
        return tuple(
            level
            for level in KERNEL_LEVELS
            if (self.stepwise or "map" not in level) and (self.depth is not None or "deep" not in level)
            and (not self.decay_body or "deep" in level) and (not adaptive or "map" in level)
            and (level != "modes" or self.F.shape[0] >= self.F.shape[1])  # a direction for every context
        )  # fmt: skip


def _rates(run: Run) -> np.ndarray | None:
    """The learning rate of each step from the first recorded one on; None for one constant rate."""
    schedule = dict(run.meta.get("schedule") or {})
    name = schedule.pop("name", "constant")
    if name == "constant" and not schedule.get("warmup"):
        return None
    steps = int(run.meta.get("steps", run.data["step"].values[-1]))
    rates = Schedule.of(name, run.lr, steps, **schedule).rates(run.lr, steps)
    return rates[run.meta.get("from_step", 0) :]


def _parts(run: Run) -> KernelParts:
    """The kernels of the network's groups of parameters at the run's first step, from the network built anew."""
    from .kernel_parts import parts_of_plan
    from .plan import Plan

    parts = parts_of_plan(Plan.of_record(run.meta), run.meta.get("from_step", 0))
    check_parts(parts, run.data["kernel_init"].values, run.name)
    return parts


def _batches(run: Run) -> Callable[[int], np.ndarray] | None:
    """The batches that the run's seed draws."""
    from .plan import Plan
    from .training_steps import Batches

    plan = Plan.of_record(run.meta)
    if plan.batch is None:
        return None
    batches, first = Batches(len(plan.trained), plan.batch, plan.seed), int(run.meta.get("from_step", 0))
    drawn: list[np.ndarray] = []

    def batch(step: int) -> np.ndarray:
        while len(drawn) <= first + step:
            drawn.append(plan.trained[batches.draw().numpy()])
        return drawn[first + step]

    return batch


def smoothed_targets(attributes: Attributes, labels: Any, meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """The eigenvalues of a run's soft targets from its record; None for one-hot ones."""
    found = Smoothing.of(attributes.keep(labels), meta.get("smoothing", 0.0), meta.get("smoothing_weights"))
    return None if found is None else found.eigenvalues()


def check(start: Start) -> None:
    """Refuse, in a sentence, a start from which nothing can be forecast: InputError names the argument."""
    for name, array in (("W0", start.W), ("F0", start.F)):
        if not np.all(np.isfinite(array)):
            raise InputError(f"{name}: it holds NaN or infinity; give finite numbers.")
    if not np.all(np.any(start.F != 0, axis=0)):
        raise InputError("F0: a context's features are all 0, which no norm can scale; give features before the norm.")
    if start.lr is not None and not (np.isfinite(start.lr) and start.lr > 0):
        raise InputError(f"lr: {start.lr} is no learning rate; give a positive number, or None.")
    if start.depth is not None and not (isinstance(start.depth, (int, np.integer)) and start.depth >= 1):
        raise InputError(f"depth: {start.depth!r} is no number of layers; give a whole number of at least 1, or None.")
    _check_shape(start.kernel, start.attributes)
    if not np.all(np.isfinite(start.kernel)):
        raise InputError("kernel: it holds NaN or infinity; measure it again.")
    # Centred: the mean direction, often ten times the others, is in every algebra and would hide what is not.
    rows = start.kernel - start.kernel.mean(axis=0)
    outside = strata.residual(rows - rows.mean(axis=1, keepdims=True), start.attributes)
    if outside > LARGEST_RESIDUAL:
        raise InputError(
            f"kernel: {outside:.2f} of its centred norm lies outside the algebra of {start.attributes} (at most "
            f"{LARGEST_RESIDUAL} is allowed); are these the attributes, and the rows in their order?"
        )


def _check_shape(kernel: np.ndarray, attributes: Attributes) -> None:
    m = int(attributes.cardinality)
    if kernel.shape != (m, m):
        raise InputError(f"kernel: shape {kernel.shape}; {attributes} needs ({m}, {m}).")
