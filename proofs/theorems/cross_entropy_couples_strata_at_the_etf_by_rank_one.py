"""At the ETF the softmax Hessian on the strata is a multiple of the identity plus rank one; the spectrum."""

from collections.abc import Callable

import sympy as sp

from ...theory.system import derive
from ..checker import Theorem
from ..gallery import CHAINS, CROSSED, model
from ..steps import POSITIVE, SIZE, Identity, Positive, Step

STATEMENT = r"""One-hot cross-entropy, all strata but the mean at the same $z$: with $s$ the probability of each wrong
label and $\pi = 1 - Vs$, $-\partial g_A/\partial z_B = \frac1m (s\,\delta_{AB} + \pi(1 - \pi) m_B / V)$. So strata
are not independent: differences between strata ($\sum_A m_A \delta z_A = 0$) see the curvature $s/m$, their common
motion $(s + \pi(1-\pi)(V-1)/V)/m$. With equal kernels and ridge, the Jacobian at the fixed point splits into the $2
\times 2$ blocks of `System.spectrum`, whose traces are negative and determinants $4\kappa^W\kappa^H\mu z D > 0$."""
FORMULAS = (*CROSSED[:2], *CHAINS)


def theorem() -> Theorem:
    return Theorem(
        name="cross_entropy_couples_strata_at_the_etf_by_rank_one",
        statement=STATEMENT,
        setting=("cross-entropy", "free"),
        hypotheses=("one-hot balanced", "all strata but the mean alike", "equal kernels for the splitting"),
        open_hypotheses=("one-hot balanced",),
        scope="all sizes, one factor, a * b, chains of up to 3; the blocks for every structure",
        claims=(9,),
        uses=("one_hot_ridge_limit_is_the_etf",),
        proof=(*(step for formula in FORMULAS for step in hessian(formula)), *modes(), *block()),
        mutations={
            "strata that stand alone": hessian("a[n1] * b[n2]", rank_one=0),
            "the rank-one part without multiplicities": hessian("a[n1] * b[n2]", weighted=False),
            "the common motion without V - 1": modes(count=lambda V: V),
            "the determinant without the curvature": block(curvature=False),
        },
    )


def hessian(formula: str, rank_one: int = 1, weighted: bool = True) -> tuple[Step, ...]:
    """From the derived flow, with the logits as they enter g; X = e^z, s = 1/(V - 1 + X)."""
    structure = model(formula)
    system = derive(structure)
    flow, m, V = system.flow, structure.attributes.multiplicities, structure.label_count
    definitions = {symbol: value for symbol, value in flow.definitions if symbol not in flow.z.values()}
    z = sp.Symbol("z", positive=True)
    s = 1 / (V - 1 + sp.exp(z))
    pi = 1 - V * s
    equal = {x: sp.S(0) if A == "1" else z for A, x in flow.z.items()}
    steps: list[Step] = []
    for A in structure.attributes.names[1:]:
        written = definitions[flow.g[A]]
        for symbol, value in reversed(list(definitions.items())):
            written = written.xreplace({symbol: value})
        for B in structure.attributes.names[1:]:
            slope = -sp.diff(written, flow.z[B]).subs(equal, simultaneous=True)
            weight = (m[B] if weighted else 1) / V
            right = ((s if A == B else 0) + rank_one * pi * (1 - pi) * weight) / structure.contexts
            steps.append(Identity(f"{formula}: -dg_{A}/dz_{B}", slope, right))
    return tuple(steps)


def modes(count: Callable[[sp.Expr], sp.Expr] = lambda V: V - 1) -> tuple[Step, ...]:
    """Two strata stand for any number: a common motion, and one with sum m dz = 0; the multiplicities sum to V - 1."""
    s, pi, V, m, d = sp.symbols("s pi V m d", positive=True)
    other = V - 1 - m
    rank = pi * (1 - pi) / V
    together = s * d + rank * (m * d + other * d)
    against = s * d + rank * (m * d - other * (m * d / other))
    return (
        Identity("together", together, (s + pi * (1 - pi) * count(V) / V) * d),
        Identity("against", against, s * d),
        Positive("s > 0", 1 / (V - 1 + d), {V: SIZE, d: POSITIVE}),
    )


def block(curvature: bool = True) -> tuple[Step, ...]:
    """lam_W = p^2, lam_H = q^2, g = p q, w = q r, h = p r, curvature D."""
    p, q, r, D, kW, kH = sp.symbols("p q r D kW kH", positive=True)
    w, h, g = q * r, p * r, p * q
    matrix = sp.Matrix(
        [[-kW * (D * h**2 + p**2), kW * (g - D * w * h)], [kH * (g - D * w * h), -kH * (D * w**2 + q**2)]]
    )
    found = 4 * kW * kH * g * (w * h) * (D if curvature else 1)
    minus_trace = kW * (D * h**2 + p**2) + kH * (D * w**2 + q**2)
    domain = dict.fromkeys((p, q, r, D, kW, kH), POSITIVE)
    return (
        Identity("determinant", matrix.det(), found),
        Identity("minus trace", -matrix.trace(), minus_trace),
        Positive("determinant > 0", found, domain),
        Positive("minus trace > 0", minus_trace, domain),
    )
