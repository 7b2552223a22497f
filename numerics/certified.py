"""Certified trajectories: rigorous bounds on every quantity of the reduced flow at given times.

The mode equations are run in ball arithmetic (`balls`) by a validated integrator (`validated`), with more bits until
the bounds are narrow; shares, index and loss are then read off in ball arithmetic too.  What is proved concerns the
exact solution from the exact start: numbers of the model are what it shows (0.1 is 1/10), a float in `init` or `t` is
the binary fraction that it is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import sympy as sp

from ..theory.model import UFM
from ..theory.system import derive
from .balls import Ball, Program, constant, outward, precision, rates_program
from .integrate import IntegrationError, Progress
from .modes import check_numbers, jacobian_entries
from .validated import GUARD_BITS, Problem, TooWide, enclose

WIDTH = 1e-11  # of an enclosure, relative to the quantity where that is above 1
FIRST_GOAL, LAST_GOAL = 80, 400  # bits; a growth of errors by 2^LAST_GOAL WIDTH is the most that can be followed
BY_STRATUM = ("w", "h", "z", "share_H", "share_W")
QUANTITIES = (*BY_STRATUM, "semantic_index", "loss")


@dataclass(frozen=True)
class Enclosed:
    """Balls that hold the exact solution's quantities.

    Attributes
    ----------
    times : exact times (T,)
    balls : dict from each of QUANTITIES to a list (T,) of lists: one ball a stratum of the contexts, or a single one
    bits : working precision that they were found at
    """

    times: tuple[Fraction, ...]
    balls: dict[str, list[list[Ball]]]
    bits: int

    def bounds(self, quantity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Midpoints and outward rounded bounds as floats, each (T, strata), or (T, 1) for the index and the loss."""
        with precision(self.bits):
            rows = [[(float(ball.mid()), *outward(ball)) for ball in row] for row in self.balls[quantity]]
        middle, low, high = np.moveaxis(np.array(rows), -1, 0)
        return middle, low, high


def certify(
    model: UFM,
    times: Sequence[Fraction],
    w: Mapping[str, sp.Expr],
    h: Mapping[str, sp.Expr],
    progress: Progress | None = None,
) -> Enclosed:
    """Enclose the reduced flow of a model at increasing exact times.

    Parameters
    ----------
    w, h : exact starting values on the strata of the labels, and of the contexts (phi for `normalized`)

    Raises
    ------
    InputError
        For a model with symbols.
    IntegrationError
        When no enclosure of width `WIDTH` is found: before a singularity, or where errors grow too much.

    Examples
    --------
    >>> model = UFM("a[2]", loss="mse", reduction="sum")
    >>> start = dict.fromkeys(model.attributes.names, sp.Rational(1, 10))
    >>> middle, low, high = (float(x[0, 1]) for x in certify(model, [Fraction(2)], start, start).bounds("z"))
    >>> round(middle, 12) == round(1 / (1 + 99 * math.exp(-4)), 12), high - low < 1e-15
    (True, True)
    """
    check_numbers(model)
    problem, start = _problem(model), [*w.values(), *h.values()]
    read = _read_program(model)
    goal = FIRST_GOAL
    reason = ""
    while goal <= LAST_GOAL:
        with precision(goal + GUARD_BITS):
            try:
                states = enclose(problem, [constant(x) for x in start], times, goal, progress)
            except TooWide as found:
                reason, goal = f"the enclosure grew beyond use {found}", 2 * goal
                continue
            balls = _quantities(model, read, states)
            widest = max(_width(ball) for rows in balls.values() for row in rows for ball in row)
        if widest <= WIDTH:
            return Enclosed(tuple(times), balls, goal + GUARD_BITS)
        reason = f"an enclosure is {widest:.2g} wide"
        goal += 16 + math.ceil(math.log2(widest / WIDTH)) if math.isfinite(widest) else goal
    raise IntegrationError(f"certify: {reason}, with {LAST_GOAL} bits the most that are tried; end earlier")


def _problem(model: UFM) -> Problem:
    """The flow, and the norm in which it neither turns nor, where it does not grow, lets errors grow.

    A preconditioned gradient flow x' = -(k_A/m_A) dL/dx has a symmetric Jacobian in the coordinates sqrt(m_A/k_A) x.
    On the sphere the tangent projections spoil the symmetry, which sqrt(k_A) in place of k_A balances well; any
    weights would be right.
    """
    flow, m = derive(model).flow, model.attributes.multiplicities
    sphere = model.constraint == "sphere"
    weights = [_weight(m[A], model.label_kernel[A]) for A in flow.w]
    weights += [_weight(m[A], sp.sqrt(k) if sphere else k) for A, k in model.feature_kernel.items()]
    entries, definitions = jacobian_entries(flow)
    invariant = (*(0 for _ in flow.w), *(int(m[A]) for A in flow.h)) if sphere else None
    return Problem(
        rates_program(flow),
        Program(flow.state, entries, definitions),
        tuple(weights),
        tuple(i for i, x in enumerate(flow.state) if flow.rates[x] != 0),
        invariant,
    )


def _weight(multiplicity: sp.Expr, kernel: sp.Expr) -> float:
    return math.sqrt(float(multiplicity) / (float(kernel) or 1.0))


def _read_program(model: UFM) -> Program:
    """w, h, z on the strata of the contexts, and the loss, from the state."""
    flow, names = derive(model).flow, model.attributes.names
    outputs = [x.get(A, sp.S(0)) for x in (flow.w, flow.h, flow.z) for A in names]
    return Program(flow.state, [*outputs, flow.loss], flow.definitions)


def _quantities(model: UFM, read: Program, states: list[list[Ball]]) -> dict[str, list[list[Ball]]]:
    n = len(model.attributes.names)
    found: dict[str, list[list[Ball]]] = {name: [] for name in QUANTITIES}
    m = [int(stratum.multiplicity) for stratum in model.attributes.strata]
    for state in states:
        values = [flint.arb(x) for x in read(*state)]
        w, h, z = values[:n], values[n : 2 * n], values[2 * n : 3 * n]
        share_H, share_W = _shares(h, m), _shares(w, m)
        row = (w, h, z, share_H, share_W, [_index(model, share_H)], [values[-1]])
        for name, balls in zip(QUANTITIES, row, strict=True):
            found[name].append(balls)
    return found


def _shares(x: list[Ball], m: list[int]) -> list[Ball]:
    """m_A x_A^2 / sum over B != mean of m_B x_B^2; 0 for the mean and for no energy at all, as in `trajectory`."""
    arb = flint.arb
    energies = [mA * y * y for mA, y in zip(m, x, strict=True)][1:]
    total = sum(energies, arb(0))
    if all(energy.is_zero() for energy in energies):
        return [arb(0) for _ in x]
    return [arb(0), *(energy / total for energy in energies)]


def _index(model: UFM, share: list[Ball]) -> Ball:
    """(share of the label's main effects - its ETF value) / (1 - its ETF value), as in `trajectory`."""
    attributes, kept = model.attributes, model.label_attributes
    semantic = attributes.semantic_strata(model.labels)
    if not semantic:
        return flint.arb(0)
    etf = sum(kept.multiplicities[A] for A in semantic) / (kept.cardinality - 1)
    total = sum((share[attributes.names.index(A)] for A in semantic), flint.arb(0))
    return (total - constant(etf)) / constant(1 - etf)


def _width(ball: Ball) -> float:
    if not ball.is_finite():
        return math.inf
    return 2 * float(ball.rad()) / max(1.0, abs(float(ball.mid())))


def variables(enclosed: Enclosed) -> dict[str, tuple[Any, np.ndarray]]:
    """The data set's variables: each quantity's midpoint, and its bounds as NAME_low and NAME_high."""
    found: dict[str, tuple[Any, np.ndarray]] = {}
    for name in QUANTITIES:
        dimensions = ("time", "stratum") if name in BY_STRATUM else "time"
        for suffix, values in zip(("", "_low", "_high"), enclosed.bounds(name), strict=True):
            found[name + suffix] = (dimensions, values if name in BY_STRATUM else values[:, 0])
    return found
