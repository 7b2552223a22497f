"""With ridge on both factors, every positive start converges to the minimum of one convex programme."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.kernels import cooccurrence_targets
from ...theory.model import UFM
from ..checker import Theorem
from ..gallery import GALLERY, LAM_H, LAM_W, SCOPE, flow, model, sizes
from ..steps import POSITIVE, Identity, Positive, Step

STATEMENT = r"""Free, $\lambda_W, \lambda_H > 0$, $\mu = \sqrt{\lambda_W\lambda_H}$, positive kernels, one-hot
cross-entropy or squared error with targets $\ge 0$. From every start with $w_A, h_A > 0$ on all strata the flow
converges to the point with $w_A^2/h_A^2 = \lambda_H/\lambda_W$, $z$ the minimum of $L(z) + \mu\sum_A m_A z_A$ over $z
\ge 0$, which no kernel and no start enters. For: the open orthant is invariant, since $g_A \ge 0$ wherever $z_A = 0$;
the regularised loss is analytic and coercive and falls, so the trajectory has one limit, a critical point; there a
stratum is at zero or has $g_A = \mu$; one at zero with $g_A > \mu$ has a positive left eigenvector $u$ of growth $r >
0$, and $u\cdot(w_A, h_A)$ could not have fallen to zero; what is left are the conditions of the minimum, which is
unique as $L$ is strictly convex."""
SOFT = cooccurrence_targets(model("a[n1] * b[n2]").attributes, "1/2", {"a": 1})


def theorem() -> Theorem:
    return Theorem(
        name="every_positive_start_with_ridge_ends_at_one_point",
        statement=STATEMENT,
        setting=("free",),
        hypotheses=(
            "lam_W, lam_H > 0",
            "positive kernels",
            "one-hot cross-entropy, or squared error with targets >= 0",
            "w, h > 0 on every stratum at the start",
        ),
        scope=f"signs of g and rates on the faces: {SCOPE}; critical points and repulsion: every stratum of every "
        "structure.  Descent, and convexity of cross-entropy in the margins, are those of the theorems used",
        claims=(9,),
        rests_on=(
            "a bounded trajectory of an analytic gradient flow converges (Lojasiewicz)",
            "a quadratic with negative value at 0 has a positive root",
            "V' >= (r - c |delta|) V with delta -> 0 keeps a positive V from falling to 0",
            "the conditions of Kuhn and Tucker are met by the minimum of a strictly convex function alone",
        ),
        uses=(
            "loss_never_rises_along_the_flow",
            "gradient_is_the_matrix_flow",
            "matrix_flow_reduces_to_the_mode_equations",
            "ridge_fixed_point_is_stable",
            "strata_that_the_label_drops_decay_at_kH_lam_H",
        ),
        proof=(
            *(step for formula in GALLERY for step in (*faces(formula), *signs(formula), *squared_error(formula))),
            *critical_points(),
            *repulsion(),
        ),
        mutations={
            "soft targets of cross-entropy": signs("a[n1] * b[n2]", soft=True),
            "faces without the partner": faces("a[n1]", partner=False),
            "critical points at g = lam_W lam_H": critical_points(power=1),
            "zero repels where g < mu too": repulsion(side=-1),
            "an eigenvector that is not positive": repulsion(turned=-1),
        },
        references=("Lojasiewicz 1963; Absil, Mahony, Andrews 2005", "Zhu et al. 2021 (no spurious minima)"),
    )


def faces(formula: str, partner: bool = True) -> tuple[Step, ...]:
    """The derived rates: at w_A = 0 the rate of w_A is kW_A g_A h_A, and at h_A = 0 that of h_A is kH_A g_A w_A."""
    steps: list[Step] = []
    for loss in ("mse", "cross_entropy"):
        derived = flow(formula, (LAM_W, LAM_H), loss=loss)
        structure = model(formula, (LAM_W, LAM_H), loss=loss)
        for A, w in derived.w.items():
            g, h = derived.g[A], derived.h[A]
            kW, kH = structure.label_kernel[A], structure.feature_kernel[A]
            for x, y, k, lam in ((w, h, kW, LAM_W), (h, w, kH, LAM_H)):
                right = k * (g * (y if partner else 1) - lam * x)
                steps.append(Identity(f"{loss}, {formula}: d{x}/dt", derived.rates[x], right))
    return tuple(steps)


def signs(formula: str, soft: bool = False) -> tuple[Step, ...]:
    """Cross-entropy: m_A g_A is a sum of probabilities S_T > 0 with weights >= 0, one of them > 0; g = 0 on the mean.

    The positive weight is where only a lowest factor k of A, and what is nested in k, differs: chi = -1/(n_k - 1).
    """
    attributes = model(formula).attributes
    derived = derive_flow(UFM(formula, targets=SOFT)) if soft else flow(formula)
    m, V = attributes.multiplicities, attributes.cardinality
    definitions = dict(derived.definitions)
    v = {T.name: T.valency for T in attributes.relations[:-1]}
    S = {T: sp.Symbol(f"S_{T.replace(':', '__')}", real=True) for T in v}
    steps: list[Step] = [Identity(f"{formula}: g on the mean", definitions[derived.g["1"]], sp.S(0))]
    for stratum in attributes.strata[1:]:
        A = stratum.name
        weight = {T: m[A] * (1 - attributes.character(A, T)) / V for T in v}
        pull = sum(v[T] * weight[T] * S[T] for T in v)
        steps.append(Identity(f"{formula}: m g on {A}", m[A] * definitions[derived.g[A]], pull))
        steps += [Positive(f"{formula}: weight of {T}", weight[T], sizes(attributes), strict=False) for T in v]
        lowest = min(attributes.lowest(frozenset(stratum.factors)))
        kept = {k for k in attributes.sizes if k != lowest and lowest not in attributes.ancestors[k]}
        steps.append(Positive(f"{formula}: one weight on {A}", weight[attributes.term(kept)], sizes(attributes)))
    return tuple(steps)


def squared_error(formula: str) -> tuple[Step, ...]:
    """g_A = (tau_A - z_A) scale: tau_A scale >= 0 where z_A = 0; the loss has the second derivative m_A scale > 0."""
    derived, structure = flow(formula, loss="mse"), model(formula, loss="mse")
    definitions, m = dict(derived.definitions), structure.attributes.multiplicities
    steps: list[Step] = []
    for A, z in derived.z.items():
        pull = structure.scale * (structure.tau[A] - z)
        steps.append(Identity(f"{formula}: g on {A}", definitions[derived.g[A]], pull))
        steps.append(Identity(f"{formula}: curvature on {A}", sp.diff(derived.loss, z, 2), m[A] * structure.scale))
    return tuple(steps)


def critical_points(power: int = 2) -> tuple[Step, ...]:
    g, w, h = sp.symbols("g w h", real=True)
    fixed = ((g * h, LAM_W * w), (g * w, LAM_H * h))
    return (
        Identity("g^2 = lam_W lam_H unless w h = 0", g**power * w * h, LAM_W * LAM_H * w * h, fixed),
        Identity("w = 0 gives h = 0", LAM_H * h, sp.S(0), (*fixed, (w, sp.S(0)))),
        Identity("h = 0 gives w = 0", LAM_W * w, sp.S(0), (*fixed, (h, sp.S(0)))),
        Identity("w^2 lam_W = h^2 lam_H", LAM_W * w**2, LAM_H * h**2, fixed),
    )


def repulsion(side: int = 1, turned: int = 1) -> tuple[Step, ...]:
    """lam_W = p^2, lam_H = q^2, g = p q + e; r is a root of the characteristic polynomial, u its left eigenvector."""
    p, q, e, r, kW, kH = sp.symbols("p q e r kW kH", positive=True)
    w, h, delta = sp.symbols("w h delta", real=True)
    g = p * q + side * e

    def block(pull: sp.Expr) -> sp.Matrix:
        return sp.Matrix([[-kW * p**2, kW * pull], [kH * pull, -kH * q**2]])

    u = sp.Matrix([[turned * kH * g, r + kW * p**2]])
    x = sp.Matrix([w, h])
    root = ((r**2, -(kW * p**2 + kH * q**2) * r + kW * kH * (g**2 - p**2 * q**2)),)
    here, change = u * block(g), (u * block(g + delta) * x)[0] - r * (u * x)[0]
    domain = dict.fromkeys((p, q, e, r, kW, kH), POSITIVE)
    return (
        Identity("the characteristic polynomial", (r * sp.eye(2) - block(g)).det(), r**2 - root[0][1]),
        Positive("it is negative at 0", kW * kH * (g**2 - p**2 * q**2), domain),
        *(Identity(f"left eigenvector, entry {i}", here[i], r * u[i], root) for i in range(2)),
        *(Positive(f"it is positive, entry {i}", u[i], domain) for i in range(2)),
        Identity("V' - r V for g + delta", change, delta * (kW * u[0] * h + kH * u[1] * w), root),
    )
