"""Integration of an initial value problem to given output times, with SciPy's integrators.

LSODA (stiff-capable) serves the few coupled modes, DOP853 the whole matrices.  A failed step says when and why.
"""

from collections.abc import Callable, Iterable
from numbers import Real

import numpy as np
from scipy.integrate import DOP853, LSODA

from ..theory.errors import InputError

Progress = Callable[[float, float], None]

# Global error exceeds the local tolerance, and where stability limits an explicit method its stiff parts waver at the
# size of the tolerance.  Held to these fractions, reduced and full flows agree to the tolerance asked for.
SAFETY = {LSODA: 1e-3, DOP853: 1e-4}
MOST_STEPS = 10**6  # a minute or so; flows of modes take hundreds, and one that takes more than these never ends
SMALLEST_RTOL = 3e-14  # below, SciPy replaces it by 100 machine epsilons
SMALLEST_ATOL = 1e-300  # LSODA divides by it where a component is 0, and refuses to divide by less


class IntegrationError(RuntimeError):
    """The integrator could not go on; the message says at what time and why."""


def output_times(t: float | Iterable[float]) -> np.ndarray:
    """Check output times, or make 200 log-spaced ones (and 0) up to one given end.

    Examples
    --------
    >>> output_times([0, 1, 10]).tolist()
    [0.0, 1.0, 10.0]
    >>> len(output_times(100.0))
    201
    """
    try:
        times = np.asarray(t, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"t: {t!r} is no number; give an end time, or increasing output times.") from None
    if times.ndim == 0:
        if not (np.isfinite(times) and times > 0):
            raise InputError(f"t: {times} is no end time; give a positive number, or increasing output times.")
        return np.concatenate([[0.0], np.geomspace(times * 1e-5, times, 200)])
    if times.ndim != 1 or times.size == 0 or not np.all(np.isfinite(times)):
        raise InputError(f"t: shape {times.shape}; give finite output times in one dimension.")
    if times[0] < 0 or np.any(np.diff(times) <= 0):
        raise InputError("t: the times must be increasing and at least 0.")
    return times


def check_tolerances(rtol: float, atol: float) -> None:
    """Refuse tolerances that no float64 integration can keep."""
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not isinstance(value, Real):
            raise InputError(f"{name}: {value!r} is no number; give a small positive one, for example 1e-8.")
    if not (SMALLEST_RTOL <= rtol < 1):
        raise InputError(f"rtol: {rtol} is outside [{SMALLEST_RTOL}, 1); round-off allows no less.")
    if not (0 <= atol < np.inf):
        raise InputError(f"atol: {atol} must be a finite number of at least 0.")


def integrate(
    method: type[LSODA] | type[DOP853],
    rhs: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    times: np.ndarray,
    rtol: float,
    atol: float,
    jacobian: Callable[[np.ndarray], np.ndarray] | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Solve dy/dt = rhs(y), y(0) = start.

    Parameters
    ----------
    method : LSODA or DOP853
    start : array (n,)
    times : array (T,), increasing, from 0 on
    rtol, atol : tolerances on the solution; each step is held to less, by a measured factor

    Returns
    -------
    array (n, T)

    Raises
    ------
    IntegrationError
        When a step cannot meet the tolerances, the state stops being finite, or the steps are too many.
    """
    out = np.empty((start.size, times.size))
    done = int(np.searchsorted(times, 0.0, side="right"))
    out[:, :done] = start[:, None]
    if done == times.size:
        return out
    if not np.all(np.isfinite(rhs(start))):  # SciPy would look for a first step for ever
        raise IntegrationError(f"integration stopped at t = 0 of {times[-1]:.6g}: the flow is not finite at the start")
    extra = {"jac": lambda t, y: jacobian(y)} if jacobian is not None else {}
    tight, allowed = max(rtol * SAFETY[method], SMALLEST_RTOL), max(atol * SAFETY[method], SMALLEST_ATOL)
    solver = method(lambda t, y: rhs(y), 0.0, start, times[-1], rtol=tight, atol=allowed, **extra)
    steps = 0
    while solver.status == "running":
        message, steps = solver.step(), steps + 1
        if steps > MOST_STEPS:
            raise IntegrationError(
                f"integration stopped at t = {solver.t:.6g} of {times[-1]:.6g}: it has taken {MOST_STEPS:,} steps; the flow is "
                "far faster than the time it is followed over, as with tiny features behind a norm; start from larger ones, "
                "or end sooner"
            )
        # LSODA does not fail where its steps vanish beside t, but stands still for ever.
        stalled = solver.t == solver.t_old
        if solver.status == "failed" or stalled or not np.all(np.isfinite(solver.y)):
            reason = message or ("its steps vanish there" if stalled else "the state is no longer finite")
            raise IntegrationError(f"integration stopped at t = {solver.t:.6g} of {times[-1]:.6g}: {reason}")
        reached = int(np.searchsorted(times, solver.t, side="right"))
        if reached > done:
            out[:, done:reached] = solver.dense_output()(times[done:reached])
            done = reached
        if progress is not None:
            progress(solver.t, times[-1])
    return out
