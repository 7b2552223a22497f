"""Persistence: the ETF solves the max-margin programme iff the inverse kernel is nowhere positive off the diagonal."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.kernels import symbols_for
from ...theory.model import UFM
from ...theory.persistence import persistence
from ..checker import Theorem
from ..gallery import GALLERY, SCOPE
from ..steps import Cases, Identity, Step

STATEMENT = r"""Let $b_A = 1/\sqrt{\kappa^W_A \kappa^H_A}$. The ETF ($z_A = 1$ on all strata but the mean) solves
$\min \sum_A m_A b_A z_A$ subject to all margins $\ge 1$, $z \ge 0$, if and only if for every relation $T$ other than
`same` $\eta(T) = -\sum_{A \ne 1} m_A \chi_A(T) b_A \ge 0$: the matrix $\sum_{A \neq 1} b_A P_A$ has no positive entry
off the diagonal. (All margins are tight and no $z_A$ vanishes, so the dual has to be $y_T = v_T \eta(T)$.)"""

KERNELS: dict[str, tuple[tuple[int, ...], ...]] = {  # kappa on the strata but the mean
    "a[3] * b[4]": ((1, 1, 1), (19, 19, 10), (21, 21, 10), (3, 1, 1), (1, 5, 2)),
    "a[2] / b[3]": ((5, 1),),
}


def theorem() -> Theorem:
    return Theorem(
        name="collapse_is_optimal_iff_the_inverse_kernel_has_no_positive_entry",
        statement=STATEMENT,
        setting=("the programme of one-hot labels", "positive kernels, as b_A = 1/sqrt(kW kH)"),
        hypotheses=(),
        scope=f"all kernels; {SCOPE}; against the exact simplex on 6 instances.  It is a statement on the programme",
        claims=(10,),
        rests_on=(
            "complementary slackness",
            "a vector with zero sum is determined by its products with the " "characters",
        ),
        uses=("entrywise_functions_stay_in_the_algebra", "one_hot_equal_kernels_has_no_transient"),
        proof=(*(step for formula in GALLERY for step in dual(formula)), *instances()),
        mutations={
            "the opposite sign": dual("a[n1] * b[n2]", sign=1),
            "without multiplicities": dual("a[n1] / b[n2]", multiplicity=False),
            "kernel instead of inverse kernel": instances(inverse=False),
        },
    )


def dual(formula: str, sign: int = -1, multiplicity: bool = True) -> tuple[Step, ...]:
    """y_T = v_T eta(T) makes the dual constraint of every stratum tight, and the objectives equal."""
    attributes = Attributes(formula)
    m, V = attributes.multiplicities, attributes.cardinality
    strata, others = attributes.names[1:], attributes.relations[:-1]
    b = symbols_for(attributes, "b")
    y = {
        T.name: T.valency
        * sign
        * sum((m[A] if multiplicity else 1) * attributes.character(A, T.name) * b[A] for A in strata)
        for T in others
    }
    steps: list[Step] = []
    for A in strata:
        column = sum(y[T] * m[A] * (1 - attributes.character(A, T)) / V for T in y)
        steps.append(Identity(f"{formula}: the dual is tight on {A}", column, m[A] * b[A]))
    steps.append(Identity(f"{formula}: equal objectives", sum(y.values()), sum(m[A] * b[A] for A in strata)))
    return tuple(steps)


def instances(inverse: bool = True) -> tuple[Step, ...]:
    """The criterion agrees with the exact simplex: 3 x 4 crossed and 2 / 3 nested, kernels on both sides."""
    cases = []
    for formula, kernels in KERNELS.items():
        attributes = Attributes(formula)
        for numbers in kernels:
            kernel = dict(zip(attributes.names[1:], map(sp.Integer, numbers), strict=True))
            b = {A: 1 / k if inverse else k for A, k in kernel.items()}
            entries = [
                sum(attributes.multiplicities[A] * attributes.character(A, T) * b[A] for A in b)
                for T in attributes.names[:-1]
            ]
            phase = persistence(UFM(attributes, feature_kernel=kernel, label_kernel=kernel)).phase
            cases.append((f"{formula} {numbers}", max(entries) <= 0, "==", phase == "collapsed"))
    return (Cases("the criterion against the simplex", tuple(cases)),)
