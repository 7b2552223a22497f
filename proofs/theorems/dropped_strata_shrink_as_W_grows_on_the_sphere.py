"""Variability collapse on the sphere and under normalisation: h = h(0) exp(-kH growth of |W|^2 / 2N), exactly."""

import sympy as sp

from ..checker import Theorem
from ..gallery import flow, model
from ..steps import Identity, Step

STATEMENT = r"""No ridge; $B$ a stratum that the label drops; $|W|^2 = \sum_A m_A w_A^2 / \kappa^W_A$. **Sphere**,
with $N = \sum m_A h_A^2$ (constant) and $Q = \sum m_A h_A^2 / \kappa^H_A$: $\frac{d}{dt} |W|^2 = 2 N c$, $\dot Q = -2
a Q$, and $\dot h_B / h_B = -(\kappa^H_B c + a)$, so $$\frac{h_B(t)}{\sqrt{Q(t)}} = \frac{h_B(0)}{\sqrt{Q(0)}}
\exp\left(-\frac{\kappa^H_B}{2N} \left(|W(t)|^2 - |W(0)|^2\right)\right),$$ where $N/\max\kappa^H \le Q \le
N/\min\kappa^H$; with equal kernels $a = 0$ and $Q$ is constant. **Normalized**: $\sum m_A \varphi_A^2 / \kappa^F_A$
is constant, and $\frac{d}{dt} \ln \varphi_B = -\frac{\kappa^F_B}{2 m N} \frac{d}{dt} |W|^2$, $N$ the mean square norm
of the features. Two dropped strata part at a rate in proportion to the difference of their kernels. One-hot
cross-entropy: $N c = \sum_T v_T S_T M_T$, positive when all margins $M_T$ are."""
FORMULAS = (
    ("a[n1] * b[n2]", "a"),
    ("a[n1] / b[n2]", "a"),
    ("a[n1] * b[n2] * c[n3]", "a"),
    ("(a[n1] * b[n2]) / c[n3]", "a * b"),
    ("(a[n1] / b[n2]) * c[n3]", "a * c"),
)


def theorem() -> Theorem:
    return Theorem(
        name="dropped_strata_shrink_as_W_grows_on_the_sphere",
        statement=STATEMENT,
        setting=(
            "sphere or normalized",
            "the labels keep an ancestral set of attributes",
            "positive kernels, as |W| and Q divide by them",
        ),
        hypotheses=("no ridge on W",),
        scope=f"both losses, all sizes; {', '.join(f'{f} with labels {kept}' for f, kept in FORMULAS)}",
        claims=(12,),
        rests_on=("a quantity whose logarithmic derivatives are equal is fixed up to a constant",),
        uses=("sphere_keeps_norms_and_its_fixed_points_ignore_the_kernel",),
        proof=tuple(
            step
            for formula, kept in FORMULAS
            for step in (*sphere(formula, kept), *normalized(formula, kept), *pull(formula, kept))
        ),
        mutations={
            "twice the exponent": sphere("a[n1] * b[n2]", "a", factor=2),
            "N in place of Q": sphere("a[n1] / b[n2]", "a", kernel=False),
            "normalized features keep their norm": normalized("a[n1] * b[n2]", "a", kernel=False),
            "normalized, without m": normalized("a[n1] / b[n2]", "a", factor=2),
            "the mean margin without valencies": pull("a[n1] / b[n2]", "a", valency=False),
        },
        references=("Papyan, Han, Donoho 2020 (NC1)",),
    )


def growth(formula: str, kept: str, constraint: str, loss: str) -> tuple[sp.Expr, dict[sp.Symbol, sp.Expr]]:
    """d|W|^2/dt along the derived flow, and the definitions of c and a (in terms of the pulls g)."""
    derived = flow(formula, loss=loss, constraint=constraint, labels=kept)
    structure = model(formula, loss=loss, constraint=constraint, labels=kept)
    m, kW = structure.attributes.multiplicities, structure.label_kernel
    rate = sum(2 * m[A] * w * derived.rates[w] / kW[A] for A, w in derived.w.items())
    return rate, {symbol: value for symbol, value in derived.definitions if str(symbol) in ("a", "c")}


def sphere(formula: str, kept: str, factor: int = 1, kernel: bool = True) -> tuple[Step, ...]:
    """c, a and f are left as they are defined: by the pulls g, whatever these are."""
    steps: list[Step] = []
    for loss in ("mse", "cross_entropy"):
        derived = flow(formula, loss=loss, constraint="sphere", labels=kept)
        structure = model(formula, loss=loss, constraint="sphere", labels=kept)
        m, kH, h = structure.attributes.multiplicities, structure.feature_kernel, derived.h
        rate, named = growth(formula, kept, "sphere", loss)
        c, a = sp.symbols("c a", real=True)
        N = sum(m[A] * h[A] ** 2 for A in h)
        Q = sum(m[A] * h[A] ** 2 / (kH[A] if kernel else 1) for A in h)
        change = sum(sp.diff(Q, h[A]) * derived.rates[h[A]] for A in h)
        f = {symbol: value for symbol, value in derived.definitions if str(symbol).startswith("f_")}
        where = f"{loss}, {formula}, labels {kept}"
        steps.append(Identity(f"{where}: d|W|^2/dt = 2 N c", rate, 2 * N * named[c]))
        steps.append(
            Identity(f"{where}: dQ/dt = -2 a Q", change.xreplace(f).subs(c, named[c]), (-2 * a * Q).subs(c, named[c]))
        )
        for B in h.keys() - derived.w.keys():
            speed = derived.rates[h[B]].xreplace(f)
            steps.append(Identity(f"{where}: dh/dt on {B}", speed, -(factor * kH[B] * c + a) * h[B]))
    return tuple(steps)


def normalized(formula: str, kept: str, factor: int = 1, kernel: bool = True) -> tuple[Step, ...]:
    """With r = R / sqrt(N) and h = r phi put in; d|W|^2/dt and the features' rates are linear in the pulls g."""
    derived = flow(formula, loss="mse", constraint="normalized", labels=kept)
    structure = model(formula, loss="mse", constraint="normalized", labels=kept)
    m, kF, contexts = structure.attributes.multiplicities, structure.feature_kernel, structure.contexts
    rate, _ = growth(formula, kept, "normalized", "mse")
    phi = dict(zip(derived.h, derived.state[len(derived.w) :], strict=True))
    N, square = next((symbol, value) for symbol, value in derived.definitions if str(symbol) == "N")
    keep = {N, *derived.g.values()}
    known: dict[sp.Symbol, sp.Expr] = {}
    for symbol, value in derived.definitions:
        if symbol not in keep:
            known[symbol] = value.xreplace(known)
    rates = {A: derived.rates[phi[A]].xreplace(known) for A in phi}
    change = sum(2 * m[A] * phi[A] * rates[A] / (kF[A] if kernel else 1) for A in phi)
    where = f"{formula}, labels {kept}"
    norm = ((N, square),)
    steps: list[Step] = [Identity(f"{where}: the weighted norm of the features", change.subs(N, square), sp.S(0))]
    for B in phi.keys() - derived.w.keys():
        claimed = -factor * kF[B] / (2 * contexts * N) * rate.xreplace(known) * phi[B]
        steps.append(Identity(f"{where}: dphi/dt on {B}", rates[B].subs(N, square), claimed.subs(*norm[0])))
    return tuple(steps)


def pull(formula: str, kept: str, valency: bool = True) -> tuple[Step, ...]:
    """One-hot cross-entropy: half of d|W|^2/dt, the sum of m g z, is the sum of v S M over relations of the labels."""
    derived = flow(formula, constraint="sphere", labels=kept)
    structure = model(formula, constraint="sphere", labels=kept)
    m, labels = structure.attributes.multiplicities, structure.label_attributes
    S = {T: sp.Symbol(f"S_{T.replace(':', '__')}", real=True) for T in labels.names}
    M = {T: sp.Symbol(f"M_{T.replace(':', '__')}", real=True) for T in labels.names}
    defined = {str(symbol): value for symbol, value in derived.definitions}
    left = sum(m[A] * defined[str(derived.g[A])] * z for A, z in derived.z.items())
    right = sum((T.valency if valency else 1) * S[T.name] * defined[str(M[T.name])] for T in labels.relations[:-1])
    return (Identity(f"{formula}, labels {kept}: the pull is the mean margin", left, right),)
