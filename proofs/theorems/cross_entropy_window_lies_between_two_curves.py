"""Cross-entropy: sigma e^{-Y} <= g_A <= sigma while all z <= Y, so explicit curves bracket the window's onset."""

import sympy as sp

from ...theory.flow import TIME
from ...theory.model import UFM
from ...theory.transients import H0, W0
from ...theory.window import half_maximum_ratio, window_formulas
from ..checker import Theorem
from ..gallery import GALLERY, SCOPE, flow, model, sizes
from ..steps import NONNEGATIVE, Identity, Positive, Step
from .two_levels_keep_their_order_under_the_ridge import shifted

STATEMENT = r"""Cross-entropy, one-hot, free, balanced, $\kappa^W\lambda_W = \kappa^H\lambda_H$ (or no ridge),
$\lambda = \sqrt{\lambda_W\lambda_H}$, $\sigma$ the pull at zero ($1/m$), $s = \sigma - \lambda > 0$. While $0 \le z_A
\le Y$ for all $A$, $\sigma e^{-Y} \le g_A \le \sigma$. So with $Y = z_0 e^{2\kappa s t}$, $\kappa = \max_A\kappa_A$,
$$\tfrac{\kappa_A}{\kappa}\tfrac{\sigma}{s}\,(E_1(z_0) - E_1(Y)) - 2\kappa_A\lambda t \le \ln\frac{z_A}{z_0} \le
2\kappa_A s t.$$ With rates $k_1 > k_2$ of main effects and the rest, $r = z_1/z_2$ (any of the ratios): $r \le
e^{2(k_1-k_2)st}$, and $r$ rises at least until $Y = Y^* = -\ln((k_2 s/k_1 + \lambda)/\sigma)$, having reached $R$.
The onset lies between $\ln r_h(R)/(2(k_1 - k_2)s)$ and, by $e^{-Y} \ge 1 - Y$, $((\ell - \eta z_0)/\beta -
W_0(-\tfrac{\eta z_0}\beta e^{(\ell - \eta z_0)/\beta}))/(2 k_1 s)$, $\beta = 1 - k_2/k_1$, $\eta = \sigma/s$, $\ell =
\ln(2 + N/M)$; the peak is not before $\ln(Y^*/z_0)/(2k_1 s)$; if $R \ge 2 + N/M$ the end is not before
$(\eta(E_1(z_0) - E_1(Y^*)) - \ell)/(2(k_1\lambda + k_2 s))$. Both bounds of the onset tend to $\ell/(2(k_1-k_2)s)$ as
$z_0 \to 0$."""

N1, N2, K1, K2 = sp.symbols("n1 n2 k1 k2", positive=True)


def theorem() -> Theorem:
    return Theorem(
        name="cross_entropy_window_lies_between_two_curves",
        statement=STATEMENT,
        setting=("cross-entropy", "free"),
        hypotheses=(
            "one-hot",
            "balanced start, the same on all strata",
            "kW lam_W = kH lam_H",
            "the times: two rates k1 > k2",
            "lam < sigma",
        ),
        scope=f"bounds of the pull and the growth under it: {SCOPE}; the times: any two rates, by their equations, "
        "and as theory/ states them on a * b without ridge",
        claims=(8, 9),
        rests_on=(
            "Schur: entrywise exp of a positive semidefinite matrix is one, so pi_A >= 0 where z >= 0",
            "comparison of integrals; e^-Y >= 1 - Y",
            "E_1' = -e^-x / x, W e^W = x",
            "limits of explicit bounds",
        ),
        uses=("matrix_flow_reduces_to_the_mode_equations", "two_levels_keep_their_order_under_the_ridge"),
        proof=(
            *(step for formula in GALLERY for step in pull(formula)),
            *(step for formula in GALLERY for step in shifted(formula)),
            *partition(),
            *curves(),
            *times(),
            *as_stated(),
        ),
        mutations={
            "margins of up to 2 Y": pull("a[n1] * b[n2]", reach=2),
            "a sum of V - 1": pull("a[n1] / b[n2]", less=1),
            "growth at kappa": curves(two=1),
            "the lower curve without the ridge": curves(ridge=0),
            "the other branch's sign": times(sign=-1),
            "the peak at ln(k2/k1)": as_stated(swapped=True),
        },
    )


def pull(formula: str, reach: int = 1, less: int = 0) -> tuple[Step, ...]:
    """M_T is a mean of the z_A; and g_A = scale sum_T v_T (1 - chi_A(T)) S_T, with weights >= 0 that sum to V."""
    derived, attributes = flow(formula), model(formula).attributes
    known, domain = dict(derived.definitions), sizes(attributes)
    v = {relation.name: relation.valency for relation in attributes.relations[:-1]}
    V = attributes.cardinality
    steps: list[Step] = []
    for T in v:
        margin = known[sp.Symbol(f"M_{T.replace(':', '__')}", real=True)]
        shares = {A: sp.diff(margin, derived.z[A]) for A in attributes.names[1:]}
        steps.append(Identity(f"{formula}: the shares of M_{T}", sum(shares.values()), sp.Integer(reach)))
        steps += [Positive(f"{formula}: share of {A} in M_{T}", x, domain, strict=False) for A, x in shares.items()]
    for A in attributes.names[1:]:
        weights = {T: v[T] * (1 - attributes.character(A, T)) for T in v}
        stated = model(formula).scale * sum(weights[T] * sp.Symbol(f"S_{T.replace(':', '__')}", real=True) for T in v)
        steps.append(Identity(f"{formula}: g on {A}", known[derived.g[A]], stated))
        steps.append(Identity(f"{formula}: its weights on {A}", sum(weights.values()), V - less))
        steps += [Positive(f"{formula}: weight of {T} on {A}", x, domain, strict=False) for T, x in weights.items()]
    return tuple(steps)


def partition() -> tuple[Step, ...]:
    """S_T = x_T / (1 + sum v x) >= e^-Y / V for e^-Y <= x_T <= 1: the weights are v >= 0 with 1 + sum v = V."""
    V, low, spare, gap = sp.symbols("V y u d", positive=True)  # x_T = y + u; 1 + sum v x = V - d
    return (
        Positive(
            "softmax of each label",
            ((low + spare) / (V - gap) - low / V).subs(V, gap + 1 + sp.Symbol("w", positive=True)),
            dict.fromkeys((low, spare, gap, sp.Symbol("w", positive=True)), NONNEGATIVE),
            strict=False,
        ),
    )


def curves(two: int = 2, ridge: int = 1) -> tuple[Step, ...]:
    """d ln z_A/dt = 2 kappa_A (g_A - lam) at g_A = sigma and g_A = sigma e^-Y."""
    kA, k, sigma, lam, z0 = sp.symbols("kappa_A kappa sigma lambda z0", positive=True)
    s = sigma - lam
    Y = z0 * sp.exp(2 * k * s * TIME)
    upper = two * kA * s * TIME
    lower = kA / k * sigma / s * (sp.expint(1, z0) - sp.expint(1, Y)) - 2 * ridge * kA * lam * TIME
    return (
        Identity("Y grows at the largest rate", sp.diff(sp.log(Y), TIME), 2 * k * s),
        Identity("the upper curve", sp.diff(upper, TIME), 2 * kA * (sigma - lam)),
        Identity("the lower curve", sp.diff(lower, TIME), 2 * kA * (sigma * sp.exp(-Y) - lam)),
    )


def times(sign: int = 1) -> tuple[Step, ...]:
    """The times solve their equations; W stands for W_0(-(eta z0/beta) e^reach), reach = (level - eta z0)/beta."""
    k1, k2, sigma, lam, z0, level, W, gain = sp.symbols("k1 k2 sigma lambda z0 ell W gain", positive=True)
    s = sigma - lam
    eta, beta = sigma / s, 1 - k2 / k1
    reach = sp.Symbol("q", positive=True)
    onset = (reach - W) / (2 * k1 * s)
    Y = z0 * sp.exp(reach - W)
    where = ((W * sp.exp(W), -sign * eta * z0 / beta * sp.exp(reach)), (reach * beta, level - eta * z0))
    end = (gain - level) / (2 * (k1 * lam + k2 * s))
    below = sigma * (k2 * s / k1 + lam) / sigma
    return (
        Identity(
            "onset, above: (k1 - k2) 2 s t - eta (Y - z0)", 2 * (k1 - k2) * s * onset - eta * (Y - z0), level, where
        ),
        Identity(
            "the lower curve's rate is what e^-Y = 1 - Y leaves", 2 * k1 * (sigma - lam) - 2 * k2 * s, 2 * (k1 - k2) * s
        ),
        Identity(
            "d Y/dt",
            sp.diff(eta * z0 * sp.exp(2 * k1 * s * TIME), TIME),
            2 * k1 * sigma * z0 * sp.exp(2 * k1 * s * TIME),
        ),
        Identity("end, below", gain - 2 * (k1 * lam + k2 * s) * end, level),
        Identity("at e^-Y* the ratio's lower rate is 0", 2 * k1 * (below - lam) - 2 * k2 * s, sp.S(0)),
    )


def as_stated(swapped: bool = False) -> tuple[Step, ...]:
    """The expressions of theory/ on a * b without ridge, where sigma = 1/(n1 n2), lam = 0 and Y* = ln(k1/k2)."""
    kernel = {"1": K2, "a": K1, "b": K1, "a:b": K2}
    structure = UFM("a[n1] * b[n2]", feature_kernel=kernel, label_kernel=kernel)
    found, _ = window_formulas(structure)
    sigma, m = structure.scale, structure.attributes.multiplicities
    M, N, z0 = m["a"] + m["b"], m["a:b"], W0 * H0
    summit = -sp.log(K1 / K2 if swapped else K2 / K1)
    big = sp.Symbol("R", positive=True)
    return (
        Identity("peak", z0 * sp.exp(2 * K1 * sigma * found["peak"][0]), summit),
        Identity("end", 2 * K2 * sigma * found["end"][0], sp.expint(1, z0) - sp.expint(1, summit) - sp.log(2 + N / M)),
        Identity("half-maximum", half_maximum_ratio(big, M, N), ((2 * M + N) * big + N) / (M * big + M + 2 * N)),
    )
