"""Sign descent (Adam's limit) on one-hot labels: the first step is 2 I - J, the same on all strata but the mean."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..gallery import GALLERY, SCOPE
from ..steps import SIZE, Identity, MatrixIdentity, Positive, Step

STATEMENT = r"""One-hot labels, $W$ and $H$ in the algebra ($d = V$, frame $Q = I$), near zero and alike on all
strata: the pull on $W$ is a positive multiple of $I - J/V$, positive on the diagonal and negative off it. The step of
sign or RMS-normalised descent is $2I - J$: eigenvalue 2 on every stratum but the mean ($2 - V$). All attributes grow
alike in it, whatever the kernel. Later steps have entries $\pm 1$ by relation, and are in the algebra too."""


def theorem() -> Theorem:
    return Theorem(
        name="first_sign_step_moves_every_stratum_alike",
        statement=STATEMENT,
        setting=("sign or RMS-normalised steps", "as wide as there are labels"),
        hypotheses=("one-hot", "frame Q = I", "a start alike on all strata"),
        scope=f"the first step: all V; the eigenvalues of signs by relation: {SCOPE}.  The rest of the run is not "
        "part of it",
        claims=(14,),
        uses=("entrywise_functions_stay_in_the_algebra",),
        proof=(*signs(), *(step for formula in GALLERY for step in spectrum(formula))),
        mutations={
            "I - J": spectrum("a[n1] * b[n2]", diagonal=0),
            "a sign that is 0 off the diagonal": spectrum("a[n1] / b[n2]", off=0),
            "J J = J": signs(unit=True),
        },
        references=("Kingma, Ba, Adam, 2015", "Bernstein et al., signSGD, 2018"),
    )


def signs(unit: bool = False) -> tuple[Step, ...]:
    J, V = sp.Symbol("J", commutative=False), sp.Symbol("V", positive=True)
    rules = (((J, J), J if unit else V * J),)
    domain = {V: SIZE}
    return (
        MatrixIdentity("off the mean 2 I - J is 2", (2 - J) * (1 - J / V), 2 * (1 - J / V), rules),
        MatrixIdentity("on the mean it is 2 - V", (2 - J) * (J / V), (2 - V) * (J / V), rules),
        Positive("the pull is positive on the diagonal", 1 - 1 / V, domain),
        Positive("and negative off it", 1 / V, domain),
    )


def spectrum(formula: str, diagonal: int = 1, off: int = -1) -> tuple[Step, ...]:
    attributes = Attributes(formula)
    v = {T.name: T.valency for T in attributes.relations}
    same = attributes.names[-1]
    return tuple(
        Identity(
            f"{formula}: eigenvalue on {A}",
            sum(v[T] * (diagonal if T == same else off) * attributes.character(A, T) for T in v),
            sp.S(2),
        )
        for A in attributes.names[1:]
    )
