"""From a symmetric start the matrix flow is the flow of the singular values, and it is the one that theory/ derives."""

from itertools import product

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.kernels import symbols_for
from ...theory.model import UFM
from ..checker import Theorem
from ..gallery import GALLERY, LAM_H, LAM_W, SCOPE, flow, model
from ..steps import Identity, MatrixIdentity, Rule, Step

STATEMENT = r"""Let $Q$ be an orthonormal frame ($Q^\top Q = I$), $W = B \sum_A w_A P_A Q^\top$ and $H = Q \sum_A h_A
P_A$, where $B$ ($B B^\top = I$) averages contexts into labels. Then $Z = B \sum_A w_A h_A P_A$, $G = -B \sum_A g_A
P_A$, and the matrix flow stays of this form with $\dot w_A = \kappa^W_A (g_A h_A - \lambda_W w_A)$, $\dot h_A =
\kappa^H_A (g_A w_A - \lambda_H h_A)$, $g_A = (\tau_A - \pi_A)/m$; strata that the label drops have $\dot h_A =
-\kappa^H_A \lambda_H h_A$."""


def theorem() -> Theorem:
    return Theorem(
        name="matrix_flow_reduces_to_the_mode_equations",
        statement=STATEMENT,
        setting=("free", "attributes of crossings and nestings"),
        hypotheses=(
            "balanced labels",
            "kernels and targets in the algebra",
            "W and H of the symmetric form at the start",
        ),
        scope="the matrix part: all formulas and sizes, any loss with G in the algebra; the derived equations: "
        f"{SCOPE}",
        claims=(3,),
        rests_on=("uniqueness of solutions of ordinary differential equations",),
        uses=("strata_projectors_resolve_the_identity", "entrywise_functions_stay_in_the_algebra"),
        proof=(
            *matrices(),
            *(step for formula in GALLERY for step in derived_equations(formula)),
            *(step for formula in GALLERY for step in residuals(formula)),
        ),
        mutations={
            "a frame that is not orthonormal": matrices(frame=2),
            "W and H with different projectors": matrices(swapped=True),
            "ridge of W on H": derived_equations("a[n1] * b[n2]", ridge_H=LAM_W),
            "kernel of labels on features": derived_equations("a[n1]", swapped=True),
            "pi without valencies": residuals("a[n1] * b[n2]", valency=False),
            "sum instead of mean": residuals("a[n1]", scale=sp.S(1)),
        },
    )


def matrices(frame: int = 1, swapped: bool = False) -> tuple[Step, ...]:
    """Two strata of the labels and one that the label drops; more couple no differently, since all is bilinear."""
    Q, Qt, B, Bt = sp.symbols("Q Q' B B'", commutative=False)
    kept, dropped = sp.symbols("P1 P2", commutative=False), sp.Symbol("P0", commutative=False)
    P = (*kept, dropped)
    rules: list[Rule] = [((p, q), p if p == q else sp.S(0)) for p, q in product(P, repeat=2)]
    rules += [((Qt, Q), sp.S(frame)), ((B, Bt), sp.S(1)), ((B, dropped), sp.S(0)), ((dropped, Bt), sp.S(0))]
    rules += [rule for p in kept for rule in (((Bt, B, p), p), ((p, Bt, B), p))]
    w, g, kW = (sp.symbols(f"{letter}1 {letter}2") for letter in ("w", "g", "kW"))
    h, kH = (sp.symbols(f"{letter}1 {letter}2 {letter}0") for letter in ("h", "kH"))
    lam_W, lam_H = sp.symbols("lambda_W lambda_H")
    paired = tuple(reversed(kept)) if swapped else kept

    W = B * sum(a * p for a, p in zip(w, paired)) * Qt
    Wt = Q * sum(a * p for a, p in zip(w, paired)) * Bt
    H = Q * sum(a * p for a, p in zip(h, P))
    Ht = sum(a * p for a, p in zip(h, P)) * Qt
    G = -B * sum(a * p for a, p in zip(g, kept))
    KW = B * sum(a * p for a, p in zip(kW, kept)) * Bt
    KH = sum(a * p for a, p in zip(kH, P))
    dw = [kW[i] * (g[i] * h[i] - lam_W * w[i]) for i in range(2)]
    dh = [kH[i] * (g[i] * w[i] - lam_H * h[i]) for i in range(2)] + [-kH[2] * lam_H * h[2]]
    return (
        MatrixIdentity("Z = sum of w h P", W * H, B * sum(w[i] * h[i] * kept[i] for i in range(2)), tuple(rules)),
        MatrixIdentity(
            "dW/dt keeps its form",
            -KW * (G * Ht + lam_W * W),
            B * sum(a * p for a, p in zip(dw, kept)) * Qt,
            tuple(rules),
        ),
        MatrixIdentity(
            "dH/dt keeps its form", -(Wt * G + lam_H * H) * KH, Q * sum(a * p for a, p in zip(dh, P)), tuple(rules)
        ),
    )


def derived_equations(formula: str, ridge_H: sp.Expr = LAM_H, swapped: bool = False) -> tuple[Step, ...]:
    """The rates that SymPy derives from the loss against the mode equations, g left as a symbol."""
    steps: list[Step] = []
    labels = (None, "a") if len(model(formula).attributes.factors) > 1 else (None,)
    for loss, kept in product(("mse", "cross_entropy"), labels):
        options = {"loss": loss} | ({"labels": kept} if kept else {})
        derived, structure = flow(formula, (LAM_W, LAM_H), **options), model(formula, (LAM_W, LAM_H), **options)
        kW, kH = structure.label_kernel, structure.feature_kernel
        kW, kH = (kH, kW) if swapped else (kW, kH)
        for A, h in derived.h.items():
            where = f"{loss}, {formula}, labels {kept or 'all'}, stratum {A}"
            if A in derived.w:
                w, g = derived.w[A], derived.g[A]
                steps.append(Identity(f"{where}: dw/dt", derived.rates[w], kW[A] * (g * h - LAM_W * w)))
                steps.append(Identity(f"{where}: dh/dt", derived.rates[h], kH[A] * (g * w - ridge_H * h)))
            else:
                steps.append(Identity(f"{where}: dh/dt", derived.rates[h], -kH[A] * ridge_H * h))
    return tuple(steps)


def residuals(formula: str, valency: bool = True, scale: sp.Expr | None = None) -> tuple[Step, ...]:
    """g_A = (tau_A - pi_A) / m with pi_A the eigenvalue of the softmax, any targets; S_T stands for its entries."""
    attributes = model(formula).attributes
    targets = symbols_for(attributes, "tau") | {"1": sp.S(1)}
    structure = UFM(attributes, targets=targets)
    derived = derive_flow(structure)
    scale = structure.scale if scale is None else scale
    definitions = dict(derived.definitions)
    v = {T.name: T.valency for T in attributes.relations}
    S = {T: sp.Symbol(f"S_{T.replace(':', '__')}", real=True) for T in attributes.names[:-1]}
    S[attributes.names[-1]] = 1 - sum(v[T] * S[T] for T in S)
    steps: list[Step] = []
    for A in derived.g:
        pi = sum((v[T] if valency else 1) * S[T] * attributes.character(A, T) for T in S)
        steps.append(Identity(f"{formula}: g on {A}", definitions[derived.g[A]], scale * (structure.tau[A] - pi)))
    return tuple(steps)
