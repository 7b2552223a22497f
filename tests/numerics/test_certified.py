"""Certified trajectories: closed forms lie inside, LSODA agrees, and wrong or too narrow enclosures are caught."""

import math
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ufmflow.numerics import certified, validated
from ufmflow.numerics.ball_norms import symmetric_bound
from ufmflow.numerics.balls import Program, constant, exact_number, outward, precision, rates_program
from ufmflow.numerics.certified import BY_STRATUM, QUANTITIES, certify
from ufmflow.numerics.integrate import IntegrationError
from ufmflow.numerics.simulate import simulate
from ufmflow.numerics.trajectory import Trajectory
from ufmflow.numerics.validated import Problem, TooWide, enclose
from ufmflow.proofs.strategies import models, rationals
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import CONSTRAINTS, LOSSES, UFM
from ufmflow.theory.system import derive

from .evaluate import exact_rates
from .test_simulate import starts, times_for

positive = rationals(1, 3, 5)


def ball_of(model, time, w, h, quantity="z", stratum="a"):
    """The ball of a quantity at one time, from the same start on each stratum."""
    names = model.attributes.names
    found = certify(model, [Fraction(time)], dict.fromkeys(names, w), dict.fromkeys(names, h))
    column = names.index(stratum) if quantity in BY_STRATUM else 0
    return found.balls[quantity][0][column]


def contains(ball, number) -> bool:
    """Whether a ball holds a number known to 45 digits; balls are far wider, so digits beyond do not matter."""
    with precision(200):
        return bool(ball.contains(flint.arb(mpmath.nstr(number, 45))))


def logistic(model, time, start) -> mpmath.mpf:
    """z(t) of squared error, kW = kH = k, w = h = start."""
    with mpmath.workdps(60):
        tau, k, m = (mpmath.mpf(x.p) / x.q for x in (model.tau["a"], model.feature_kernel["a"], model.contexts))
        z0, t = mpmath.mpf(start.p) ** 2 / start.q**2, mpmath.mpf(time.numerator) / time.denominator
        return tau / (1 + (tau / z0 - 1) * mpmath.exp(-2 * k * tau * t / m))


@settings(max_examples=8)
@given(size=st.integers(2, 9), k=positive, tau=positive, start=rationals(0, 1, 9), time=st.fractions(0, 40))
def test_the_logistic_solution_lies_inside(size, k, tau, start, time):
    assume(0 < start)
    model = UFM(f"a[{size}]", loss="mse", feature_kernel=k, label_kernel=k, targets={"a": tau})
    ball = ball_of(model, time, start, start)
    assert contains(ball, logistic(model, time, start)) and float(ball.rad()) < 1e-11


@settings(max_examples=8)
@given(size=st.integers(2, 9), k=positive, h=positive, time=st.fractions(0, 40))
def test_the_Lambert_W_solution_lies_inside(size, k, h, time):
    """Cross-entropy, one stratum, on the sphere, mean at 0: e^z + (V - 1) z = h^2 kW V t/m + 1 from z = 0."""
    model = UFM(f"a[{size}]", constraint="sphere", label_kernel=k)
    found = certify(model, [Fraction(time)], {"1": sp.S(0), "a": sp.S(0)}, {"1": sp.S(0), "a": h})
    with mpmath.workdps(60):
        x = mpmath.mpf(h.p**2 * k.p) / (h.q**2 * k.q) * mpmath.mpf(time.numerator) / time.denominator + 1
        n = size - 1
        exact = x / n - mpmath.lambertw(mpmath.exp(x / n) / n).real
    assert contains(found.balls["z"][0][1], exact)


def test_a_rate_off_by_a_millionth_excludes_the_solution():
    start, time = sp.Rational(1, 10), Fraction(9)
    right = UFM("a[3]", loss="mse")
    wrong = UFM("a[3]", loss="mse", feature_kernel=1 + sp.Rational(1, 10**6))
    exact = logistic(right, time, start)
    assert contains(ball_of(right, time, start, start), exact)
    assert not contains(ball_of(wrong, time, start, start), exact)


def nudged(monkeypatch, size):
    """Taylor polynomials that are wrong in the coefficient of t^3."""
    right = validated._Integration.taylor

    def wrong(self):
        polynomials, low_order = right(self)
        arb, poly = flint.arb, flint.arb_poly
        for i in self.problem.moving:
            polynomials[i] = polynomials[i] + poly([0, 0, 0, arb(size)])
            low_order[i][2] = low_order[i][2] - 3 * arb(size)
        return polynomials, low_order

    monkeypatch.setattr(validated._Integration, "taylor", wrong)


def test_a_wrong_polynomial_is_made_up_for_by_its_defect(monkeypatch):
    start, time, model = sp.Rational(1, 10), Fraction(9), UFM("a[3]", loss="mse")
    exact, narrow = logistic(model, time, start), ball_of(model, time, start, start)
    nudged(monkeypatch, 1e-25)
    wide = ball_of(model, time, start, start)
    assert contains(wide, exact)
    # Without its defect counted, the same polynomial's enclosure misses the solution.
    monkeypatch.setattr(validated._Integration, "defect", lambda *args: flint.arb(0))
    assert not contains(ball_of(model, time, start, start), exact)
    assert contains(narrow, exact)


def test_a_growth_that_is_left_out_is_caught(monkeypatch):
    """Solutions from both ends of a start's ball lie inside, and would not if errors were thought not to grow."""
    model = UFM("a[3]", loss="mse")
    names = model.attributes.names

    def from_ball():
        with precision(150):
            wide = flint.arb(flint.fmpq(1, 10), flint.fmpq(1, 10**6))
            state = enclose(certified._problem(model), [wide] * 4, [Fraction(4)], 80)[0]
            return state[1] * state[names.index("a") + 2]

    ends = [logistic(model, Fraction(4), sp.Rational(1, 10) + s * sp.Rational(1, 10**6)) for s in (-1, 1)]
    assert all(contains(from_ball(), end) for end in ends)
    monkeypatch.setattr(validated, "symmetric_bound", lambda matrix: 0.0)
    assert not all(contains(from_ball(), end) for end in ends)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
@settings(max_examples=2)
@given(data=st.data())
def test_lsoda_agrees(loss, constraint, data):
    model = data.draw(models(losses=(loss,), constraints=(constraint,), max_cardinality=8))
    model = UFM(**(model.config() | {"width": int(model.contexts) + 1}))
    init, t = data.draw(starts(model)), times_for(model)
    proven = simulate(model, t, init=init, certify=True).data
    found = simulate(model, t, init=init, rtol=1e-11, atol=1e-13).data
    for name in QUANTITIES:
        assert (proven[name + "_low"] <= proven[name]).all() and (proven[name] <= proven[name + "_high"]).all()
        # Sizes and rates are of order 1 to 10: ten times the tolerance covers what errors grow to.
        apart = np.maximum(proven[name + "_low"] - found[name], found[name] - proven[name + "_high"])
        assert apart.max() <= 1e-9 * max(1.0, float(abs(found[name]).max()))


def extrapolated(rates, y, length, columns=12):
    """One step by the modified midpoint rule with 2, 4, ... substeps, extrapolated to none (Gragg, Bulirsch, Stoer)."""
    table = []
    for k in range(1, columns + 1):
        h = length / (2 * k)
        before, now = y, [a + h * b for a, b in zip(y, rates(y), strict=True)]
        for _ in range(2 * k - 1):
            before, now = now, [a + 2 * h * b for a, b in zip(before, rates(now), strict=True)]
        row = [[(a + b + h * c) / 2 for a, b, c in zip(before, now, rates(now), strict=True)]]
        for j, coarser in enumerate(table[-1] if table else ()):
            factor = mpmath.mpf(k) ** 2 / (k - j - 1) ** 2 - 1
            row.append([a + (a - b) / factor for a, b in zip(row[-1], coarser, strict=True)])
        table.append(row)
    return table[-1][-1]


def test_extrapolation_with_60_digits_lies_near_in_every_component():
    """The same flow by another method and another arithmetic, for coupled strata, to digits that floats do not have."""
    model = UFM("a[2] * b[3]", feature_kernel={"1": 3, "a": 5, "b": 2, "a:b": "1/2"}, ridge="1/50")
    rates = exact_rates(derive(model).flow)
    with mpmath.workdps(60):
        y = [mpmath.mpf(3) / 10] * 8
        for _ in range(8):
            y = extrapolated(rates, y, mpmath.mpf(1) / 8)
    start = dict.fromkeys(model.attributes.names, sp.Rational(3, 10))
    found = certify(model, [Fraction(1)], start, start)
    balls = [*found.balls["w"][0], *found.balls["h"][0]]
    with precision(200):
        off = [float(abs(ball - flint.arb(mpmath.nstr(x, 40))).upper()) for ball, x in zip(balls, y, strict=True)]
    # Of order 24 in steps of an eighth, at rates of order 1; a double would be off by 1e-17 from the start.
    assert max(off) < 1e-20


@settings(max_examples=8)
@given(data=st.data())
def test_programs_enclose_what_points_give(data):
    model = data.draw(models(max_cardinality=8, max_factors=2, positive_kernels=True))
    model = UFM(**(model.config() | {"width": 9}))
    flow = derive(model).flow
    points = [data.draw(rationals(1, 3)) for _ in flow.state]
    program = rates_program(flow)
    with precision(120):
        exact = program(*(constant(x) for x in points))
        wide = program(*(constant(x) + flint.arb(0, 0.01) for x in points))
        assert all(flint.arb(big).contains(small) for big, small in zip(wide, exact, strict=True))
        assert not all(flint.arb(small).contains(big) for big, small in zip(wide, exact, strict=True))


@settings(max_examples=15)
@given(data=st.data(), n=st.integers(1, 5))
def test_the_logarithmic_norm_bounds_every_member(data, n):
    entry = st.integers(-8, 8).map(lambda x: x / 4)
    middle = np.array([[data.draw(entry) for _ in range(n)] for _ in range(n)])
    radius = np.array([[data.draw(st.integers(0, 4)) / 8 for _ in range(n)] for _ in range(n)])
    matrix = [[flint.arb(*pair) for pair in zip(*rows, strict=True)] for rows in zip(middle, radius, strict=True)]
    bound = symmetric_bound(matrix)
    for signs in ([1] * n, [(-1) ** i for i in range(n)]):
        member = middle + radius * np.outer(signs, signs)
        largest = np.linalg.eigvalsh((member + member.T) / 2)[-1]
        assert largest <= bound + 1e-12
        assert largest - 1e-6 > symmetric_bound(matrix) - 1e-5 - 2 * np.linalg.norm(radius)  # and is not far above


def test_the_defect_does_not_depend_on_what_was_computed_before():
    """A step that is tried again has had its Jacobian in shorter series between."""
    problem = certified._problem(UFM("a[3]", loss="mse"))
    with precision(128):
        integration = validated._Integration(problem, [flint.arb(0.3)] * 4, 80)
        polynomials, low_order = integration.taylor()
        first = integration.defect(polynomials, low_order, 2.0)
        assert integration.validated(polynomials, 2.0, first) is not None
        again = integration.defect(polynomials, low_order, 2.0)
        assert first > 0 and float(first) == float(again)
        flint.ctx.cap = 5
        short = flint.arb_series([1, 1]).exp()
        with pytest.raises(RuntimeError, match="5 terms where 8"):
            validated._coefficients(short, 8)


def square() -> Problem:
    """dy/dt = y^2, whose solution 1/(1 - t) from 1 ends at t = 1."""
    y = sp.Symbol("y")
    return Problem(Program([y], [y**2]), Program([y], [2 * y]), (1.0,), (0,))


def test_a_singularity_is_met_before_it_comes():
    with precision(128):
        (at,) = enclose(square(), [flint.arb(1)], [Fraction(9, 10)], 80)
        assert at[0].contains(10) and float(at[0].rad()) < 1e-15
        with pytest.raises((IntegrationError, TooWide)):
            enclose(square(), [flint.arb(1)], [Fraction(11, 10)], 80)


def test_what_errors_grow_beyond_is_refused(monkeypatch):
    monkeypatch.setattr(certified, "WIDTH", 1e-40)
    monkeypatch.setattr(certified, "LAST_GOAL", 100)
    with pytest.raises(IntegrationError, match="wide.*100 bits"):
        simulate(UFM("a[2]", loss="mse"), [1.0], init=0.1, certify=True)


def test_more_bits_are_taken_where_errors_grow(monkeypatch):
    model = UFM("a[3]", loss="mse")
    monkeypatch.setattr(certified, "FIRST_GOAL", 30)
    ball = ball_of(model, Fraction(60), sp.Rational(1, 1000), sp.Rational(1, 1000))
    assert contains(ball, logistic(model, Fraction(60), sp.Rational(1, 1000))) and float(ball.rad()) < 1e-11


@given(numerator=st.integers(-(10**30), 10**30), denominator=st.integers(1, 10**20))
def test_floats_are_rounded_outward(numerator, denominator):
    number = sp.Rational(numerator, denominator)
    with precision(120):
        low, high = outward(constant(number))
    assert sp.Rational(low) <= number <= sp.Rational(high)
    assert high <= math.nextafter(math.nextafter(low, math.inf), math.inf)


def test_a_float_is_its_binary_fraction_and_text_its_decimal():
    assert exact_number(0.1, "init") == sp.Rational(0.1) != sp.Rational(1, 10) == exact_number("0.1", "init")
    binary, decimal = (
        simulate(UFM("a[2]", loss="mse"), [0.0], init=x, certify=True).data["w_low"].values[0, 0] for x in (0.1, "0.1")
    )
    assert Fraction(float(binary)) == Fraction(0.1) and Fraction(float(decimal)) < Fraction(1, 10)


@pytest.fixture(scope="module")
def proven():
    kernel = {"1": 6, "color": 3, "shape": 2, "color:shape": "1/4"}
    model = UFM("color[2] * shape[3]", feature_kernel=kernel, ridge=0.01)
    return simulate(model, [0.0, 5.0, 400.0], init=0.1, certify=True)


def test_statements_are_proved_disproved_or_refused(proven):
    low = float(proven.data["semantic_index_low"][1])
    assert proven.certify("semantic_index", at=5.0, above=low - 1e-6, below=low + 1e-6)
    assert not proven.certify("semantic_index", at=5.0, above=low + 1e-6)
    assert not proven.certify("share_H", stratum="color", at=5.0, below=0)
    with pytest.raises(InputError, match="decides nothing"):
        ends = [sp.Rational(float(proven.data[name].sel(time=5.0, stratum="color"))) for name in ("w_low", "w_high")]
        proven.certify("w", stratum="color", at=5.0, above=sum(ends) / 2)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"quantity": "entropy"}, "'entropy' has no bounds"),
        ({"stratum": None}, "one value a stratum"),
        ({"stratum": "size"}, "'size' is unknown"),
        ({"quantity": "loss"}, "belongs to no stratum"),
        ({"at": 6.0}, "no recorded time"),
        ({"above": None}, "give one of them"),
        ({"above": sp.sqrt(2)}, "not rational"),
    ],
)
def test_statements_that_cannot_be_read(proven, changed, message):
    arguments = {"quantity": "z", "stratum": "color", "at": 5.0, "above": 0.1} | changed
    with pytest.raises(InputError, match=message):
        proven.certify(arguments.pop("quantity"), **arguments)


def test_saved_bounds_come_back(proven, tmp_path):
    proven.save(tmp_path / "run.zarr")
    back = Trajectory.load(tmp_path / "run.zarr")
    assert back.data.attrs["certified"] and back.data.identical(proven.data.assign_attrs(kind=Trajectory.kind))
    plain = simulate(UFM("a[2]", loss="mse"), [1.0])
    with pytest.raises(InputError, match="no proven bounds"):
        plain.certify("z", stratum="a", at=1.0, above=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"full": True}, "only the reduced"),
        ({"optimizer": "muon"}, "only the reduced"),
        ({"certify": "yes"}, "neither True nor False"),
        ({"init": float("nan")}, "no finite"),
        ({"init": np.inf}, "no finite"),
        ({"init": "a tenth"}, "no finite number"),
    ],
)
def test_what_cannot_be_certified(arguments, message):
    with pytest.raises(InputError, match=message):
        simulate(UFM("a[2]"), [1.0], **({"certify": True} | arguments))
