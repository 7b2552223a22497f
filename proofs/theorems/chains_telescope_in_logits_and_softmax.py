"""Along a chain of nestings, logits and softmax's singular values differ from level to level by one term each."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..steps import Identity, Step

STATEMENT = r"""On a chain of nestings let $N_k$ be the number of contexts in a block of level $k$ ($N_K = 1$), and let
$Z_k$ and $S_k$ be the entries of $Z$ and of softmax$(Z)$ for contexts that share their first $k$ levels and no more.
Then $Z_k - Z_{k-1} = (z_k - z_{k+1})/N_k$ and $\pi_k - \pi_{k+1} = N_k (S_k - S_{k-1})$ with $z_{K+1} = \pi_{K+1} =
0$. Hence $z_k - z_{k+1}$ and $\pi_k - \pi_{k+1}$ have one sign."""
FORMULAS = ("a[n1]", "a[n1] / b[n2]", "a[n1] / b[n2] / c[n3]", "a[n1] / b[n2] / c[n3] / d[n4]")


def theorem() -> Theorem:
    return Theorem(
        name="chains_telescope_in_logits_and_softmax",
        statement=STATEMENT,
        setting=("a chain of nestings",),
        hypotheses=("one context per label",),
        scope="all sizes, depth <= 4",
        claims=(3,),
        rests_on=("S_k / S_{k-1} = exp(Z_k - Z_{k-1}), so that S_k - S_{k-1} has the sign of Z_k - Z_{k-1}",),
        uses=("entrywise_functions_stay_in_the_algebra",),
        proof=tuple(step for formula in FORMULAS for step in telescope(formula)),
        mutations={
            "blocks of the level above": telescope(FORMULAS[1], shift=-1),
            "without the finer level": telescope(FORMULAS[2], finer=0),
        },
        references=("Saxe et al. 2019, for squared error",),
    )


def telescope(formula: str, shift: int = 0, finer: int = 1) -> tuple[Step, ...]:
    attributes = Attributes(formula)
    names, sizes = attributes.names, list(attributes.sizes.values())
    N = [sp.Mul(*sizes[k:]) for k in range(len(names))]
    # A number for each level, read once as singular values and once as entries; beyond the finest level it is 0.
    q = [*(sp.Symbol(f"q{k}") for k in range(len(names))), sp.S(0)]
    named = dict(zip(names, q, strict=False))
    entries, eigenvalues = attributes.entries(named), attributes.eigenvalues(named)
    Z, pi = list(entries.values()), [*eigenvalues.values(), sp.S(0)]
    steps: list[Step] = []
    for k in range(1, len(names)):
        block = N[k + shift]
        steps.append(Identity(f"{formula}: Z_{k} - Z_{k - 1}", Z[k] - Z[k - 1], (q[k] - finer * q[k + 1]) / block))
        steps.append(Identity(f"{formula}: pi_{k} - pi_{k + 1}", pi[k] - pi[k + 1], block * (q[k] - q[k - 1])))
    return tuple(steps)
