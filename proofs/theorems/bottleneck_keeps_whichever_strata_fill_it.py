"""Capacity, squared error: below full width any strata that fill the width are a global minimum, so they stay."""

from itertools import combinations

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..gallery import GALLERY, SCOPE, flow, model
from ..steps import Identity, MatrixIdentity, Step

STATEMENT = r"""One-hot squared error, no ridge, width $d < V$. If the strata in $\mathcal S$ have $\sum_{A \in
\mathcal S} m_A = d$, then $Z = \sum_{A \in \mathcal S} P_A$ is stationary with loss $(V - d)/2m$, the least that any
$Z$ of rank $d$ attains (all singular values of $T = I$ are 1): a global minimum whichever strata $\mathcal S$ holds,
so the attributes that emerge first stay for ever. A stratum with $w_A = h_A = 0$ stays at zero under both losses."""


def theorem() -> Theorem:
    return Theorem(
        name="bottleneck_keeps_whichever_strata_fill_it",
        statement=STATEMENT,
        setting=("squared error", "width d < V"),
        hypotheses=("one-hot", "no ridge", "strata whose multiplicities sum to the width"),
        scope=f"squared error: all structures; derived flows: {SCOPE}",
        claims=(11,),
        rests_on=("Eckart-Young: a matrix of rank d misses the identity of size V by at least V - d in squared norm",),
        uses=("strata_projectors_resolve_the_identity",),
        proof=(*stationary(), *(step for formula in GALLERY for step in (*losses(formula), *at_rest(formula)))),
        mutations={
            "a rank that counts strata, not their dimensions": losses("a[n1] * b[n2]", dimensions=False),
            "Z = 2 sum of P": stationary(factor=2),
            "a stratum at h = 0 but w > 0 rests": at_rest("a[n1]", w=sp.Symbol("w", positive=True)),
        },
        references=("Eckart, Young 1936", "Baldi, Hornik 1989"),
    )


def stationary(factor: int = 1) -> tuple[Step, ...]:
    """W = P Q', H = Q P with P the sum over S: G = P - I, and both gradients vanish."""
    P, Q, Qt = sp.symbols("P Q Q'", commutative=False)
    rules = (((P, P), P), ((P, Qt, Q, P), P))  # the frame is orthonormal on the strata in use
    W, H = factor * P * Qt, Q * P
    G = W * H - 1
    return (
        MatrixIdentity("dL/dW = G H' = 0", G * P * Qt, sp.S(0), rules),
        MatrixIdentity("dL/dH = W' G = 0", factor * Q * P * G, sp.S(0), rules),
    )


def losses(formula: str, dimensions: bool = True) -> tuple[Step, ...]:
    """The loss with exactly the strata in S learned is (V - rank) / 2m, for every S."""
    derived, structure = flow(formula, loss="mse"), model(formula, loss="mse")
    m, V = structure.attributes.multiplicities, structure.label_count
    strata = structure.attributes.names
    chosen = [S for r in range(len(strata) + 1) for S in combinations(strata, r)][:40]
    steps: list[Step] = []
    for S in chosen:
        level = derived.loss.xreplace({derived.z[A]: sp.S(1) if A in S else sp.S(0) for A in strata})
        rank = sum(m[A] if dimensions else 1 for A in S)
        steps.append(
            Identity(f"{formula}: loss with {' + '.join(S) or 'nothing'}", level, (V - rank) * structure.scale / 2)
        )
    return tuple(steps)


def at_rest(formula: str, w: sp.Expr = sp.S(0)) -> tuple[Step, ...]:
    steps: list[Step] = []
    for loss in ("mse", "cross_entropy"):
        derived = flow(formula, loss=loss)
        for A in Attributes(formula).names[1:]:
            zero = {derived.w[A]: w, derived.h[A]: sp.S(0)}
            for x in zero:
                steps.append(
                    Identity(f"{loss}, {formula}: d{x}/dt = 0 at zero", derived.rates[x].xreplace(zero), sp.S(0))
                )
    return tuple(steps)
