"""beta = 1: momentum grows without end, Adam's average stays 0, and the formulas divide by 0; beta = 2 is worse."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """A constant gradient 1."""

    def momentum(beta: sp.Expr, steps: int) -> sp.Expr:
        v = sp.S(0)
        for _ in range(steps):
            v = beta * v + 1
        return v

    def average(beta: sp.Expr, steps: int) -> sp.Expr:
        m = sp.S(0)
        for _ in range(steps):
            m = beta * m + (1 - beta)
        return m

    one, two = sp.S(1), sp.S(2)
    return Counterexample(
        name="a_memory_of_one_never_settles",
        statement="Constant gradient 1. beta = 1: momentum is 10 after 10 steps and 1000 after 1000, no multiple of "
        "the gradient, while 1 - beta = 0; Adam's averages are 0 as is their correction 1 - beta^k, so "
        "that there is no step. beta = 2: momentum is 1023 after 10 steps, where 1/(1 - beta) = -1.",
        theorem="momentum_is_gradient_flow_in_rescaled_time",
        without="0 <= beta < 1",
        also=(
            ("effective_time_of_momentum_is_exact_for_constant_gradients", "0 <= beta < 1"),
            ("adam_takes_sign_steps_while_the_gradient_is_constant", "memories in [0, 1)"),
        ),
        proof=(
            Cases(
                "constant gradient 1",
                (
                    ("beta = 1, 10 steps", momentum(one, 10), "==", sp.S(10)),
                    ("beta = 1, 1000 steps", momentum(one, 1000), "==", sp.S(1000)),
                    ("its divisor", 1 - one, "==", sp.S(0)),
                    ("Adam's average", average(one, 10), "==", sp.S(0)),
                    ("Adam's correction", 1 - one**10, "==", sp.S(0)),
                    ("beta = 2, 10 steps", momentum(two, 10), "==", sp.S(1023)),
                    ("1/(1 - 2)", 1 / (1 - two), "==", -sp.S(1)),
                ),
            ),
        ),
    )
