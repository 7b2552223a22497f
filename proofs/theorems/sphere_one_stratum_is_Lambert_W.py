"""Cross-entropy with one factor held: M = X/(V-1) - W0(e^(X/(V-1)) / (V-1)) with X linear in time."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.closed_forms import Z0
from ...theory.cross_entropy_forms import HELD, Z, cross_entropy_closed_form, lambert_margin, ray_level
from ...theory.flow import TIME, derive_flow
from ...theory.kernels import symbols_for
from ...theory.model import UFM
from ..checker import Theorem
from ..gallery import at
from ..steps import Identity, Step

STATEMENT = r"""Cross-entropy, one-hot, $V$ labels with $r$ contexts each, no ridge on W, features held at their norm
(sphere, or normalized with $h = \sqrt{d m/(V-1)}$), the mean and the strata that the label drops at $h = 0$, on all
others the same $\kappa^W$, $w(0)$, $h$. Then $h$ is constant whatever $\kappa^H$ is, the margin $M = z/\sqrt r$ obeys
$e^M + (V-1) M = X$ with $X = \kappa^W h^2 \sigma V t + C$, $\sigma = 1/m$ (mean) or $1$ (sum), and $M = \frac{X}{V-1} -
W_0\!\left(\frac{e^{X/(V-1)}}{V-1}\right)$. Free factors of which one has a kernel 0 obey the same with that factor in
the place of $h$, and the other's kernel."""

# The formula, the part that the label keeps, the constraint, and the reduction.
STRUCTURES = (
    ("a[n1]", None, "sphere", "mean"),
    ("a[n1]", None, "normalized", "mean"),
    ("a[n1] * b[n2]", None, "sphere", "sum"),
    ("a[n1] / b[n2]", None, "normalized", "sum"),
    ("a[n1] * b[n2]", "a", "sphere", "mean"),
    ("a[n1] * b[n2]", "a", "normalized", "mean"),
)


def theorem() -> Theorem:
    return Theorem(
        name="sphere_one_stratum_is_Lambert_W",
        statement=STATEMENT,
        setting=("cross-entropy", "a held factor"),
        hypotheses=(
            "one-hot",
            "no ridge on the other",
            "its kernel and the start the same on all label strata but the mean",
            "sphere, normalized: the mean and the strata that the label drops start at 0",
        ),
        scope="all sizes, kernels, norms and widths; the derived flows of a, and of a * b under labels a (sphere and "
        "normalized, mean), a * b (sphere, sum; free with a kernel 0, mean), a / b (normalized, sum); the form is the "
        "one that theory/ gives, mean and sum",
        claims=(7,),
        rests_on=(
            "W0(x) e^W0(x) = x, with one real solution for x > 0",
            "uniqueness of solutions of ordinary differential equations",
        ),
        uses=("one_hot_equal_kernels_has_no_transient",),
        proof=(
            *(step for structure in STRUCTURES for step in held(*structure)),
            *frozen("w"),
            *frozen("h"),
            *explicit(),
            *stated(),
        ),
        mutations={
            "h instead of h^2": held("a[n1]", None, "sphere", "mean", power=1),
            "V instead of V - 1": held("a[n1]", None, "sphere", "mean", less=0),
            "label kernels that differ": held("a[n1] * b[n2]", None, "sphere", "mean", kernels=True),
            "a mean that does not start at 0": held("a[n1]", None, "sphere", "mean", mean=sp.S(1)),
            "the frozen factor without its square": frozen("w", power=1),
            "the other sign of W0": explicit(sign=1),
            "sqrt(r) in the rate": stated(root=1),
        },
    )


def held(
    formula: str,
    labels: str | None,
    constraint: str,
    reduction: str,
    power: int = 2,
    less: int = 1,
    kernels: bool = False,
    mean: sp.Expr = sp.S(0),
) -> tuple[Step, ...]:
    """The features stay as they are on every stratum, and d/dt (e^M + (V-1) M) = kW h^2 scale V.

    `kernels` lets kW differ between strata, `mean` is the features' start on the mean.
    """
    attributes = Attributes(formula)
    kept = attributes.keep(labels)
    kW, w, h, f, d = sp.symbols("kW w h f d", positive=True)
    model = UFM(
        attributes,
        labels,
        label_kernel=symbols_for(kept, "kW") if kernels else dict.fromkeys(kept.names, kW),
        feature_kernel=symbols_for(attributes, "kH"),
        constraint=constraint,
        width=d,
        reduction=reduction,
    )
    V, root = model.label_count, sp.sqrt(model.replication)
    flow = derive_flow(model)
    features = dict(zip(attributes.names, flow.state[len(flow.w) :], strict=True))
    on_ray = [A for A in kept.names if A != "1"]
    state = {flow.w[A]: w if A in on_ray else sp.S(0) for A in kept.names}
    state |= {x: f if A in on_ray else (mean if A == "1" else sp.S(0)) for A, x in features.items()}
    where = f"{formula}, labels {labels or 'all'}, {constraint}, {reduction}"
    steps: list[Step] = [
        Identity(f"{where}: the features of {A} stay", at(flow, flow.rates[x], state), sp.S(0))
        for A, x in features.items()
    ]
    if constraint == "normalized":
        steps += [
            Identity(
                f"{where}: h^2 = d m / (V - 1) on {A}", at(flow, flow.h[A], state) ** 2, d * model.contexts / (V - 1)
            )
            for A in on_ray
        ]
    # h in the place of its value, so that w has the same rate under both constraints.
    known = {flow.w[A]: w for A in on_ray} | {flow.h[A]: h for A in on_ray}
    known |= {flow.h[A]: sp.S(0) for A in attributes.names if A not in on_ray}
    for symbol, definition in flow.definitions:
        known.setdefault(symbol, definition.xreplace(known))
    M = w * h / root
    for A in on_ray:
        rate = (sp.exp(M) + V - less) * flow.rates[flow.w[A]].xreplace(known) * h / root
        steps.append(Identity(f"{where}, {A}: d/dt (e^M + (V-1) M)", rate, kW * h**power * model.scale * V))
    return tuple(steps)


def frozen(moving: str, power: int = 2) -> tuple[Step, ...]:
    """Free, with the kernel of the other factor 0: it stays, and the level grows at its square."""
    attributes = Attributes("a[n1] * b[n2]")
    K, w, h = sp.symbols("K w h", positive=True)
    strata = [A for A in attributes.names if A != "1"]
    kW, kH = (dict.fromkeys(strata, K if moving == letter else sp.S(0)) for letter in "wh")
    model = UFM(attributes, label_kernel=kW, feature_kernel=kH)
    flow = derive_flow(model)
    state = {flow.w[A]: w for A in strata} | {flow.h[A]: h for A in strata}
    V = model.label_count
    u, symbols, still = (h, flow.w, flow.h) if moving == "w" else (w, flow.h, flow.w)
    steps: list[Step] = []
    for A in strata:
        rate = at(flow, flow.rates[symbols[A]], state)
        slope = sp.exp(w * h) + V - 1
        steps += [
            Identity(f"{moving} moves, {A}: the other stays", at(flow, flow.rates[still[A]], state), sp.S(0)),
            Identity(f"{moving} moves, {A}: d/dt (e^M + (V-1) M)", slope * rate * u, K * u**power * model.scale * V),
        ]
    return tuple(steps)


def explicit(sign: int = -1) -> tuple[Step, ...]:
    """u = W0(e^(X/(V-1)) / (V-1)) is a symbol with u e^u (V-1) = e^(X/(V-1)); Eu and EX name the exponentials."""
    n = sp.Symbol("n", integer=True, positive=True)
    u, Eu, EX, X = sp.symbols("u Eu EX X", positive=True)
    root = lambert_margin(X, n)
    written = X / (n - 1) + sign * sp.LambertW(sp.exp(X / (n - 1)) / (n - 1))
    return (
        Identity("the root that theory/ states", root, written),
        Identity(
            "e^M + (V-1) M = X at M = X/(V-1) - W0",
            EX / Eu + (n - 1) * (X / (n - 1) + sign * u),
            X,
            where=((u * Eu * (n - 1), EX),),
        ),
    )


def stated(root: int = 0) -> tuple[Step, ...]:
    """The form of theory/: its level X, and the time that inverts it."""
    kW, kH, d = sp.symbols("kW kH d", positive=True)
    n, r = sp.symbols("n r", integer=True, positive=True)
    steps: list[Step] = []
    for constraint, reduction in (("sphere", "mean"), ("sphere", "sum"), ("normalized", "mean")):
        model = UFM(
            "a[n] * b[r]", "a", label_kernel=kW, feature_kernel=kH, constraint=constraint, width=d, reduction=reduction
        )
        form = cross_entropy_closed_form(model, "a")
        value = HELD if constraint == "sphere" else sp.sqrt(d * n * r / (n - 1))
        rate = kW * value**2 * model.scale * n * sp.sqrt(r) ** root
        X = ray_level(Z0 / sp.sqrt(r), n) + rate * TIME
        where = f"{constraint}, {reduction}"
        steps += [
            Identity(f"{where}: z(t)", form.expression, sp.sqrt(r) * lambert_margin(X, n)),
            Identity(f"{where}: X at t(z)", X.subs(TIME, form.time), ray_level(Z / sp.sqrt(r), n)),
        ]
    return tuple(steps)
