"""Three crossed attributes of two values: the attributes stay ahead of the pairs, and the triple of the pairs."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..steps import NONNEGATIVE, POSITIVE, Identity, Interval, Positive, Step

STATEMENT = r"""Cross-entropy, one-hot, free, no ridge, balanced, $2 \times 2 \times 2$ crossed; $\kappa_i \ge
\kappa_{ij} \le \kappa_{123}$. The set of states with $z_i \ge z_{ij} \le z_{123}$ for all $i, j$ is never left: where
$z_1 = z_{12}$, $\pi_1 - \pi_{12}$ has the sign of $(z_3 - z_{23})(z_{13} - z_{123}) \le 0$, and where $z_{13} =
z_{123}$, $\pi_{13} - \pi_{123}$ has that of $(z_1 - z_{12})(z_3 - z_{23}) \ge 0$. So from equal small starts
attributes are ahead of pairs for all times, and pairs are the last (the order in which interactions leave the
max-margin programme)."""
STRUCTURE = Attributes("a[2] * b[2] * c[2]")


def theorem() -> Theorem:
    return Theorem(
        name="three_binary_attributes_stay_ahead_of_their_pairs",
        statement=STATEMENT,
        setting=("cross-entropy", "free", "three crossed attributes"),
        hypotheses=(
            "one-hot",
            "no ridge",
            "balanced start",
            "z_i >= z_ij <= z_123 at the start",
            "two values each",
            "kappa_i >= kappa_ij <= kappa_123",
        ),
        scope="2 x 2 x 2; all kernels of that order; the boundaries of one attribute and pair, the others by symmetry",
        claims=(8,),
        rests_on=("Nagumo's theorem for a polyhedron of logarithms ln z_A", "g > 0, and balance is conserved"),
        uses=("coarse_strata_stay_ahead_for_all_times",),
        proof=(
            *weights(),
            *boundary("a", "a:b", ("c", "b:c"), ("a:b:c", "a:c"), sign=-1),
            *boundary("a:c", "a:b:c", ("a", "a:b"), ("c", "b:c")),
        ),
        mutations={
            "the other sign": boundary("a", "a:b", ("c", "b:c"), ("a:b:c", "a:c")),
            "without the order of the triple": boundary(
                "a", "a:b", ("c", "b:c"), ("a:b:c", "a:c"), sign=-1, second=Interval(-sp.Rational(1, 2))
            ),
            "x_A = e^{z_A/8}": weights(8),
        },
    )


def weights(divisor: int = 4) -> tuple[Step, ...]:
    """e^{Z(T)} is, up to a factor common to all relations, the product of e^{z_A/4} over the A with chi_A(T) = 1."""
    attributes, steps = STRUCTURE, []
    m, V = attributes.multiplicities, attributes.cardinality
    z = {A: sp.Symbol(f"z_{A.replace(':', '__')}", positive=True) for A in attributes.names[1:]}
    for T in attributes.names:
        logit = sum(m[A] * attributes.character(A, T) * z[A] for A in z) / V
        chosen = sum(z[A] for A in z if attributes.character(A, T) == 1) / divisor
        steps.append(Identity(f"Z({T})", logit, chosen - sum(z.values()) / 8))
    return tuple(steps)


def boundary(
    A: str, B: str, first: tuple[str, str], then: tuple[str, str], sign: int = 1, second: Interval = NONNEGATIVE
) -> tuple[Step, ...]:
    """With x_A = e^{z_A/4}, x_A = x_B, `first` = 1, 2 and `then` = 3, 4 (every valency is 1):

    sign * sum_T (chi_A - chi_B) weight = C (x_1 - x_2) (x_3 - x_4),    C > 0.
    """
    x = {S: sp.Symbol(f"x_{S.replace(':', '__')}", positive=True) for S in STRUCTURE.names[1:]}
    x[B] = x[A]
    weight = {T: sp.prod([x[S] for S in x if STRUCTURE.character(S, T) == 1]) for T in STRUCTURE.names}
    difference = sign * sum((STRUCTURE.character(A, T) - STRUCTURE.character(B, T)) * weight[T] for T in weight)
    one, two, three, four = (x[S] for S in (*first, *then))
    rest = sp.cancel(difference / ((one - two) * (three - four)))
    p, q = sp.symbols("p q", real=True)
    inside = difference.subs({one: two * (1 + p), three: four * (1 + q)}, simultaneous=True)
    positive = dict.fromkeys(x.values(), POSITIVE)
    return (
        Identity(f"{A} and {B}: factors", difference, rest * (one - two) * (three - four)),
        Positive(f"{A} and {B}: their coefficient", rest, positive),
        Positive(
            f"{A} and {B}: for z_1 >= z_2, z_3 >= z_4", inside, positive | {p: NONNEGATIVE, q: second}, strict=False
        ),
    )
