"""Three attributes of three values: where an attribute and a pair are level, the pair can feel the larger pull."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Counterexample
from ..steps import Enclosure


def counterexample() -> Counterexample:
    """z = 9 on attributes and pairs, 18 on the triple; kappa 101/100 on attributes, 1 elsewhere."""
    return Counterexample(
        name="three_valued_attributes_can_lose_their_lead",
        statement="3 x 3 x 3 crossed, z = 9 on attributes and pairs, 18 on the triple: 1 - pi_12 exceeds 1 - pi_1 by "
        "7 percent, so with kappa = 106/100 on attributes and 1 on interactions z_1/z_12 falls through 1.  (Integrated "
        "from equal starts no such state was met: it is a failure of the argument, and of other starts.)",
        theorem="three_binary_attributes_stay_ahead_of_their_pairs",
        without="two values each",
        proof=(
            Enclosure(
                "d ln(z_1/z_12)/dt in units of 2 scale",
                sp.Rational(106, 100) * pull("a", 9, 18) - pull("a:b", 9, 18),
                None,
                sp.S(0),
            ),
        ),
    )


def pull(A: str, level: int, triple: int) -> sp.Expr:
    """1 - pi_A at a state with one z on attributes and pairs, and another on the triple."""
    attributes = Attributes("a[3] * b[3] * c[3]")
    z = {S: sp.Integer(triple if S == "a:b:c" else level) for S in attributes.names[1:]} | {"1": sp.S(0)}
    logits = attributes.entries(z)
    top = logits[attributes.names[-1]]
    v = {relation.name: relation.valency for relation in attributes.relations}
    weight = {T: v[T] * sp.exp(logits[T] - top) for T in v}
    return sum((1 - attributes.character(A, T)) * weight[T] for T in v) / sum(weight.values())
