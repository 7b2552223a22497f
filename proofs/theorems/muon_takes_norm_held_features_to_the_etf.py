"""Features before a final norm: orthogonalised steps level their strata in a finite time, whatever the gradient's size."""

import sympy as sp

from ..checker import Theorem
from ..steps import NONNEGATIVE, POSITIVE, Identity, Positive, Step

STATEMENT = r"""Model `normalized`, with $g_A w_A = p > 0$ on all strata but the mean (one-hot labels, equal $w_A$, near $Z =
0$). The pull on the features is $\propto p - c h_A$ with $c = p \sum_B m_B h_B / \sum_B m_B h_B^2$: $(p - c h_A) \sum_B m_B
h_B^2 = p \sum_B m_B h_B (h_B - h_A)$. It raises the lowest stratum, lowers the highest, and vanishes where all are equal,
which is the ETF. Under orthogonalised steps these move at $\sqrt{\kappa_A}$ whatever the size of $p$: the gap between
highest and lowest closes at least at the rate $2 \min_A \sqrt{\kappa_A}$, and the ETF is reached by the time $(\max \varphi
- \min \varphi) / (2 \min_A \sqrt{\kappa_A})$. Gradient flow moves them at a rate proportional to $p$, so that they keep
the start's geometry until $W$ has grown."""


def theorem() -> Theorem:
    return Theorem(
        name="muon_takes_norm_held_features_to_the_etf",
        statement=STATEMENT,
        setting=("normalized", "orthogonalised steps"),
        hypotheses=("g w alike on all strata but the mean", "phi > 0 there, and 0 on the mean"),
        scope="three strata stand for any number.  The stage near Z = 0; later g w differs between strata, and the pull "
        "levels g_A w_A / h_A instead",
        claims=(14,),
        rests_on=("max - min of finitely many functions has the one-sided derivative of those that attain it",),
        uses=("matrix_flow_reduces_to_the_mode_equations",),
        proof=(*pull(), *gap()),
        mutations={
            "c without multiplicities": pull(weighted=False),
            "the highest rises": pull(highest=1),
            "the gap closes at the fastest rate": gap(fastest=True),
        },
    )


def pull(weighted: bool = True, highest: int = -1) -> tuple[Step, ...]:
    p, low, u, v = sp.symbols("p l u v", positive=True)
    m = sp.symbols("m1:4", positive=True)
    weights = m if weighted else (sp.S(1),) * 3
    h = (low, low + u, low + u + v)  # from the lowest to the highest

    def along(A: int) -> sp.Expr:
        c = p * sum(k * x for k, x in zip(weights, h)) / sum(k * x**2 for k, x in zip(weights, h))
        return p - c * h[A]

    square = sum(k * x**2 for k, x in zip(m, h))
    inner = [p * sum(k * x * (x - h[A]) for k, x in zip(m, h)) for A in range(3)]
    domain = {x: POSITIVE for x in (p, low, u, v, *m)}
    return (
        *(Identity(f"the pull on stratum {A + 1}", along(A) * square, inner[A]) for A in range(3)),
        Positive("the lowest rises", inner[0], domain),
        Positive("the highest falls", highest * inner[2], domain),
        Identity("none on the ETF", inner[1].subs({u: 0, v: 0}), sp.S(0)),
    )


def gap(fastest: bool = False) -> tuple[Step, ...]:
    """Roots of the kernel k + x on the highest and k + y on the lowest, k the least of all."""
    k, x, y = sp.symbols("k x y", nonnegative=True)
    rate = -(k + x) - (k + y)
    bound = -2 * (k + x) if fastest else -2 * k
    domain = {k: POSITIVE, x: NONNEGATIVE, y: NONNEGATIVE}
    start, time = sp.symbols("D t", positive=True)
    return (
        Positive("the gap closes at least at 2 sqrt(k)", bound - rate, domain, strict=False),
        Identity("and is closed by D / (2 sqrt(k))", (start - 2 * k * time).subs(time, start / (2 * k)), sp.S(0)),
    )
