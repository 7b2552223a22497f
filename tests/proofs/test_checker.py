"""Each kind of step accepts what is true, refutes what is false, and is undecided outside its procedure."""

import pytest
import sympy as sp

from ufmflow.proofs.checker import decide
from ufmflow.proofs.steps import (
    NONNEGATIVE,
    POSITIVE,
    SIZE,
    Cases,
    DifferentialIdentity,
    Enclosure,
    Identity,
    Induction,
    Interval,
    LinearProgramme,
    MatrixIdentity,
    Positive,
    SumOfSquares,
    derivative,
)
from ufmflow.theory.partition import LogPartition

x, y, z = sp.symbols("x y z", positive=True)
r = sp.Symbol("r", real=True)
n, K = sp.symbols("n K", integer=True, positive=True)
A, B = sp.symbols("A B", commutative=False)
S, half = sp.S, sp.Rational(1, 2)
UNIT = Interval(S(0), S(1))
OPEN_UNIT = Interval(S(0), S(1), open=True)


def status(step):
    return decide(step).status


IDENTITIES = {
    "a rational function": (1 / (x - 1) - 1 / (x + 1), 2 / (x**2 - 1), "holds"),
    "off by a hair": (x / (x + 1), x / (x + 1) + sp.Rational(1, 10**30) * x, "undecided"),
    "off by little": (x / (x + 1), x / (x + 1) + sp.Rational(1, 10**9) * x, "refuted"),
    "exponentials with fractions": (sp.exp(x / 2) * sp.exp(x / 3), sp.exp(5 * x / 6), "holds"),
    "exponentials of a product": (sp.exp((x + 1) * y), sp.exp(x * y) * sp.exp(y), "holds"),
    "an exponential in a denominator": (1 / (1 + sp.exp(-x)), sp.exp(x) / (1 + sp.exp(x)), "holds"),
    "e is not 2.718": (sp.E, sp.Rational(2718, 1000), "refuted"),
    "logarithms": (sp.log(x * y**2 / 3), sp.log(x) + 2 * sp.log(y) - sp.log(3), "holds"),
    "logarithm of a sum": (sp.log(x + y), sp.log(x) + sp.log(y), "refuted"),
    "logarithm of a factored sum": (sp.log(2 * x + 2 * y), sp.log(2) + sp.log(x + y), "holds"),
    "roots": (1 / (sp.sqrt(x) + sp.sqrt(y)), (sp.sqrt(x) - sp.sqrt(y)) / (x - y), "holds"),
    "nested roots": (sp.sqrt(1 + sp.sqrt(x)) ** 4, 1 + 2 * sp.sqrt(x) + x, "holds"),
    "the other root": (sp.sqrt(x**2 + 1), -sp.sqrt(x**2 + 1), "refuted"),
    "the root of a square of either sign": (sp.sqrt(r**2), r, "undecided"),
    "powers": (n ** (K + 1), n * n**K, "holds"),
    "powers of another base": (2**K * 3**K, 5**K, "refuted"),
    "Ei by its derivative": (sp.diff(sp.Ei(x**2), x), 2 * sp.exp(x**2) / x, "holds"),
    "Ei and ln": (sp.Ei(x), sp.log(x), "refuted"),
    "a log-partition": (sp.exp(-LogPartition(x, n)), 1 / (1 + n * sp.exp(-x)), "holds"),
    "an unknown function": (sp.Function("f")(x) * 2, sp.Function("f")(x) + sp.Function("f")(x), "holds"),
    "a float": (0.5 * x, x / 2, "undecided"),
    "a maximum": (sp.Max(x, y), x, "undecided"),
    "a division by zero": (x / ((x + 1) ** 2 - x**2 - 2 * x - 1), S(0), "undecided"),
    "a derivative left open": (sp.Derivative(sp.Function("f")(x), x), S(0), "undecided"),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identity(name):
    left, right, expected = IDENTITIES[name]
    assert status(Identity(name, left, right)) == expected


def test_identity_modulo_relations():
    circle = ((x**2 + y**2, S(1)),)
    assert status(Identity("on the circle", x**4 - y**4, x**2 - y**2, circle)) == "holds"
    assert status(Identity("off it", x**4 - y**4, x**2 + y**2, circle)) == "refuted"
    assert status(Identity("a denominator that vanishes on it", 1 / (x**2 + y**2 - 1), S(0), circle)) == "undecided"


def test_differential_identity():
    t = sp.Symbol("t", nonnegative=True)
    solution = {x: 1 / (1 - t), y: sp.exp(-t)}
    rates = {x: x**2, y: -y}
    assert status(DifferentialIdentity("both", solution, rates, t, {x: 1, y: 1})) == "holds"
    assert status(DifferentialIdentity("wrong start", solution, rates, t, {x: 1, y: 2})) == "refuted"
    assert status(DifferentialIdentity("wrong rate", solution, {x: x**2, y: y}, t)) == "refuted"
    assert status(DifferentialIdentity("a rate is missing", solution, {x: x**2}, t)) == "undecided"
    assert status(DifferentialIdentity("nothing", {}, {}, t)) == "undecided"


FLOATS = (
    Identity("cancels", 0.5 * x, x / 2),
    Positive("a float", x + 0.1, {x: POSITIVE}),
    Positive("in the domain", x, {x: Interval(0.1)}),
    MatrixIdentity("in a rule", A * A, A, rules=(((A, A), 1.0 * A),)),
    LinearProgramme("in a row", (S(1),), ((1.0,),), (S(1),), (S(1),), (S(1),)),
)


@pytest.mark.parametrize("step", FLOATS, ids=lambda step: type(step).__name__)
def test_floats_are_refused_wherever_they_stand(step):
    assert decide(step).status == "undecided"


def test_matrix_identity():
    assert status(MatrixIdentity("commutator", A * B - B * A, S(0))) == "refuted"
    assert status(MatrixIdentity("Jacobi", A * (B * A) - (A * B) * A, S(0))) == "holds"
    assert status(MatrixIdentity("inverse", A**-1 * A * B, B)) == "holds"
    assert status(MatrixIdentity("wrong side", A**-1 * B * A, B)) == "refuted"
    assert status(MatrixIdentity("scalars", (x**2 - y**2) / (x - y) * A, (x + y) * A)) == "holds"
    assert status(MatrixIdentity("a rule", A * B * A, A, rules=(((A, B), S(1)),))) == "holds"
    assert status(MatrixIdentity("a rule without end", A, S(0), rules=(((A,), A + B),))) == "undecided"
    assert sp.expand(derivative(A * B**-1, {B: B})) == -A * B**-1


POSITIVITY = {
    "positive": ((x**2 + 1), {x: NONNEGATIVE}, True, "holds"),
    "double root at the border, strictly": (x**2, {x: UNIT}, True, "refuted"),
    "double root at the border, open": (x**2, {x: OPEN_UNIT}, True, "holds"),
    "double root at the border, weakly": (x**2, {x: UNIT}, False, "holds"),
    "double root inside": ((x - half) ** 2, {x: UNIT}, False, "holds"),
    "double root inside, strictly": ((x - half) ** 2, {x: UNIT}, True, "refuted"),
    "triple root inside": ((x - half) ** 3, {x: UNIT}, False, "refuted"),
    "simple root at the upper end": (1 - x, {x: UNIT}, False, "holds"),
    "simple root at the upper end, strictly": (1 - x, {x: UNIT}, True, "refuted"),
    "roots just outside": ((x + sp.Rational(1, 10**6)) * (1 + sp.Rational(1, 10**6) - x), {x: UNIT}, True, "holds"),
    "irrational roots inside": (x**2 - x + sp.Rational(249, 1000), {x: UNIT}, True, "refuted"),
    "irrational roots missed narrowly": (x**2 - x + sp.Rational(2501, 10000), {x: UNIT}, True, "holds"),
    "a pole": (1 / (x - half) ** 2, {x: UNIT}, True, "undecided"),
    "two variables": (x * y - x - y + 1, {x: SIZE, y: SIZE}, True, "holds"),
    "two variables, touching": ((x - 2) * y, {x: SIZE, y: SIZE}, True, "refuted"),
    "two variables, touching weakly": ((x - 2) * y, {x: SIZE, y: SIZE}, False, "holds"),
    "bounded and unbounded": ((1 - x) * y, {x: OPEN_UNIT, y: POSITIVE}, True, "holds"),
    "a wrong sign far out": (100 - x * y, {x: POSITIVE, y: POSITIVE}, True, "refuted"),
    "true, but beyond the procedure": (x**2 - x * y + y**2, {x: NONNEGATIVE, y: NONNEGATIVE}, False, "undecided"),
    "no domain": (x + y, {x: POSITIVE}, True, "undecided"),
    "no polynomial": (sp.exp(x) - x, {x: POSITIVE}, True, "undecided"),
    "a constant": (sp.Rational(1, 10**9), {}, True, "holds"),
    "zero": (x - x, {x: POSITIVE}, True, "refuted"),
    "zero, weakly": (x - x, {x: POSITIVE}, False, "holds"),
}


@pytest.mark.parametrize("name", POSITIVITY)
def test_positive(name):
    expression, domain, strict, expected = POSITIVITY[name]
    assert status(Positive(name, expression, domain, strict)) == expected


def test_sum_of_squares():
    form = x**2 - x * y + y**2
    squares = ((S(1), x - y / 2), (sp.Rational(3, 4), y))
    assert status(SumOfSquares("positive", form, squares)) == "holds"
    assert status(SumOfSquares("incomplete", form, squares[:1])) == "refuted"
    assert status(SumOfSquares("a negative weight", -(x**2), ((S(-1), x),))) == "refuted"
    assert status(SumOfSquares("a weight with a domain", z * x**2, ((z, x),), {z: POSITIVE})) == "holds"


def programme(primal, dual, cost=(S(1), S(2)), rows=((S(1), S(1)), (S(0), S(1))), bounds=(S(2), S(1)), **options):
    """min x + 2 y, x + y >= 2, y >= 1: solved by (1, 1) with dual (1, 1)."""
    return LinearProgramme("", cost, rows, bounds, primal, dual, **options)


def test_linear_programme():
    assert status(programme((S(1), S(1)), (S(1), S(1)), unique=True)) == "holds"
    assert status(programme((S(0), S(2)), (S(1), S(1)))) == "refuted"  # feasible, but dearer
    assert status(programme((S(2), S(0)), (S(1), S(1)))) == "refuted"  # cheaper, but infeasible
    assert status(programme((S(1), S(1)), (S(3), S(0)))) == "refuted"  # dual infeasible
    assert status(programme((S(1), S(1)), (S(2), -S(1)))) == "refuted"  # a negative price


def test_linear_programme_uniqueness():
    tie = {"cost": (S(1), S(1)), "rows": ((S(1), S(1)),), "bounds": (S(1),)}
    assert status(programme((S(1), S(0)), (S(1),), **tie)) == "holds"
    assert status(programme((S(1), S(0)), (S(1),), **tie, unique=True)) == "refuted"


def test_linear_programme_with_symbols():
    tight = {"cost": (x, y), "rows": ((S(1), S(0)), (S(0), S(1))), "bounds": (S(1), S(1))}
    domain = {x: POSITIVE, y: POSITIVE}
    assert status(programme((S(1), S(1)), (x, y), **tight, domain=domain, unique=True)) == "holds"
    assert status(programme((S(1), S(1)), (x, x), **tight, domain=domain)) in ("refuted", "undecided")


def test_cases():
    third = sp.Rational(1, 3)
    assert status(Cases("", (("thirds", third + third, "==", 1 - third),))) == "holds"
    assert status(Cases("", (("thirds", third + third, "<", 1 - third),))) == "refuted"
    assert status(Cases("", (("matrices", sp.eye(2) * 2, "==", sp.diag(2, 2)),))) == "holds"
    assert status(Cases("", (("float", 0.1 + 0.2, "!=", 0.3),))) == "undecided"
    assert status(Cases("", (("irrational", sp.sqrt(2), "<", S(2)),))) == "undecided"
    assert status(Cases("", ())) == "undecided"


def test_induction():
    f = sp.Symbol("f")
    assert status(Induction("squares", K, 1, S(1), f, f + 2 * K + 1, K**2)) == "holds"
    assert status(Induction("true step, wrong base", K, 1, S(2), f, f + 2 * K + 1, K**2)) == "refuted"
    assert status(Induction("true base, wrong step", K, 1, S(1), f, f + 2 * K, K**2)) == "refuted"
    assert status(Induction("geometric sum", K, 0, S(0), f, x * f + 1, (x**K - 1) / (x - 1))) == "holds"


def test_enclosure():
    assert status(Enclosure("pi-like", sp.exp(sp.log(2) / 2) ** 2, S(2) - half, S(2) + half)) == "holds"
    assert status(Enclosure("a box", x * sp.exp(-x), S(-1), sp.Rational(37, 100), {x: (S(0), S(4))})) == "holds"
    top = sp.Rational(3679, 10000)  # 1/e = 0.367879...
    assert status(Enclosure("just above the top", x * sp.exp(-x), None, top, {x: (half, S(2))})) == "holds"
    below = sp.Rational(3678, 10000)
    assert status(Enclosure("just below the top", x * sp.exp(-x), None, below, {x: (half, S(2))})) == "refuted"
    assert status(Enclosure("touching", x**2, S(0), None, {x: (S(0), S(1))})) in ("refuted", "undecided")
    assert status(Enclosure("a pole", 1 / x, None, S(1), {x: (S(-1), S(1))})) == "undecided"
    assert status(Enclosure("unknown function", sp.sin(x), None, S(2), {x: (S(0), S(1))})) == "undecided"
    assert status(Enclosure("no box", x, None, S(2))) == "undecided"
