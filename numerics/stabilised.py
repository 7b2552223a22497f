"""Steps of stabilised explicit methods, for stiffness on the negative real axis.

A step of s stages is stable up to step x spectral radius of a multiple of s^2, so that a step of h costs about
sqrt(h radius) evaluations where an order-5 pair costs 2 h radius.  Each step takes the fewest stages that are stable, by
an estimate of the spectral radius: power iteration on differences of the rate, renewed now and then, each time from the
last eigenvector.  `DampedSteps`, of order 4 by the schemes of `damped_products`, holds nine vectors; it is the better
one for small tolerances, `chebyshev.ChebyshevSteps` of order 2 for large ones.
"""

from math import ceil, inf, sqrt
from typing import Any

import numpy as np

from .damped_products import scheme_of
from .explicit_pairs import Rate

RENEW = 25  # accepted steps after which the spectral radius is estimated anew
POWER_STEPS = 50
POWER_CHANGE = 0.01
OVER = 1.1  # what the power iteration may miss
MOST_FACTORS = 196  # 200 stages: a step of 13,600 over the spectral radius


class StabilisedSteps:
    """What stabilised methods share; the same uses as `PairSteps`.

    A method states `order`, `reach` (of its most stages) and `rates` (how many of them it holds), and attempts steps.

    Attributes
    ----------
    radius : float, the spectral radius that steps are held stable for
    stages : int, evaluations of the last attempted step
    """

    order: int
    rates: int
    lands = True  # as the rates at its ends are too rough to interpolate with

    def __init__(self, rhs: Rate, ops: Any, rtol: float, atol: float) -> None:
        self.rhs, self.ops, self.rtol, self.atol = rhs, ops, rtol, atol
        self.evaluations = 0
        self.y, self.rate, self._u, self._end, self._direction = (ops.empty() for _ in range(5))
        self._k = [ops.empty() for _ in range(self.rates)]
        self.radius, self._age = 0.0, RENEW
        self.t = self.h = 0.0
        self.stages, self._finished = 0, False
        ops.fill_normal(self._direction)

    @property
    def reach(self) -> float:
        """Step x spectral radius up to which the most stages are stable."""
        raise NotImplementedError

    def attempt(self, t: float, h: float) -> float:
        """Take a step from the accepted state; its error in units of the tolerance."""
        raise NotImplementedError

    @property
    def new_y(self) -> Any:
        """The state at the end of the attempted step."""
        return self._end

    @property
    def new_rate(self) -> Any:
        """The rate at the end of the attempted step."""
        if not self._finished:
            self.evaluate(self.t + self.h, self._end, self._k[0])
            self._finished = True
        return self._k[0]

    @property
    def spare(self) -> tuple[Any, Any]:
        """A state and a rate buffer that are free before a step is attempted."""
        return self._end, self._k[0]

    def begin(self, t: float, y: Any, rate: Any | None = None) -> None:
        """Start from a state, whose rate is found if not given."""
        self.ops.combine(self.y, [(1.0, y)])
        if rate is None:
            self.evaluate(t, self.y, self.rate)
        else:
            self.ops.combine(self.rate, [(1.0, rate)])

    def longest(self, t: float) -> float:
        """The longest step that the most stages keep stable."""
        if self._age >= RENEW:
            self._find_radius(t)
        return self.reach / self.radius if self.radius > 0 else inf

    def accept(self) -> None:
        """Make the end of the attempted step the state."""
        fresh = self.new_rate
        self.y, self._end = self._end, self.y
        self.rate, self._k[0] = fresh, self.rate
        self._age += 1

    def at(self, theta: float) -> Any:
        """The state at t + theta h of the attempted step by the cubic through both ends and their rates.

        Rough, by up to h x radius times the error of the ends in what is stiff: for stops to be found with.
        """
        a, b = theta * theta * (3 - 2 * theta), theta * (1 - theta)
        rates = [(b * (1 - theta) * self.h, self.rate), (-b * theta * self.h, self.new_rate)]
        self.ops.combine(self._u, [(1 - a, self.y), (a, self._end), *rates])
        return self._u

    def evaluate(self, t: float, y: Any, out: Any) -> None:
        """Write the rate at (t, y) into out, and count it."""
        self.evaluations += 1
        self.rhs(t, y, out)

    def _judged(self, terms: list[tuple[float, Any]]) -> float:
        """The size of an error estimate in units of the tolerance."""
        error = self.ops.weighted_rms(terms, self.y, self._end, self.rtol, self.atol)
        if not error <= 1.0:
            self._age = RENEW  # the spectral radius may have grown
        return error

    def _find_radius(self, t: float) -> None:
        """Spectral radius of the rate's Jacobian at the accepted state, from below, times OVER."""
        ops, moved, out, direction = self.ops, self._end, self._k[0], self._direction
        size = ops.norm([(1.0, self.y)]) or 1.0
        reach = sqrt(float(np.finfo(ops.dtype).eps)) * size
        length, radius = ops.norm([(1.0, direction)]), 0.0
        if length == 0.0:
            ops.fill_normal(direction)
            length = ops.norm([(1.0, direction)])
        for _ in range(POWER_STEPS):
            ops.combine(moved, [(1.0, self.y), (reach / length, direction)])
            self.evaluate(t, moved, out)
            ops.combine(direction, [(1.0, out), (-1.0, self.rate)])
            last, length = radius, ops.norm([(1.0, direction)])
            radius = length / reach
            if length == 0.0 or abs(radius - last) <= POWER_CHANGE * radius:
                break
        self.radius, self._age = OVER * radius, 0


class DampedSteps(StabilisedSteps):
    """Order 4, stable up to step x spectral radius of s^2 / 3.

    The four last stages of a step multiply what is not linear in it by up to (step x radius)^3: where slow motion is
    curved, steps are held well below what stability allows.
    """

    order = 4  # the power of h in the error estimate
    rates = 4

    @property
    def reach(self) -> float:
        """Step x spectral radius up to which the most stages are stable."""
        return scheme_of(MOST_FACTORS)[0]

    def attempt(self, t: float, h: float) -> float:
        """Take a step from the accepted state; its error in units of the tolerance."""
        self.t, self.h, self._finished = t, h, False
        scheme = scheme_of(_factors_for(h * self.radius))[1]
        combine, y, u, end, k = self.ops.combine, self.y, self._u, self._end, self._k
        self.stages = len(scheme.alphas) + 4
        combine(u, [(1.0, y), (scheme.alphas[0] * h, self.rate)])
        c = scheme.alphas[0]
        for alpha in scheme.alphas[1:]:
            self.evaluate(t + c * h, u, k[0])
            combine(u, [(1.0, u), (alpha * h, k[0])])
            c += alpha
        self.evaluate(t + c * h, u, k[0])
        for i, row in enumerate(scheme.rows):
            combine(end, [(1.0, u), *((a * h, k[j]) for j, a in enumerate(row))])
            self.evaluate(t + scheme.nodes[i + 1] * h, end, k[i + 1])
        combine(end, [(1.0, u), *((b * h, x) for b, x in zip(scheme.weights, k, strict=True))])
        first, *others = scheme.errors
        return self._judged([(first, u), (-first, y), *((e * h, x) for e, x in zip(others, k, strict=True))])


def _factors_for(reach: float) -> int:
    """The fewest Euler steps whose scheme is stable over a reach."""
    factors = min(MOST_FACTORS, max(1, ceil(sqrt(reach / 0.345)) - 4))
    while factors < MOST_FACTORS and scheme_of(factors)[0] < reach:
        factors += 1
    return factors
