"""The Runge-Kutta-Chebyshev method of order 2: stable on a long stretch of the negative real axis, and within its stages.

    Y_0 = y,   Y_1 = y + b_1 w1 h f(y),
    Y_j = mu_j Y_{j-1} + nu_j Y_{j-2} + (1 - mu_j - nu_j) y + mu~_j h f(Y_{j-1}) + gamma~_j h f(y),    y_new = Y_s

On y' = lambda y stage j is a_j + b_j T_j(w0 + w1 h lambda), with T_j Chebyshev's polynomials: bounded for every j, so that
what enters at one stage (curvature, round-off) is not magnified by those after it, however many there are.
Source: Sommeijer, Shampine & Verwer, J. Comput. Appl. Math. 88 (1998) 315.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt

from .stabilised import StabilisedSteps

DAMPING = 2 / 13  # |y_new / y| stays below 1 - DAMPING / 3 within the stretch
MOST_STAGES = 250


@dataclass(frozen=True)
class Chebyshev:
    """The method of s stages.

    Attributes
    ----------
    first : b_1 w1
    rows : (mu, nu, mu~, gamma~) of stages 2 ... s
    nodes : c_0 ... c_s
    reach : step x spectral radius up to which it is stable, about 0.65 s^2
    """

    first: float
    rows: tuple[tuple[float, float, float, float], ...]
    nodes: tuple[float, ...]
    reach: float


@lru_cache(maxsize=MOST_STAGES)
def chebyshev(stages: int) -> Chebyshev:
    """The method of at least 2 stages.

    Examples
    --------
    >>> ten = chebyshev(10)
    >>> len(ten.rows), ten.nodes[-1], ten.reach > 0.64 * 10**2
    (9, 1.0, True)
    """
    w0 = 1 + DAMPING / stages**2
    T, slope, bend = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for _ in range(2, stages + 1):
        bend.append(4 * slope[-1] + 2 * w0 * bend[-1] - bend[-2])
        slope.append(2 * T[-1] + 2 * w0 * slope[-1] - slope[-2])
        T.append(2 * w0 * T[-1] - T[-2])
    w1 = slope[-1] / bend[-1]
    b = [bend[j] / slope[j] ** 2 for j in range(2, stages + 1)]
    b = [b[0], b[0], *b]
    c = [w1 * bend[j] / slope[j] for j in range(2, stages + 1)]
    rows = []
    for j in range(2, stages + 1):
        pull = 2 * b[j] * w1 / b[j - 1]
        rows.append((2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], pull, -(1 - b[j - 1] * T[j - 1]) * pull))
    return Chebyshev(b[1] * w1, tuple(rows), (0.0, b[1] * w1, *c[:-1], 1.0), (w0 + 1) / w1)


class ChebyshevSteps(StabilisedSteps):
    """Order 2, stable up to step x spectral radius of 0.65 s^2; six vectors."""

    order = 3  # the power of h in the error estimate
    rates = 1

    @property
    def reach(self) -> float:
        """Step x spectral radius up to which the most stages are stable."""
        return chebyshev(MOST_STAGES).reach

    def attempt(self, t: float, h: float) -> float:
        """Take a step from the accepted state; its error in units of the tolerance."""
        self.t, self.h = t, h
        method = chebyshev(_stages_for(h * self.radius))
        combine, y, rate, k = self.ops.combine, self.y, self.rate, self._k[0]
        before, now = self._u, self._end
        self.stages = len(method.rows) + 1
        combine(before, [(1.0, y)])
        combine(now, [(1.0, y), (method.first * h, rate)])
        for (mu, nu, pull, back), c in zip(method.rows, method.nodes[1:], strict=False):
            self.evaluate(t + c * h, now, k)
            combine(before, [(nu, before), (1 - mu - nu, y), (mu, now), (pull * h, k), (back * h, rate)])
            before, now = now, before
        self._u, self._end = before, now
        self.evaluate(t + h, now, k)
        self._finished = True
        return self._judged([(0.8, y), (-0.8, now), (0.4 * h, rate), (0.4 * h, k)])


def _stages_for(reach: float) -> int:
    """The fewest stages that are stable over a reach."""
    stages = min(MOST_STAGES, max(2, ceil(sqrt(1 + 1.5 * reach))))
    while stages < MOST_STAGES and chebyshev(stages).reach < reach:
        stages += 1
    return stages
