"""`simulate_ensemble(model, t, vary)`: many trajectories of one structure, each with its own kernels, ridge and start.

The equations are derived once, with what varies as symbols; an engine integrates all members and keeps what is asked
for: the semantic window, the end, or the state at given times.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from ..theory.errors import InputError
from ..theory.model import UFM
from . import ensemble_cuda, ensemble_native, ensemble_numpy
from .devices import DEVICES, open_device
from .ensemble_arrays import ArrayCode, array_code
from .ensemble_equations import Equations, equations_of
from .ensemble_members import Members
from .ensemble_problem import DONE, TOO_MANY_STEPS, UNDERFLOW, Found, Index, Problem
from .ensemble_work import check_memory
from .integrate import SMALLEST_RTOL, Progress, check_tolerances, output_times
from .modes import MANY, check_numbers, template_of
from .trajectory import semantic_index, shares, versions

SUMMARIES = ("window", "final", "trajectory")
METHODS = ("auto", "explicit", "rosenbrock")
ENGINES = ("auto", "native", "numpy", "cuda")
WINDOW = ("onset", "peak", "end", "height")
LOWEST = 0.01  # height of an index below which there is no window, as for `Trajectory.window`
STATUS = {DONE: "done", UNDERFLOW: "step underflow", TOO_MANY_STEPS: "too many steps"}


def simulate_ensemble(
    model: UFM,
    t: float | Iterable[float],
    vary: Mapping[str, Any],
    init: Any = 1e-3,
    summaries: Sequence[str] = ("window", "final"),
    grid: bool = False,
    rtol: float = 1e-6,
    atol: float = 1e-10,
    method: str = "auto",
    engine: str = "auto",
    device: str = "cpu",
    optimizer: str = "sgd",
    progress: Progress | None = None,
) -> xr.Dataset:
    """Integrate the reduced flow of many members of a model family at once.

    Parameters
    ----------
    model : UFM with numbers; what does not vary is its
    t : end time, or increasing output times; learning rate x steps
    vary : mapping from parameter to numbers (N,)
        `feature_kernel.STRATUM`, `label_kernel.STRATUM`, `ridge`, `ridge.W`, `ridge.H`, `width`, `init` (all strata),
        `init.STRATUM` (w = h), `w.STRATUM`, `h.STRATUM`.
    init : start of what does not vary, as for `simulate`
    summaries : of "window" (onset, peak, end and height of the semantic index, located within the steps), "final" (the
        state at the end) and "trajectory" (the state at the output times)
    grid : bool
        False: all parameters have N values, and members are their rows.  True: all combinations, with a dimension for
        each parameter.
    rtol, atol : tolerances of each step; atol is lowered to rtol times the smallest part of a member's start
    method : "explicit" (order 5), "rosenbrock" (linearly implicit, with the symbolic Jacobian), or "auto": explicit
        until a member's steps are limited by stability, then the other
    engine : "native" (needs a C compiler), "numpy" (slower, needs nothing else), "cuda" (on that device alone), or
        "auto": the first of them that is at hand
    device : "cpu" or "cuda"; the latter needs a GPU and CuPy (extra `gpu`)
    optimizer : as for `simulate`
    progress : callable (members done, members)

    Returns
    -------
    xarray.Dataset
        Along `run` (or the grid's dimensions): `status` ("done", "step underflow" or "too many steps"), `reached` (the
        time), `steps`, and as asked `window_onset`, `window_peak`, `window_end`, `window_height` (NaN without a
        window), `final_w`, `final_h`, `final_z`, `final_share_H`, `final_share_W` (run, stratum), `final_loss`,
        `final_semantic_index`, and the same with `trajectory_` (run, time[, stratum]).

    Raises
    ------
    InputError
        For unknown parameters, lengths that differ, values that no model has, and engines that are not there.

    Examples
    --------
    >>> found = simulate_ensemble(UFM("color[4] * shape[6]", ridge=1e-3), 1e5, {"feature_kernel.color": [1.0, 4.0]})
    >>> found["window_height"].values.round(3).tolist(), found["final_z"].sel(stratum="color").values.round(3).tolist()
    ([0.0, 0.998], [6.884, 6.884])
    """
    if not isinstance(model, UFM):
        raise InputError(f"model: {type(model).__name__} is no UFM; make one with ufmflow.UFM(attributes, ...).")
    check_numbers(model)
    check_tolerances(rtol, atol)
    times = output_times(t)
    summaries = _chosen(summaries)
    for name, value, allowed in (("method", method, METHODS), ("engine", engine, ENGINES), ("device", device, DEVICES)):
        if value not in allowed:
            raise InputError(f"{name}: {value!r} is unknown; choose one of {', '.join(allowed)}.")
    members = Members.of(model, vary, init, grid)
    template = template_of(model)
    strata = len(model.attributes.names)
    if strata > MANY and method == "rosenbrock":
        raise InputError(
            f"method: 'rosenbrock' takes at most {MANY} strata, and this model has {strata}; leave it out."
        )
    equations = equations_of(template, optimizer)
    start = members.start
    kept = times[times > 0] if "trajectory" in summaries else np.empty(0)
    problem = Problem(
        equations=equations,
        start=start,
        parameters=members.parameters,
        end=float(times[-1]),
        times=kept,
        rtol=max(rtol, SMALLEST_RTOL),
        atol=_lowered(atol, rtol, start),
        index=_index(model, start) if "window" in summaries else None,
        method="explicit" if strata > MANY else method,
    )
    engine = _engine(engine, device, strata)
    check_memory(problem, open_device(device).free_memory())
    found = RUN[engine](problem, progress)
    data = _dataset(model, problem, found, times, summaries)
    record = {"model": json.dumps(model.config()), "source": "simulate ensemble", "optimizer": optimizer, "rtol": rtol,
              "atol": atol, "method": method, "engine": engine, "device": device,
              "versions": json.dumps(versions())}  # fmt: skip
    return members.unfold(data.assign_attrs(record))


RUN = {"native": ensemble_native.run, "numpy": ensemble_numpy.run, "cuda": ensemble_cuda.run}
NATIVE_STRATA = 32  # beyond, compilers take minutes over the unrolled equations


def _engine(engine: str, device: str, strata: int) -> str:
    """The engine that is meant: benchmarks/ensembles.py has what they take."""
    if device == "cuda":
        if engine not in ("auto", "cuda"):
            raise InputError(f"engine: {engine!r} runs on the CPU; give engine='auto' with device='cuda'.")
        return "cuda"
    if engine == "cuda":
        raise InputError("engine: 'cuda' runs on a GPU; give device='cuda'.")
    if engine == "auto":
        return "native" if strata <= NATIVE_STRATA and ensemble_native.compiler() else "numpy"
    return engine


def _chosen(summaries: Sequence[str]) -> tuple[str, ...]:
    chosen = (summaries,) if isinstance(summaries, str) else tuple(summaries)
    for name in chosen:
        if name not in SUMMARIES:
            raise InputError(f"summaries: {name!r} is unknown; choose from {', '.join(SUMMARIES)}.")
    return chosen


def _lowered(atol: float, rtol: float, start: np.ndarray) -> np.ndarray:
    """For each member: atol, or rtol times the smallest part of its start that is not 0."""
    sizes = np.where(start != 0, np.abs(start), np.inf).min(axis=0)
    return np.minimum(atol, rtol * sizes)


def _index(model: UFM, start: np.ndarray) -> Index | None:
    """The semantic index on the states; None where the label has no main effects apart."""
    attributes = model.attributes
    semantic = attributes.semantic_strata(model.labels)
    if not semantic:
        return None
    kept = attributes.keep(model.labels)
    features = np.zeros((2, len(attributes.names)))
    for i, name in enumerate(attributes.names):
        m = float(attributes.multiplicities[name])
        features[:, i] = m * (name in semantic), m * (i > 0)
    etf = float(sum(kept.multiplicities[A] for A in semantic) / (kept.cardinality - 1))
    none = np.zeros((2, len(start) - len(attributes.names)))
    main, all_of = np.concatenate([none, features], axis=1)
    return Index(tuple(main.tolist()), tuple(all_of.tolist()), etf)


def _dataset(model: UFM, problem: Problem, found: Found, times: np.ndarray, summaries: tuple[str, ...]) -> xr.Dataset:
    run = ("run",)
    status = np.array([STATUS[int(code)] for code in range(3)])[found.status]
    variables: dict[str, tuple] = {
        "status": (run, status), "reached": (run, found.reached), "steps": (run, found.steps),
        "rejected": (run, found.rejected),
    }  # fmt: skip
    if "window" in summaries:
        there = found.window[3] > LOWEST
        for name, values in zip(WINDOW, found.window, strict=True):
            variables[f"window_{name}"] = (run, np.where(there | (name == "height"), values, np.nan))
    if "final" in summaries:
        variables |= _read(model, problem, found.state, problem.parameters, "final_", run)
    if "trajectory" in summaries:
        N, T = problem.members, len(times)
        states = found.kept
        if times[0] == 0:
            states = np.concatenate([problem.start.T[:, None], states], axis=1)
        flat = states.reshape(N * T, -1).T
        read = _read(model, problem, flat, np.repeat(problem.parameters, T, axis=1), "trajectory_", ("run", "time"))
        variables |= {name: (dims, values.reshape(N, T, *values.shape[1:])) for name, (dims, values) in read.items()}
    coordinates: dict[str, Any] = {"stratum": list(model.attributes.names)}
    if "trajectory" in summaries:
        coordinates["time"] = ("time", times, {"long_name": "time", "units": "learning rate x steps"})
    return xr.Dataset(variables, coordinates, {"formula": str(model.attributes)})


@lru_cache(maxsize=32)
def _reader(equations: Equations) -> ArrayCode:
    return array_code(equations.output_definitions, equations.outputs, equations.state, equations.parameters)


def _read(
    model: UFM, problem: Problem, states: np.ndarray, parameters: np.ndarray, prefix: str, dims: tuple[str, ...]
) -> dict[str, tuple]:
    """The variables of `trajectory` at states (n, L): arrays (L,) and (L, strata)."""
    read = _reader(problem.equations)
    with np.errstate(all="ignore"):  # a member may have overflowed, as its status says
        found = read(states, parameters)
    k = len(model.attributes.names)
    w, h, z = (found[i * k : (i + 1) * k].T for i in range(3))
    m = np.array([float(stratum.multiplicity) for stratum in model.attributes.strata])
    share_H, share_W = shares(h, m), shares(w, m)
    by_stratum = {"w": w, "h": h, "z": z, "share_H": share_H, "share_W": share_W}
    by_run = {"loss": found[-1], "semantic_index": semantic_index(share_H, model.attributes, model.labels)}
    return {prefix + name: ((*dims, "stratum"), values) for name, values in by_stratum.items()} | {
        prefix + name: (dims, values) for name, values in by_run.items()
    }
