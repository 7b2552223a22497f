"""Cross-entropy on the ETF ray, balanced, free: 2 k scale sqrt(r) V t = Ei(M) - Ei(M0) + (V - 1) ln(M / M0)."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.closed_forms import Z0
from ...theory.cross_entropy_forms import Z, cross_entropy_closed_form
from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Theorem
from ..gallery import at
from ..steps import POSITIVE, SIZE, Identity, Positive, Step

STATEMENT = r"""Cross-entropy, one-hot, $V$ labels with $r$ contexts each, free, no ridge, on every stratum of the
labels but the mean the same $\kappa^W_A \kappa^H_A = k^2$, the same $z_A(0) = z_0 > 0$, and a balanced start. Then
all $z_A = z$ and all $w_A/\sqrt{\kappa^W_A} = h_A/\sqrt{\kappa^H_A}$ stay equal, the margin is $M = z/\sqrt r$, $\dot z
= 2 k z \sigma \sqrt r V / (e^M + V - 1)$ with $\sigma = 1/m$ (mean) or $1$ (sum), and $2 k \sigma \sqrt r V t =
\mathrm{Ei}(M) - \mathrm{Ei}(M_0) + (V - 1) \ln (M/M_0)$, which increases in $M > 0$. One stratum, kernels 1, $r = 1$:
$t = \frac{m}{2V} [\mathrm{Ei}(z) - \mathrm{Ei}(z_0) + (V-1) \ln(z/z_0)]$."""

# The formula, the part that the label keeps, and the reduction.
STRUCTURES = (
    ("a[n1]", None, "mean"),
    ("a[n1]", None, "sum"),
    ("a[n1] * b[n2]", None, "mean"),
    ("a[n1] / b[n2]", None, "sum"),
    ("a[n1] * b[n2]", "a", "mean"),
    ("(a[n1] * b[n2]) / c[n3]", "a * b", "sum"),
)


def theorem() -> Theorem:
    return Theorem(
        name="cross_entropy_one_stratum_is_implicit_in_Ei",
        statement=STATEMENT,
        setting=("cross-entropy", "free"),
        hypotheses=(
            "one-hot",
            "no ridge",
            "kW kH the same on all label strata but the mean",
            "the same z(0) on all of them",
            "balanced start",
            "positive start",
        ),
        scope="all sizes and kernels; the derived flows of a (mean and sum), a * b (mean), a / b (sum), and, with "
        "contexts that share a label, of a * b under labels a (mean) and of (a * b) / c under labels a * b (sum); the "
        "form is the one that theory/ gives, mean and sum",
        claims=(7,),
        rests_on=(
            "d Ei(z)/dz = e^z / z",
            "the inverse of an increasing function",
            "uniqueness of solutions of ordinary differential equations",
        ),
        uses=("one_hot_equal_kernels_has_no_transient",),
        proof=(*(step for structure in STRUCTURES for step in ray(*structure)), *implicit()),
        mutations={
            "without the factor 2": implicit(two=1),
            "V instead of V - 1 before the logarithm": implicit(less=0),
            "Ei(-M)": implicit(sign=-1),
            "no sqrt(r) in the rate": ray("a[n1] * b[n2]", "a", "mean", root=False),
            "kernels whose products differ": ray("a[n1] * b[n2]", None, "mean", product=sp.Integer(2)),
            "a start off balance": ray("a[n1] * b[n2]", None, "mean", balance=sp.Integer(2)),
        },
    )


def ray(
    formula: str,
    labels: str | None,
    reduction: str,
    root: bool = True,
    product: sp.Expr = sp.S(1),
    balance: sp.Expr = sp.S(1),
) -> tuple[Step, ...]:
    """With w = c_A x, h = (k / c_A) x, kW = c_A^2, kH = (k / c_A)^2, every stratum has the same dx/dt = k g x.

    `product` multiplies the kernel kH of the last stratum, `balance` its h (and divides its w).
    """
    attributes = Attributes(formula)
    strata = [A for A in attributes.keep(labels).names if A != "1"]
    k, x = sp.symbols("k x", positive=True)
    c = dict(zip(strata, sp.symbols(f"c1:{len(strata) + 1}", positive=True), strict=True))
    last = {A: product if A == strata[-1] else sp.S(1) for A in strata}
    turned = {A: balance if A == strata[-1] else sp.S(1) for A in strata}
    model = UFM(
        attributes,
        labels,
        label_kernel={A: c[A] ** 2 for A in strata},
        feature_kernel={A: last[A] * (k / c[A]) ** 2 if A in c else 1 for A in attributes.names if A != "1"},
        reduction=reduction,
    )
    V, r = model.label_count, model.replication
    M = k * x**2 / sp.sqrt(r)
    g = model.scale * (sp.sqrt(r) if root else 1) * V / (sp.exp(M) + V - 1)
    flow = derive_flow(model)
    state = {flow.w[A]: c[A] * x / turned[A] for A in strata}
    state |= {flow.h[A]: k / c[A] * x * turned[A] for A in strata}
    steps: list[Step] = []
    for A in strata:
        dw, dh = (at(flow, flow.rates[symbols[A]], state) for symbols in (flow.w, flow.h))
        where = f"{formula}, labels {labels or 'all'}, {reduction}, {A}"
        steps.append(Identity(f"{where}: dw/dt / sqrt(kW) = k g x", dw / c[A], k * g * x))
        steps.append(Identity(f"{where}: dh/dt / sqrt(kH) = k g x", dh / (k / c[A]), k * g * x))
    return tuple(steps)


def implicit(two: int = 2, less: int = 1, sign: int = 1) -> tuple[Step, ...]:
    """z = k x^2 moves at 2 k g z; the time that theory/ states is its inverse, and increases."""
    a, b, M = sp.symbols("a b M", positive=True)
    V, r = sp.symbols("n r", integer=True, positive=True)
    steps: list[Step] = []
    for reduction in ("mean", "sum"):
        model = UFM("a[n] * b[r]", "a", label_kernel=a**2, feature_kernel=b**2, reduction=reduction)
        form = cross_entropy_closed_form(model, "a")
        root, rate = sp.sqrt(r), two * a * b * model.scale * sp.sqrt(r) * V
        speed = 2 * a * b * Z * model.scale * root * V / (sp.exp(Z / root) + V - 1)
        ends = sp.Ei(sign * Z / root) - sp.Ei(sign * Z0 / root)
        steps += [
            Identity(f"{reduction}: what theory/ states", form.time, (ends + (V - less) * sp.log(Z / Z0)) / rate),
            Identity(f"{reduction}: dt/dz is the inverse of dz/dt", sp.diff(form.time, Z) * speed, sp.S(1)),
            Identity(f"{reduction}: t = 0 at z = z0", form.time.subs(Z, Z0), sp.S(0)),
        ]
    E = sp.Symbol("E", positive=True)
    return (
        *steps,
        Positive("t increases with M (E = e^M)", (E + V - 1) / M, {E: POSITIVE, M: POSITIVE, V: SIZE}),
    )
