"""The puzzle: with one-hot labels and equal kernels every stratum grows alike, so the Gram stays on the ETF ray."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.flow import derive_flow
from ...theory.kernels import symbols_for
from ...theory.model import UFM
from ..checker import Theorem
from ..gallery import GALLERY, LAM_H, LAM_W, SCOPE, at
from ..steps import Identity, Step

STATEMENT = r"""With one-hot balanced labels and kernels that are the same on all strata but the mean, a start with
$w_A = w$, $h_A = h$ on all of them keeps $w_A = w(t)$, $h_A = h(t)$: the Gram matrices stay multiples of the simplex
ETF (plus the mean), no attribute precedes another, and $g_A = V e^{-z} / (m (1 + (V-1) e^{-z}))$ for cross-entropy,
$(1 - z)/m$ for squared error."""


def theorem() -> Theorem:
    return Theorem(
        name="one_hot_equal_kernels_has_no_transient",
        statement=STATEMENT,
        setting=("free",),
        hypotheses=(
            "one-hot balanced labels",
            "kernels equal on all strata but the mean",
            "equal start on all of them",
        ),
        scope=f"both losses, any ridge; general strata by completeness of the characters; derived flows: {SCOPE}",
        claims=(4,),
        rests_on=("uniqueness of solutions of ordinary differential equations",),
        uses=("entrywise_functions_stay_in_the_algebra", "matrix_flow_reduces_to_the_mode_equations"),
        proof=tuple(step for formula in GALLERY for step in (*equal_rates(formula), *equal_margins(formula))),
        mutations={
            "feature kernels that differ": equal_rates("a[n1] * b[n2]", kernels=True),
            "soft targets that differ": equal_rates("a[n1] * b[n2]", targets=True),
            "starts that differ": equal_rates("a[n1] / b[n2]", start=True),
            "a residual without V": equal_margins("a[n1]", factor=sp.S(1)),
        },
        references=("Mixon, Parshall, Pi, Neural collapse with unconstrained features, 2020",),
    )


def equal_rates(formula: str, kernels: bool = False, targets: bool = False, start: bool = False) -> tuple[Step, ...]:
    """On the plane w_A = w, h_A = h the rates of all strata but the mean agree."""
    attributes = Attributes(formula)
    kW, kH, w, h = sp.symbols("kW kH w h", positive=True)
    feature = symbols_for(attributes, "kH") if kernels else dict.fromkeys(attributes.names, kH)
    target = symbols_for(attributes, "tau") | {"1": sp.S(1)} if targets else None
    steps: list[Step] = []
    for loss in ("mse", "cross_entropy"):
        model = UFM(
            attributes, loss=loss, targets=target, feature_kernel=feature, label_kernel=kW, ridge=(LAM_W, LAM_H)
        )
        flow = derive_flow(model)
        plane = {x: w for x in flow.w.values()} | {
            x: (i + 1 if start else 1) * h for i, x in enumerate(flow.h.values())
        }
        first, *others = attributes.names[1:]
        for letter, symbols in (("w", flow.w), ("h", flow.h)):
            alike = at(flow, flow.rates[symbols[first]], plane)
            for A in others:
                rate = at(flow, flow.rates[symbols[A]], plane)
                steps.append(Identity(f"{loss}, {formula}: d{letter}/dt on {A} as on {first}", rate, alike))
    return tuple(steps)


def equal_margins(formula: str, factor: sp.Expr | None = None) -> tuple[Step, ...]:
    """All margins are z, and softmax has one value off the diagonal; from sums over characters alone."""
    attributes = Attributes(formula)
    z = sp.Symbol("z", positive=True)
    m, V = attributes.multiplicities, attributes.cardinality
    v = {T.name: T.valency for T in attributes.relations[:-1]}
    steps: list[Step] = []
    for T in v:
        margin = sum(m[A] * (1 - attributes.character(A, T)) / V * z for A in m if A != "1")
        steps.append(Identity(f"{formula}: the margin at {T} is z", margin, z))
    S = sp.exp(-z) / (1 + (V - 1) * sp.exp(-z))
    for A in attributes.names[1:]:
        g = sum(v[T] * (1 - attributes.character(A, T)) * S for T in v) / V
        steps.append(Identity(f"{formula}: g on {A}", g, (V if factor is None else factor) * S / V))
    return tuple(steps)
