"""Width 3 for 2 x 3 labels: the prism of the main effects loses to the octahedron, at the same norms."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure, Identity


def counterexample() -> Counterexample:
    """Turning one triangle by 60 degrees keeps all norms; the loss of each context is compared at z = 16, 11.4."""
    # z_a n_a / V and z_b n_b / V near the fixed point of m lam = 1/100.
    alpha, rho = sp.Rational(16, 3), sp.Rational(57, 10)
    x, y = sp.symbols("alpha rho", positive=True)

    def loss(cosines: tuple[sp.Rational, ...]) -> sp.Expr:
        """ln sum_i exp(Z_ij) - Z_jj: the own triangle, and the other at these cosines from the own corner."""
        own = sp.exp(x / 2) * (sp.exp(2 * y / 3) + 2 * sp.exp(-y / 3))
        other = sp.exp(-x / 2) * sum(sp.exp(2 * y / 3 * cosine) for cosine in cosines)
        return sp.log(own + other) - x / 2 - 2 * y / 3

    half = sp.Rational(1, 2)
    prism, octahedron = loss((sp.S(1), -half, -half)), loss((half, half, -sp.S(1)))
    slower = sp.exp(-x / 2) * (sp.exp(2 * y / 3) + 2 * sp.exp(-y / 3) - 2 * sp.exp(y / 3) - sp.exp(-2 * y / 3))
    gap = sp.exp(-x / 2) * sp.exp(-2 * y / 3) * (sp.exp(y / 3) - 1) ** 3 * (sp.exp(y / 3) + 1)
    point = {x: alpha, y: rho}
    return Counterexample(
        name="the_prism_of_two_by_three_yields_to_the_octahedron",
        statement="Labels 2 x 3 in width 3: main effects emerge first and fill the width as a triangular prism, but at "
        "the same norms (any ridge, and the sphere) the octahedron, one triangle turned by 60 degrees, has the smaller "
        "partition for all z > 0; near the fixed point of m lam = 1/100 its loss is less by more than 1/1000.  (A "
        "simulated flow from a small random start ends there, at shares 1/3, 1/2, 1/6 of a, b, a:b.)",
        theorem="crossed_main_effects_alone_are_saddles_of_cross_entropy",
        against="with cross-entropy, too, the strata that emerge first and fill the width stay for ever",
        proof=(
            Identity("the partitions' difference, positive for rho > 0", slower, gap),
            Enclosure("the loss is less", (prism - octahedron).xreplace(point), sp.Rational(1, 1000), None),
        ),
    )
