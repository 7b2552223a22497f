"""Exact numbers from a derived flow: rates, loss and finite differences evaluated by mpmath with many digits."""

import mpmath
import sympy as sp

from ufmflow.theory.flow import ModeFlow

DIGITS = 60
STEP = mpmath.mpf(10) ** -20


def log_partition(*arguments):
    n = len(arguments) // 2
    return mpmath.log1p(mpmath.fsum(v * mpmath.exp(-M) for M, v in zip(arguments[:n], arguments[n:], strict=True)))


def exact_function(flow: ModeFlow, expressions):
    """f(state) -> list of mpf for expressions in the state and the flow's named quantities; no symbols left."""
    compiled = sp.lambdify(
        flow.state, list(expressions), [{"LogPartition": log_partition}, "mpmath"],
        cse=lambda expressions: (list(flow.definitions), expressions),
    )  # fmt: skip

    def function(state):
        with mpmath.workdps(DIGITS):
            return compiled(*map(mpmath.mpf, state))

    return function


def exact_rates(flow: ModeFlow):
    """Time derivatives of the state."""
    return exact_function(flow, [flow.rates[x] for x in flow.state])


def exact_jacobian(flow: ModeFlow):
    """Central differences of the rates: with 60 digits and a step of 1e-20, exact to about 1e-38."""
    rates = exact_rates(flow)

    def jacobian(state):
        with mpmath.workdps(DIGITS):
            columns = []
            for j in range(len(state)):
                steps = (STEP, -STEP)
                ahead, behind = ([mpmath.mpf(x) + step * (i == j) for i, x in enumerate(state)] for step in steps)
                columns.append([(a - b) / (2 * STEP) for a, b in zip(rates(ahead), rates(behind), strict=True)])
        return [list(row) for row in zip(*columns, strict=True)]

    return jacobian
