"""Ends of the flow: the ridge's fixed point, the ETF, and the direction of persistence by linear programming."""

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import linprog

from ufmflow.proofs.strategies import models, rationals, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.flow import derive_flow
from ufmflow.theory.limits import limit, persistence
from ufmflow.theory.model import LOSSES, UFM

from .evaluate import rates
from .scheme import relation_names, scaled_projectors


def is_at_rest(model: UFM, point: dict) -> bool:
    """All rates vanish, to 25 of 40 digits."""
    flow = derive_flow(model)
    with mpmath.workdps(40):
        state = [*(point[A][0] for A in flow.w), *(point[A][1] for A in flow.h)]
        numbers = [mpmath.mpf(str(sp.N(value, 40))) for value in state]
        return all(abs(rate) < mpmath.mpf(10) ** -25 for rate in rates(flow, "mpmath")(numbers))


def scaled(point: dict, stratum: str, factor) -> dict:
    w, h, z = point[stratum]
    return point | {stratum: (w * factor, h * factor, z * factor**2)}


@pytest.mark.parametrize("loss", LOSSES)
@given(data=st.data())
def test_the_ridge_limit_is_a_fixed_point(loss, data):
    drawn = data.draw(models(losses=(loss,), constraints=("free",), ridge=False, positive_kernels=True))
    ridge = data.draw(st.tuples(*[rationals(0, 1, 40).filter(bool)] * 2))
    model = UFM(**(drawn.config() | {"ridge": [lam / 20 for lam in ridge]}))
    try:
        point = limit(model)
    except InputError:
        assume(False)
    assert is_at_rest(model, point)
    lam_W, lam_H = model.ridge
    for A, (w, h, z) in point.items():
        assert sp.simplify(w * h - z) == 0 and sp.simplify(w**2 * lam_W - h**2 * lam_H) == 0
        assert z == 0 or not is_at_rest(model, scaled(point, A, sp.Rational(101, 100)))


WORDS = "(a[2] * b[2]) / word[2]"
KERNEL = {"1": 3, "a": 2, "b": 1, "a:b": "1/2", "a:b:word": "1/3"}
TARGETS = {"a": "3/4", "b": "1/2", "a:b": "1/2"}
RIDGED = [
    UFM("a[2] * b[3]", ridge="1/40"),
    UFM("a[2] * b[3]", ridge="1/40", loss="mse", feature_kernel={"a": 3, "b": 2, "a:b": 1}),
    UFM("a[3] / b[2]", ridge=("1/50", "1/20"), feature_kernel={"a": 3, "a:b": 1}, label_kernel={"a": 1, "a:b": 2}),
    UFM(WORDS, labels="a * b", ridge="1/30", feature_kernel=KERNEL),
    UFM(WORDS, labels="a * b", ridge=("1/40", "1/30"), targets=TARGETS, feature_kernel=KERNEL),
    UFM(WORDS, labels="a * b", ridge="1/10", targets=TARGETS, loss="mse", reduction="sum"),
    UFM("a[2] * b[2]", ridge="1/2"),  # too strong: nothing survives
    UFM("a[2] * b[2]", ridge="1/2", loss="mse"),
]


def ends_at(model: UFM, point: dict) -> bool:
    """Whether integration from a small equal start, for 60 of its slowest time constants, ends at a point.

    The slowest motion about the limit is of the order of the ridge times the smallest kernel; where the ridge stops a
    stratum just so, less.  LSODA at rtol 1e-10 leaves 1e-8.
    """
    flow = derive_flow(model)
    function = rates(flow)
    kernels = [k for k in (*model.feature_kernel.values(), *model.label_kernel.values()) if k]
    end = 60 / float(min(model.ridge) * min(kernels))
    solved = solve_ivp(
        lambda t, y: function(y), (0, end), np.full(len(flow.state), 1e-2), "LSODA", rtol=1e-10, atol=1e-12
    )
    expected = [*(point[A][0] for A in flow.w), *(point[A][1] for A in flow.h)]
    return solved.success and np.allclose(solved.y[:, -1], np.array(expected, dtype=float), rtol=0, atol=1e-7)


@pytest.mark.parametrize("model", RIDGED)
def test_integration_ends_at_the_ridge_limit(model):
    point = limit(model)
    assert ends_at(model, point)
    assert not ends_at(model, point | {"a": (point["a"][0] + sp.Rational(1, 10**5), *point["a"][1:])})


@given(structures(), rationals(0, 1).filter(lambda x: 0 < x < 1), st.sampled_from(LOSSES))
def test_one_hot_labels_end_at_the_etf(attributes, strength, loss):
    """Every stratum alike whatever the kernels, at the height of the closed formula."""
    m = attributes.cardinality
    lam = strength / m
    kernel = {A: i + 1 for i, A in enumerate(attributes.names)}
    point = limit(UFM(attributes, loss=loss, ridge=lam, feature_kernel=kernel))
    heights = {sp.simplify(point[A][2]) for A in attributes.names[1:]}
    expected = 1 - strength if loss == "mse" else sp.log(m / strength - m + 1)
    assert len(heights) == 1 and abs(sp.N(heights.pop() - expected, 40)) < 1e-30
    if loss == "cross_entropy":
        assert point["1"] == (0, 0, 0)


def test_structured_targets_do_not_end_at_the_etf():
    model = UFM("a[2] * b[3]", targets={"a": 1, "b": "3/4", "a:b": "3/4"}, ridge="1/1000")
    heights = {A: float(limit(model)[A][2]) for A in ("a", "b", "a:b")}
    assert heights["a"] > heights["b"] and heights["b"] == pytest.approx(heights["a:b"])


@given(models(losses=("mse",), constraints=("free",), ridge=False, positive_kernels=True, replication=False))
def test_without_ridge_squared_error_ends_at_the_targets(model):
    point = limit(model)
    assert is_at_rest(model, point)
    for A, (w, h, z) in point.items():
        assert z == sp.Max(model.tau[A], 0)
        # The invariant of a balanced start, w^2/kW = h^2/kH.
        assert sp.simplify(w**2 * model.feature_kernel[A] - h**2 * model.label_kernel[A]) == 0


@pytest.mark.parametrize("constraint", ["sphere", "normalized"])
def test_with_the_norm_held_the_shares_become_the_etfs(constraint):
    """h_A of all strata approach each other, and their scale is that of the limit."""
    kernel = {"1": 0, "a": 3, "b": 2, "a:b": 1}
    model = UFM("a[2] * b[3]", constraint=constraint, width=6, feature_kernel=kernel)
    flow = derive_flow(model)
    function = rates(flow)
    features = [0.0, 3.0, 2.0, 1.0]  # the kernel's geometry
    start, times = [1e-3] * 4 + features, [0, 1e2, 1e4, 1e6]
    solved = solve_ivp(lambda t, y: function(y), (0, 1e6), start, "LSODA", t_eval=times, rtol=1e-9, atol=1e-12)
    h = solved.y[5:]
    spread = (h.max(axis=0) - h.min(axis=0)) / h.mean(axis=0)
    assert solved.success and (np.diff(spread) < 0).all() and spread[-1] < 0.02 < spread[0]
    m = np.array([1, 2, 2])
    expected = limit(model)["a"][1]
    if constraint == "sphere":
        radius = np.sqrt((m @ h[:, 0] ** 2) / 6)
        assert (m @ h**2) / 6 == pytest.approx(radius**2, rel=1e-6)  # LSODA's drift
        expected = expected.subs(sp.Symbol("R", positive=True), radius)
        assert h[:, -1] == pytest.approx(float(expected), rel=0.02)
        assert h[:, 0] != pytest.approx(float(expected), rel=0.02)
    else:
        assert float(expected) == pytest.approx(np.sqrt(6 * 6 / 5), rel=1e-15)  # m R^2 / (V - 1), R^2 = d


def margins(attributes: Attributes, direction: dict) -> dict[str, sp.Rational]:
    """Z(same) - Z(T) of the explicit matrix sum_A z_A P_A, exactly."""
    V = int(attributes.cardinality)
    Z = sum(sp.Rational(direction.get(A, 0)) * P.astype(object) for A, P in scaled_projectors(attributes).items())
    relations = relation_names(attributes)
    return {T: (Z[0, 0] - Z[0, list(relations[0]).index(T)]) / V for T in attributes.names[:-1]}


def is_max_margin(model: UFM, direction: dict) -> bool:
    """Feasible exactly, and as cheap as what SciPy finds; HiGHS keeps constraints to 1e-7, hence the cost to 1e-6."""
    attributes, m = model.attributes, model.attributes.multiplicities
    names = attributes.names[1:]
    cost = [float(m[A] / sp.sqrt(model.label_kernel[A] * model.feature_kernel[A])) for A in names]
    unit = [margins(attributes, {A: 1}) for A in names]
    bounds = -np.array([[float(column[T]) for column in unit] for T in attributes.names[:-1]])
    best = linprog(cost, A_ub=bounds, b_ub=-np.ones(len(bounds)), bounds=(0, None))
    feasible = min(margins(attributes, direction).values()) >= 1 and min(direction.values()) >= 0
    spent = sum(c * float(direction[A]) for A, c in zip(names, cost, strict=True))
    return best.success and feasible and abs(spent / best.fun - 1) < 1e-6


@given(structures(max_cardinality=24, max_factors=3), st.data())
def test_persistence_is_the_max_margin_direction(attributes, data):
    squares = rationals(0, 3, 3).filter(bool).map(lambda x: x**2)  # rational costs
    kernel = {A: data.draw(squares) for A in attributes.names}
    model = UFM(attributes, feature_kernel=kernel)
    assert is_max_margin(model, persistence(model).direction)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: limit(UFM("a[2]")), "^limit: without ridge cross-entropy drives z to infinity"),
        (lambda: limit(UFM("a[2]", ridge=(1, 0))), r"^limit: ridge \(1, 0\) acts on one factor alone"),
        (lambda: limit(UFM("a[2]", loss="mse", feature_kernel={"a": 0})), "^limit: stratum 'a' keeps its start"),
        (lambda: limit(UFM("a[2]/b[2]", labels="a", loss="mse")), "^limit: stratum 'a:b' keeps its start"),
        (lambda: limit(UFM("a[2]", constraint="sphere", loss="mse")), "^limit: constraint sphere has a known limit"),
        (
            lambda: limit(UFM("a[2]*b[2]", targets={"a": 1, "b": 0, "a:b": 0}, ridge="1/100")),
            "^limit: with ridge .* not every stratum survives|^limit: with ridge .* does not survive",
        ),
        (lambda: limit(UFM("a[2]", ridge=1, feature_kernel={"a": 0})), "^limit: stratum 'a' keeps part of its start"),
        (lambda: limit(UFM("a[2]", constraint="sphere", label_kernel={"a": 0})), "^limit: stratum 'a' cannot grow"),
        (lambda: persistence(UFM("a[2]", loss="mse")), "^persistence: it needs cross-entropy"),
        (lambda: persistence(UFM("a[2]", ridge=1)), "^persistence: it needs cross-entropy"),
        (lambda: persistence(UFM("a[n]")), "^persistence: n has no number"),
        (
            lambda: persistence(UFM("a[2]*b[2]", feature_kernel={"a": 1, "b": 0, "a:b": 0})),
            "^persistence: a kernel that vanishes",
        ),
    ],
)
def test_unknown_limits_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
