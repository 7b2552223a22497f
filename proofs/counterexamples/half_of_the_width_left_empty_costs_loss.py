"""Strata whose multiplicities do not add up to the width leave room for more: their loss is not the least."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """2 x 2 one-hot squared error, width 2: Z = P_a against Z = P_a + P_b."""
    attributes = Attributes("a[2] * b[2]")
    P = {A: attributes.projector(A) for A in ("a", "b")}

    def loss(Z: sp.Matrix) -> sp.Expr:
        return sum(x**2 for x in Z - sp.eye(4)) / 8

    return Counterexample(
        name="half_of_the_width_left_empty_costs_loss",
        statement="2 x 2 one-hot, squared error, width 2: Z = P_a has the loss 3/8, Z = P_a + P_b the least, 1/4.",
        theorem="bottleneck_keeps_whichever_strata_fill_it",
        without="strata whose multiplicities sum to the width",
        proof=(
            Cases(
                "losses",
                (
                    ("a alone", loss(P["a"]), "==", sp.Rational(3, 8)),
                    ("both", loss(P["a"] + P["b"]), "==", sp.Rational(1, 4)),
                ),
            ),
        ),
    )
