"""Forecast a network's training from its kernel at initialisation, with no fitted parameter.

A network ends in a norm without affine part and a linear head.  Its mean-centred features before the norm, F (d, m),
flow under the empirical kernel Theta_ij = (1/d) sum_c <df_jc/dtheta, df_ic/dtheta> at initialisation (m, m):

    dW/dt = -G H^T,    dF/dt = q Theta,    q_j = -(tangent part of W^T G)_j sqrt(d)/|f_j|,    h_j = sqrt(d) f_j/|f_j|.

Levels, from understanding to precision:

- `modes`: Theta reduced to its eigenvalues on the strata, the head's random start ignored: a handful of scalars;
- `flow`: whole matrices from the network's actual start;
- `map`: the same with the optimiser's discrete steps in place of the flow;
- `flow_deep`, `map_deep`: Theta's part on stratum A grows as (phi_A/phi_A(0))^(2 - 2/L), as in a balanced product of
  L linear layers, phi_A the singular value of the current F;
- `gated_linear`, `gated`: the network's own weights move, its gates stay as they start, or move to first order (see
  `ufmflow.numerics.gated`): the kernel's own motion, in size and direction, under any optimiser;
- `gated_doubling`: the gates are expanded anew along the forecast's own path, each time the steps have doubled.
"""

import json
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError, nearest
from ..theory.model import UFM
from ..theory.persistence import margin_rows
from . import strata
from .integrate import Progress, output_times
from .kernel_steps import kernel_action, take_steps
from .matrices import MatrixFlow
from .modes import log_partition
from .runs import Run
from .simulate import integrate_matrices, read_matrices, simulate
from .start import KERNEL_LEVELS, Start, check
from .trajectory import Trajectory, dataset

GATED_LEVELS = ("gated_linear", "gated", "gated_doubling")
FINEST = "gated_doubling"  # designated wherever the network is known
LEVELS = (*KERNEL_LEVELS, *GATED_LEVELS)
SMALL_HEAD = 1e-3  # w_A(0) of `modes`; below, the forecast no longer depends on it
STEP_IS_SMALL = 0.01  # mean share RMSE between flow and map below which the continuous limit holds
RTOL, ATOL = 1e-6, 1e-8  # a thousandth of the errors that forecasts are judged by


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
    level : one of `modes`, `flow`, `map`, `flow_deep`, `map_deep`, and for runs that `train` recorded `gated_linear`,
        `gated`, `gated_doubling` (extra `train`); the designated one (see `designate` and `forecast_all`) if None
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
    if level in GATED_LEVELS or (level is None and isinstance(source, Run) and knows_network(source)):
        if not isinstance(source, Run) or t is not None:
            raise InputError(
                f"level: {level!r} steps through a recorded run's own times; give the run without t, or use "
                "ufmflow.numerics.gated.forecast_network."
            )
        return _forecast_gated(source, level or FINEST, progress)
    start = _start(source, attributes, inputs, W0, F0, labels, lr, depth)
    times = source.time if t is None and isinstance(source, Run) else output_times(_required(t, "t"))
    if level is None:
        level, _ = designate(start, times, {}, progress)
    if level not in LEVELS:
        raise InputError(f"level: {level!r} is unknown{nearest(level, LEVELS)}; choose one of {', '.join(LEVELS)}.")
    if level not in start.levels():
        raise InputError(f"level: {level!r} {_lacking(start, level)}")
    return _forecast_level(start, times, level, progress)


def _lacking(start: Start, level: str) -> str:
    if start.optimizer != "sgd" and "map" not in level:
        return f"is a flow's, and {start.optimizer} takes steps of a size of its own; choose map or map_deep."
    needed = "the depth of the body" if "deep" in level and start.depth is None else "the learning rate"
    return f"needs {needed}, which is not known; give it, or choose another level."


def designate(
    start: Start, times: np.ndarray, known: dict[str, Trajectory], progress: Progress | None = None
) -> tuple[str, str]:
    """The level to be held to, and why: a rule from initial quantities alone.

    Flow and map are both computed from the initialisation.  Where they agree (mean share RMSE below 0.01) steps are
    small, training follows the flow, layers stay balanced, and the depth law is used if the depth is known.  Where they
    differ, the flow does not describe the steps, nor does balance survive them: the map is designated.

    Forecasts are taken from `known` and added to it.
    """
    deep = start.depth is not None
    if start.optimizer != "sgd":
        why = f"{start.optimizer} takes steps of a size of its own: no flow has them, and no balance of layers lasts"
        return ("map_deep" if start.decay_body else "map"), why
    if not start.stepwise:
        return ("flow_deep" if deep else "flow"), "no learning rate is known, so only a flow can be forecast"
    for needed in ("flow", "map"):
        if needed not in known:
            known[needed] = _forecast_level(start, times, needed, progress)
    apart = float(np.mean(np.sqrt(np.mean((known["flow"].shares() - known["map"].shares()) ** 2, axis=1))))
    if apart >= STEP_IS_SMALL:
        why = f"flow and map differ by {apart:.4f} in shares (limit {STEP_IS_SMALL}): steps are large"
        return ("map_deep" if start.decay_body else "map"), why  # a body's decay is known with the depth law alone
    why = f"flow and map differ by {apart:.4f} in shares (limit {STEP_IS_SMALL}): steps are small"
    return ("flow_deep" if deep else "flow"), why


def forecast_all(
    run: Run, progress: Progress | None = None, gates: bool | None = None
) -> tuple[dict[str, Trajectory], str, str]:
    """Every forecast of a recorded run by level, the designated level, and why it is designated.

    Parameters
    ----------
    run : Run
    gates : whether to forecast with the network's gates expanded, too; if None, wherever the network is known at its
        start (see `knows_network`).  `gated_doubling` is then the designated one.

    Raises
    ------
    InputError
        Where neither kind of forecast covers the run.
    """
    gates = knows_network(run) if gates is None else gates
    found: dict[str, Trajectory] = {}
    start = None
    try:
        start = Start.of(run)
        check(start)
    except InputError:
        if not gates:
            raise
    else:
        found |= {level: _forecast_level(start, run.time, level, progress) for level in start.levels()}
    if gates:
        from .gated import gates_move

        wanted = GATED_LEVELS if gates_move(run) else GATED_LEVELS[1:]
        found |= {level: _forecast_gated(run, level, progress) for level in wanted}
        why = "the network is known at its start, so its weights move and its gates are expanded, anew at each doubling"
        return found, FINEST, why
    assert start is not None
    level, why = designate(start, run.time, found)
    return found, level, why


def knows_network(run: Run) -> bool:
    """Whether the network of a run can be built as it started: `train` recorded it, and PyTorch is there."""
    return run.meta.get("setting") is not None and find_spec("torch") is not None


def _forecast_gated(run: Run, level: str, progress: Progress | None) -> Trajectory:
    if run.meta.get("arch") is None:
        raise InputError(
            f"level: {level!r} needs a network that `ufmflow train` built, which {run.name} records none of."
        )
    from .gated import forecast_gated

    return forecast_gated(run, level, progress)


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
    check(start)
    return start


def _required(value: Any, name: str) -> Any:
    if value is None:
        raise InputError(f"{name}: it is missing; a forecast from a bare kernel needs attributes, t, W0 and F0.")
    return value


def _forecast_level(start: Start, times: np.ndarray, level: str, progress: Progress | None) -> Trajectory:
    if level == "modes":
        phi = np.sqrt(strata.energies(start.F.T, start.attributes))
        init = {A: (SMALL_HEAD, value) for A, value in zip(start.attributes.names, phi, strict=True)}
        found = simulate(start.model, start.flow_time(times), init=init, progress=progress).data
        if start.targets is not None or start.reduction == "sum":
            found["loss"] = ("time", one_hot_loss(found["z"].values, start.attributes, start.labels))
        return _named(Trajectory(found.assign_coords(time=times)), level)
    flow, pairs = matrices_of(start, times, level, progress)
    # Runs record the mean loss of the labels themselves, whatever loss they are trained on.
    plain = MatrixFlow.of(replace_targets(flow.model))
    variables, kept = read_matrices(plain, pairs)
    config = json.dumps(flow.model.config())
    return _named(
        Trajectory(dataset(start.attributes, start.labels, times, *variables, model=config).assign(kept)), level
    )


def matrices_of(
    start: Start, times: np.ndarray, level: str, progress: Progress | None = None
) -> tuple[MatrixFlow, list[tuple[np.ndarray, np.ndarray]]]:
    """The flow of whole matrices of a level but `modes`, and W (V, d) and features F (d, m) at each time."""
    deep = level.endswith("deep")
    flow = MatrixFlow.of(start.model, kernel_action(start, deep))
    if start.decay_body:
        flow = replace(flow, decay=start.body_rate * start.decay_body * int(start.depth or 1))
    if level.startswith("flow"):
        return flow, integrate_matrices(flow, start.W, start.F, start.flow_time(times), RTOL, ATOL, progress)
    return flow, take_steps(flow, start, times, deep, progress)


def _named(trajectory: Trajectory, level: str) -> Trajectory:
    return Trajectory(trajectory.data.assign_attrs(source=f"forecast {level}"))


def replace_targets(model: UFM) -> UFM:
    """The model with one-hot targets and the mean over contexts, whose loss is the one that runs record."""
    return UFM(
        model.attributes, labels=model.labels, loss=model.loss, feature_kernel=model.feature_kernel,
        label_kernel=model.label_kernel, ridge=model.ridge, constraint=model.constraint, width=model.width,
    )  # fmt: skip


def one_hot_loss(z: np.ndarray, attributes: Attributes, labels: Any) -> np.ndarray:
    """Mean cross-entropy (T,) of the labels themselves at singular values z (T, strata of the contexts) of the logits.

    log(1 + sum_T v_T exp(-M_T)) with the margins M_T = sum_A m_A (1 - chi_A(T)) z_A / (V sqrt(r)).
    """
    kept = attributes.keep(labels)
    columns = [attributes.names.index(A) for A in kept.names]
    rows = np.array(margin_rows(kept, kept.names), dtype=float)
    margins = z[:, columns] @ rows.T / np.sqrt(float(attributes.cardinality / kept.cardinality))
    valency = [float(T.valency) for T in kept.relations[:-1]]
    return log_partition(*margins.T, *valency)
