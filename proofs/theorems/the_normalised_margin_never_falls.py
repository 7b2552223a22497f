"""Cross-entropy without ridge: the margin in units of the norm never falls once the loss is below ln 2.

With mu = -ln S, S = sum_T v_T exp(-M_T), the loss of a context is ln(1 + S) and P = S / (1 + S). Homogeneity gives
the growth of the norm, descent and Cauchy-Schwarz bound the fall of the loss by its square, and every M_T >= mu.
"""

import sympy as sp

from ...theory.flow import WIDTH
from ..checker import Theorem
from ..gallery import CHAINS, CROSSED, MIXED, flow, model
from ..steps import NONNEGATIVE, POSITIVE, SIZE, Identity, Positive, Step, SumOfSquares

STATEMENT = r"""One-hot cross-entropy, mean loss $\ln(1 + S)$ with $S = \sum_T v_T e^{-M_T}$, no ridge, any positive
kernels. **Free**: with $\rho^2 = \sum_A m_A (w_A^2/\kappa^W_A + h_A^2/\kappa^H_A)$, $\mu = -\ln S$: while $S < 1$,
$\mu / \rho^2$ never falls. **Sphere and normalized**: with $|W|^2 = \sum_A m_A w_A^2/\kappa^W_A$, $\mu / |W|$ never
falls. Indeed $\frac{d}{dt} \frac{\rho^2}{4} = \frac{d}{dt} \frac{|W|^2}{2} = \sum_T v_T S_T M_T = P \bar M$ with $P =
S/(1+S)$, $\bar M \ge \min_T M_T \ge \mu$, the loss falls at $D \ge (\dot\rho)^2$ (free) or $D \ge
\big(\frac{d}{dt}|W|\big)^2$, and $\dot\mu = D / P$."""
FORMULAS = (*CROSSED[:2], *CHAINS, *MIXED)


def theorem() -> Theorem:
    return Theorem(
        name="the_normalised_margin_never_falls",
        statement=STATEMENT,
        setting=("cross-entropy", "free, sphere or normalized", "positive kernels, as the norm divides by them"),
        hypotheses=("one-hot", "no ridge", "a loss below ln 2"),
        scope="all sizes; one factor, a * b, chains of up to 3, (a * b) / c, (a / b) * c; Cauchy-Schwarz for up to 10 "
        "modes (Lagrange's identity); normalized features' part of the descent: up to two factors",
        claims=(10, 13),
        uses=("loss_never_rises_along_the_flow", "sphere_keeps_norms_and_its_fixed_points_ignore_the_kernel"),
        proof=(
            *(step for formula in FORMULAS for step in homogeneity(formula)),
            *(step for formula in FORMULAS for step in descent(formula)),
            *(step for count in (2, 3, 4, 6, 8, 10) for step in cauchy(count)),
            *combined(2),
            *combined(1),
        ),
        mutations={
            "rho^2 / 2 for rho^2 / 4": homogeneity("a[n1] * b[n2]", half=sp.S(1)),
            "the sphere's descent without the kernel": descent("a[n1] * b[n2]", kernel=False),
            "one square too few": cauchy(3, left_out=1),
            "mu / rho^3 never falls": combined(2, power=3),
        },
        references=("Lyu, Li 2020 (homogeneous networks, free)",),
    )


def homogeneity(formula: str, half: sp.Expr = sp.Rational(1, 2)) -> tuple[Step, ...]:
    """The growth of the norms is the sum of v S M, by the derived flow with S_T and z_A left as they are."""
    steps: list[Step] = []
    for constraint in ("free", "sphere", "normalized"):
        derived, structure = flow(formula, constraint=constraint), model(formula, constraint=constraint)
        attributes, kW, kH = structure.attributes, structure.label_kernel, structure.feature_kernel
        m = attributes.multiplicities
        defined = {str(symbol): value for symbol, value in derived.definitions}
        known = {g: defined[str(g)] for g in derived.g.values()}
        growth = sum(m[A] * w * derived.rates[w] / kW[A] for A, w in derived.w.items())
        if constraint == "free":
            growth = half * (growth + sum(m[A] * h * derived.rates[h] / kH[A] for A, h in derived.h.items()))
        products = {z: derived.w[A] * derived.h[A] for A, z in derived.z.items()}
        v = {T.name: T.valency for T in attributes.relations[:-1]}
        letters = {T: T.replace(":", "__") for T in v}
        S = {T: sp.Symbol(f"S_{letter}", real=True) for T, letter in letters.items()}
        margin = sum(v[T] * S[T] * defined[f"M_{letters[T]}"] for T in v).xreplace(products)
        steps.append(Identity(f"{constraint}, {formula}: growth", growth.xreplace(known), margin))
    return tuple(steps)


def descent(formula: str, kernel: bool = True) -> tuple[Step, ...]:
    """-dL/dt = sum_A m_A g_A dz_A/dt; on the sphere W's part is sum m w'^2 / kW, and H's a sum of squares."""
    steps: list[Step] = []
    for constraint in ("free", "sphere", "normalized"):
        derived, structure = flow(formula, constraint=constraint), model(formula, constraint=constraint)
        m, kW, kH = structure.attributes.multiplicities, structure.label_kernel, structure.feature_kernel
        g, w, h = derived.g, derived.w, derived.h
        by_w = sum(m[A] * g[A] * h[A] * derived.rates[w[A]] for A in w)
        squares = sum(m[A] * derived.rates[w[A]] ** 2 / kW[A] for A in w)
        steps.append(Identity(f"{constraint}, {formula}: W's part", by_w, squares))
        if constraint == "free":
            by_h = sum(m[A] * g[A] * w[A] * derived.rates[h[A]] for A in h)
            squares = sum(m[A] * derived.rates[h[A]] ** 2 / kH[A] for A in h)
            steps.append(Identity(f"free, {formula}: H's part", by_h, squares))
        elif constraint == "sphere":
            steps.append(_tangent_descent(formula, kernel))
        elif formula in FORMULAS[:3]:
            steps.append(_normalized_descent(formula))
    return tuple(steps)


def _tangent_descent(formula: str, kernel: bool) -> Step:
    """sum m u h' = sum m kH (u - c h)^2 on the sphere, with u = g w and c = <u, h> / <h, h>."""
    derived, structure = flow(formula, constraint="sphere"), model(formula, constraint="sphere")
    m, kH = structure.attributes.multiplicities, structure.feature_kernel
    u = {A: derived.g[A] * w for A, w in derived.w.items()}
    known: dict[sp.Symbol, sp.Expr] = {}
    for symbol, value in derived.definitions:
        if str(symbol) in ("c", "a") or str(symbol).startswith("f_"):
            known[symbol] = value.xreplace(known)
    c = next(value for symbol, value in known.items() if str(symbol) == "c")
    change = sum(m[A] * u[A] * derived.rates[h].xreplace(known) for A, h in derived.h.items())
    weights = {A: m[A] * (kH[A] if kernel else 1) for A in u}
    domain = dict.fromkeys(structure.attributes.sizes.values(), SIZE) | dict.fromkeys(kH.values(), POSITIVE)
    squares = tuple((weights[A], u[A] - c * h) for A, h in derived.h.items())
    return SumOfSquares(f"sphere, {formula}: H's part", change, squares, domain)


def _normalized_descent(formula: str) -> Step:
    """The same for h = R phi / sqrt(N) with kF R^2 / N in place of kH; N stays a symbol, with its rate by the chain."""
    derived, structure = flow(formula, constraint="normalized"), model(formula, constraint="normalized")
    m, kF = structure.attributes.multiplicities, structure.feature_kernel
    phi = dict(zip(derived.h, derived.state[len(derived.w) :], strict=True))
    N, square = next((symbol, value) for symbol, value in derived.definitions if str(symbol) == "N")
    keep = {N, *derived.g.values()}
    known: dict[sp.Symbol, sp.Expr] = {}
    for symbol, value in derived.definitions:
        if symbol not in keep:
            known[symbol] = value.xreplace(known)
    h = {A: known[symbol] for A, symbol in derived.h.items()}
    rate = {A: derived.rates[phi[A]].xreplace(known) for A in phi}
    rate_N = sum(sp.diff(square, phi[A]) * rate[A] for A in phi)
    u = {A: derived.g[A] * w for A, w in derived.w.items()}
    change = sum(m[A] * u[A] * (sp.diff(h[A], phi[A]) * rate[A] + sp.diff(h[A], N) * rate_N) for A in h)
    c = sum(m[A] * u[A] * phi[A] for A in h) / (structure.contexts * N)
    squares = tuple((m[A] * kF[A] * WIDTH / N, u[A] - c * phi[A]) for A in h)
    domain = dict.fromkeys(structure.attributes.sizes.values(), SIZE)
    domain |= dict.fromkeys((*kF.values(), N, WIDTH), POSITIVE)
    return SumOfSquares(f"normalized, {formula}: H's part", change, squares, domain)


def cauchy(count: int, left_out: int = 0) -> tuple[Step, ...]:
    """sum p x^2 sum p y^2 - (sum p x y)^2 = sum over pairs of p p' (x y' - y x')^2."""
    p, x, y = (sp.symbols(f"{letter}1:{count + 1}", positive=True) for letter in "pxy")
    form = sum(q * a**2 for q, a in zip(p, x)) * sum(q * b**2 for q, b in zip(p, y))
    form -= sum(q * a * b for q, a, b in zip(p, x, y)) ** 2
    squares = [(p[i] * p[j], x[i] * y[j] - y[i] * x[j]) for i in range(count) for j in range(i)]
    squares = squares[left_out:]
    return (SumOfSquares(f"Cauchy-Schwarz, {count} modes", form, tuple(squares), dict.fromkeys(p, POSITIVE)),)


def combined(degree: int, power: int | None = None) -> tuple[Step, ...]:
    """d ln(mu)/dt - power d ln(rho)/dt >= 0: rho rho' = degree P Mbar, Mbar = mu + k, loss rate (rho')^2 + e."""
    power = degree if power is None else power
    P, mu, rho = sp.symbols("P mu rho", positive=True)
    k, e = sp.symbols("k e", nonnegative=True)
    S = sp.Symbol("S", positive=True)
    slope = degree * P * (mu + k) / rho
    gap = (slope**2 + e) / (P * mu) - power * slope / rho
    domain = dict.fromkeys((P, mu, rho), POSITIVE) | dict.fromkeys((k, e), NONNEGATIVE)
    loss = sp.log(1 + S)
    return (
        Identity("d(mu)/dt = D / P", -1 / S, -sp.diff(loss, S) / (S / (1 + S))),
        Positive(f"degree {degree}: mu / norm^{power}", gap, domain, strict=False),
    )
