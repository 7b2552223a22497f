"""Forecast a network's training from its kernel at initialisation, with no fitted parameter.

A network ends in a norm without affine part and a linear head.  Its mean-centred features before the norm, F (d, m),
flow under the empirical kernel Theta_ij = (1/d) sum_c <df_jc/dtheta, df_ic/dtheta> at initialisation (m, m):

    dW/dt = -G H^T,    dF/dt = q Theta,    q_j = -(tangent part of W^T G)_j sqrt(d)/|f_j|,    h_j = sqrt(d) f_j/|f_j|.

Levels, from understanding to precision:

- `modes`: Theta reduced to its eigenvalues on the strata, the head's random start ignored: a handful of scalars;
- `flow`: whole matrices from the network's actual start;
- `map`: the same with the optimiser's discrete steps in place of the flow;
- `flow_deep`, `map_deep`: Theta's part on stratum A grows as (phi_A/phi_A(0))^(2 - 2/L), as in a balanced product of
  L linear layers, phi_A the singular value of the current F.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from ..theory.model import UFM
from . import strata
from .integrate import IntegrationError, Progress, output_times
from .matrices import MatrixFlow
from .runs import Run
from .simulate import integrate_matrices, read_matrices, simulate
from .trajectory import Trajectory, dataset, in_formula_order

LEVELS = ("modes", "flow", "map", "flow_deep", "map_deep")
SMALL_HEAD = 1e-3  # w_A(0) of `modes`; below, the forecast no longer depends on it
LARGEST_RESIDUAL = 0.5  # of a centred kernel's norm outside the algebra: networks have 0.2, shuffled attributes 0.7
ROUNDING = 1e-6  # of a kernel measured in float32, relative to its largest eigenvalue
STEP_IS_SMALL = 0.01  # mean share RMSE between flow and map below which the continuous limit holds
RTOL, ATOL = 1e-6, 1e-8  # a thousandth of the errors that forecasts are judged by


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
    """

    attributes: Attributes
    labels: tuple[str, ...] | None
    kernel: np.ndarray
    W: np.ndarray
    F: np.ndarray
    lr: float | None = None
    depth: int | None = None

    @classmethod
    def of(cls, run: Run) -> "Start":
        """The initial kernel, features and head of a recorded run."""
        for name in ("kernel_init", "feature_norm"):
            if name not in run.data:
                raise InputError(f"{name}: the run {run.name} has none; record it at initialisation to forecast.")
        if run.data["step"].values[0] != 0:
            raise InputError(f"step: the run {run.name} starts at step {run.data['step'].values[0]}, not 0.")
        optimizer, decay = run.meta.get("optimizer", "sgd"), run.meta.get("weight_decay", 0.0)
        if str(optimizer).lower() != "sgd" or decay:
            raise InputError(
                f"optimizer: the run {run.name} used {optimizer} with weight decay {decay}; the forecast covers plain "
                "full-batch sgd without weight decay."
            )
        batch = run.meta.get("batch")
        if (batch and batch < run.data.sizes["context"]) or run.meta.get("final_affine"):
            odd = "a final norm with affine part" if run.meta.get("final_affine") else f"batches of {batch} contexts"
            raise InputError(f"run: {run.name} has {odd}; the forecast covers full-batch sgd and no affine part.")
        if run.data.attrs["unused_labels"]:
            raise InputError(f"W: the run {run.name} has rows that label no context, which the model does not cover.")
        H, norm = run.data["H"].values[0], run.data["feature_norm"].values[0]
        F = (H / np.linalg.norm(H, axis=1, keepdims=True) * norm[:, None]).T
        W = run.data["W"].values[0]
        # A flow's time is the sum of the learning rates whatever they are; the map has one size of step.
        schedule = run.meta.get("schedule") or {}
        lr = None if schedule.get("name", "constant") != "constant" or schedule.get("warmup") else run.lr
        return cls(run.attributes, run.labels, run.data["kernel_init"].values, W, F, lr, run.body_depth)

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
        """The `normalized` model with Theta's eigenvalues on the strata."""
        kernel = strata.matrix_eigenvalues(self.kernel, self.attributes)
        # Theta is a Gram matrix: where it vanishes on a stratum, rounding may put the eigenvalue below 0.
        rounding = ROUNDING * max(map(abs, kernel.values()))
        kernel = {A: 0.0 if -rounding <= value < 0 else value for A, value in kernel.items()}
        return UFM(
            self.attributes, labels=self.labels, feature_kernel=kernel, constraint="normalized", width=self.F.shape[0]
        )

    def levels(self) -> tuple[str, ...]:
        """The levels that can be forecast: `map` needs a learning rate, the depth law a depth."""
        return tuple(
            level
            for level in LEVELS
            if (self.lr is not None or "map" not in level) and (self.depth is not None or "deep" not in level)
        )


def forecast(
    source: Any,
    attributes: Attributes | None = None,
    t: Any = None,
    *,
    level: str | None = None,
    inputs: Any = None,
    W0: np.ndarray | None = None,
    F0: np.ndarray | None = None,
    labels: Any = None,
    lr: float | None = None,
    depth: int | None = None,
    progress: Progress | None = None,
) -> Trajectory:
    """Forecast a network's training from its initialisation alone.

    Parameters
    ----------
    source : recorded run, Start, kernel Theta (m, m) with `attributes`, `W0` and `F0`, or untrained PyTorch network
        with `attributes` and `inputs` (see `Start.of_network`)
    attributes : structure of the contexts; taken from a run
    t : output times, learning rate x steps (a run's recorded times if None)
    level : one of `modes`, `flow`, `map`, `flow_deep`, `map_deep`; the designated one (see `designate`) if None
    W0, F0 : head (V, d) and mean-centred features before the norm (d, m) at initialisation
    labels, lr, depth : as in `Start`

    Returns
    -------
    Trajectory

    Raises
    ------
    InputError
        For kernels of the wrong shape, that are not finite, or more than half outside the algebra once centred; for
        levels that need a learning rate or a depth that is not known.
    IntegrationError
        When a flow cannot be integrated or discrete steps diverge.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> forecast(example_run(), level="modes").window().peak < 10
    True
    """
    start = _start(source, attributes, inputs, W0, F0, labels, lr, depth)
    times = source.time if t is None and isinstance(source, Run) else output_times(_required(t, "t"))
    if level is None:
        level, _ = designate(start, times, {}, progress)
    if level not in LEVELS:
        raise InputError(f"level: {level!r} is unknown; choose one of {', '.join(LEVELS)}.")
    if level not in start.levels():
        needed = "the depth of the body" if "deep" in level and start.depth is None else "the learning rate"
        raise InputError(f"level: {level!r} needs {needed}, which is not known; give it, or choose another level.")
    return _forecast_level(start, times, level, progress)


def designate(
    start: Start, times: np.ndarray, known: dict[str, Trajectory], progress: Progress | None = None
) -> tuple[str, str]:
    """The level to be held to, and why: a rule from initial quantities alone.

    Flow and map are both computed from the initialisation.  Where they agree (mean share RMSE below 0.01) steps are
    small, training follows the flow, layers stay balanced, and the depth law is used if the depth is known.  Where they
    differ, the flow does not describe the steps, nor does balance survive them: the map is designated.

    Forecasts are taken from `known` and added to it.
    """
    if start.lr is None:
        level = "flow_deep" if start.depth is not None else "flow"
        return level, "no learning rate is known, so only a flow can be forecast"
    for needed in ("flow", "map"):
        if needed not in known:
            known[needed] = _forecast_level(start, times, needed, progress)
    apart = float(np.mean(np.sqrt(np.mean((known["flow"].shares() - known["map"].shares()) ** 2, axis=1))))
    if apart >= STEP_IS_SMALL:
        return "map", f"flow and map differ by {apart:.4f} in shares (limit {STEP_IS_SMALL}): steps are large"
    why = f"flow and map differ by {apart:.4f} in shares (limit {STEP_IS_SMALL}): steps are small"
    return ("flow_deep" if start.depth is not None else "flow"), why


def forecast_all(run: Run, progress: Progress | None = None) -> tuple[dict[str, Trajectory], str, str]:
    """Every forecast of a recorded run by level, the designated level, and why it is designated."""
    start = Start.of(run)
    _check(start)
    found = {level: _forecast_level(start, run.time, level, progress) for level in start.levels()}
    level, why = designate(start, run.time, found)
    return found, level, why


def _start(
    source: Any,
    attributes: Attributes | None,
    inputs: Any,
    W0: Any,
    F0: Any,
    labels: Any,
    lr: float | None,
    depth: int | None,
) -> Start:
    if isinstance(source, (Run, Start)):
        start = Start.of(source) if isinstance(source, Run) else source
    else:
        structure = _required(attributes, "attributes")
        if inputs is not None:
            start = Start.of_network(source, inputs, structure, labels, lr, depth)
        else:
            W, F = _required(W0, "W0"), _required(F0, "F0")
            start = Start.of_arrays(_required(source, "source"), W, F, structure, labels, lr, depth)
    _check(start)
    return start


def _check(start: Start) -> None:
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


def _required(value: Any, name: str) -> Any:
    if value is None:
        raise InputError(f"{name}: it is missing; a forecast from a bare kernel needs attributes, t, W0 and F0.")
    return value


def _forecast_level(start: Start, times: np.ndarray, level: str, progress: Progress | None) -> Trajectory:
    if level == "modes":
        phi = np.sqrt(strata.energies(start.F.T, start.attributes))
        init = {A: (SMALL_HEAD, value) for A, value in zip(start.attributes.names, phi, strict=True)}
        return _named(simulate(start.model, times, init=init, progress=progress), level)
    flow = MatrixFlow.of(start.model, _kernel_action(start, deep=level.endswith("deep")))
    if level.startswith("flow"):
        pairs = integrate_matrices(flow, start.W, start.F, times, RTOL, ATOL, progress)
    else:
        pairs = _steps(flow, start, times, progress)
    variables, kept = read_matrices(flow, pairs)
    config = json.dumps(flow.model.config())
    return _named(
        Trajectory(dataset(start.attributes, start.labels, times, *variables, model=config).assign(kept)), level
    )


def _named(trajectory: Trajectory, level: str) -> Trajectory:
    return Trajectory(trajectory.data.assign_attrs(source=f"forecast {level}"))


def _kernel_action(start: Start, deep: bool) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """X -> X Theta, or with the depth law X -> X D Theta D, D = sum_A (phi_A/phi_A(0))^(1 - 1/L) P_A."""
    Theta = start.kernel
    if not deep:
        return lambda X, F: X @ Theta
    m = len(Theta)
    names = start.attributes.names
    projectors = np.stack([strata.apply(np.eye(m), {B: float(A == B) for B in names}, start.attributes) for A in names])
    rows = projectors.reshape(len(names), m * m)
    energy = rows @ (start.F.T @ start.F).ravel()
    alive = energy > 0
    power = (1 - 1 / int(start.depth or 1)) / 2

    def action(X: np.ndarray, F: np.ndarray) -> np.ndarray:
        ratio = np.divide(rows @ (F.T @ F).ravel(), energy, out=np.ones_like(energy), where=alive)
        D = (ratio**power @ rows).reshape(m, m)
        return X @ D @ Theta @ D

    return action


def _steps(
    flow: MatrixFlow, start: Start, times: np.ndarray, progress: Progress | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Gradient descent with the learning rate, read off at the steps nearest to the times."""
    lr = float(start.lr or 0.0)
    wanted = np.rint(times / lr).astype(int)
    W, F = start.W, start.F
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for step in range(int(wanted[-1]) + 1):
        while len(found) < len(wanted) and wanted[len(found)] == step:
            found.append((W, F))
        if step == wanted[-1]:
            break
        dW, dF = flow.rates(W, F)
        W, F = W + lr * dW, F + lr * dF
        if step % 1000 == 0:
            if not np.all(np.isfinite(F)):
                raise IntegrationError(
                    f"the discrete steps diverged before step {step}: the learning rate {lr} is too large"
                )
            if progress is not None:
                progress(step, int(wanted[-1]))
    return found
