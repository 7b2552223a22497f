"""Cross-entropy: coarse strata stay ahead of fine ones at all times, not only while all are small."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.transients import exchanged_pairs
from ..checker import Theorem
from ..gallery import GALLERY, SCOPE, flow, model, sizes
from ..steps import NONNEGATIVE, POSITIVE, Identity, Positive, Step

STATEMENT = r"""Cross-entropy, one-hot, free, no ridge, balanced. Let $A \subset B$ be a pair of strata with relations
$T, U$ such that $\pi_A - \pi_B = c\,(S_U - S_T)$ and $Z(U) - Z(T) = c'(z_A - z_B)$, $c, c' > 0$: neighbouring levels
of a chain of any depth; an attribute and the interaction of two crossed ones; in mixtures the pairs of
`exchanged_pairs`. With $D = \ln(z_A/z_B)$ and $\kappa = \sqrt{\kappa^W\kappa^H}$, $$\dot D = 2(\kappa_A - \kappa_B)
g_A - 2\kappa_B\, c\,s\,S_T\,(e^{c'(z_A - z_B)} - 1), \qquad g_A > 0.$$ So when $\kappa_A \ge \kappa_B$, $z_A \ge z_B$
at the start stays so for all times, whatever the sizes and the other strata, and strictly when $\kappa_A > \kappa_B$.
Hence $z_1 \ge z_2 \ge \dots \ge z_K$ on a chain with coarse-first kernels."""
PAIRED = tuple(formula for formula in GALLERY if exchanged_pairs(Attributes(formula)))


def theorem() -> Theorem:
    return Theorem(
        name="coarse_strata_stay_ahead_for_all_times",
        statement=STATEMENT,
        setting=("cross-entropy", "free", "a pair of strata that exchanges"),
        hypotheses=("one-hot", "no ridge", "balanced start", "kappa_A >= kappa_B", "z_A >= z_B > 0 at the start"),
        scope=f"the exchange: {SCOPE} (pairs: of two factors and of chains all, c and a:c, a:b and a:b:c in "
        "(a / b) * c, a and a:b in (a * b) / c); chains of every depth by the telescoping sums; three crossed "
        "attributes have no pair",
        claims=(8,),
        rests_on=(
            "D' = a - b D with a >= 0 and a, b continuous keeps D >= 0 (variation of constants)",
            "(e^x - 1)/x is continuous",
            "balance is conserved",
        ),
        uses=("matrix_flow_reduces_to_the_mode_equations", "w2_over_kW_minus_h2_over_kH_is_conserved"),
        proof=(
            *(step for formula in PAIRED for step in exchange(formula)),
            *(step for formula in PAIRED for step in growth(formula)),
            *telescoping(),
            *ratio(),
        ),
        mutations={
            "softmax falls where logits rise": exchange("a[n1] / b[n2]", sign=-1),
            "three crossed attributes exchange, too": exchange("a[n1] * b[n2] * c[n3]", {("a", "a:b"): ("1", "a")}),
            "a level's block is that of the next": telescoping(shift=True),
            "fine-first kernels": ratio(lead=-1),
        },
    )


def exchange(formula: str, pairs: dict | None = None, sign: int = 1) -> tuple[Step, ...]:
    """In the derived equations: g_A - g_B by S_U - S_T alone, and M_T - M_U by z_A - z_B alone."""
    derived, structure = flow(formula), model(formula)
    attributes, known = structure.attributes, dict(derived.definitions)
    v = {relation.name: relation.valency for relation in attributes.relations}
    m, V, domain = attributes.multiplicities, attributes.cardinality, sizes(attributes)
    symbols = {letter: {T: _symbol(letter, T) for T in attributes.names[:-1]} for letter in "SM"}
    steps: list[Step] = []
    for (A, B), (T, U) in (pairs or exchanged_pairs(attributes)).items():
        c = v[U] * (attributes.character(A, U) - attributes.character(B, U))
        c_logits = m[A] * (attributes.character(A, U) - attributes.character(A, T)) / V
        S, M, z = symbols["S"], symbols["M"], derived.z
        where = f"{formula}, {A} and {B}"
        steps += [
            Identity(
                f"{where}: g", known[derived.g[A]] - known[derived.g[B]], -sign * structure.scale * c * (S[U] - S[T])
            ),
            Identity(f"{where}: margins", known[M[T]] - known[M[U]], c_logits * (z[A] - z[B])),
            Positive(f"{where}: c > 0", c, domain),
            Positive(f"{where}: c' > 0", c_logits, domain),
        ]
    return tuple(steps)


def growth(formula: str) -> tuple[Step, ...]:
    """On w = a q, h = b q with kW = a^2, kH = b^2: d ln z/dt = 2 a b g; g is a sum of S_T >= 0 with weights >= 0."""
    derived, structure = flow(formula), model(formula)
    attributes, known = structure.attributes, dict(derived.definitions)
    v = {relation.name: relation.valency for relation in attributes.relations[:-1]}
    domain = sizes(attributes)
    a, b, q = sp.symbols("a b q", positive=True)
    S = {T: sp.Symbol(f"s{i}", positive=True) for i, T in enumerate(v)}
    steps: list[Step] = []
    for A in attributes.names[1:]:
        w, h, g = derived.w[A], derived.h[A], derived.g[A]
        plane = {structure.label_kernel[A]: a**2, structure.feature_kernel[A]: b**2, w: a * q, h: b * q}
        change = (derived.rates[w] / w + derived.rates[h] / h).subs(plane, simultaneous=True)
        steps.append(Identity(f"{formula}: d ln z/dt on {A}", change, 2 * a * b * g))
        pull = known[g].xreplace({_symbol("S", T): S[T] for T in v})
        weights = {T: v[T] * (1 - attributes.character(A, T)) for T in v}
        steps.append(Identity(f"{formula}: g on {A}", pull, structure.scale * sum(weights[T] * S[T] for T in v)))
        steps.append(Positive(f"{formula}: g > 0 on {A}", sum(weights[T] * S[T] for T in v),
                              domain | dict.fromkeys(S.values(), POSITIVE)))  # fmt: skip
    return tuple(steps)


def telescoping(shift: bool = False) -> tuple[Step, ...]:
    """Chains of every depth, B_k contexts alike down to level k: with pi_k = sum_{j>=k} B_j (q_j - q_{j-1}) and

    Z(T_k) = sum_{j<=k} (z_j - z_{j+1}) / B_j + const, both differences have one term.  `rest` is the sum beyond it.
    """
    B, after, z, z_after, q, q_before, rest, sum_before = sp.symbols(
        "B_k B_l z_k z_l q_k q_j rest sum_j", positive=True
    )
    own = after if shift else B
    pi, pi_after = own * (q - q_before) + rest, rest
    Z, Z_before = sum_before + (z - z_after) / B, sum_before
    return (
        Identity("pi_k - pi_{k+1}", pi - pi_after, B * (q - q_before)),
        Identity("Z(T_k) - Z(T_{k-1})", Z - Z_before, (z - z_after) / B),
    )


def ratio(lead: int = 1) -> tuple[Step, ...]:
    """D' = 2 kA gA - 2 kB gB in two terms, the first >= 0 for kA = kB + lead."""
    kB, extra, gA, gB, c, s, S_T, x = sp.symbols("kappa_B delta g_A g_B c s S_T x", positive=True)
    kA = kB + lead * extra
    exchanged = ((gB, gA + c * s * S_T * (sp.exp(x) - 1)),)
    return (
        Identity(
            "the logarithm of the ratio",
            2 * kA * gA - 2 * kB * gB,
            2 * (kA - kB) * gA - 2 * kB * c * s * S_T * (sp.exp(x) - 1),
            exchanged,
        ),
        Positive("its first term", 2 * (kA - kB) * gA, {extra: NONNEGATIVE, gA: POSITIVE, kB: POSITIVE}, strict=False),
    )


def _symbol(letter: str, T: str) -> sp.Symbol:
    return sp.Symbol(f"{letter}_{T.replace(':', '__')}", real=True)
