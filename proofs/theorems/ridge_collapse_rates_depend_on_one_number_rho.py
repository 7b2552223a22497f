"""Late collapse with ridge: one number rho sets a stratum's two rates; for cross-entropy it is z/V, which is small."""

import sympy as sp

from ...theory.model import UFM
from ...theory.system import derive
from ...theory.transients import collapse_expression
from ..checker import Theorem
from ..gallery import CHAINS, CROSSED, LAM_H, LAM_W, flow, model, sizes
from ..steps import POSITIVE, Identity, Positive, Step

STATEMENT = r"""At the fixed point of the ridge ($g = \lambda = \sqrt{\lambda_W\lambda_H}$) let $A =
\kappa^W\lambda_W$, $B = \kappa^H\lambda_H$ on a stratum. Its block of the Jacobian has trace $-(A+B)(1+\rho)$ and
determinant $4AB\rho$ with $\rho = \pi' z/(m\lambda)$, so its two rates are real and positive, and with $A = B =
\kappa\lambda$ they are $2\kappa\lambda$ (the balance) and $2\kappa\lambda\rho$ (the logit). Squared error: $\rho =
z/(m\lambda)$, large: the logit collapses fast and the slow rate is the balance's. Cross-entropy, one-hot: $\partial
g_A/\partial z_B = -(q\,\delta_{AB} + c\,m_B)/m$ at the ETF, $q = \lambda/\sigma V$ the probability of a wrong label
and $c = q(1 - Vq) > 0$; the rank-one part speeds up the common change of all strata, and $\rho = z/V =
\ln(V/(m\lambda) - V + 1)/V$, small: **structure collapses at $2\kappa\lambda z/V$, slower than $\lambda(\kappa^W +
\kappa^H)$** by $V/z$. Strata with different kernels are coupled; their rates interlace with these."""


def theorem() -> Theorem:
    return Theorem(
        name="ridge_collapse_rates_depend_on_one_number_rho",
        statement=STATEMENT,
        setting=("free",),
        hypotheses=("lam_W, lam_H > 0", "the stratum survives", "cross-entropy: one-hot"),
        scope="squared error: one stratum, all sizes; the slope of g at the ETF: all sizes, one factor, a * b, chains "
        "of up to 3",
        claims=(9,),
        rests_on=(
            "Cauchy: a positive rank-one term moves each eigenvalue of a symmetric matrix up to the next at most",
        ),
        uses=("ridge_fixed_points_drop_the_kernels", "one_hot_ridge_limit_is_the_etf", "ridge_fixed_point_is_stable"),
        proof=(
            *block(),
            *rates(),
            *(step for formula in (*CROSSED[:2], *CHAINS) for step in etf_slope(formula)),
            *pull_at_the_etf(),
            *as_stated(),
        ),
        mutations={
            "collapse at lam (kW + kH), whatever rho": rates(logit=False),
            "determinant 2 A B rho": block(four=2),
            "strata uncoupled at the ETF": etf_slope("a[n1] * b[n2]", coupled=False),
            "q = lam / sigma": pull_at_the_etf(labels=False),
        },
    )


A, B, RHO = sp.symbols("A B rho", positive=True)


def block(four: int = 4) -> tuple[Step, ...]:
    """w = q r, h = p r with lam_W = p^2, lam_H = q^2; `slope` is -m dg/dz."""
    p, q, r = sp.symbols("p q r", positive=True)
    structure = model("a[n1]", (p**2, q**2), loss="mse")
    system = derive(structure)
    state, derived = system.flow.state, system.flow
    rows = [state.index(derived.w["a"]), state.index(derived.h["a"])]
    point = {derived.w["a"]: q * r, derived.h["a"]: p * r, derived.g["a"]: p * q}
    here = system.jacobian().extract(rows, rows).subs(point, simultaneous=True)
    kW, kH = structure.label_kernel["a"], structure.feature_kernel["a"]
    rho = structure.scale * (q * r) * (p * r) / (p * q)
    first, second = kW * p**2, kH * q**2
    return (
        Identity("trace", -here.trace(), (first + second) * (1 + rho)),
        Identity("determinant", here.det(), four * first * second * rho),
    )


def rates(logit: bool = True) -> tuple[Step, ...]:
    discriminant = (A + B) ** 2 * (1 + RHO) ** 2 - 16 * A * B * RHO

    def characteristic(mu: sp.Expr) -> sp.Expr:
        return mu**2 - (A + A) * (1 + RHO) * mu + 4 * A * A * RHO

    return (
        Identity("real", discriminant, (A - B) ** 2 * (1 + RHO) ** 2 + 4 * A * B * (1 - RHO) ** 2),
        Positive("positive", 4 * A * B * RHO * (A + B) * (1 + RHO), dict.fromkeys((A, B, RHO), POSITIVE)),
        Identity("A = B: the balance", characteristic(2 * A), sp.S(0)),
        Identity("A = B: the logit", characteristic(2 * A * RHO if logit else 3 * A), sp.S(0)),
    )


def etf_slope(formula: str, coupled: bool = True) -> tuple[Step, ...]:
    """-dg_A/dz_B in units of the scale, with S_T = q for every other label: dS_T/dM_U = q (v_U q - [T = U])."""
    derived, attributes = flow(formula), model(formula).attributes
    known = dict(derived.definitions)
    v = {relation.name: relation.valency for relation in attributes.relations[:-1]}
    S, M = ({T: sp.Symbol(f"{letter}_{T.replace(':', '__')}", real=True) for T in v} for letter in "SM")
    q, V, m = sp.Symbol("q", positive=True), attributes.cardinality, attributes.multiplicities
    gap = sp.Symbol("u", positive=True)
    steps: list[Step] = []
    for first in attributes.names[1:]:
        for second in attributes.names[1:]:
            in_S = {T: sp.diff(known[derived.g[first]], S[T]) for T in v}
            in_M = {U: sp.diff(known[M[U]], derived.z[second]) for U in v}
            common = sum(in_S.values()) * q * q * sum(v[U] * in_M[U] for U in v)
            slope = -(common - q * sum(in_S[T] * in_M[T] for T in v)) / model(formula).scale
            stated = (q if first == second else 0) + (q * (1 - V * q) * m[second] if coupled else 0)
            steps.append(Identity(f"{formula}: dg on {first} by z on {second}", slope, stated))
    c = (q * (1 - V * q)).subs(q, 1 / (V + gap))
    return (*steps, Positive(f"{formula}: c > 0 for V q < 1", c, sizes(attributes) | {gap: POSITIVE}))


def pull_at_the_etf(labels: bool = True) -> tuple[Step, ...]:
    """g = sigma (1 - pi) = sigma V q, hence q = lam / (sigma V), and rho = scale pi' z / lam = z / V."""
    sigma, V, lam, z = sp.symbols("sigma V lambda z", positive=True)
    q = lam / (sigma * V) if labels else lam / sigma
    same = 1 - (V - 1) * q
    return (
        Identity("g at the ETF", sigma * (1 - (same - q)), lam),
        Identity("rho", sigma * q * z / lam, z / V),
    )


def as_stated() -> tuple[Step, ...]:
    """1 / collapse_expression is a root of mu^2 - (A + B)(1 + rho) mu + 4 A B rho."""
    squared = model("a[n1]", (LAM_W, LAM_H), loss="mse")
    crossed = UFM("a[2] * b[3]", ridge=(sp.Rational(1, 12), sp.Rational(1, 48)), label_kernel=2, feature_kernel=3)
    logit = sp.log(6 * 4 - 6 + 1)  # V/(m lam) - V + 1 with m lam = 6/24
    steps: list[Step] = []
    for name, structure, rho in (
        ("squared error", squared, squared.scale * squared.tau["a"] / sp.sqrt(LAM_W * LAM_H) - 1),
        ("cross-entropy", crossed, logit / 6),
    ):
        first = structure.label_kernel["a"] * structure.ridge[0]
        second = structure.feature_kernel["a"] * structure.ridge[1]
        mu = 1 / collapse_expression(structure, "a")
        value = mu**2 - (first + second) * (1 + rho) * mu + 4 * first * second * rho
        steps.append(Identity(f"{name}: what theory/ states", value, sp.S(0)))
    return tuple(steps)
