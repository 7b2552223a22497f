"""What ends a solution before its last output time: a function of the state that crosses zero, or a steady state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..theory.errors import InputError
from .options import number

Level = Callable[[float, Any], float]
WINDOW = 1.5  # of the time since the start over which a settled state must have stood still


@dataclass
class Step:
    """An attempted step that met the tolerances, for stops and output times to read from.

    Attributes
    ----------
    t, t_new : float, its ends
    end : float, the last output time
    """

    t: float
    t_new: float
    end: float
    steps: Any

    def at(self, t: float) -> Any:
        """The state at a time within the step; valid until the next call."""
        if t >= self.t_new:
            return self.steps.new_y
        return self.steps.y if t <= self.t else self.steps.at((t - self.t) / (self.t_new - self.t))


class Stop:
    """Asked after each step whether the solution ends within it.  `name` becomes the solution's `reason`."""

    name = "stop"

    def begin(self, t: float, y: Any, rate: Any) -> None:
        """See the start."""

    def reached(self, step: Step) -> float | None:
        """The time within the step at which the solution ends, or None."""
        raise NotImplementedError


class Crossing(Stop):
    """Stop where g(t, y) crosses zero.

    Signs are compared at the ends of steps, so that two crossings within one step are not seen; the time is then found
    on dense output, to round-off.  A g that is zero at the start has not crossed yet.

    Parameters
    ----------
    g : callable (t, y) -> float
    direction : 1 for crossings from below to above, -1 for the other way, 0 for both
    name : str, the solution's `reason`

    Examples
    --------
    >>> import numpy as np
    >>> from ufmflow.numerics.solve import solve
    >>> decay = lambda t, y, out: np.multiply(y, -1.0, out=out)
    >>> half = Crossing(lambda t, y: float(y[0]) - 0.5, name="half")
    >>> found = solve(decay, np.array([1.0]), [10.0], stop=half, rtol=1e-10, atol=1e-12)
    >>> bool(abs(found.times[-1] - np.log(2)) < 1e-8), found.reason
    (True, 'half')
    """

    def __init__(self, g: Level, direction: int = 0, name: str = "crossing") -> None:
        if direction not in (-1, 0, 1):
            raise InputError(f"direction: {direction!r} is none of -1, 0, 1; choose one of them.")
        self.g, self.direction, self.name = g, direction, name
        self._value = 0.0

    def begin(self, t: float, y: Any, rate: Any) -> None:
        """See the start."""
        self._value = float(self.g(t, y))

    def reached(self, step: Step) -> float | None:
        """The time of the crossing within the step, or None."""
        before, after = self._value, float(self.g(step.t_new, step.at(step.t_new)))
        self._value = after
        up, down = before < 0 <= after, before > 0 >= after
        if not ((up and self.direction >= 0) or (down and self.direction <= 0)):
            return None
        return _crossed(self.g, step, before, after)


class Fallen(Stop):
    """Stop where g(t, y) has fallen to a share of its largest value so far.

    The largest value is taken at the ends of steps; the time is then found on dense output.

    Parameters
    ----------
    g : callable (t, y) -> float
    share : float, between 0 and 1
    least : float, what g must have exceeded before its falling counts
    name : str, the solution's `reason`

    Examples
    --------
    >>> import numpy as np
    >>> from ufmflow.numerics.solve import solve
    >>> bump = lambda t, y, out: np.multiply(y, 2.0 - t, out=out)
    >>> half = Fallen(lambda t, y: float(y[0]), share=0.5, name="half its peak")
    >>> found = solve(bump, np.array([1.0]), [10.0], stop=half, rtol=1e-8, atol=1e-10)
    >>> bool(abs(found.times[-1] - (2 + np.sqrt(2 * np.log(2)))) < 0.05), found.reason
    (True, 'half its peak')
    """

    def __init__(self, g: Level, share: float = 0.5, least: float = 0.0, name: str = "fallen") -> None:
        share = number("share", share, below=1.0)
        self.g, self.share, self.least, self.name = g, share, least, name
        self._peak = self._value = 0.0

    def begin(self, t: float, y: Any, rate: Any) -> None:
        """See the start."""
        self._peak = self._value = float(self.g(t, y))

    def reached(self, step: Step) -> float | None:
        """The time within the step at which g is the share of its peak, or None."""
        before, after = self._value, float(self.g(step.t_new, step.at(step.t_new)))
        self._value, self._peak = after, max(self._peak, after)
        level = self.share * self._peak
        if self._peak <= self.least or not after <= level < before:
            return None
        return _crossed(lambda t, y: self.g(t, y) - level, step, before - level, after - level)


def _crossed(g: Level, step: Step, before: float, after: float) -> float:
    """The time within a step at which g vanishes, whose signs at its ends differ."""
    if after == 0.0:
        return step.t_new
    from scipy.optimize import brentq

    known = {step.t: before, step.t_new: after}
    value = lambda t: known[t] if t in known else float(g(t, step.at(t)))
    return float(brentq(value, step.t, step.t_new, xtol=1e-14 * abs(step.t_new), rtol=1e-14))


class Steady(Stop):
    """Stop where the state has settled: going on as it went lately, it would move by less than `change` until the end.

        |y(t) - y(s)| (end - t) / (t - s) <= change |y(t)|,      t >= 1.5 s,      in Euclidean norms

    The mean rate since s, not the rate at t, because explicit steps held by stability waver at the size of their
    tolerance: where they do, `change` can be had down to some tens of rtol.  Near a fixed point whose slowest rate is
    mu the state is then within change / (mu (end - t)) of it.  A plateau that is left later, by a part of the state that
    is still tiny and grows, passes for steady where that part is below `change` / (its rate of growth x the time left).
    One copy of the state is held.

    Parameters
    ----------
    change : float, of the state's size

    Examples
    --------
    >>> import numpy as np
    >>> from ufmflow.numerics.solve import solve
    >>> relax = lambda t, y, out: np.subtract(1.0, y, out=out)
    >>> found = solve(relax, np.array([0.0]), [1000.0], stop=Steady(1e-6), rtol=1e-10, atol=1e-12)
    >>> bool(found.times[-1] < 50), bool(abs(found.states[-1][0] - 1) < 1e-8), found.reason
    (True, True, 'steady')
    """

    name = "steady"

    def __init__(self, change: float = 1e-6) -> None:
        self.change = number("change", change, below=1.0)
        self._since, self._past = 0.0, None

    def begin(self, t: float, y: Any, rate: Any) -> None:
        """See the start."""
        self._since, self._past = t, y.copy()

    def reached(self, step: Step) -> float | None:
        """The step's end, if the state has settled there, or None."""
        t, y, norm = step.t_new, step.at(step.t_new), step.steps.ops.norm
        if t < WINDOW * self._since or t >= step.end:
            return None
        mean_rate = norm([(1.0, y), (-1.0, self._past)]) / (t - self._since)
        if mean_rate * (step.end - t) <= self.change * norm([(1.0, y)]):
            return t
        self._since = t
        step.steps.ops.combine(self._past, [(1.0, y)])
        return None
