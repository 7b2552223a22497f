"""The runs of one chunk: a pure function of the design and the chunk's number.

Runs on the strata go through `simulate_ensemble`, all those together that share their equations; their windows are
located within the integrator's steps, not between output times.  Runs of whole matrices go through `simulate`, one by one.
A run that cannot be made (a width too small for its structure) or integrated is no reason to stop the others: its status
and problem say so, and its numbers are NaN.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from ..theory.errors import InputError
from ..theory.model import UFM
from .ensemble import simulate_ensemble
from .integrate import SMALLEST_RTOL, IntegrationError
from .modes import check_numbers, values_of
from .simulate import check_capacity, simulate, start_on_strata
from .sweep_design import Design
from .sweep_layout import BY_RUN, BY_STRATUM, PROBLEM, STATUS, WINDOW
from .trajectory import Trajectory

Arrays = dict[str, np.ndarray]
Member = tuple[int, UFM, dict[str, Any], dict[str, float], dict[str, float]]  # row, model, arguments, w and h at t = 0
RTOL, ATOL = 1e-8, 1e-10  # of `simulate`
SAFETY = 0.1  # errors of steps add up; held to this part of the tolerance, the solution keeps it
DONE = STATUS.index("done")


def fill(
    arrays: Arrays,
    design: Design,
    runs: range | list[int],
    strata: tuple[str, ...],
    device: str,
    tick: Callable[[], None],
) -> None:
    """Compute runs into arrays whose rows are these runs, whole matrices on a device; `tick` is called after each."""
    together: dict[Any, list[Member]] = defaultdict(list)
    for row, run in enumerate(runs):
        try:
            model, arguments = design.member(design.values(run), device)
            if arguments.get("full"):
                _summarise(arrays, row, simulate(model, **arguments), design, strata)
            else:
                member = _on_strata(row, model, arguments)
                together[_equations(model, arguments)].append(member)
                continue
        except (InputError, IntegrationError) as error:
            _problem(arrays, row, "refused" if isinstance(error, InputError) else "failed", error)
        tick()
    for members in together.values():
        _ensemble(arrays, members, design, strata)
        for _ in members:
            tick()


def _on_strata(row: int, model: UFM, arguments: dict[str, Any]) -> Member:
    check_numbers(model)
    w, h = start_on_strata(model, arguments.get("init", 1e-3))
    check_capacity(model, h)
    return row, model, arguments, w, h


def _equations(model: UFM, arguments: dict[str, Any]) -> Any:
    """Equal for runs of one ensemble: what they do not share is a number that varies."""
    targets, settings = tuple(model.targets.items()), ("optimizer", "rtol", "atol")
    kept = (model.attributes, model.labels, model.loss, targets, model.constraint, model.reduction, model.width is None)
    return (*kept, *(arguments.get(name) for name in settings))


def _ensemble(arrays: Arrays, members: list[Member], design: Design, strata: tuple[str, ...]) -> None:
    rows, (_, model, arguments, *_) = [member[0] for member in members], members[0]
    times = np.union1d(design.keep, design.times[-1:])
    found = simulate_ensemble(
        model,
        times,
        _varied(members),
        summaries=("window", "final", *(("trajectory",) if design.keep else ())),
        rtol=max(SAFETY * arguments.get("rtol", RTOL), SMALLEST_RTOL),
        atol=SAFETY * arguments.get("atol", ATOL),
        optimizer=arguments.get("optimizer", "sgd"),
    )
    done = found["status"].values == "done"
    window = done & found["window_onset"].notnull().values
    for name in WINDOW:
        arrays[f"window_{name}"][rows] = np.where(window, found[f"window_{name}"].values, np.nan)
    columns = [strata.index(name) for name in model.attributes.names]
    parts = {"final": found}
    if design.keep:
        parts["trajectory"] = found.sel(time=list(design.keep))
    for part, data in parts.items():
        for name in (*BY_RUN, *BY_STRATUM):
            array = arrays[f"{part}_{name}"]
            values: Any = data[f"{part}_{name}"].where(xr.DataArray(done, dims="run")).values
            if name in BY_STRATUM:
                array[np.ix_(rows, *map(range, array.shape[1:-1]), columns)] = values
            else:
                array[rows] = values
    arrays["status"][rows] = np.where(done, DONE, STATUS.index("failed"))
    for i in np.flatnonzero(~done):
        reached, end = float(found["reached"][i]), design.times[-1]
        why = f"integration stopped at t = {reached:.6g} of {end:.6g}: {found['status'].values[i]}"
        _problem(arrays, rows[i], "failed", why)


def _varied(members: list[Member]) -> dict[str, np.ndarray]:
    """All numbers of the equations and all starts, a value for each member."""
    model = members[0][1]
    contexts, labels = model.attributes.names, tuple(model.targets)
    names = (
        [f"feature_kernel.{A}" for A in contexts]
        + [f"label_kernel.{A}" for A in labels]
        + ["ridge.W", "ridge.H", "width"]
    )
    names += [f"w.{A}" for A in labels] + [f"h.{A}" for A in contexts]
    table = np.array([
        [*values_of(model), *(w[A] for A in labels), *(h[A] for A in contexts)] for _, model, _, w, h in members
    ])  # fmt: skip
    found = dict(zip(names, table.T, strict=True))
    if model.width is None:
        del found["width"]
    return found


def _summarise(arrays: Arrays, row: int, trajectory: Trajectory, design: Design, strata: tuple[str, ...]) -> None:
    data, window = trajectory.data, trajectory.window()
    for name in WINDOW if window else ():
        arrays[f"window_{name}"][row] = getattr(window, name)
    columns = [strata.index(name) for name in trajectory.attributes.names]
    kept = np.searchsorted(trajectory.time, design.keep)
    for name in (*BY_RUN, *BY_STRATUM):
        values: Any = data[name].values
        where = (..., columns) if name in BY_STRATUM else ...
        arrays[f"final_{name}"][row, ...][where] = values[-1]
        if design.keep:
            arrays[f"trajectory_{name}"][row, ...][where] = values[kept]
    arrays["status"][row] = DONE


def _problem(arrays: Arrays, row: int, status: str, why: Any) -> None:
    arrays["status"][row] = STATUS.index(status)
    arrays["problem"][row] = " ".join(str(why).split())[:PROBLEM]
