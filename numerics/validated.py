"""Rigorous enclosures of initial value problems: Taylor polynomials, and a bound on how far the solution lies off.

On a step of length h the approximation p is the Taylor polynomial of order N about the midpoint c, any errors in which
are harmless.  With the defect d = f(p) - p', the solution y and e = y - p, in the norm |x| = |D x|_2, D diagonal,

    |e|' <= mu |e| + sup |d|,       mu >= largest eigenvalue of the symmetric part of D J D^-1

for every J between the least and largest Jacobian on a tube about p that holds both p and y (logarithmic norm;
Dahlquist 1958).  The tube of radius r holds y when the bound on |e| that follows stays below r: y cannot leave a tube
that it would first have to reach the border of.  So the solution exists on the step and is enclosed.  The defect is
bounded by its first N Taylor coefficients at 0 and by its N-th over the whole step (Lagrange), all in ball arithmetic.

The norm grows as the flow itself does: for a preconditioned gradient flow, with D^2 the inverse of the preconditioner,
D J D^-1 is symmetric and mu its largest eigenvalue.  There is nothing to wrap.

A quadratic first integral q(y) = sum_i M_i y_i^2 = q0 lets u (grad . e + q(p) - q0) = 0, grad = M (2 p + e), be added
to e' for any vector u; u is chosen to damp e across the surface, where a flow need not contract.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np

from .ball_norms import euclidean, middle, symmetric_bound
from .balls import Ball, Program, precision
from .integrate import IntegrationError, Progress

GUARD_BITS = 48  # working precision beyond the goal, for rounding within a step
PIECES = 4  # of a step, on each of which the logarithmic norm is bounded
JACOBIAN_ORDER = 5  # of the Jacobian's Taylor polynomial along a step
SHARE = 2.0**-9  # of the error so far, that a step may add to it
WIDEST = 2.0**-10  # an enclosure that reaches this radius is given up
MOST_GROWTH = 2.0  # of ln |e| within a step, so that the tube stays near the error
MOST_STEPS = 20_000


class TooWide(Exception):
    """The enclosure grew beyond use at the precision that was tried."""


@dataclass(frozen=True)
class Problem:
    """dy/dt = f(y).

    Attributes
    ----------
    rates : Program for f, n balls or series to n
    jacobian : Program for df_i/dy_j, row by row
    weights : positive floats (n,), the diagonal of D
    moving : indices of the coordinates whose rate is not identically zero
    invariant : M (n,), exact, of a first integral sum_i M_i y_i^2; None when no use is made of one
    """

    rates: Program
    jacobian: Program
    weights: tuple[float, ...]
    moving: tuple[int, ...]
    invariant: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Step:
    """A validated step: the solution stays within `error_at(s)` of the polynomials for 0 <= s <= length."""

    polynomials: list[Ball]
    length: float
    defect: Ball
    growth: tuple[float, ...]  # logarithmic norm on each of equal pieces of the step
    error: Ball

    def error_at(self, s: Ball) -> Ball:
        """A bound on |e(s)|."""
        error, piece = self.error, flint.arb(self.length) / len(self.growth)
        for i, mu in enumerate(self.growth):
            error = grown(error, self.defect, mu, (s - i * piece).min(piece).max(flint.arb(0)))
        return error


def grown(error: Ball, defect: Ball, mu: float, time: Ball) -> Ball:
    """The bound after `time` of |e|' <= mu |e| + defect: e^(mu t) |e| + defect t max(1, e^(mu t))."""
    arb = flint.arb
    factor = (arb(mu) * time).exp()
    return (error * factor + defect * time * factor.max(arb(1))).upper()


def enclose(
    problem: Problem,
    start: Sequence[Ball],
    times: Sequence[Fraction],
    goal: int,
    progress: Progress | None = None,
) -> list[list[Ball]]:
    """Balls (T, n) that contain the solution from every point of the start's balls, at increasing times from 0 on.

    Parameters
    ----------
    goal : bits to which each step is held; growth along the flow widens the result beyond 2^-goal

    Raises
    ------
    TooWide
        When the enclosure grows beyond use; more bits may help.
    IntegrationError
        When the steps vanish, as before a singularity, or are too many.
    """
    with precision(goal + GUARD_BITS):
        return _Integration(problem, start, goal).run(times, progress)


class _Integration:
    """The midpoint, the error about it, and the surface of the first integral, step by step."""

    def __init__(self, problem: Problem, start: Sequence[Ball], goal: int) -> None:
        arb = flint.arb
        self.problem, self.goal, self.order = problem, arb(2.0**-goal), max(8, round(0.28 * goal))
        self.D = [arb(x) for x in problem.weights]
        # What does not move keeps its ball, and takes no part in the norm.
        self.centre = [x.mid() if i in problem.moving else x for i, x in enumerate(start)]
        self.error = self.norm([x - c for x, c in zip(start, self.centre, strict=True)])
        self.q0: Ball = None if problem.invariant is None else self.quadratic(start)

    def run(self, times: Sequence[Fraction], progress: Progress | None) -> list[list[Ball]]:
        arb, fmpq = flint.arb, flint.fmpq
        exact = [fmpq(t.numerator, t.denominator) for t in times]
        t, end = fmpq(0), float(times[-1])
        found = [self.around(self.centre, self.error) for time in exact if time == 0]
        for _ in range(MOST_STEPS):
            if len(found) == len(times):
                return found
            step = self.step(float(t), end)
            reached = t + fmpq(*step.length.as_integer_ratio())
            while len(found) < len(times) and exact[len(found)] <= reached:
                s = arb(exact[len(found)] - t)
                found.append(self.around([p(s) for p in step.polynomials], step.error_at(s)))
            self.advance(step)
            t = reached
            if not self.error < WIDEST:
                raise TooWide(f"at t = {float(t):.6g}")
            if progress is not None:
                progress(min(float(t), end), end)
        raise IntegrationError(f"certify: stopped at t = {float(t):.6g} of {end:.6g}: {MOST_STEPS} steps were taken")

    def norm(self, x: Sequence[Ball]) -> Ball:
        """An upper bound of |D x|_2 over the coordinates that move."""
        return euclidean([self.D[i] * x[i] for i in self.problem.moving])

    def around(self, x: Sequence[Ball], error: Ball) -> list[Ball]:
        """The balls x widened by |e| <= error."""
        arb = flint.arb
        moving = self.problem.moving
        return [x + arb(0, (error / d).upper()) if i in moving else x for i, (x, d) in enumerate(zip(x, self.D))]

    def quadratic(self, x: Sequence[Ball]) -> Ball:
        assert self.problem.invariant is not None
        return sum(m * y * y for m, y in zip(self.problem.invariant, x, strict=True))

    def step(self, t: float, end: float) -> Step:
        """The longest step that keeps to what it may add, found by halving."""
        polynomials, low_order = self.taylor()
        allowed = self.goal.max(self.error * SHARE).upper()
        length = min(self.firsteuclidean(polynomials, allowed), (end - t) * (1 + 2.0**-40))
        while length > 2.0**-40 * max(t, end * 2.0**-20):
            defect = self.defect(polynomials, low_order, length)
            if defect * length < allowed:
                step = self.validated(polynomials, length, defect)
                if step is not None:
                    return step
            length *= 0.6
        raise IntegrationError(f"certify: stopped at t = {t:.6g} of {end:.6g}: its steps vanish there")

    def taylor(self) -> tuple[list[Ball], list[list[Ball]]]:
        """Polynomials p with p(0) = c, and the first N Taylor coefficients of their defect f(p) - p' at 0."""
        arb, series, poly = flint.arb, flint.arb_series, flint.arb_poly
        y, f = [[c] for c in self.centre], []
        for k in range(self.order):
            flint.ctx.cap = k + 1
            f = [_coefficients(x, k + 1) for x in self.problem.rates(*(series(a) for a in y))]
            for a, b in zip(y, f, strict=True):
                a.append((b[k] / (k + 1)).mid())
        low_order = [[b - (k + 1) * a[k + 1] for k, b in enumerate(bs)] for a, bs in zip(y, f, strict=True)]
        return [poly([arb(x) for x in a]) for a in y], low_order

    def firsteuclidean(self, polynomials: list[Ball], allowed: Ball) -> float:
        """Where the last coefficients say that what is left out reaches what is allowed."""
        lengths = []
        for k in (self.order - 1, self.order):
            size = _log2(self.norm([p[k] for p in polynomials]))
            lengths.append((_log2(allowed) - size) / k)
        return float(min(2.0 ** min(min(lengths), 1000.0), 1e300))

    def defect(self, polynomials: list[Ball], low_order: list[list[Ball]], length: float) -> Ball:
        """sup over the step of |f(p) - p'|."""
        h, N = flint.arb(length), self.order
        flint.ctx.cap = N + 1
        whole = _interval(flint.arb(0), h)
        shift = flint.arb_poly([whole, 1])
        moved = [flint.arb_series(list(p(shift).coeffs())) for p in polynomials]
        last = [_coefficients(x, N + 1)[N] for x in self.problem.rates(*moved)]
        powers = [h**k for k in range(N + 1)]
        return self.norm(
            [
                sum((abs(q) * powers[k] for k, q in enumerate(qs)), abs(top) * powers[N])
                for qs, top in zip(low_order, last, strict=True)
            ]
        )

    def validated(self, polynomials: list[Ball], length: float, defect: Ball) -> Step | None:
        """The step with its logarithmic norms, when the bound on the error stays within the tube."""
        arb = flint.arb
        h = arb(length)
        radius = ((self.error + defect * length) * math.exp(MOST_GROWTH) + self.goal * 2.0**-20).upper()
        # The Jacobian along the step is a Taylor polynomial about its middle; evaluated on a ball as wide as a piece it
        # would count the motion that its parts have in common many times over.
        u = self.multiplier([p(h / 2) for p in polynomials])
        near = self.jacobian_along(polynomials, h / 2, radius, u, JACOBIAN_ORDER)
        last = self.jacobian_along(polynomials, _interval(arb(0), h), radius, u, JACOBIAN_ORDER + 1)
        matrix = [
            [flint.arb_poly([*a[:JACOBIAN_ORDER], b[JACOBIAN_ORDER]]) for a, b in zip(*rows, strict=True)]
            for rows in zip(near, last, strict=True)
        ]
        if self.q0 is not None:
            defect = (defect + euclidean([arb(x) for x in u]) * self.off_surface(polynomials, length)).upper()
        piece, growth, error = h / PIECES, [], self.error
        for i in range(PIECES):
            at = _interval(i * piece - h / 2, (i + 1) * piece - h / 2)
            mu = symmetric_bound([[entry(at) for entry in row] for row in matrix])
            if not mu * length < MOST_GROWTH:
                return None
            growth.append(mu)
            bound = (error + defect * piece) * (arb(mu) * piece).exp().max(arb(1))
            if not bound < radius:
                return None
            error = grown(error, defect, mu, piece)
        return Step(polynomials, length, defect, tuple(growth), self.error)

    def multiplier(self, at: list[Ball]) -> list[float]:
        """u, chosen at one point of the step."""
        if self.problem.invariant is None:
            return [0.0] * len(self.problem.moving)
        J = self.problem.jacobian(*at)
        n, moving = len(at), self.problem.moving
        scaled = [[middle(J[i * n + j] * self.D[i] / self.D[j]) for j in moving] for i in moving]
        grad = [middle(2 * self.problem.invariant[i] * at[i] / self.D[i]) for i in moving]
        return _damping(np.array(scaled), np.array(grad))

    def jacobian_along(
        self, polynomials: list[Ball], base: Ball, radius: Ball, u: list[float], count: int
    ) -> list[list[list[Ball]]]:
        """The first Taylor coefficients about `base` of D J D^-1 + u grad^T at p + e, for any |e| <= radius."""
        arb = flint.arb
        flint.ctx.cap = count
        shift = flint.arb_poly([base, 1])
        moved = [list(p(shift).coeffs())[:count] for p in polynomials]
        tube = self.around([x[0] if x else arb(0) for x in moved], radius)
        wide = [flint.arb_series([ball, *x[1:]]) for ball, x in zip(tube, moved, strict=True)]
        J, n, moving, D = self.problem.jacobian(*wide), len(wide), self.problem.moving, self.D
        rows = [[J[i * n + j] * (D[i] / D[j]) for j in moving] for i in moving]
        if self.problem.invariant is not None:
            # M (2 p + e): the sum of p and of a point of the tube.
            sums = [flint.arb_series(x) + y for x, y in zip(moved, wide, strict=True)]
            grad = [sums[j] * (self.problem.invariant[j] / D[j]) for j in moving]
            rows = [[x + arb(ui) * g for x, g in zip(row, grad, strict=True)] for row, ui in zip(rows, u, strict=True)]
        return [[_coefficients(x, count) for x in row] for row in rows]

    def off_surface(self, polynomials: list[Ball], length: float) -> Ball:
        """sup over the step of |q(p) - q0|."""
        q = self.quadratic(polynomials) - flint.arb_poly([self.q0])
        h = flint.arb(length)
        return sum((abs(a) * h**k for k, a in enumerate(q.coeffs())), flint.arb(0)).upper()

    def advance(self, step: Step) -> None:
        """Move the midpoint to the end of the step, back onto the surface of the first integral."""
        h = flint.arb(step.length)
        ends = [p(h) for p in step.polynomials]
        centre = [x.mid() for x in ends]
        if self.q0 is not None:
            assert self.problem.invariant is not None
            scale = (self.q0 / self.quadratic(centre)).sqrt()
            centre = [(x * scale).mid() if m else x for x, m in zip(centre, self.problem.invariant, strict=True)]
        still = set(range(len(centre))) - set(self.problem.moving)
        self.centre = [self.centre[i] if i in still else x for i, x in enumerate(centre)]
        rounding = self.norm([x - c for x, c in zip(ends, self.centre, strict=True)])
        self.error = (step.error_at(h) + rounding).upper()


def _damping(J: np.ndarray, grad: np.ndarray) -> list[float]:
    """u that makes (J + u grad^T) v a damping of the direction v of the gradient; any u is right, this one is good."""
    square = float(grad @ grad)
    if not (np.all(np.isfinite(J)) and np.isfinite(square) and square > 0):
        return [0.0] * len(grad)
    damping = 2.0 * float(np.linalg.norm(J, 2))
    return [float(x) for x in -(J @ grad + damping * grad) / square]


def _coefficients(x: Ball, count: int) -> list[Ball]:
    """The first coefficients of a series, or of a constant."""
    arb = flint.arb
    if not isinstance(x, flint.arb_series):
        return [arb(x), *([arb(0)] * (count - 1))]
    if x.prec < count:  # what lies beyond would read as zero
        raise RuntimeError(f"a series of {x.prec} terms where {count} are needed")
    return [x[k] for k in range(count)]


def _interval(low: Ball, high: Ball) -> Ball:
    """A ball that contains [low, high]."""
    return low.union(high)


def _log2(x: Ball) -> float:
    """log2 of a bound, for choices that need not be rigorous."""
    if not x > 0:
        return -1e9
    mantissa, exponent = x.upper().man_exp()
    return math.log2(int(mantissa)) + int(exponent)
