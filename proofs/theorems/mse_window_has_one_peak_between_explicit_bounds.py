"""Squared error with two rates: the semantic window rises and falls once; its times lie between explicit bounds."""

import sympy as sp

from ...theory.closed_forms import Z0, logistic
from ...theory.flow import TIME
from ...theory.window import half_maximum_ratio, peak_bounds
from ..checker import Theorem
from ..steps import NONNEGATIVE, POSITIVE, Identity, Positive, Step

STATEMENT = r"""Squared error, free, balanced (with a balanced ridge $\tau$ is the shifted plateau); all main effects
share $k_1 = \sqrt{\kappa^W\kappa^H}$, all others $k_2 < k_1$, one $\tau$, one $\kappa^W/\kappa^H$, one start $z_0 <
\tau$. With $E = e^{2 k_2 \tau t/m}$, $\alpha = k_1/k_2$, $c = \tau/z_0 - 1$: $r = z_1/z_2 = E^{\alpha-1}(E +
c)/(E^\alpha + c)$ rises to one peak and then falls; the peak is the root of $E^\alpha = \alpha E + c(\alpha - 1)$,
where $r = R = E^{\alpha-1}/\alpha$, and $L \le E \le L + (L-1)/(L^{\alpha-1} - 1)$, $L = (\alpha +
c(\alpha-1))^{1/\alpha}$; it is $1 + \sqrt{\tau/z_0}$ for $\alpha = 2$, and in radicals for $3/2$, $3$, $4$. The index
is at half of its maximum where $r = r_h = ((2M+N)R + N)/(MR + M + 2N)$: at the onset $E = \psi(E) = (r_h (E^\alpha +
c)/(E + c))^{1/(\alpha-1)}$, at the end $E = \chi(E) = c/(r_h - 1 + r_h c E^{-\alpha})$; $\psi$ and $\chi$ increase,
so that from $1 \le E_{onset} \le E_{peak} \le E_{end} \le c/(r_h - 1)$ their iterates bracket both. As $z_0 \to 0$:
$\ln c$ is the common leading term of $2 k_1\tau t_{peak}/m$ and $2 k_2 \tau t_{end}/m$, the onset stays bounded, and
$t_{end}/t_{peak} \to k_1/k_2$."""


def theorem() -> Theorem:
    return Theorem(
        name="mse_window_has_one_peak_between_explicit_bounds",
        statement=STATEMENT,
        setting=("squared error", "free"),
        hypotheses=("balanced start", "two rates k1 > k2", "equal targets and starts", "z0 < tau"),
        scope="all real alpha > 1, all dimensions M, N, starts and targets; radicals for alpha = 3/2, 2, 3, 4",
        claims=(8, 9),
        rests_on=(
            "Bernoulli: x^alpha >= 1 + alpha (x - 1) for x > 0, alpha > 1",
            "iterates of an increasing map from a bound of a fixed point are bounds of it",
            "limits of explicit bounds",
        ),
        uses=("balanced_mse_is_logistic", "balanced_factors_cost_z_over_sqrt_kW_kH"),
        proof=(*one_peak(), *bounds(), *radicals(), *half(), *borders()),
        mutations={
            "k1 and k2 exchanged in the peak": one_peak(exchanged=True),
            "the peak at R = E^(alpha-1)": one_peak(height=1),
            "the tangent from the other side": bounds(sign=-1),
            "E = sqrt(tau/z0) for alpha = 2": radicals(shift=-1),
            "half of the ratio instead of half of the index": half(naive=True),
            "an onset map without c": borders(onset_c=0),
        },
    )


ALPHA, C, E, Q = sp.symbols("alpha c E Q", positive=True)  # Q stands for E^alpha
R = Q * (E + C) / (E * (Q + C))


def one_peak(exchanged: bool = False, height: int = 0) -> tuple[Step, ...]:
    """E' = b E, Q' = a Q: the sign of r' is that of F = a (E + c) - b (Q + c), which falls from (a - b)(1 + c) > 0."""
    s1, s2, tau, a, b, u, d = sp.symbols("s_1 s_2 tau a b u d", positive=True)
    first, second = (logistic(s, tau) for s in (s1, s2))
    start = tau / Z0 - 1
    closed = R.subs({C: start, E: sp.exp(2 * s2 * tau * TIME), Q: sp.exp(2 * s1 * tau * TIME)}, simultaneous=True)
    F = a * (E + C) - b * (Q + C) if not exchanged else b * (E + C) - a * (Q + C)
    log_slope = sp.diff(R, E) * b * E / R + sp.diff(R, Q) * a * Q / R
    at_peak = ((Q, ALPHA * E + C * (ALPHA - 1)),)
    return (
        Identity("the ratio of two logistics", first / second, closed),
        Identity("its slope", log_slope, C * F / ((Q + C) * (E + C))),
        Identity("F at the start", F.subs({E: 1, Q: 1}), (a - b) * (1 + C)),
        Positive("which is positive", ((a - b) * (1 + C)).subs(a, b + d), {b: POSITIVE, d: POSITIVE, C: POSITIVE}),
        Positive(
            "F falls while Q > E",
            -(sp.diff(F, E) * b * E + sp.diff(F, Q) * a * Q).subs(Q, E * (1 + u)),
            dict.fromkeys((a, b, E, u), POSITIVE),
        ),
        Identity(
            "F = 0 in terms of alpha",
            F.subs({a: ALPHA * b, Q: ALPHA * E + C * (ALPHA - 1)}, simultaneous=True),
            sp.S(0),
        ),
        Identity("the ratio there", R, Q / (E if height else ALPHA * E), at_peak),
    )


def bounds(sign: int = 1) -> tuple[Step, ...]:
    """L^alpha = alpha + c (alpha - 1), K = L^(alpha-1); the tangent at L lies below E^alpha."""
    L, K, u, beta = sp.symbols("L K u beta", positive=True)
    power, value = ALPHA + C * (ALPHA - 1), ALPHA * E + C * (ALPHA - 1)
    tangent = power + ALPHA * K * (E - L)
    low, high = peak_bounds(1 + beta, C)
    return (
        Positive(
            "E^alpha >= L^alpha", (value - power).subs({ALPHA: 1 + beta, E: 1 + u}),
            {beta: POSITIVE, u: NONNEGATIVE, C: POSITIVE},
            strict=False,
        ),
        Identity("E^alpha - tangent", sign * (value - tangent), ALPHA * ((L - 1) - (K - 1) * (E - L))),
        Identity("L is what theory/ states", low ** (1 + beta), power.subs(ALPHA, 1 + beta)),
        Identity("and the upper bound", high, low + (low - 1) / (low**beta - 1)),
        Positive(
            "c / L^alpha stays below 1/(alpha - 1)", (1 / (ALPHA - 1) - C / power).subs(ALPHA, 1 + beta),
            {beta: POSITIVE, C: POSITIVE},
        ),
    )  # fmt: skip


def radicals(shift: int = 0) -> tuple[Step, ...]:
    """alpha = 3: E = x + 1/x, x^3 + x^-3 = 2 c; 3/2: E = (1/2 + (x + 1/x)/2)^2, x^3 + x^-3 = 2 (1 + 2 c);

    4: E = (p + s)/2, s^2 = 8/p - p^2, p^2 = 2 m, m^3 + 3 c m = 2.
    """
    x, p, s, m, n = sp.symbols("x p s m n", positive=True)
    two = peak_bounds(sp.Integer(2), C)[0] + shift
    cosh = (x + 1 / x) / 2
    three, three_halves, four = 2 * cosh, (sp.Rational(1, 2) + cosh) ** 2, (p + s) / 2

    def rest(E: sp.Expr, alpha: sp.Rational) -> sp.Expr:
        return E**alpha - alpha * E - C * (alpha - 1)

    root = sp.Rational(1, 2) + cosh  # the square root of E for 3/2
    return (
        Identity("alpha = 2", rest(two, sp.Integer(2)), sp.S(0)),
        Identity("alpha = 3", rest(three, sp.Integer(3)).subs(C, (x**3 + x**-3) / 2), sp.S(0)),
        Identity(
            "alpha = 3/2",
            (root**3 - sp.Rational(3, 2) * three_halves - C / 2).subs(C, ((x**3 + x**-3) / 2 - 1) / 2),
            sp.S(0),
        ),
        Identity(
            "alpha = 4", rest(four, sp.Integer(4)), sp.S(0),
            ((s**2 * p, 8 - p**3), (p**2, 2 * m), (m**3 + 3 * C * m, sp.S(2))),
        ),
        Identity("the cubic's root", (n - C / n) ** 3 + 3 * C * (n - C / n), sp.S(2), ((n**6, 2 * n**3 + C**3),)),
    )  # fmt: skip


def half(naive: bool = False) -> tuple[Step, ...]:
    M, N, top, extra = sp.symbols("M N R_max u", positive=True)
    r = top / 2 if naive else half_maximum_ratio(top, M, N)

    def index(ratio: sp.Expr) -> sp.Expr:
        return M * (ratio - 1) / (M * ratio + N)

    share, etf = M * top / (M * top + N), M / (M + N)
    domain = dict.fromkeys((M, N, top), POSITIVE)
    return (
        Identity("the index of the ratio", (share - etf) / (1 - etf), index(top)),
        Identity("half of its maximum", index(r), index(top) / 2),
        Positive("r_h grows with R", sp.diff(r, top), domain),
        Positive("r_h < 2 + N/M", 2 + N / M - r, domain),
        Positive("r_h > 1", (r - 1).subs(top, 1 + extra), {M: POSITIVE, N: POSITIVE, extra: POSITIVE}),
    )


def borders(onset_c: int = 1) -> tuple[Step, ...]:
    """Fixed points of psi and chi, which increase; with Q' = alpha Q / E in E, alpha = 1 + beta, Q = E (1 + u)."""
    beta, u, r, x, d = sp.symbols("beta u r x d", positive=True)
    psi = R * (Q + onset_c * C) / (E + C)
    ratio = (Q + C) / (E + C)
    slope = sp.diff(ratio, E) + sp.diff(ratio, Q) * ALPHA * Q / E
    chi = C / (r - 1 + r * C / Q)
    chi_slope = sp.diff(chi, Q) * ALPHA * Q / E
    domain = dict.fromkeys((beta, u, E, C, d), POSITIVE)
    put = {ALPHA: 1 + beta, Q: E * (1 + u), r: 1 + d}
    return (
        Identity("psi(E)^(alpha-1) at r(E)", psi, Q / E),
        Positive("psi increases", slope.subs(put, simultaneous=True).subs(E, 1 + x), domain | {x: NONNEGATIVE}),
        Identity("chi(E) at r(E)", chi.subs(r, R), E),
        Positive("chi increases", chi_slope.subs(put, simultaneous=True), domain),
        Positive("E_end <= c/(r_h - 1)", (C / (r - 1) - chi).subs(put, simultaneous=True), domain),
    )
