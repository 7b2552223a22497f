"""The direction of persistence, its certificates, phases and their boundaries; against HiGHS, and long-time flows."""

from functools import cache

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import linprog

from ufmflow.proofs.strategies import rationals, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.flow import derive_flow
from ufmflow.theory.kernels import symbols_for
from ufmflow.theory.model import UFM
from ufmflow.theory.persistence import persistence, phase_boundaries, staircase

from .evaluate import rates
from .scheme import relation_names, scaled_projectors


@cache
def unit_margins(formula: str) -> dict[str, dict[str, sp.Rational]]:
    """For each stratum but the mean, Z(same) - Z(T) of the explicit matrix P_A, exactly."""
    attributes = Attributes(formula)
    V, relations = int(attributes.cardinality), relation_names(attributes)
    first = list(relations[0])
    return {
        A: {T: sp.Rational(int(P[0, 0] - P[0, first.index(T)]), V) for T in attributes.names[:-1]}
        for A, P in scaled_projectors(attributes).items()
        if A != "1"
    }


def margins(attributes: Attributes, direction: dict) -> dict[str, sp.Rational]:
    """Z(same) - Z(T) of sum_A z_A P_A, exactly."""
    unit = unit_margins(str(attributes))
    return {T: sum(z * unit[A][T] for A, z in direction.items()) for T in attributes.names[:-1]}


def is_max_margin(model: UFM, direction: dict) -> bool:
    """Feasible exactly, and as cheap as what SciPy finds; HiGHS keeps constraints to 1e-7, hence the cost to 1e-6."""
    attributes, m = model.attributes, model.attributes.multiplicities
    names = attributes.names[1:]
    cost = [float(m[A] / sp.sqrt(model.label_kernel[A] * model.feature_kernel[A])) for A in names]
    unit = [unit_margins(str(attributes))[A] for A in names]
    bounds = -np.array([[float(column[T]) for column in unit] for T in attributes.names[:-1]])
    best = linprog(cost, A_ub=bounds, b_ub=-np.ones(len(bounds)), bounds=(0, None))
    feasible = min(margins(attributes, direction).values()) >= 1 and min(direction.values()) >= 0
    spent = sum(c * float(direction[A]) for A, c in zip(names, cost, strict=True))
    return best.success and feasible and abs(spent / best.fun - 1) < 1e-6


@given(structures(max_cardinality=24, max_factors=3), st.data())
def test_persistence_is_the_max_margin_direction(attributes, data):
    kernel = {A: data.draw(rationals(0, 3, 3).filter(bool)) for A in attributes.names}  # costs are irrational
    model = UFM(attributes, feature_kernel=kernel)
    assert is_max_margin(model, persistence(model).direction)


def is_certificate(model: UFM, prices: dict, spent: sp.Expr) -> bool:
    """Prices >= 0 that pay no stratum more than its cost, and m b z in all: 40 digits of exact numbers."""
    attributes, m = model.attributes, model.attributes.multiplicities
    unit = unit_margins(str(attributes))
    gaps = [m[A] / sp.sqrt(model.label_kernel[A] * model.feature_kernel[A]) for A in unit]
    gaps = [sp.N(c - sum(y * unit[A][T] for T, y in prices.items()), 40) for A, c in zip(unit, gaps, strict=True)]
    signs = [sp.N(y, 40) for y in prices.values()]
    return min(gaps + signs) > -(sp.Float(10) ** -35) and abs(sp.N(sum(prices.values()) - spent, 40)) < 1e-35


@given(structures(max_cardinality=24, max_factors=3), st.data())
def test_prices_certify_the_direction(attributes, data):
    kernel = {A: data.draw(rationals(0, 3, 3).filter(bool)) for A in attributes.names}
    model = UFM(attributes, label_kernel=kernel)
    found, m = persistence(model), attributes.multiplicities
    spent = sum(m[A] * z / sp.sqrt(kernel[A]) for A, z in found.direction.items())
    assert is_certificate(model, found.prices, spent)
    active = next(T for T, y in found.prices.items() if y != 0)
    assert not is_certificate(model, found.prices | {active: found.prices[active] * sp.Rational(101, 100)}, spent)
    slack = margins(attributes, found.direction)
    assert all(slack[T] == 1 for T, y in found.prices.items() if y != 0)


def spread_of_optima(model: UFM, seed: int) -> float:
    """How far apart HiGHS's optima lie when a random second cost is minimised and maximised among the optima."""
    attributes, m = model.attributes, model.attributes.multiplicities
    names = attributes.names[1:]
    cost = np.array([float(m[A] / sp.sqrt(model.label_kernel[A] * model.feature_kernel[A])) for A in names])
    bounds = -np.array([[float(unit_margins(str(attributes))[A][T]) for A in names] for T in attributes.names[:-1]])
    best = linprog(cost, A_ub=bounds, b_ub=-np.ones(len(bounds)), bounds=(0, None)).fun
    second = np.random.default_rng(seed).uniform(1, 2, len(names))
    ends = [
        linprog(
            sign * second,
            A_ub=np.vstack([bounds, cost]),
            b_ub=np.append(-np.ones(len(bounds)), best * (1 + 1e-9)),
            bounds=(0, None),
        ).x
        for sign in (1, -1)
    ]
    return float(np.abs(ends[0] - ends[1]).max())


@pytest.mark.parametrize(
    ("formula", "root", "unique"),
    [
        ("a[3] * b[3]", sp.Rational(19, 10), True),
        ("a[3] * b[3]", sp.S(2), False),  # on a step both sides are optimal
        ("a[3] * b[4] * c[3]", sp.Rational(39, 50), False),
        ("a[2] * b[3] * c[4]", sp.Rational(7, 4), True),
    ],
)
def test_uniqueness_is_told(formula, root, unique):
    attributes = Attributes(formula)
    model = UFM(attributes, feature_kernel={s.name: root**2 if len(s.factors) == 1 else 1 for s in attributes.strata})
    assert persistence(model).unique is unique
    assert (spread_of_optima(model, 1) < 1e-5) is unique


def test_another_direction_is_noticed():
    model = UFM("a[2] * b[3]", feature_kernel={"a": 9, "b": 4, "a:b": 1})
    direction = persistence(model).direction
    assert is_max_margin(model, direction)
    assert not is_max_margin(model, {A: z * sp.Rational(99, 100) for A, z in direction.items()})
    assert not is_max_margin(model, {A: z * sp.Rational(101, 100) for A, z in direction.items()})
    assert not is_max_margin(model, {"a": sp.S(1), "b": sp.S(1), "a:b": sp.S(1)})  # the ETF: feasible, but dear


@given(structures(max_cardinality=64, max_factors=5))
def test_equal_kernels_collapse(attributes):
    """Also where symmetry makes the programme degenerate, as for binary attributes."""
    found = persistence(UFM(attributes))
    assert found.phase == "collapsed" and set(found.direction.values()) == {1}


@pytest.mark.parametrize("K", [2, 3, 4, 5])
def test_equal_kernels_on_binary_attributes_collapse(K):
    assert phase(K, sp.S(1), size=2) == ("collapsed", set(range(1, K + 1)))


def phase(K: int, root: sp.Rational, size: int = 3) -> tuple[str, set]:
    """Phase, and the orders of interaction that survive, at k1/k2 = root^2 with label kernel 1."""
    attributes = Attributes(" * ".join(f"f{i}[{size}]" for i in range(K)))
    kernel = {s.name: root**2 if len(s.factors) == 1 else 1 for s in attributes.strata}
    found = persistence(UFM(attributes, feature_kernel=kernel))
    return found.phase, {len(A.split(":")) for A, z in found.direction.items() if z}


@pytest.mark.parametrize(
    ("K", "steps"),
    [(2, [sp.S(2)]), (3, [sp.Rational(3, 2), sp.S(3)])],
)
def test_the_steps_of_the_staircase_lie_at_K_over_j_squared(K, steps):
    below, above = sp.Rational(99, 100), sp.Rational(101, 100)
    assert phase(K, steps[0] * below) == ("collapsed", set(range(1, K + 1)))
    assert phase(K, steps[-1] * above) == ("attributes only", {1})
    for first, second in zip(steps, steps[1:]):
        assert phase(K, first * above) == phase(K, second * below) == ("partly collapsed", {1, *range(3, K + 1)})


def test_kernels_on_both_sides_make_the_step_at_K():
    """With kW = kH the cost has k, not its root: the same boundary lies at k1/k2 = K."""
    for ratio, expected in ((sp.Rational(199, 100), "collapsed"), (sp.Rational(201, 100), "attributes only")):
        kernel = {"a": ratio, "b": ratio, "a:b": 1}
        assert persistence(UFM("a[3] * b[3]", feature_kernel=kernel, label_kernel=kernel)).phase == expected


def scaled_main(attributes: Attributes, x: sp.Expr) -> UFM:
    main = attributes.semantic_strata()
    return UFM(attributes, feature_kernel={A: x**2 if A in main else 1 for A in attributes.names})


@given(structures(max_cardinality=24, max_factors=4), st.data())
def test_every_phase_of_the_staircase_is_optimal_inside_and_not_beyond(attributes, data):
    phases = staircase(UFM(attributes))
    assert phases[0].low == 0 and phases[-1].high is None
    assert all(first.high == second.low for first, second in zip(phases, phases[1:]))
    phase = data.draw(st.sampled_from(phases))
    part = data.draw(rationals(0, 1, 12).filter(lambda x: 0 < x < 1))
    end = phase.low + 3 if phase.high is None else phase.high
    inside = persistence(scaled_main(attributes, phase.low + part * (end - phase.low)))
    assert not phase.unique or inside.direction == phase.direction and inside.phase == phase.phase
    assert is_max_margin(scaled_main(attributes, phase.low + part * (end - phase.low)), phase.direction)
    if phase.high is not None:
        beyond = scaled_main(attributes, phase.high * sp.Rational(11, 10))
        assert persistence(beyond).direction != phase.direction
        assert not is_max_margin(beyond, phase.direction)


@pytest.mark.parametrize(
    ("formula", "steps"),
    [
        ("a[3] * b[4]", [2]),
        ("a[3] * b[3] * c[3]", ["3/2", 3]),
        ("a[2] * b[3] * c[4]", ["3/2", 2, 3]),
        ("a[2] * b[3] * c[4] * d[5]", ["4/3", "3/2", "5/3", 2, "5/2", 3, 4]),
        ("(a[2] / b[3]) * c[4]", [2]),
        ("(a[2] * b[3]) / c[4]", [2]),
        ("a[3] / (b[2] * c[3])", ["4/3", 2]),  # 1 + 1/n1: the coarse attribute vanishes
    ],
)
def test_steps_of_the_staircase(formula, steps):
    found = [phase.low for phase in staircase(UFM(formula)) if phase.low > 1]
    assert found == [sp.Rational(step) for step in steps]


def test_a_coarse_attribute_above_crossed_ones_is_driven_out():
    last = staircase(UFM("a[3] / (b[2] * c[3])"))[-1]
    assert last.direction == {"a": 0, "a:b": 3, "a:c": 2, "a:b:c": 0} and last.phase == "attributes only"


def test_the_staircase_starts_from_the_models_kernels():
    """Kernels 4 and 9 on the main effects, 2 on the rest: steps at x in QQ(sqrt 2), and the phases of persistence."""
    kernel = {"a": 4, "b": 9, "a:b": 2}
    phases = staircase(UFM("a[2] * b[3]", feature_kernel=kernel))
    step = phases[-1].low  # 1/(2x) + 1/(3x) = 1/sqrt(2)
    assert sp.expand(step - sp.Rational(5, 6) * sp.sqrt(2)) == 0 and phases[-1].phase == "attributes only"
    for factor, expected in ((sp.Rational(99, 100), "partly collapsed"), (sp.Rational(101, 100), "attributes only")):
        x2 = (step * factor) ** 2
        model = UFM("a[2] * b[3]", feature_kernel={"a": 4 * x2, "b": 9 * x2, "a:b": 2})
        assert (persistence(model).phase == "attributes only") == (expected == "attributes only")


@pytest.mark.parametrize(
    "formula", ["a[n1] * b[n2]", "a[n1] * b[n2] * c[n3]", "(a[n1] / b[n2]) * c[n3]", "a[n1] / b[n2]"]
)
@given(data=st.data())
def test_symbolic_boundaries_decide_as_the_simplex_does(formula, data):
    symbolic = Attributes(formula)
    kernel = symbols_for(symbolic, "k")
    conditions = phase_boundaries(UFM(symbolic, feature_kernel=kernel, label_kernel=kernel))
    put = {n: sp.Integer(data.draw(st.integers(2, 4))) for n in symbolic.sizes.values()}
    numbers = {k: data.draw(rationals(0, 4, 3).filter(bool)) for k in kernel.values()}
    text = formula
    for n, value in put.items():
        text = text.replace(f"[{n}]", f"[{value}]")
    attributes = Attributes(text)
    values = {A: numbers[k] for A, k in kernel.items()}
    model = UFM(attributes, feature_kernel=values, label_kernel=values)

    def holds(name: str) -> bool:
        return all(condition.subs(put | numbers) == sp.true for condition in conditions[name])

    m = attributes.multiplicities
    found = persistence(model)
    least = sum(m[A] * z / values[A] for A, z in found.direction.items())
    assert holds("collapsed") == (sum(m[A] / values[A] for A in m if A != "1") == least)
    if "attributes only" in conditions:
        parts = [{"a", "a:b"}, {"c"}] if "/" in formula else [{k} for k in attributes.sizes]
        sizes = [
            sp.prod(attributes.sizes[k] for k in attributes.sizes if any(k in A.split(":") for A in p)) for p in parts
        ]
        alone = {A: attributes.cardinality / n for p, n in zip(parts, sizes, strict=True) for A in p}
        assert holds("attributes only") == (sum(m[A] * z / values[A] for A, z in alone.items()) == least)


def test_held_norms_leave_the_feature_kernel_out():
    kernel = {"a": 9, "b": 9, "a:b": 1}
    held = persistence(
        UFM("a[2] * b[3]", constraint="sphere", label_kernel=kernel, feature_kernel={"a": 1, "b": 7, "a:b": 3})
    )
    free = persistence(UFM("a[2] * b[3]", label_kernel=kernel))
    assert (held.direction, held.prices, held.unique) == (free.direction, free.prices, free.unique)
    assert held.phase == "attributes only"
    assert persistence(UFM("a[2] * b[3]", constraint="normalized", feature_kernel=kernel)).phase == "collapsed"


def directions_of_the_flow(model: UFM, levels: tuple[float, ...]) -> np.ndarray:
    """z / (smallest margin) of the strata but the mean, when that margin first reaches each of the levels.

    Integrated in time rescaled by exp(-margin), as which the loss falls (it is 0 in floats from 37 on).
    """
    flow, n = derive_flow(model), len(model.attributes.names)
    function = rates(flow)
    unit = unit_margins(str(model.attributes)).values()
    rows = np.array([[float(column[T]) for column in unit] for T in model.attributes.names[:-1]])

    def margin(y):
        return (rows @ (y[1:n] * y[n + 1 :])).min()

    def rescaled(s, y):
        return np.array(function(y)) * np.exp(margin(y))

    def reaches(level):
        def event(s, y):
            return margin(y) - level

        event.terminal = level == levels[-1]
        return event

    start = np.array([0.05 if x.name[2:] != "1" else 0.0 for x in flow.state])
    solved = solve_ivp(rescaled, (0, 1e4), start, "LSODA", events=[reaches(x) for x in levels], rtol=1e-8, atol=1e-12)
    assert solved.status == 1
    states = np.array([y[0] for y in solved.y_events])
    z = states[:, 1:n] * states[:, n + 1 :]
    return z / (z @ rows.T).min(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("formula", "ratio", "left"),
    [
        ("a[2] * b[3]", 2, 0.01),
        ("a[2] * b[3]", 9, 0.01),
        ("a[3] / (b[2] * c[3])", 9, 0.01),
        ("a[2] * b[3] * c[4]", 3, 0.5),
    ],
)
def test_long_flows_turn_towards_the_direction(formula, ratio, left):
    """The distance falls with each decade of the margin, below that to the ETF; near a step (here 3 < 4) it is slow."""
    attributes = Attributes(formula)
    model = scaled_main(attributes, sp.sqrt(ratio))
    expected = np.array([float(z) for z in persistence(model).direction.values()])
    path = directions_of_the_flow(model, (5, 50, 500))
    away = np.abs(path - expected).max(axis=1)
    assert (np.diff(away) < 0).all() and away[-1] < left * expected.max()
    if persistence(model).phase != "collapsed":
        assert away[-1] < np.abs(path[-1] - 1).max()


def growth_per_loss(model: UFM, until: float) -> np.ndarray:
    """d ln z_A / d ln D of the balanced flow, D = sum_A m_A b_A z_A, at loss-rescaled time `until`.

    With ds = 2 (1 - q(same)) dt: c_A d ln z_A / ds = sum_T p_T a_TA, p the softmax of ln v_T - M_T (no time is too long).
    """
    attributes = model.attributes
    names = attributes.names[1:]
    m = {A: float(value) for A, value in attributes.multiplicities.items()}
    rows = np.array([[float(unit_margins(str(attributes))[A][T]) for A in names] for T in attributes.names[:-1]])
    valency = np.array([float(T.valency) for T in attributes.relations[:-1]])
    cost = np.array([m[A] / np.sqrt(float(model.feature_kernel[A] * model.label_kernel[A])) for A in names])

    def rate(s: float, x: np.ndarray) -> np.ndarray:
        exponent = np.log(valency) - rows @ np.exp(x)
        p = np.exp(exponent - exponent.max())
        return rows.T @ (p / p.sum()) / cost

    x = solve_ivp(rate, (0, until), np.full(len(cost), -4.0), method="LSODA", rtol=1e-9, atol=1e-9).y[:, -1]
    speed, weight = rate(until, x), cost * np.exp(x)
    return speed / (weight @ speed / weight.sum())


@pytest.mark.parametrize(("formula", "ratio"), [("a[3] * b[4]", 9), ("a[2] * b[3]", 25), ("a[3] * b[2] * c[2]", 16)])
def test_exponents_are_the_growth_of_long_flows(formula, ratio):
    """At a margin M the prices are off by about ln V / M; the flow is followed to M of some hundreds."""
    attributes = Attributes(formula)
    main = dict.fromkeys(attributes.sizes, ratio)
    model = UFM(formula, feature_kernel=dict.fromkeys(attributes.names[1:], 1) | main)
    exponents = persistence(model).exponents
    assert exponents is not None
    found = growth_per_loss(model, until=7 * float(sum(1 / sp.sqrt(ratio) * (n - 1) * attributes.cardinality / n
                                                       for n in attributes.sizes.values())))  # fmt: skip
    expected = np.array([float(e) for e in exponents.values()])
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found - expected**2).max() > 0.05  # a wrong exponent is noticed


def test_exponents_are_none_where_the_prices_leave_them_open():
    kernel = {A: 5 if ":" not in A else 1 for A in Attributes("a[2]*b[2]*c[2]*d[2]").names[1:]}
    assert persistence(UFM("a[2]*b[2]*c[2]*d[2]", feature_kernel=kernel)).exponents is None
    assert persistence(UFM("a[2]*b[2]", constraint="sphere")).exponents is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: persistence(UFM("a[2]", loss="mse")), "^persistence: it needs cross-entropy"),
        (lambda: persistence(UFM("a[2]", ridge=1)), "^persistence: it needs cross-entropy"),
        (
            lambda: persistence(UFM("a[n]")),
            "^persistence: n has no number; give the model numbers, or ask phase_boundaries",
        ),
        (
            lambda: persistence(UFM("a[2]*b[2]", feature_kernel={"a": 1, "b": 0, "a:b": 0})),
            "^persistence: a kernel that vanishes",
        ),
        (
            lambda: staircase(UFM("a[2] * b[3]", feature_kernel={"a": 2, "b": 3, "a:b": 1})),
            "^staircase: the costs .* have different roots",
        ),
        (lambda: phase_boundaries(UFM("a[2]", targets={"a": "1/2"})), "^phase_boundaries: it needs"),
    ],
)
def test_what_has_no_phases_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
