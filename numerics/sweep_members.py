"""The runs of one chunk: a pure function of the design and the chunk's number.

A run that cannot be made (a width too small for its structure) or integrated is no reason to stop the others: its
status and problem say so, and its numbers are NaN.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .integrate import IntegrationError
from .simulate import simulate
from .sweep_design import Design
from .sweep_layout import BY_RUN, BY_STRATUM, PROBLEM, STATUS, WINDOW
from .trajectory import Trajectory

Arrays = dict[str, np.ndarray]


def fill(
    arrays: Arrays, design: Design, runs: range, strata: tuple[str, ...], device: str, tick: Callable[[], None]
) -> None:
    """Compute runs into arrays whose rows are these runs, whole matrices on a device; `tick` is called after each."""
    for row, run in enumerate(runs):
        try:
            model, arguments = design.member(design.values(run), device)
            trajectory = simulate(model, **arguments)
        except (InputError, IntegrationError) as error:
            status = "refused" if isinstance(error, InputError) else "failed"
            arrays["problem"][row] = " ".join(str(error).split())[:PROBLEM]
        else:
            status = "done"
            _summarise(arrays, row, trajectory, design, strata)
        arrays["status"][row] = STATUS.index(status)
        tick()


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
