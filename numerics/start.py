"""What a forecast from the kernel starts from: the kernel, the features and the head of a network at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from ..theory.model import UFM
from ..theory.optimisers import effective_time
from . import strata
from .runs import Run
from .smoothing import Smoothing
from .trajectory import in_formula_order

KERNEL_LEVELS = ("modes", "flow", "map", "flow_deep", "map_deep")
LARGEST_RESIDUAL = 0.5  # of a centred kernel's norm outside the algebra: networks have 0.2, shuffled attributes 0.7
ROUNDING = 1e-6  # of a kernel measured in float32, relative to its largest eigenvalue


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

    @classmethod
    def of(cls, run: Run) -> "Start":
        """The initial kernel, features and head of a recorded run."""
        for name in ("kernel_init", "feature_norm"):
            if name not in run.data:
                raise InputError(f"{name}: the run {run.name} has none; record it at initialisation to forecast.")
        if run.data["step"].values[0] != run.meta.get("from_step", 0):
            raise InputError(
                f"step: the run {run.name} starts at step {run.data['step'].values[0]}, where no kernel was measured; "
                "record it from step 0."
            )
        optimizer, depth = run.meta.get("optimizer", "sgd"), run.body_depth
        decay = run.meta.get("weight_decay_body", run.meta.get("weight_decay", 0.0))
        if str(optimizer).lower() not in ("sgd", "momentum") or (decay and depth is None):
            raise InputError(
                f"optimizer: the run {run.name} used {optimizer} with weight decay {decay}; a forecast from the kernel "
                "covers full-batch sgd, with or without momentum, and weight decay of the body for a known depth "
                "alone; ask for the level gated."
            )
        batch = run.meta.get("batch")
        if run.meta.get("hold_out"):
            raise InputError(
                f"run: {run.name} held labels out of training, which no forecast covers; see `ufmflow value`."
            )
        if run.meta.get("average_from") is not None:
            raise InputError(
                f"run: {run.name} records the mean of its checkpoints; a forecast from the kernel has no parameters to "
                "average, so ask for the level gated."
            )
        if (batch and batch < run.data.sizes["context"]) or run.meta.get("final_affine"):
            odd = "a final norm with affine part" if run.meta.get("final_affine") else f"batches of {batch} contexts"
            raise InputError(
                f"run: {run.name} has {odd}; a forecast from the kernel covers neither, so ask for the level gated."
            )
        if run.data.attrs["unused_labels"]:
            raise InputError(f"W: the run {run.name} has rows that label no context, which the model does not cover.")
        H, norm = run.data["H"].values[0], run.data["feature_norm"].values[0]
        F = (H / np.linalg.norm(H, axis=1, keepdims=True) * norm[:, None]).T
        W = run.data["W"].values[0]
        # A flow's time is the sum of the learning rates whatever they are; the map has one size of step.
        schedule = run.meta.get("schedule") or {}
        lr = None if schedule.get("name", "constant") != "constant" or schedule.get("warmup") else run.lr
        kernel, momentum = run.data["kernel_init"].values, run.meta.get("momentum") or 0.0
        nesterov = bool(run.meta.get("nesterov"))
        decay_head = run.meta.get("weight_decay_head", run.meta.get("weight_decay", 0.0))
        return cls(
            run.attributes, run.labels, kernel, W, F, lr, depth, momentum, nesterov, run.meta.get("head_rate", 1.0),
            run.meta.get("body_rate", 1.0), decay_head, decay, smoothed_targets(run.attributes, run.labels, run.meta),
            run.meta.get("final_norm") != "none", run.meta.get("ridge_features", 0.0),
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
            constraint="normalized" if self.normalized else "free",
        )  # fmt: skip

    def flow_time(self, times: np.ndarray) -> np.ndarray:
        """The time of gradient flow at times of the run (learning rate x steps): what momentum makes of it.

        Of a schedule each step's rate is not known: then the limit of many steps, times / (1 - momentum).
        """
        if not self.momentum:
            return times
        if self.lr is None:
            return times / (1 - self.momentum)
        return effective_time(np.rint(times / self.lr).astype(int), self.lr, self.momentum, nesterov=self.nesterov)

    def levels(self) -> tuple[str, ...]:
        """The levels that can be forecast: `map` needs a learning rate, a body's decay the depth law, that a depth."""
        return tuple(
            level
            for level in KERNEL_LEVELS
            if (self.lr is not None or "map" not in level) and (self.depth is not None or "deep" not in level)
            and (not self.decay_body or "deep" in level)
            and (level != "modes" or self.F.shape[0] >= self.F.shape[1])  # a direction for every context
        )  # fmt: skip


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
