"""Sphere, equal kernels: deviations from the ETF ray shrink like w^-4, that is like powers of ln t, to first order."""

import sympy as sp

from ...theory.model import UFM
from ...theory.system import derive
from ..checker import Theorem
from ..gallery import CHAINS, CROSSED, at
from ..steps import NONNEGATIVE, POSITIVE, Identity, Step, SumOfSquares

STATEMENT = r"""One-hot cross-entropy on the sphere, no ridge, $\kappa^W_A = \kappa$, $\kappa^H_A = k$. Along the ETF
ray $w_A = w(t)$, $h_A = h$ with $\dot w = \kappa g h$, write $w_A = w (1 + \omega_A)$, $h_A = h (1 + \eta_A)$ with
$\sum m_A \omega_A = \sum m_A \eta_A = 0$ and $\nu = w h / V$. To first order $\dot\omega_A = \kappa g \frac{h}{w}
(\eta_A - \omega_A - \nu (\omega_A + \eta_A))$, $\dot\eta_A = k g \frac{w}{h} (\omega_A - \eta_A - \nu (\omega_A +
\eta_A))$. For every $p < 6$ the sum $w^p \sum m_A (w^2 \omega_A^2 / \kappa + h^2 \eta_A^2 / k)$ falls once $w$ is
large: with $\epsilon = \kappa h^2 / k w^2$, as soon as $D = 6 - p - p\epsilon > 0$ and $2\nu - p \ge (2 - p)^2 / D$.
So $\omega_A = O(w^{-(p + 2)/2})$ for every $p < 6$: $w^{-4}$ up to any power, and $w$ grows like $\ln t$. A mean of
the features falls at $k g w / h$."""


def theorem() -> Theorem:
    return Theorem(
        name="the_etf_attracts_on_the_sphere_at_powers_of_the_logarithm",
        statement=STATEMENT,
        setting=("cross-entropy", "sphere"),
        hypotheses=("one-hot", "no ridge", "equal kernels"),
        scope="the linearised flow along the ray (whose coefficients move with w): one factor, a * b and a / b "
        "from the derived Jacobian, all sizes; the falling sum: all structures",
        claims=(13,),
        uses=("sphere_keeps_norms_and_its_fixed_points_ignore_the_kernel",),
        proof=(
            *(step for formula in (*CROSSED[:2], CHAINS[0]) for step in linearised(formula)),
            *falling(),
        ),
        mutations={
            "a stiffness of 2 nu": linearised("a[n1] / b[n2]", stiffness=2),
            "features that do not relax": linearised("a[n1] / b[n2]", relax=0),
            "D = 8 - p - p epsilon": falling(top=8),
        },
    )


def linearised(formula: str, stiffness: int = 1, relax: int = 1) -> tuple[Step, ...]:
    """The derived Jacobian at the ETF, with e^z = E, applied to deviations whose weighted sums vanish."""
    k, kappa, w, h = sp.symbols("k kappa w h", positive=True)
    structure = UFM(formula, feature_kernel=k, label_kernel=kappa, constraint="sphere")
    system = derive(structure)
    derived, m, V = system.flow, structure.attributes.multiplicities, structure.label_count
    others = structure.attributes.names[1:]
    point = {x[A]: sp.S(0) if A == "1" else value for x, value in ((derived.w, w), (derived.h, h)) for A in m}
    omega, eta = (
        dict(zip(others, sp.symbols(f"{name}1:{len(others) + 1}", real=True), strict=True)) for name in ("omega", "eta")
    )
    for x in (omega, eta):
        x[others[-1]] = -sum(m[A] * x[A] for A in others[:-1]) / m[others[-1]]
    moved = {derived.w[A]: w * omega[A] for A in others} | {derived.h[A]: h * eta[A] for A in others}
    mean = sp.Symbol("h_mean", real=True)
    moved[derived.h["1"]] = mean
    g = 1 / (sp.exp(w * h) + V - 1)
    nu = stiffness * w * h / V
    claimed = {derived.w["1"]: sp.S(0), derived.h["1"]: -k * g * w / h * mean}
    for A in others:
        pull = -nu * (omega[A] + eta[A])
        claimed[derived.w[A]] = kappa * g * h * (eta[A] + pull)
        claimed[derived.h[A]] = k * g * w * (omega[A] - relax * eta[A] + pull)
    jacobian, state = system.jacobian(), derived.state
    steps: list[Step] = []
    for i, x in enumerate(state):
        change = sum(at(derived, jacobian[i, j], point) * moved.get(y, sp.S(0)) for j, y in enumerate(state))
        steps.append(Identity(f"{formula}: {x}", change, claimed[x]))
    return tuple(steps)


def falling(top: int = 6) -> tuple[Step, ...]:
    """The rate of the sum is -g h w^(p + 1) times a form in zeta = omega + eta and eta, with weights D and delta."""
    p, k, kappa, g, w, h, nu, delta = sp.symbols("p k kappa g w h nu delta", positive=True)
    omega, eta = sp.symbols("omega eta", real=True)
    zeta = omega + eta
    rates = {
        omega: kappa * g * h / w * (eta - omega - nu * zeta),
        eta: k * g * w / h * (omega - eta - nu * zeta),
        w: kappa * g * h,
    }
    size = w**2 * omega**2 / kappa + h**2 * eta**2 / k
    change = sum(sp.diff(size, x) * rate for x, rate in rates.items()) + p / w * rates[w] * size
    D = sp.Symbol("D", positive=True)  # top - p - p kappa h^2 / (k w^2), solved for k; delta is what 2 nu has to spare
    known = {k: p * kappa * h**2 / (w**2 * (top - p - D)), nu: (p + (2 - p) ** 2 / D + delta) / 2}
    form = (-change / (g * h * w)).xreplace(known)
    squares = ((D, eta - (2 - p) / D * zeta), (delta, zeta))
    domain = {D: POSITIVE, delta: NONNEGATIVE}
    return (SumOfSquares("the sum falls", form, squares, domain),)
