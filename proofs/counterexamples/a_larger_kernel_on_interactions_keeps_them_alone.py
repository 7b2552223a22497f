"""Crossed attributes with the larger kernel on the interaction: the ETF is not optimal, though kappa1/kappa2 < 2."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """5 x 5, kappa1 = 1 on main effects, kappa2 = 2 on the interaction: eta(a) = b + (b - a)(n - 2) = -1."""
    attributes = Attributes("a[5] * b[5]")
    cost = {"a": sp.S(1), "b": sp.S(1), "a:b": sp.Rational(1, 2)}
    eta = -sum(attributes.multiplicities[A] * attributes.character(A, "a") * cost[A] for A in cost)
    return Counterexample(
        name="a_larger_kernel_on_interactions_keeps_them_alone",
        statement="5 x 5, sqrt(kW kH) = 1 on main effects and 2 on the interaction, so kappa1/kappa2 = 1/2 <= K/(K-1): "
        "eta(a) = -1 < 0, and the ETF does not solve the programme.",
        theorem="crossed_attributes_collapse_up_to_K_over_K_minus_1",
        without="kappa2 <= kappa1",
        proof=(Cases("eta(a)", (("value", eta, "==", -sp.S(1)),)),),
    )
