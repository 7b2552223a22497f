"""Ends of the flow: the ridge's fixed point, which strata survive, the ETF, and what held norms leave."""

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from ufmflow.proofs.strategies import models, rationals, structures
from ufmflow.theory.errors import InputError
from ufmflow.theory.flow import derive_flow
from ufmflow.theory.limits import limit
from ufmflow.theory.model import LOSSES, UFM

from .evaluate import function_of_state, rates


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
        # Strata without a closed form have 30 digits.
        assert abs(sp.N(w * h - z, 40)) < 1e-25 and abs(sp.N(w**2 * lam_W - h**2 * lam_H, 40)) < 1e-25
        assert z == 0 or not is_at_rest(model, scaled(point, A, sp.Rational(101, 100)))


WORDS = "(a[2] * b[2]) / word[2]"
KERNEL = {"1": 3, "a": 2, "b": 1, "a:b": "1/2", "a:b:word": "1/3"}
KERNEL_AB = {"a": 3, "b": 2, "a:b": 1}
TARGETS = {"a": "3/4", "b": "1/2", "a:b": "1/2"}
RIDGED = [
    UFM("a[2] * b[3]", ridge="1/40"),
    UFM("a[2] * b[3]", ridge="1/40", loss="mse", feature_kernel={"a": 3, "b": 2, "a:b": 1}),
    UFM("a[3] / b[2]", ridge=("1/50", "1/20"), feature_kernel={"a": 3, "a:b": 1}, label_kernel={"a": 1, "a:b": 2}),
    UFM(WORDS, labels="a * b", ridge="1/30", feature_kernel=KERNEL),
    UFM(WORDS, labels="a * b", ridge=("1/40", "1/30"), targets=TARGETS, feature_kernel=KERNEL),
    UFM(WORDS, labels="a * b", ridge="1/10", targets=TARGETS, loss="mse", reduction="sum"),
    UFM("a[2] * b[2]", ridge="1/40", targets={"a": 1, "b": 0, "a:b": 0}),  # one attribute survives
    UFM("a[2] * b[3]", ridge="1/40", targets={"a": "3/4", "b": "1/2", "a:b": "3/10"}),  # both, independent
    UFM("a[2] * b[3]", ridge="1/40", targets={"a": "1/2", "b": "1/10", "a:b": "3/10"}, feature_kernel=KERNEL_AB),
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


def test_dead_strata_leave_a_closed_form_where_softmax_factors():
    """Independent attributes: each as if alone.  A surviving interaction without its parts has none, and 30 digits."""
    pair = limit(UFM("a[2] * b[3]", ridge="1/40", targets={"a": "3/4", "b": "1/2", "a:b": "3/10"}))
    mu = sp.Rational(6, 40)
    pi = {"a": sp.Rational(3, 4) - mu, "b": sp.Rational(1, 2) - mu}
    for A, n in (("a", 2), ("b", 3)):
        # One attribute of n values with softmax eigenvalue pi: e^x = (1 + (n - 1) pi) / (1 - pi), and z = 6 x / n.
        expected = sp.Integer(6) / n * sp.log((1 + (n - 1) * pi[A]) / (1 - pi[A]))
        assert not pair[A][2].has(sp.Float) and abs(sp.N(pair[A][2] - expected, 30)) < 1e-28
    assert pair["a:b"][2] == 0
    other = limit(UFM("a[2] * b[3]", ridge="1/40", targets={"a": "1/2", "b": "1/10", "a:b": "3/10"}))
    assert other["b"][2] == 0 < other["a:b"][2] and other["a:b"][2].is_Float


def test_which_strata_survive_at_the_border():
    """a:b dies when its target less the ridge's share is the product of the parts': exactly there, and not above."""
    mu = sp.Rational(4, 40)
    product = (sp.Rational(3, 4) - mu) * (sp.Rational(1, 2) - mu)

    def survives(more: sp.Rational) -> bool:
        targets = {"a": "3/4", "b": "1/2", "a:b": product + mu + more}
        return limit(UFM("a[2] * b[2]", ridge="1/40", targets=targets))["a:b"][2] > 0

    tiny = sp.Rational(1, 10**9)
    assert not survives(sp.S(0)) and not survives(-tiny) and survives(tiny)


@pytest.mark.parametrize("on_W", [True, False])
def test_with_ridge_on_one_factor_the_other_grows_like_the_fourth_root_of_time(on_W):
    """h^4 = 4 kH lam_W tau^2 t and tau - z = m lam_W tau / h^2, each to its next order: h^-2 relative."""
    ridge = (sp.Rational(1, 10), 0) if on_W else (0, sp.Rational(1, 10))
    model = UFM("a[2]", loss="mse", ridge=ridge, feature_kernel=2, label_kernel=3)
    flow, end = derive_flow(model), 1e7
    function = rates(flow)
    solved = solve_ivp(lambda t, y: function(y), (0, end), np.full(4, 0.5), "LSODA", rtol=1e-9, atol=1e-12)
    w, h = solved.y[[1, 3], -1]
    grown, kernel = (h, 2) if on_W else (w, 3)
    assert limit(model)["a"] == ((0, sp.oo, 1) if on_W else (sp.oo, 0, 1))
    assert solved.success and grown**4 == pytest.approx(4 * kernel * 0.1 * end, rel=3 / grown**2)
    assert 1 - w * h == pytest.approx(2 * 0.1 / grown**2, rel=3 / grown**2)
    assert 1 - w * h != pytest.approx(0.1 / grown**2, rel=3 / grown**2)


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


def test_unequal_label_kernels_leave_no_etf_on_the_sphere():
    """In loss-rescaled time the features approach h^2 sqrt(kW) = const like 1/s, and pass the ETF on the way out.

    At s = 100, where the loss is e^-33, logits of 36 differ by what early growth left: shares are within 3 percent.
    """
    kernel = {"a": 4, "b": 2, "a:b": 1}
    model = UFM("a[2] * b[3]", constraint="sphere", label_kernel=kernel, feature_kernel={"a": 3, "b": 2, "a:b": 1})
    flow, m = derive_flow(model), np.array([1, 1, 2, 2])
    function = function_of_state(flow, [*(flow.rates[x] for x in flow.state), flow.loss])

    def rescaled(s, y):
        # The norm is conserved but not attracting: keep it, so that rounding does not drift.
        kept = np.concatenate([y[:4], y[4:] * np.sqrt(6 / (m @ y[4:] ** 2))])
        *change, loss = function(kept)
        return np.array(change) / loss

    solved = solve_ivp(rescaled, (0, 100), [1e-3] * 4 + [0, 1, 1, 1], "LSODA", rtol=1e-8, atol=1e-11)
    share = solved.y[4:, -1] ** 2 / (m @ solved.y[4:, -1] ** 2)
    radius = sp.Symbol("R", positive=True)
    expected = np.array([float(limit(model)[A][1].subs(radius, 1)) ** 2 / 6 for A in model.attributes.names])
    assert solved.success and share == pytest.approx(expected, abs=0.01)
    assert np.abs(share[1:] - 0.2).max() > 0.04  # the ETF's share is 1/5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: limit(UFM("a[2]")), "^limit: without ridge cross-entropy drives z to infinity"),
        (lambda: limit(UFM("a[2]", ridge=(1, 0))), r"^limit: ridge \(1, 0\) acts on one factor alone"),
        (
            lambda: limit(UFM("a[2] / b[2]", labels="a", loss="mse", ridge=(1, 0))),
            "^limit: stratum 'a:b' keeps its start .*no ridge",
        ),
        (
            lambda: limit(UFM("a[2]", loss="mse", targets={"a": 0}, ridge=(1, 0))),
            "^limit: with ridge .* the target of 'a', 0, has to be positive",
        ),
        (
            lambda: limit(UFM("a[2]", loss="mse", targets={"a": -1}, feature_kernel=2, ridge="1/9")),
            "^limit: the target of 'a', -1, pulls it below 0",
        ),
        (
            lambda: limit(UFM("a[2]", targets={"a": -1}, feature_kernel=2, ridge="1/9")),
            "^limit: the target of 'a', -1, pulls it below 0",
        ),
        (
            lambda: limit(UFM("a[2]", targets={"a": -1}, ridge=sp.Symbol("lam", positive=True))),
            "^limit: with ridge .* not every stratum survives; give the model numbers",
        ),
        (
            lambda: limit(UFM("a[2] * b[2]", constraint="sphere", label_kernel={"a": 9, "b": 9, "a:b": 1})),
            "^limit: with this label kernel h of stratum 'a:b' vanishes in the limit",
        ),
        (lambda: limit(UFM("a[2]", loss="mse", feature_kernel={"a": 0})), "^limit: stratum 'a' keeps its start"),
        (lambda: limit(UFM("a[2]/b[2]", labels="a", loss="mse")), "^limit: stratum 'a:b' keeps its start"),
        (lambda: limit(UFM("a[2]", constraint="sphere", loss="mse")), "^limit: constraint sphere has a known limit"),
        (lambda: limit(UFM("a[2]", ridge=1, feature_kernel={"a": 0})), "^limit: stratum 'a' keeps part of its start"),
        (lambda: limit(UFM("a[2]", constraint="sphere", label_kernel={"a": 0})), "^limit: stratum 'a' cannot grow"),
    ],
)
def test_unknown_limits_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
