"""Crossed, kernel k1 on main effects and k2 on interactions: the ETF is optimal iff sqrt(k1/k2) <= K/(K-1)."""

from collections.abc import Callable

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..steps import NONNEGATIVE, POSITIVE, SIZE, Identity, Positive, Step

STATEMENT = r"""$K \ge 2$ crossed attributes, $\sqrt{\kappa^W\kappa^H} = \kappa_1$ on all main effects and $\kappa_2
\le \kappa_1$ on all interactions. The ETF solves the max-margin programme if and only if $\kappa_1/\kappa_2 \le
K/(K-1)$ (kernel on one side alone: $k_1/k_2 \le (K/(K-1))^2$), whatever the sizes: with $a = 1/\kappa_1 \le b =
1/\kappa_2$, $\eta(T) = b + (b - a)\left(\sum_{k \in T} (n_k - 1) - |T^c|\right)$, least at $T = \emptyset$."""


def theorem() -> Theorem:
    return Theorem(
        name="crossed_attributes_collapse_up_to_K_over_K_minus_1",
        statement=STATEMENT,
        setting=(
            "crossed",
            "the programme of one-hot labels",
            "one kernel kappa1 on main effects, one kappa2 on interactions",
        ),
        hypotheses=("kappa2 <= kappa1",),
        scope="all sizes; K = 2, 3, 4 from the package's characters, all K by the product formula of the characters",
        claims=(10,),
        uses=("collapse_is_optimal_iff_the_inverse_kernel_has_no_positive_entry",),
        proof=(*(step for K in (2, 3, 4) for step in entries(K)), *any_number()),
        mutations={
            "b - a with the other sign": entries(3, sign=-1),
            "the threshold K": any_number(threshold=lambda K: K),
            "the threshold (K + 1) / K": any_number(threshold=lambda K: (K + 1) / K),
        },
    )


def entries(K: int, sign: int = 1) -> tuple[Step, ...]:
    """eta(T) from the characters of the package, and that the empty relation has the least."""
    attributes = Attributes(" * ".join(f"{'abcd'[i]}[n{i + 1}]" for i in range(K)))
    n, m = attributes.sizes, attributes.multiplicities
    a, gap = sp.symbols("a g", positive=True)  # b = a + g
    b = a + gap
    domain = {size: SIZE for size in n.values()} | {a: POSITIVE, gap: NONNEGATIVE}
    steps: list[Step] = []
    for T in attributes.relations[:-1]:
        eta = -sum(m[A] * attributes.character(A, T.name) * (a if A in n else b) for A in attributes.names[1:])
        level = sum(n[k] - 1 for k in T.factors) - (K - len(T.factors))
        steps.append(Identity(f"K = {K}: eta({T.name})", eta, b + sign * gap * level))
        steps.append(Positive(f"K = {K}: eta({T.name}) >= eta(1)", gap * (level + K), domain, strict=False))
    return tuple(steps)


def any_number(threshold: Callable[[sp.Expr], sp.Expr] = lambda K: K / (K - 1)) -> tuple[Step, ...]:
    """For any K: the characters of all strata sum to a product with a factor 1 + m_k chi_k = 0; the sign of eta(1)."""
    K = sp.Symbol("K", positive=True)
    a, others, n = sp.symbols("a others n", positive=True)
    rho, slack = threshold(K), sp.Symbol("s", nonnegative=True)
    least = a * (rho - K * (rho - 1))  # eta of the empty relation at b = rho a
    beyond = a * (rho + slack - K * (rho + slack - 1))
    return (
        Identity(
            "where T lacks k the sum of m_A chi_A(T) over all A vanishes",
            (1 + (n - 1) * (-1 / (n - 1))) * others,
            sp.S(0),
        ),
        Identity("eta vanishes at the threshold", least, sp.S(0)),
        Identity("and falls with slope K - 1 beyond it", beyond, -a * (K - 1) * slack),
    )
