"""Strata of one order that start alike, with kernels and targets alike, stay alike, and flow as one merged stratum."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.exchangeable import Exchangeable
from ...theory.flow import derive_flow
from ...theory.kernels import symbols_for
from ...theory.model import UFM
from ..checker import Theorem
from ..steps import Identity, MatrixIdentity, Rule, Step

STATEMENT = r"""Cross $K$ attributes of $n$ values each, with kernels and targets equal on strata of equally many
attributes. A permutation $U$ of the attributes then commutes with both kernels and with $T$, and maps solutions of the
matrix flow to solutions: from $W(0), H(0)$ whose singular values are equal within each order they stay so, and order
$j$ flows as a stratum of multiplicity $m_j = \binom{K}{j} (n-1)^j$ with the characters $K_j(i)/m_j$ of $H(K, n)$."""
FORMULAS = ("a[n] * b[n]", "a[n] * b[n] * c[n]", "a[n] * b[n] * c[n] * d[n]")
LAM = sp.Symbol("lambda")


def theorem() -> Theorem:
    return Theorem(
        name="merged_strata_stay_merged",
        statement=STATEMENT,
        setting=("attributes of one size, crossed", "free"),
        hypotheses=("kernels, targets and start equal within each order",),
        scope="the symmetry: any K and n, both losses, free; the merged equations: all n, K <= 4, cross-entropy with "
        "any targets that are equal within each order",
        claims=(3,),
        rests_on=(
            "uniqueness of solutions of ordinary differential equations",
            "softmax by columns commutes with permutations of rows and columns",
        ),
        uses=("matrix_flow_reduces_to_the_mode_equations",),
        proof=(*symmetry(), *(step for formula in FORMULAS for step in equations(formula))),
        mutations={
            "a label kernel that tells attributes apart": symmetry(kernel=False),
            "targets that tell attributes apart": symmetry(targets=False),
            "valencies not added up": equations(FORMULAS[0], added=False),
            "another power": equations(FORMULAS[1], power=4),
        },
        references=("Delsarte 1973", "Bailey, Association Schemes, 2004"),
    )


def symmetry(kernel: bool = True, targets: bool = True) -> tuple[Step, ...]:
    """The right-hand side at U W, H U' is U dW, dH U', for any permutation U that commutes with kernels and targets."""
    W, Wt, H, Ht, G, Z, T, KW, KH, U, Ut = sp.symbols("W W' H H' G Z T KW KH U U'", commutative=False)
    s = sp.Symbol("s")
    rules: tuple[Rule, ...] = (((Ut, U), sp.S(1)), ((U, Ut), sp.S(1)), ((Ut, KH), KH * Ut))
    rules += (((KW, U), U * KW),) if kernel else ()
    rules += (((U, T, Ut), T),) if targets else ()
    turned = U * G * Ut
    return (
        MatrixIdentity("the logits turn", (U * W) * (H * Ut), U * (W * H) * Ut, rules),
        MatrixIdentity("G of squared error turns", s * (U * Z * Ut - T), U * (s * (Z - T)) * Ut, rules),
        MatrixIdentity("dW/dt turns", -KW * (turned * (U * Ht) + LAM * U * W), U * (-KW * (G * Ht + LAM * W)), rules),
        MatrixIdentity("dH/dt turns", -(Wt * Ut * turned + LAM * H * Ut) * KH, -(Wt * G + LAM * H) * KH * Ut, rules),
    )


def equations(formula: str, added: bool = True, power: int | None = None) -> tuple[Step, ...]:
    """Margins, valencies, multiplicities and g of the crossing, equal within orders, against those of H(K, n)."""
    crossing = UFM(formula).attributes
    structure = Exchangeable(f"a[n]^{power or len(crossing.factors)}")
    tau = symbols_for(structure, "tau") | {"1": sp.S(1)}
    order = {s.name: structure.names[len(s.factors)] for s in crossing.strata}
    one_by_one = derive_flow(UFM(crossing, targets={A: tau[order[A]] for A in crossing.names}))
    merged = derive_flow(UFM(structure, targets=tau))
    of, into = dict(one_by_one.definitions), dict(merged.definitions)
    alike = {one_by_one.z[A]: merged.z[order[A]] for A in crossing.names}
    for T in crossing.names[:-1]:
        for letter in ("M", "S"):
            alike[_named(of, letter, T)] = _named(into, letter, order[T])
    steps: list[Step] = []
    for T in crossing.names[:-1]:
        margin = of[_named(of, "M", T)].xreplace(alike)
        steps.append(Identity(f"{formula}: margin at {T}", margin, into[_named(into, "M", order[T])]))
    for A in crossing.names:
        g = of[one_by_one.g[A]].xreplace(alike)
        steps.append(Identity(f"{formula}: g on {A}", g, into[merged.g[order[A]]]))
    for kind, of_crossing, of_merged in (
        ("multiplicity", crossing.multiplicities, structure.multiplicities),
        ("valency", _valencies(crossing), _valencies(structure)),
    ):
        for j in structure.names:
            members = [value for name, value in of_crossing.items() if order[name] == j]
            total = sum(members) if added else members[0]
            steps.append(Identity(f"{formula}: {kind} of {j}", total, of_merged[j]))
    return tuple(steps)


def _named(definitions: dict[sp.Symbol, sp.Expr], letter: str, name: str) -> sp.Symbol:
    wanted = f"{letter}_{name.replace(':', '__')}"
    return next(symbol for symbol in definitions if symbol.name == wanted)


def _valencies(attributes: Attributes) -> dict[str, sp.Expr]:
    return {T.name: T.valency for T in attributes.relations}
