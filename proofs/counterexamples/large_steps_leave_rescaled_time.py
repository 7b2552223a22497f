"""Momentum with steps that are not small: the growing root is not 1 + eta mu/(1 - beta)."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """beta = 1/2, eta mu = 1: x_{k+1} = (1 + beta + eta mu) x_k - beta x_{k-1}."""
    beta, speed = sp.Rational(1, 2), sp.S(1)

    def characteristic(r: sp.Expr) -> sp.Expr:
        return r**2 - (1 + beta + speed) * r + beta

    return Counterexample(
        name="large_steps_leave_rescaled_time",
        statement="beta = 1/2, eta mu = 1: the growing root lies between 2 and 5/2, where rescaled time has 1 + 2 = 3.",
        theorem="momentum_is_gradient_flow_in_rescaled_time",
        without="small steps",
        proof=(
            Cases(
                "characteristic polynomial",
                (
                    ("at 2", characteristic(sp.S(2)), "<", sp.S(0)),
                    ("at 5/2", characteristic(sp.Rational(5, 2)), ">", sp.S(0)),
                    ("at 3", characteristic(1 + speed / (1 - beta)), "!=", sp.S(0)),
                ),
            ),
        ),
    )
