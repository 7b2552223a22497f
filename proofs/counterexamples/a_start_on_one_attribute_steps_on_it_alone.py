"""A start that is not alike on all strata: signs of the first pull follow the attribute that is ahead."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases
from ._instances import Instance


def counterexample() -> Counterexample:
    """2 x 2 one-hot squared error, w = h = 1/100 on a and 0 elsewhere: g_A h_A P_A is that of a alone."""
    x = Instance("a[2] * b[2]", {"a": (sp.Rational(1, 100), sp.Rational(1, 100))}, loss="mse")
    attributes = x.model.attributes
    entries = attributes.entries({A: x.pull(A) * x.point[x.flow.h[A]] for A in attributes.names})
    signs = {T: sp.sign(q) for T, q in entries.items()}
    step = attributes.eigenvalues(signs)
    return Counterexample(
        name="a_start_on_one_attribute_steps_on_it_alone",
        statement="2 x 2 one-hot, w = h = 1/100 on a and 0 on b and a:b: the signs of the pull on W have the "
        "eigenvalues 4, 0 and 0 on a, b and a:b, not 2 on each.",
        theorem="first_sign_step_moves_every_stratum_alike",
        without="a start alike on all strata",
        proof=(Cases("eigenvalues", tuple((A, step[A], "==", sp.S(4 * (A == "a"))) for A in ("a", "b", "a:b"))),),
    )
