"""Solve dy/dt = f(t, y) in place on NumPy or CuPy vectors: step control, output times, stops.

A step is accepted when its error, as root mean square in units of atol + rtol max(|y|, |y_new|), is at most 1; the next
step is  h 0.9 error^-(0.85/p) previous^(0.2/p),  p the power of h in the error (PI control), within [0.2 h, 10 h].
States between steps are read off dense output, so that output times do not shorten steps, but for stabilised methods,
whose steps end on them: their rates carry step x spectral radius times the state's error in what is stiff, and so would
every interpolant made of them.  States are handed to `save` one by one: none is stored unless `save` does.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf, isfinite
from numbers import Real
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .explicit_pairs import PairSteps, Rate
from .integrate import IntegrationError, Progress, check_tolerances, output_times
from .stops import Step, Stop
from .tableau_order8 import DOP853
from .tableaux import DORMAND_PRINCE_5
from .vectors import vectors_like

METHODS = ("dp5", "dop853", "rkc", "stabilised", "auto")
LEAST, MOST, SAFE = 0.2, 10.0, 0.9
PROPORTIONAL = 0.2  # part of the exponent that damps by the previous error; 0.4 costs 7% more on flows, 0 rejects more
ROUND_OFFS = 10  # a tolerance below this many round-offs of the precision cannot be seen in it


@dataclass(frozen=True)
class Solution:
    """What `solve` found.

    Attributes
    ----------
    times : array (T,), the output times reached; the last one is where a stop ended the solution, if one did
    states : list of what `save` returned at each of them
    evaluations, steps, rejected : int, calls of the right-hand side, accepted and rejected steps
    reason : "end", or the name of the stop
    """

    times: np.ndarray
    states: list[Any]
    evaluations: int
    steps: int
    rejected: int
    reason: str


def solve(
    rhs: Rate,
    start: Any,
    times: float | Iterable[float],
    *,
    method: str = "dp5",
    rtol: float = 1e-8,
    atol: float = 1e-10,
    stop: Stop | Iterable[Stop] | None = None,
    progress: Progress | None = None,
    first_step: float | None = None,
    save: Callable[[float, Any], Any] | None = None,
) -> Solution:
    """Solve dy/dt = rhs(t, y) from y(0) = start.

    Parameters
    ----------
    rhs : callable (t, y, out), writes the rate at y (n,) into out (n,) and leaves y as it is
    start : array (n,), numpy or cupy, float64 or float32; not changed
    times : increasing output times of at least 0, or one end time (then 200 log-spaced ones and 0)
    method : "dp5" (order 5; 8 vectors of the start's size), "dop853" (order 8; 14 vectors), or, for stiffness on
        the negative real axis, "rkc" (order 2; 6 vectors), "stabilised" (order 4; 9 vectors, and one stage up to 8% of a
        step beyond its end) or "auto" (order 5 and, where stability limits it, the better of these two)
    rtol, atol : tolerances of each step
    stop : what may end the solution before the last output time (`Crossing`, `Fallen`, `Steady`)
    progress : callable (t, end), called after each step
    first_step : the first step to try; found from the rate if None
    save : callable (t, y), what to keep of the state at an output time, a copy if None; y is valid during the call alone

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        For a start, times, tolerances or a first step that cannot be used.
    IntegrationError
        Where the rate at the start is not finite or no step meets the tolerances.

    Examples
    --------
    >>> import numpy as np
    >>> decay = lambda t, y, out: np.multiply(y, -1.0, out=out)
    >>> found = solve(decay, np.array([1.0]), [0.0, 1.0], rtol=1e-10, atol=1e-12)
    >>> bool(abs(found.states[1][0] - np.exp(-1.0)) < 1e-9), found.reason
    (True, 'end')
    """
    ops = vectors_like(start)
    _check(method, rtol, atol, first_step, ops.dtype)
    outputs = output_times(times)
    steps = _steps(method, rhs, ops, rtol, atol)
    keep = save or (lambda t, y: y.copy())
    stops = [stop] if isinstance(stop, Stop) else list(stop or ())
    return _Course(steps, ops, outputs, stops, keep, progress).run(start, first_step)


def _steps(method: str, rhs: Rate, ops: Any, rtol: float, atol: float) -> Any:
    if method in ("dp5", "dop853"):
        return PairSteps(DORMAND_PRINCE_5 if method == "dp5" else DOP853, rhs, ops, rtol, atol)
    if method == "auto":
        from .switching import SwitchingSteps

        return SwitchingSteps(rhs, ops, rtol, atol)
    if method == "rkc":
        from .chebyshev import ChebyshevSteps

        return ChebyshevSteps(rhs, ops, rtol, atol)
    from .stabilised import DampedSteps

    return DampedSteps(rhs, ops, rtol, atol)


def _check(method: str, rtol: float, atol: float, first_step: float | None, dtype: np.dtype) -> None:
    if method not in METHODS:
        raise InputError(f"method: {method!r} is none of {', '.join(METHODS)}; choose one of them.")
    check_tolerances(rtol, atol)
    least = ROUND_OFFS * float(np.finfo(dtype).eps)
    if rtol < least:
        raise InputError(f"rtol: {rtol} is below {least:.1e}, what {dtype} can hold; raise it or use float64.")
    if first_step is not None and not (isinstance(first_step, Real) and 0 < first_step < inf):
        raise InputError(f"first_step: {first_step!r} is no step; give a positive number, or None to have one found.")


class _Course:
    """One solution on its way from 0 to the last output time."""

    def __init__(
        self, steps: Any, ops: Any, outputs: np.ndarray, stops: list[Stop], keep: Callable, progress: Progress | None
    ) -> None:
        self.steps, self.ops, self.outputs, self.stops = steps, ops, outputs, stops
        self.keep, self.progress = keep, progress
        self.end = float(outputs[-1])
        self.times: list[float] = []
        self.states: list[Any] = []
        self.accepted = self.rejected = 0

    def run(self, start: Any, first_step: float | None) -> Solution:
        t, previous, after_rejection = 0.0, 1.0, False
        self.steps.begin(t, start)
        if not isfinite(self.ops.norm([(1.0, self.steps.rate)])):
            raise IntegrationError(f"integration stopped at t = 0 of {self.end:.6g}: the rate is not finite there")
        for stop in self.stops:
            stop.begin(t, self.steps.y, self.steps.rate)
        if self.outputs[0] == 0.0:
            self._save(0.0, self.steps.y)
        h = 0.0 if self.end == 0.0 else first_step or self._first_step()
        while t < self.end:
            t_new = self._end_of_step(t, h)
            error = self.steps.attempt(t, t_new - t)
            if not error <= 1.0:
                self.rejected += 1
                h, after_rejection = (t_new - t) * self._shrink(error), True
                continue
            reason = self._read_out(Step(t, t_new, self.end, self.steps))
            if reason:
                return self._solution(reason)
            self.steps.accept()
            self.accepted += 1
            growth = self._growth(error, previous)
            wanted, h = h, (t_new - t) * (min(growth, 1.0) if after_rejection else growth)
            if growth >= 1.0 and self.times and self.times[-1] == t_new:
                h = max(h, wanted)  # what it was shortened from to end on an output time
            t, previous, after_rejection = t_new, max(error, 1e-4), False
            if self.progress is not None:
                self.progress(t, self.end)
        return self._solution("end")

    def _end_of_step(self, t: float, h: float) -> float:
        """Where a step of h, held to what the method allows, ends; or the error that says it vanishes."""
        if h < ROUND_OFFS * np.spacing(t):
            raise IntegrationError(
                f"integration stopped at t = {t:.6g} of {self.end:.6g}: steps vanish beside t there; the state leaves "
                "every bound, jumps, or the tolerances ask for more than round-off allows"
            )
        h = min(h, self.steps.longest(t))
        until = float(self.outputs[len(self.times)]) if self.steps.lands else self.end
        return until if t + 1.01 * h >= until else t + h

    def _growth(self, error: float, previous: float) -> float:
        if error == 0.0:
            return MOST
        power = 1.0 / self.steps.order
        damp = PROPORTIONAL * power
        return min(MOST, max(LEAST, SAFE * error ** (0.75 * damp - power) * previous**damp))

    def _shrink(self, error: float) -> float:
        return max(LEAST, SAFE * error ** (-1.0 / self.steps.order)) if isfinite(error) else 0.1

    def _read_out(self, step: Step) -> str | None:
        """Save the output times within the step; the name of the stop that ends the solution in it, if one does."""
        found = [(t, stop.name) for stop in self.stops if (t := stop.reached(step)) is not None]
        until, reason = min(found) if found else (step.t_new, None)
        while len(self.times) < self.outputs.size:
            t = float(self.outputs[len(self.times)])
            if t > until or (reason and t == until):
                break
            self._save(t, step.at(t))
        if reason:
            if self.steps.lands and until < step.t_new:
                self.steps.attempt(step.t, until - step.t)
                self._save(until, self.steps.new_y)
            else:
                self._save(until, step.at(until))
            self.accepted += 1
        return reason

    def _save(self, t: float, y: Any) -> None:
        self.times.append(t)
        self.states.append(self.keep(t, y))

    def _first_step(self) -> float:
        """Hairer's choice: an Euler step of 1% measures the second derivative."""
        steps, ops = self.steps, self.ops
        size = ops.weighted_rms([(1.0, steps.y)], steps.y, steps.y, steps.rtol, steps.atol)
        speed = ops.weighted_rms([(1.0, steps.rate)], steps.y, steps.y, steps.rtol, steps.atol)
        h0 = 0.01 * size / speed if min(size, speed) > 1e-5 and isfinite(size) else 1e-6 * self.end
        h0 = min(h0, self.end)
        trial, trial_rate = steps.spare
        ops.combine(trial, [(1.0, steps.y), (h0, steps.rate)])
        steps.evaluate(h0, trial, trial_rate)
        terms = [(1.0, trial_rate), (-1.0, steps.rate)]
        bend = ops.weighted_rms(terms, steps.y, steps.y, steps.rtol, steps.atol) / h0
        largest = max(speed, bend)
        if not isfinite(largest):
            return 1e-3 * h0
        h1 = max(1e-6 * self.end, 1e-3 * h0) if largest <= 1e-15 else (0.01 / largest) ** (1.0 / steps.order)
        return min(100 * h0, h1, self.end)

    def _solution(self, reason: str) -> Solution:
        evaluations = self.steps.evaluations
        return Solution(np.array(self.times), self.states, evaluations, self.accepted, self.rejected, reason)
