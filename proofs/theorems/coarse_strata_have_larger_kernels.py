"""The embedding kernel is larger on coarser strata: attributes precede interactions, and coarse precedes fine."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.kernels import embedding_kernel
from ..checker import Theorem
from ..gallery import GALLERY, sizes
from ..steps import NONNEGATIVE, POSITIVE, Identity, Interval, Positive, Step

STATEMENT = r"""Let $K = \sum_k \alpha_k E_k + \delta I$ with $\alpha_k > 0$, $\delta \ge 0$. When the stratum $A$ is
coarser than $B$ ($A \subsetneq B$), $\kappa_A \ge \kappa_B$, and $\kappa_A > \kappa_B$ when $A$ is not the mean and
lies within the closure of an attribute that does not hold $B$: main effects exceed the interactions that they enter,
by at least $\alpha_k V/n_k$ under crossing, and under nesting every level exceeds the next. On equal targets they
grow faster from small equal starts."""
FORMULAS = (
    *GALLERY,
    "a[n1] * b[n2] * c[n3] * d[n4]",
    "a[n1] / b[n2] / c[n3] / d[n4]",
    "(a[n1] / b[n2]) * (c[n3] / d[n4])",
)


def theorem() -> Theorem:
    return Theorem(
        name="coarse_strata_have_larger_kernels",
        statement=STATEMENT,
        setting=("crossings and nestings",),
        hypotheses=("embedding kernel with positive weights",),
        scope="all sizes and weights; the gallery, 4 crossed, 4 nested, and (a / b) * (c / d)",
        claims=(8,),
        uses=("growth_rate_near_zero_is_2_sqrt_kW_kH_tau_over_m",),
        proof=(*(step for formula in FORMULAS for step in ordered(formula)), *crossed_eigenvalue()),
        mutations={
            "fine before coarse": ordered("a[n1] / b[n2]", sign=-1),
            "interactions above main effects": ordered("a[n1] * b[n2]", sign=-1),
            "weights that may vanish, strictly": ordered("a[n1] * b[n2]", weights=NONNEGATIVE),
            "alpha V instead of alpha V / n": crossed_eigenvalue(divided=False),
        },
    )


def ordered(formula: str, sign: int = 1, weights: Interval = POSITIVE) -> tuple[Step, ...]:
    attributes = Attributes(formula)
    alpha = {k: sp.Symbol(f"alpha_{k}", positive=True) for k in attributes.sizes}
    delta = sp.Symbol("delta", positive=True)
    kernel = embedding_kernel(attributes, alpha, delta)
    domain = sizes(attributes) | {a: weights for a in alpha.values()} | {delta: NONNEGATIVE}
    strata = dict(zip(attributes.names, attributes.ancestral_sets, strict=True))
    steps: list[Step] = []
    for A, coarse in strata.items():
        for B, fine in strata.items():
            if coarse < fine and A != "1":
                strict = any(coarse <= attributes.closure(k) and not fine <= attributes.closure(k) for k in alpha)
                steps.append(Positive(f"{formula}: {A} above {B}", sign * (kernel[A] - kernel[B]), domain, strict))
    return tuple(steps)


def crossed_eigenvalue(divided: bool = True) -> tuple[Step, ...]:
    attributes = Attributes("a[n1] * b[n2] * c[n3]")
    alpha = {k: sp.Symbol(f"alpha_{k}", positive=True) for k in attributes.sizes}
    delta, V = sp.Symbol("delta", positive=True), attributes.cardinality
    kernel = embedding_kernel(attributes, alpha, delta)
    steps: list[Step] = [
        Identity(f"main effect {k}", kernel[k], delta + alpha[k] * V / (attributes.sizes[k] if divided else 1))
        for k in alpha
    ]
    return (*steps, *(Identity(f"interaction {A}", kernel[A], delta) for A in ("a:b", "a:c", "b:c", "a:b:c")))
