"""A wide ReLU body: features and kernel start with different shares of the interaction."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure


def counterexample() -> Counterexample:
    """Inputs e_a + e_b of a 2 x 2 crossing: cosines 1, 1/2, 0 for same, one shared, none; angles 0, pi/3, pi/2."""
    pi = sp.Symbol("pi", positive=True)  # of which only bounds are used
    root = sp.sqrt(3)
    first = (sp.S(1), root / (2 * pi) + sp.Rational(1, 3), 1 / pi)  # kappa_1 = (sin + (pi - angle) cos) / pi
    zeroth = (sp.S(1), sp.Rational(2, 3), sp.Rational(1, 2))  # kappa_0 = (pi - angle) / pi
    cosine = (sp.S(1), sp.Rational(1, 2), sp.S(0))
    gram = first
    kernel = tuple(one + c * zero for one, c, zero in zip(first, cosine, zeroth, strict=True))

    def ratio(entries: tuple[sp.Expr, ...]) -> sp.Expr:
        """Eigenvalue on the interaction over that on a main effect: entries for same, one shared, none."""
        same, shared, none = entries
        return (same - 2 * shared + none) / (same - none)

    box = {pi: (sp.Rational(31415, 10000), sp.Rational(31416, 10000))}
    return Counterexample(
        name="relu_features_start_apart_from_their_kernel",
        statement="One hidden ReLU layer of infinite width, both layers trained, inputs e_a + e_b for 2 x 2 contexts: "
        "per dimension the interaction has 0.147 of a main effect's energy in the features' Gram (arc-cosine kernel), "
        "but 0.258 in the tangent kernel, so the shares do not start at the kernel's; only "
        "3.1415 < pi < 3.1416 is used.",
        theorem="linear_bodies_start_at_the_geometry_of_their_kernel",
        without="the body is linear",
        proof=(
            Enclosure("features", ratio(gram), sp.Rational(146, 1000), sp.Rational(149, 1000), box),
            Enclosure("kernel", ratio(kernel), sp.Rational(257, 1000), sp.Rational(259, 1000), box),
        ),
    )
