"""Two attributes with two values each: odd functions of the entries leave the interaction without energy."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """Energies 1 and 2 on the main effects; odd powers of the entries, of which arcsin is a series."""
    attributes = Attributes("a[2] * b[2]")
    q = attributes.entries({"1": 0, "a": 1, "b": 2, "a:b": 0})
    found = [attributes.eigenvalues({T: entry**k for T, entry in q.items()})["a:b"] for k in (1, 3, 5, 7)]
    return Counterexample(
        name="signs_of_two_binary_attributes_make_no_interaction",
        statement="On a[2] * b[2] with energies 1 and 2 on the main effects the entries come in pairs q, -q, so "
        "each odd power (checked up to the seventh) has eigenvalue 0 on a:b, and so has the arcsine: sign "
        "steps send nothing to the interaction.",
        theorem="sign_steps_put_energy_into_interactions",
        without="an attribute with at least three values",
        proof=(
            Cases(
                "odd powers", tuple((f"power {k}", x, "==", sp.S(0)) for k, x in zip((1, 3, 5, 7), found, strict=True))
            ),
            Cases("entries in pairs", (("sorted", sorted(q.values()), "==", sorted(-x for x in q.values())),)),
        ),
    )
