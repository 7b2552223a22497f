"""Where a flow settles, for fewer evaluations than its way there takes at the same accuracy.

A flow downhill forgets how it came near a minimum: errors made on the way contract like its slowest rate, and what is
left at the end is the tolerance of the last steps.  So most of the time is crossed at a loose tolerance, and the last
part at the one asked for.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .explicit_pairs import Rate
from .integrate import IntegrationError, Progress
from .options import number
from .solve import Solution, solve

LOOSE = 2e-3  # tolerance of steps until the last part; with 5e-3 some flows have not settled at the end
LAST_PART = 0.1  # of the time, taken at the tolerance asked for
STILL = 10.0  # tolerances by which the state may move over the second half of the last part


def steady_state(
    rhs: Rate,
    start: Any,
    end: float,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    progress: Progress | None = None,
    save: Callable[[float, Any], Any] | None = None,
) -> Solution:
    """The state near which dy/dt = rhs(t, y) has come to rest by a time.

    Parameters
    ----------
    rhs, start : as `solve` has them
    end : float, the time; its last tenth must suffice to contract what the way was off by
    rtol, atol : tolerances of the last steps
    progress, save : as `solve` has them

    Returns
    -------
    Solution with one output time, the end, and "steady" as its reason

    Raises
    ------
    InputError
        For a start, an end or tolerances that cannot be used.
    IntegrationError
        Where the state still moves at the end, by more than ten tolerances of its size over the last twentieth.

    Notes
    -----
    Where there are several attractors, which one is reached is decided at the loose tolerance; a plateau that is left
    only after the end passes for rest, as it does in `Steady`.

    Examples
    --------
    >>> logistic = lambda t, y, out: np.multiply(y, 1.0 - y, out=out)
    >>> found = steady_state(logistic, np.array([1e-3]), 1000.0)
    >>> bool(abs(found.states[0][0] - 1.0) < 1e-6), found.reason
    (True, 'steady')
    """
    end = number("end", end)
    turn, middle = (1 - LAST_PART) * end, LAST_PART * end / 2
    loose = max(LOOSE, rtol)
    way = solve(rhs, start, [turn], method="auto", rtol=loose, atol=atol * loose / rtol,
                progress=progress and (lambda t, _: progress(t, end)))  # fmt: skip
    last = solve(rhs, way.states[0], [middle, 2 * middle], method="stabilised", rtol=rtol, atol=atol,
                 progress=progress and (lambda t, _: progress(turn + t, end)))  # fmt: skip
    before, y = last.states
    size = float(abs(y).max())
    moved = float(abs(y - before).max())
    if not moved <= STILL * (rtol * size + atol):
        raise IntegrationError(
            f"end: by t = {end:g} the state has not settled: over the last {middle:g} it moved by {moved / size:.1e} of its "
            f"size, with rtol {rtol:g}; give a later end."
        )
    if save is not None:
        y = save(end, y)
    counts = {name: getattr(way, name) + getattr(last, name) for name in ("evaluations", "steps", "rejected")}
    return Solution(np.array([end]), [y], reason="steady", **counts)
