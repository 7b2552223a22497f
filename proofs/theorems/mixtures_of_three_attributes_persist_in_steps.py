"""Crossing mixed with nesting, three attributes of any sizes: steps at 2, and at 1 + 1/n1 where crossings lie below."""

from collections.abc import Callable

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..steps import NONNEGATIVE, SIZE, LinearProgramme, Step

STATEMENT = r"""$\kappa_1$ on main effects, $\kappa_2$ on all other strata, $\rho = \kappa_1/\kappa_2 \ge 1$, any
sizes. $(a/b) \times c$: the ETF for $\rho \le 2$; beyond, $a$, $a{:}b$ and $c$ alone. $(a \times b)/c$: the ETF for
$\rho \le 2$; beyond, $a$, $b$ and the finest stratum. $a/(b \times c)$: the ETF for $\rho \le 1 + 1/n_1$; then all
but $a$, up to $\rho = 2$; beyond, $a{:}b$ and $a{:}c$ alone. So crossed attributes below a coarse one drive it out of
the limit: the labels that it tells apart are told apart by what lies below."""

# For each structure: rho from, to (None: on), z of the strata in use, y_T / v_T of the relations with a price.
PHASES: dict[str, tuple[tuple[str, str, dict[str, str], dict[str, str]], ...]] = {
    "(a[n1] / b[n2]) * c[n3]": (
        (
            "1",
            "2",
            {"a": "1", "c": "1", "a:b": "1", "a:c": "1", "a:b:c": "1"},
            {
                "1": "2 - rho",
                "a": "2 - rho",
                "c": "n3*rho - n3 - rho + 2",
                "a:b": "n1*n2*rho - n1*n2 - rho + 2",
                "a:c": "n3*rho - n3 - rho + 2",
            },
        ),
        ("2", "", {"a": "n3", "c": "n1*n2", "a:b": "n3"}, {"c": "n3", "a:b": "n1*n2", "a:c": "n3"}),
    ),
    "(a[n1] * b[n2]) / c[n3]": (
        (
            "1",
            "2",
            {"a": "1", "b": "1", "a:b": "1", "a:b:c": "1"},
            {
                "1": "2 - rho",
                "a": "n1*rho - n1 - rho + 2",
                "b": "n2*rho - n2 - rho + 2",
                "a:b": "n1*rho - n1 + n2*rho - n2 - rho + 2",
            },
        ),
        (
            "2",
            "",
            {"a": "n2", "b": "n1", "a:b:c": "1"},
            {"a": "n1", "b": "n2", "a:b": "n1*n2*rho - 2*n1*n2 + n1 + n2"},
        ),
    ),
    "a[n1] / (b[n2] * c[n3])": (
        (
            "1",
            "1 + 1/n1",
            {"a": "1", "a:b": "1", "a:c": "1", "a:b:c": "1"},
            {
                "1": "1",
                "a": "1 + n1 - n1*rho",
                "a:b": "n1*n2*rho - n1*n2 - n1*rho + n1 + 1",
                "a:c": "n1*n3*rho - n1*n3 - n1*rho + n1 + 1",
            },
        ),
        (
            "1 + 1/n1",
            "2",
            {"a:b": "n2/(n2 - 1)", "a:c": "n3/(n3 - 1)", "a:b:c": "(n2*n3 - n2 - n3)/((n2 - 1)*(n3 - 1))"},
            {"1": "n1*(2 - rho)/(n1 - 1)", "a:b": "n1*n2*(rho - 1)", "a:c": "n1*n3*(rho - 1)"},
        ),
        ("2", "", {"a:b": "n3", "a:c": "n2"}, {"a:b": "n1*n2", "a:c": "n1*n3"}),
    ),
}


def theorem() -> Theorem:
    return Theorem(
        name="mixtures_of_three_attributes_persist_in_steps",
        statement=STATEMENT,
        setting=(
            "three attributes, crossed and nested",
            "the programme of one-hot labels",
            "one kernel kappa1 on main effects, one kappa2 on all other strata",
        ),
        hypotheses=(),
        scope="all sizes >= 2, all rho >= 1.  It is a statement on the programme; uniqueness is not part of it",
        claims=(10,),
        proof=tuple(certificate(formula, i) for formula, phases in PHASES.items() for i in range(len(phases))),
        mutations={
            "a step at 3/2 for (a / b) * c": (certificate("(a[n1] / b[n2]) * c[n3]", 1, low=sp.Rational(3, 2)),),
            "the coarse attribute stays to 2": (certificate("a[n1] / (b[n2] * c[n3])", 0, high=sp.S(2)),),
            "the finest stratum of (a * b) / c leaves": (
                certificate("(a[n1] * b[n2]) / c[n3]", 1, change=lambda z: {A: z[A] for A in ("a", "b")}),
            ),
        },
    )


def certificate(
    formula: str,
    i: int,
    low: sp.Expr | None = None,
    high: sp.Expr | None = None,
    change: Callable[[dict[str, sp.Expr]], dict[str, sp.Expr]] = dict,
) -> Step:
    """In u_A = m_A z_A: min b u subject to sum_A (1 - chi_A(T)) u_A >= V; rho runs from low to high with s."""
    attributes = Attributes(formula)
    main, V = set(attributes.semantic_strata()), attributes.cardinality
    s, rho = sp.Symbol("s", positive=True), sp.Symbol("rho", positive=True)
    known = {str(n): n for n in attributes.sizes.values()} | {"rho": rho}
    start, end, *data = PHASES[formula][i]
    low = sp.sympify(start, known) if low is None else low
    high = high if high is not None else sp.sympify(end, known) if end else None
    ratio = low + s if high is None else (low + high * s) / (1 + s)

    def on_domain(value: sp.Expr) -> sp.Expr:
        return sp.factor(value.subs(rho, ratio))

    z, y = ({name: sp.sympify(text, known) for name, text in part.items()} for part in data)
    z = change(z)
    return LinearProgramme(
        f"{formula}, rho from {low} to {high or 'infinity'}",
        cost=[sp.S(1) if A in main else ratio for A in attributes.names[1:]],
        rows=[[1 - attributes.character(A, T) for A in attributes.names[1:]] for T in attributes.names[:-1]],
        bounds=[V] * len(attributes.names[:-1]),
        primal=[A.multiplicity * z.get(A.name, sp.S(0)) for A in attributes.strata[1:]],
        dual=[on_domain(T.valency * y.get(T.name, sp.S(0)) / V) for T in attributes.relations[:-1]],
        domain=dict.fromkeys(attributes.sizes.values(), SIZE) | {s: NONNEGATIVE},
    )
