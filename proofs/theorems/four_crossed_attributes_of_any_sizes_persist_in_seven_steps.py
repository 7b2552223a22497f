"""Four crossed attributes of any sizes: the max-margin solution, with steps at 4/3, 3/2, 5/3, 2, 5/2, 3, 4."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..steps import NONNEGATIVE, SIZE, Interval, LinearProgramme, Step

STATEMENT = r"""Attributes $a, b, c, d$ crossed with sizes $n_1 \le n_2 \le n_3 \le n_4$, $\kappa_1$ on main effects,
$\kappa_2$ on interactions, $\rho = \kappa_1/\kappa_2$. The max-margin solution changes at $\rho = 4/3$, $3/2$, $5/3$,
$2$, $5/2$, $3$ and $4$, whatever the sizes; between them it is the one of the table, main effects with some
interactions. Kernel on one side: steps of $k_1/k_2$ at $16/9$, $9/4$, $25/9$, $4$, $25/4$, $9$, $16$. The solutions
on both sides of a step may agree when sizes do: for equal sizes 4/3, 2 and 4 are left. Between $5/3$ and $5/2$ the
solution depends on whether $n_4 < n_2 n_3$; the steps do not."""

# From rho, to rho, which sizes: z of the strata in use; y_T / v_T of the relations with a price.
PHASES: dict[tuple[sp.Rational, sp.Rational, str], tuple[dict[str, str], dict[str, str]]] = {
    (sp.Rational(4, 3), sp.Rational(3, 2), "any n4"): (
        {
            "a": "n2", "b": "n1", "c": "(n1*n2 - n1 - n2 + n3)/(n3 - 1)", "d": "(n1*n2 - n1 - n2 + n4)/(n4 - 1)",
            "ac": "-(n2 - n3)/(n3 - 1)", "ad": "-(n2 - n4)/(n4 - 1)", "bc": "-(n1 - n3)/(n3 - 1)",
            "bd": "-(n1 - n4)/(n4 - 1)", "cd": "-(n1*n2 - n1 - n2 - n3*n4 + n3 + n4)/((n3 - 1)*(n4 - 1))",
            "abc": "n3/(n3 - 1)", "abd": "n4/(n4 - 1)", "acd": "(n2 + n3*n4 - n3 - n4)/((n3 - 1)*(n4 - 1))",
            "bcd": "(n1 + n3*n4 - n3 - n4)/((n3 - 1)*(n4 - 1))", "abcd": "(n3*n4 - n3 - n4)/((n3 - 1)*(n4 - 1))",
        },
        {
            "a": "-2*n1*rho + 3*n1", "b": "-2*n2*rho + 3*n2", "c": "n3*rho - n3", "d": "n4*rho - n4",
            "ab": "-4*n1*n2 + 3*n1 + 3*n2 + rho*(3*n1*n2 - 2*n1 - 2*n2)", "ac": "3*n1 - n3 + rho*(-2*n1 + n3)",
            "ad": "3*n1 - n4 + rho*(-2*n1 + n4)", "bc": "3*n2 - n3 + rho*(-2*n2 + n3)",
            "bd": "3*n2 - n4 + rho*(-2*n2 + n4)", "cd": "-n3 - n4 + rho*(n3 + n4)",
            "abc": "-4*n1*n2 + 3*n1 + 3*n2 - n3 + rho*(3*n1*n2 - 2*n1 - 2*n2 + n3)",
            "abd": "-4*n1*n2 + 3*n1 + 3*n2 - n4 + rho*(3*n1*n2 - 2*n1 - 2*n2 + n4)",
            "acd": "3*n1 - n3 - n4 + rho*(-2*n1 + n3 + n4)", "bcd": "3*n2 - n3 - n4 + rho*(-2*n2 + n3 + n4)",
        },
    ),
    (sp.Rational(3, 2), sp.Rational(5, 3), "any n4"): (
        {
            "a": "n3", "b": "n3", "c": "-(n1*n2 - n1*n3 - n2*n3 + n3)/(n3 - 1)",
            "d": "-(n1*n2 - n1*n3 - n2*n3 + 2*n3 - n4)/(n4 - 1)", "ad": "-(n3 - n4)/(n4 - 1)",
            "bd": "-(n3 - n4)/(n4 - 1)", "cd": "(n1*n2 - n1*n3 - n2*n3 + n3*n4 + n3 - n4)/((n3 - 1)*(n4 - 1))",
            "abc": "n3/(n3 - 1)", "abd": "n4/(n4 - 1)", "acd": "n4/(n4 - 1)", "bcd": "n4/(n4 - 1)",
            "abcd": "(n3*n4 - n3 - n4)/((n3 - 1)*(n4 - 1))",
        },
        {
            "c": "-3*n3*rho + 5*n3", "d": "n4*rho - n4", "ab": "-n1*n2*rho + 2*n1*n2",
            "ac": "-3*n1*n3 + 5*n3 + rho*(2*n1*n3 - 3*n3)", "ad": "n4*rho - n4",
            "bc": "-3*n2*n3 + 5*n3 + rho*(2*n2*n3 - 3*n3)", "bd": "n4*rho - n4",
            "cd": "5*n3 - n4 + rho*(-3*n3 + n4)",
            "abc": "2*n1*n2 - 3*n1*n3 - 3*n2*n3 + 5*n3 + rho*(-n1*n2 + 2*n1*n3 + 2*n2*n3 - 3*n3)",
            "abd": "2*n1*n2 - n4 + rho*(-n1*n2 + n4)", "acd": "-3*n1*n3 + 5*n3 - n4 + rho*(2*n1*n3 - 3*n3 + n4)",
            "bcd": "-3*n2*n3 + 5*n3 - n4 + rho*(2*n2*n3 - 3*n3 + n4)",
        },
    ),
    (sp.Rational(5, 3), sp.S(2), "n4 < n2 n3"): (
        {
            "a": "n4", "b": "-(n1*n3 - n1*n4 - n2*n3 + n4)/(n2 - 1)", "c": "-(n1*n2 - n1*n4 - n2*n3 + n4)/(n3 - 1)",
            "d": "-(n1*n2 + n1*n3 - 2*n1*n4 - n2*n3 + n4)/(n4 - 1)",
            "bd": "(n1 - n2)*(n3 - n4)/((n2 - 1)*(n4 - 1))", "cd": "(n1 - n3)*(n2 - n4)/((n3 - 1)*(n4 - 1))",
            "abc": "(n2*n3 - n4)/((n2 - 1)*(n3 - 1))", "abd": "n4/(n4 - 1)", "acd": "n4/(n4 - 1)",
            "bcd": "n4/(n4 - 1)", "abcd": "(n2*n3*n4 - n2*n3 - n2*n4 - n3*n4 + 2*n4)/((n2 - 1)*(n3 - 1)*(n4 - 1))",
        },
        {
            "d": "-2*n4*rho + 4*n4", "ab": "-n1*n2*rho + 2*n1*n2", "ac": "-n1*n3*rho + 2*n1*n3",
            "ad": "-5*n1*n4 + 4*n4 + rho*(3*n1*n4 - 2*n4)", "bc": "2*n2*n3*rho - 3*n2*n3", "bd": "-2*n4*rho + 4*n4",
            "cd": "-2*n4*rho + 4*n4", "abc": "2*n1*n2 + 2*n1*n3 - 3*n2*n3 + rho*(-n1*n2 - n1*n3 + 2*n2*n3)",
            "abd": "2*n1*n2 - 5*n1*n4 + 4*n4 + rho*(-n1*n2 + 3*n1*n4 - 2*n4)",
            "acd": "2*n1*n3 - 5*n1*n4 + 4*n4 + rho*(-n1*n3 + 3*n1*n4 - 2*n4)",
            "bcd": "-3*n2*n3 + 4*n4 + rho*(2*n2*n3 - 2*n4)",
        },
    ),
    (sp.Rational(5, 3), sp.S(2), "n4 >= n2 n3"): (
        {
            "a": "n2*n3", "b": "n1*n3", "c": "n1*n2", "d": "(2*n1*n2*n3 - n1*n2 - n1*n3 - n2*n3 + n4)/(n4 - 1)",
            "ad": "-(n2*n3 - n4)/(n4 - 1)", "bd": "-(n1*n3 - n4)/(n4 - 1)", "cd": "-(n1*n2 - n4)/(n4 - 1)",
            "abd": "n4/(n4 - 1)", "acd": "n4/(n4 - 1)", "bcd": "n4/(n4 - 1)", "abcd": "n4/(n4 - 1)",
        },
        {
            "d": "n4*rho - n4", "ab": "-n1*n2*rho + 2*n1*n2", "ac": "-n1*n3*rho + 2*n1*n3", "ad": "n4*rho - n4",
            "bc": "-n2*n3*rho + 2*n2*n3", "bd": "n4*rho - n4", "cd": "n4*rho - n4",
            "abc": "-5*n1*n2*n3 + 2*n1*n2 + 2*n1*n3 + 2*n2*n3 + rho*(3*n1*n2*n3 - n1*n2 - n1*n3 - n2*n3)",
            "abd": "2*n1*n2 - n4 + rho*(-n1*n2 + n4)", "acd": "2*n1*n3 - n4 + rho*(-n1*n3 + n4)",
            "bcd": "2*n2*n3 - n4 + rho*(-n2*n3 + n4)",
        },
    ),
    (sp.S(2), sp.Rational(5, 2), "n4 < n2 n3"): (
        {
            "a": "n2*n3", "b": "(n1*n2*n3 - n1*n4 - n2*n3 + n2*n4)/(n2 - 1)",
            "c": "(n1*n2*n3 - n1*n4 - n2*n3 + n3*n4)/(n3 - 1)",
            "d": "(n1*n2*n3 - n1*n4 - 2*n2*n3 + n2*n4 + n3*n4)/(n4 - 1)",
            "abd": "-n2*(n3 - n4)/((n2 - 1)*(n4 - 1))", "acd": "-n3*(n2 - n4)/((n3 - 1)*(n4 - 1))",
            "bcd": "-(n1*n2*n3 - n1*n4 - n2*n3*n4 - n2*n3 + n2*n4 + n3*n4)/((n2 - 1)*(n3 - 1)*(n4 - 1))",
            "abcd": "(n2*n3*n4 + n2*n3 - n2*n4 - n3*n4)/((n2 - 1)*(n3 - 1)*(n4 - 1))",
        },
        {
            "ad": "-n1*n4*rho + 3*n1*n4", "bc": "-2*n2*n3*rho + 5*n2*n3", "bd": "n2*n4*rho - 2*n2*n4",
            "cd": "n3*n4*rho - 2*n3*n4", "abc": "-4*n1*n2*n3 + 5*n2*n3 + rho*(2*n1*n2*n3 - 2*n2*n3)",
            "abd": "3*n1*n4 - 2*n2*n4 + rho*(-n1*n4 + n2*n4)", "acd": "3*n1*n4 - 2*n3*n4 + rho*(-n1*n4 + n3*n4)",
            "bcd": "5*n2*n3 - 2*n2*n4 - 2*n3*n4 + rho*(-2*n2*n3 + n2*n4 + n3*n4)",
        },
    ),
    (sp.S(2), sp.Rational(5, 2), "n4 >= n2 n3"): (
        {
            "a": "n4", "b": "n4", "c": "n4", "d": "-(n1*n2*n3 - n1*n4 - n2*n4 - n3*n4 + 2*n4)/(n4 - 1)",
            "abd": "n4/(n4 - 1)", "acd": "n4/(n4 - 1)", "bcd": "n4/(n4 - 1)", "abcd": "n4/(n4 - 1)",
        },
        {
            "d": "-2*n4*rho + 5*n4", "ad": "-2*n1*n4 + 5*n4 + rho*(n1*n4 - 2*n4)",
            "bd": "-2*n2*n4 + 5*n4 + rho*(n2*n4 - 2*n4)", "cd": "-2*n3*n4 + 5*n4 + rho*(n3*n4 - 2*n4)",
            "abc": "n1*n2*n3", "abd": "-2*n1*n4 - 2*n2*n4 + 5*n4 + rho*(n1*n4 + n2*n4 - 2*n4)",
            "acd": "-2*n1*n4 - 2*n3*n4 + 5*n4 + rho*(n1*n4 + n3*n4 - 2*n4)",
            "bcd": "-2*n2*n4 - 2*n3*n4 + 5*n4 + rho*(n2*n4 + n3*n4 - 2*n4)",
        },
    ),
    (sp.Rational(5, 2), sp.S(3), "any n4"): (
        {
            "a": "n2*n4", "b": "n1*n4", "c": "n4*(n1*n2 - n1 - n2 + n3)/(n3 - 1)",
            "d": "-(n1*n2*n3 - 2*n1*n2*n4 + n1*n4 + n2*n4 - n3*n4)/(n4 - 1)",
            "acd": "-n4*(n2 - n3)/((n3 - 1)*(n4 - 1))", "bcd": "-n4*(n1 - n3)/((n3 - 1)*(n4 - 1))",
            "abcd": "n3*n4/((n3 - 1)*(n4 - 1))",
        },
        {
            "ad": "-n1*n4*rho + 3*n1*n4", "bd": "-n2*n4*rho + 3*n2*n4", "cd": "n3*n4*rho - 2*n3*n4",
            "abc": "n1*n2*n3", "abd": "-5*n1*n2*n4 + 3*n1*n4 + 3*n2*n4 + rho*(2*n1*n2*n4 - n1*n4 - n2*n4)",
            "acd": "3*n1*n4 - 2*n3*n4 + rho*(-n1*n4 + n3*n4)", "bcd": "3*n2*n4 - 2*n3*n4 + rho*(-n2*n4 + n3*n4)",
        },
    ),
    (sp.S(3), sp.S(4), "any n4"): (
        {
            "a": "n3*n4", "b": "n3*n4", "c": "-n4*(n1*n2 - n1*n3 - n2*n3 + n3)/(n3 - 1)",
            "d": "-n3*(n1*n2 - n1*n4 - n2*n4 + n4)/(n4 - 1)", "abcd": "n3*n4/((n3 - 1)*(n4 - 1))",
        },
        {
            "cd": "-n3*n4*rho + 4*n3*n4", "abc": "n1*n2*n3", "abd": "n1*n2*n4",
            "acd": "-3*n1*n3*n4 + 4*n3*n4 + rho*(n1*n3*n4 - n3*n4)",
            "bcd": "-3*n2*n3*n4 + 4*n3*n4 + rho*(n2*n3*n4 - n3*n4)",
        },
    ),
}


def theorem() -> Theorem:
    return Theorem(
        name="four_crossed_attributes_of_any_sizes_persist_in_seven_steps",
        statement=STATEMENT,
        setting=(
            "four crossed attributes",
            "the programme of one-hot labels",
            "one kernel kappa1 on main effects, one kappa2 on interactions",
        ),
        hypotheses=(),
        scope="all sizes 2 <= n1 <= n2 <= n3 <= n4, 4/3 <= rho <= 4.  It is a statement on the programme; uniqueness "
        "is not part of it",
        claims=(10,),
        uses=(
            "crossed_attributes_collapse_up_to_K_over_K_minus_1",
            "attributes_alone_persist_iff_interactions_cost_more_than_their_parts",
        ),
        proof=tuple(phase(*bounds) for bounds in PHASES),
        mutations={
            "main effects and the last interaction alone from 2": (phase(*LAST, low=sp.S(2)),),
            "the step at 5/2 moved to 12/5": (phase(*LAST_BUT_ONE, low=sp.Rational(12, 5)),),
            "sizes in any order": (phase(*LAST_BUT_ONE, ordered=False),),
        },
    )


LAST_BUT_ONE, LAST = list(PHASES)[-2:]


def phase(
    start: sp.Rational, end: sp.Rational, sizes: str, low: sp.Rational | None = None, ordered: bool = True
) -> Step:
    """The certificate on n1 = 2 + p, n2 = n1 + q, n3 = n2 + r, and n4 above n3, or on one side of n2 n3.

    In the variables u_A = m_A z_A the programme is min b u subject to sum_A (1 - chi_A(T)) u_A >= V, u >= 0.
    """
    attributes = Attributes("a[n1] * b[n2] * c[n3] * d[n4]")
    n1, n2, n3, n4 = attributes.sizes.values()
    q, r, s, rho = sp.symbols("q r s rho", positive=True)
    last = {
        "any n4": n1 + q + r + s,
        "n4 < n2 n3": (n1 + q + r) * (1 + (n1 + q) * s) / (1 + s),  # from n3 up to n2 n3
        "n4 >= n2 n3": (n1 + q) * (n1 + q + r) + s,
    }[sizes]
    put = {n2: n1 + q, n3: n1 + q + r, n4: last} if ordered else {n2: 2 + q, n3: 2 + r, n4: 2 + s}

    def on_domain(expression: sp.Expr) -> sp.Expr:
        return sp.factor(expression.subs(put, simultaneous=True))

    strata, relations = attributes.strata[1:], attributes.relations[:-1]
    known = {str(n): n for n in (n1, n2, n3, n4)} | {"rho": rho}
    z, y = ({":".join(k): sp.sympify(v, known) for k, v in part.items()} for part in PHASES[start, end, sizes])
    return LinearProgramme(
        f"rho from {start if low is None else low} to {end}, {sizes}",
        cost=[sp.S(1) if len(A.factors) == 1 else rho for A in strata],
        rows=[[on_domain(1 - attributes.character(A.name, T.name)) for A in strata] for T in relations],
        bounds=[on_domain(attributes.cardinality)] * len(relations),
        primal=[on_domain(A.multiplicity * z.get(A.name, sp.S(0))) for A in strata],
        dual=[on_domain(T.valency * y.get(T.name, sp.S(0)) / attributes.cardinality) for T in relations],
        domain={n1: SIZE, q: NONNEGATIVE, r: NONNEGATIVE, s: NONNEGATIVE, rho: Interval(low or start, end)},
    )
