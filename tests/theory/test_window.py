"""The semantic window: exact for squared error, bracketed for cross-entropy, against trajectories and formulas."""

import math

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ufmflow.numerics.simulate import simulate
from ufmflow.proofs.strategies import rationals, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.brackets import between, half_maximum
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM
from ufmflow.theory.system import derive
from ufmflow.theory.transients import H0, W0
from ufmflow.theory.window import Window, two_rates

GRID = Attributes("a[4] * b[6]")
TIMES = ("onset", "peak", "end")
STARTS = st.sampled_from([1e-4, 1e-3, 1e-2])
WITH_MAIN = structures(max_cardinality=16, max_factors=3).filter(lambda a: a.semantic_strata())


def rates_of(attributes: Attributes, main: object, rest: object) -> dict:
    return {A: main if A in attributes.semantic_strata() else rest for A in attributes.names}


def two_rate_model(alpha: object, loss: str = "mse", attributes: Attributes = GRID, **options: object) -> UFM:
    kernel = rates_of(attributes, alpha, 1)
    return UFM(attributes, loss=loss, feature_kernel=kernel, label_kernel=kernel, **options)


def index_at(model: UFM, times: list[float], init: float) -> np.ndarray:
    """The semantic index at increasing times, by integration to 1e-10."""
    inner = sorted(set(times))
    data = simulate(model, [0.0, *inner], init=init, rtol=1e-10, atol=1e-12).data["semantic_index"].values[1:]
    return np.array([data[inner.index(t)] for t in times])


def is_window(model: UFM, init: float, found: Window) -> bool:
    """Half of the height at onset and end, the height at the peak, and no more than it around.

    The integration is good to about 1e-9 in z, so to 1e-8 in the index; a scan must not exceed the height.
    """
    top = found.height[0]
    marks = [float(getattr(found, name)[0]) for name in TIMES if 0 < getattr(found, name)[0] < math.inf]
    wanted = [top / 2 if name != "peak" else top for name in TIMES if 0 < getattr(found, name)[0] < math.inf]
    scan = list(np.geomspace(marks[0] / 10, marks[-1] * 10, 60)) if marks else [1.0]
    values = index_at(model, [*marks, *scan], init)
    at, around = values[: len(marks)], values[len(marks) :]
    return bool(np.all(np.abs(at - wanted) < 1e-6) and np.all(around < top + 1e-6))


@settings(max_examples=4)
@given(WITH_MAIN, st.data(), STARTS)
def test_squared_error_is_exact(attributes, data, init):
    kernel = {A: data.draw(rationals(0, 3).filter(bool)) for A in attributes.names}
    targets = {A: data.draw(rationals(0, 2).filter(bool)) for A in attributes.names} | {"1": 1}
    label = data.draw(st.sampled_from([1, kernel]))
    model = UFM(attributes, loss="mse", targets=targets, feature_kernel=kernel, label_kernel=label)
    found = derive(model).window(init)
    if found is None:
        assert index_at(model, [1.0, 30.0, 1e3], init).max() < 0.011
    else:
        assert is_window(model, init, found)
        assert all(low == pytest.approx(high, rel=1e-12) for low, high in (getattr(found, x) for x in TIMES))


def test_wrong_times_are_noticed():
    model = two_rate_model(2)
    found = derive(model).window(1e-3)
    assert is_window(model, 1e-3, found)
    for name in TIMES:
        moved = {x: getattr(found, x) for x in (*TIMES, "height")}
        moved[name] = tuple(1.05 * t for t in moved[name])
        assert not is_window(model, 1e-3, Window(**moved))
    assert not is_window(two_rate_model("21/10"), 1e-3, found)
    assert not is_window(model, 2e-3, found)


def test_ridge_and_dropped_attributes():
    kernel = rates_of(GRID, 3, 1)
    total = UFM(GRID, loss="mse", feature_kernel=kernel, label_kernel=kernel, ridge=2e-3, reduction="sum")
    for model in (two_rate_model(3, ridge=1e-3), total):
        assert is_window(model, 1e-2, derive(model).window(1e-2))
    words = Attributes("(a[3] * b[4]) / word[2]")
    features = {A: 3 if A in ("a", "b") else 1 for A in words.names}
    labels = {A: features[A] for A in ("1", "a", "b", "a:b")}
    for ridge in (0, (1e-3, 1e-3)):
        model = UFM(words, "a * b", "mse", feature_kernel=features, label_kernel=labels, ridge=ridge)
        assert is_window(model, 1e-2, derive(model).window(1e-2))


def test_kernels_of_the_features_alone_keep_their_trace():
    """From w = h the limit of h^2 keeps the kernel, so that the index may stay above half of its maximum."""
    assert derive(UFM(GRID, loss="mse", feature_kernel=rates_of(GRID, 4, 1))).window(1e-3).end[0] < math.inf
    flat = Attributes("a[2] * b[2]")
    model = UFM(flat, loss="mse", feature_kernel=rates_of(flat, "6/5", 1))
    late = index_at(model, [1e6], 1e-1)[0]
    found = derive(model).window(1e-1)
    assert (found.end[0] == math.inf) == (late >= found.height[0] / 2 - 1e-9)


# Formulas


def at_start(expression: sp.Expr, init: float, values: dict | None = None) -> float:
    """A formula in floats of 30 digits; SymPy itself would factor the integers under its roots."""
    symbols = {W0: init, H0: init} | (values or {})
    with mpmath.workdps(30):
        return float(sp.lambdify(list(symbols), expression, "mpmath")(*(mpmath.mpf(str(x)) for x in symbols.values())))


RATIOS = st.one_of(
    st.sampled_from([sp.Rational(3, 2), sp.S(2), sp.S(3), sp.S(4)]),
    rationals(1, 6).filter(lambda x: x > 1),
)


def formula_brackets(model: UFM, init: float, found: Window) -> bool:
    """Each formula, at the start, is a bracket of the exact time; 1e-12 is the rounding of the exact one."""
    for name in (*TIMES, "height"):
        low, high = (at_start(x, init) for x in found.formulas[name])
        exact = getattr(found, name)[0]
        if not low * (1 - 1e-12) <= exact <= high * (1 + 1e-12):
            return False
    return True


@settings(max_examples=4)
@given(RATIOS, WITH_MAIN, st.sampled_from([1e-6, 1e-3, 0.1, 0.5]))
def test_formulas_bracket_the_exact_times(alpha, attributes, init):
    model = two_rate_model(alpha, attributes=attributes)
    assume(two_rates(model) is not None)
    found = derive(model).window(init)
    assume(found is not None)
    assert formula_brackets(model, init, found)
    if alpha in (sp.Rational(3, 2), 2, 3, 4):
        low, high = found.formulas["peak"]
        assert low == high
        assert at_start(low, init) == pytest.approx(found.peak[0], rel=1e-11)
    moved = Window(*((0.9 * low, 0.9 * high) for low, high in (getattr(found, x) for x in TIMES)), found.height,
                   found.formulas, found.hypotheses)  # fmt: skip
    assert init > 1e-3 or not formula_brackets(model, init, moved)


def test_brackets_close_as_the_start_shrinks():
    widths = []
    for init in (1e-2, 1e-4, 1e-6):
        formulas = derive(two_rate_model("5/2")).window(init).formulas
        widths.append([at_start(high - low, init) for low, high in (formulas[x] for x in TIMES)])
    assert np.all(np.diff(np.array(widths), axis=0) < 0) and max(widths[-1]) < 1e-3


def test_formulas_know_every_parameter():
    k1, k2, tau, lam = sp.symbols("k1 k2 tau lam", positive=True)
    kernel = {"1": k2, "a": k1, "b": k1, "a:b": k2}
    targets = {"1": 1, "a": tau, "b": tau, "a:b": tau}
    symbolic = UFM("a[n1] * b[n2]", loss="mse", targets=targets, feature_kernel=kernel, label_kernel=kernel, ridge=lam)
    found = derive(symbolic).window()
    names = {s.name for s in found.onset[0].free_symbols}
    assert names == {"k1", "k2", "tau", "lam", "n1", "n2", "w0", "h0"}
    assert found.formulas["separation"] == k1 / k2 and found.onset == found.formulas["onset"]
    sizes = {n: 4 if n.name == "n1" else 6 for n in symbolic.attributes.sizes.values()}
    values = sizes | {k1: 3, k2: 2, tau: 2, lam: 0.01}
    kernel = rates_of(GRID, 3, 2)
    targets = {"1": 1, "a": 2, "b": 2, "a:b": 2}
    exact = derive(
        UFM(GRID, loss="mse", targets=targets, feature_kernel=kernel, label_kernel=kernel, ridge=0.01)
    ).window(0.01)  # fmt: skip
    for name in TIMES:
        low, high = (at_start(x, 0.01, values) for x in getattr(found, name))
        time = getattr(exact, name)[0]
        assert low * (1 - 1e-12) <= time <= high * (1 + 1e-12)
        low, high = (at_start(x, 0.01, values | {k1: 4}) for x in getattr(found, name))
        assert not low * (1 - 1e-12) <= time <= high * (1 + 1e-12)


# Cross-entropy


def brackets_hold(model: UFM, init: float, found: Window, until: float = 1e4) -> bool:
    """What the brackets say, on an integrated trajectory.

    Below half of the maximum before the onset's lower end, at half of 1 at its upper end, no larger anywhere before the
    peak's lower end than later, and at half of the maximum still at the end's lower end.  1e-7: of the integration.
    """
    (onset_from, onset_by), peak, end, height = found.onset, found.peak[0], found.end[0], found.height[0]
    scan = list(np.geomspace(1e-2, until, 150))
    marks = [max(onset_from, 1e-3), peak, end] + ([onset_by] if onset_by < math.inf else [])
    values = index_at(model, [*marks, *scan], init)
    at, around = values[: len(marks)], values[len(marks) :]
    top = max(values)
    early = [value for t, value in zip(scan, around, strict=True) if t < onset_from]
    first = [value for t, value in zip(scan, around, strict=True) if t < peak]
    tolerance = 1e-7
    return bool(
        max([at[0], *early]) <= top / 2 + tolerance
        and max([0, *first]) <= max([at[1], *around]) + tolerance
        and np.all(np.diff(first) > -tolerance)
        and at[2] >= top / 2 - tolerance
        and top >= height - tolerance
        and (len(at) < 4 or at[3] >= 0.5 - tolerance)
    )


@settings(max_examples=4)
@given(WITH_MAIN, st.data(), STARTS)
def test_cross_entropy_is_bracketed(attributes, data, init):
    main = attributes.semantic_strata()
    kernel = {A: data.draw(rationals(2, 4) if A in main else rationals(0, 1).filter(lambda x: x > 0.2))
              for A in attributes.names}  # fmt: skip
    label, ridge = data.draw(st.sampled_from([(1, 0), (kernel, 0), (kernel, sp.Rational(1, 500))]))
    model = UFM(attributes, feature_kernel=kernel, label_kernel=label, ridge=ridge)
    found = derive(model).window(init)
    assume(found is not None)
    assert brackets_hold(model, init, found)
    if found.onset[1] < math.inf:
        wrong = Window(tuple(2 * t for t in found.onset), found.peak, found.end, found.height)
        assert not brackets_hold(model, init, wrong)
        late = Window((found.onset[0] / 4, found.onset[1] / 4), found.peak, found.end, found.height)
        assert not brackets_hold(model, init, late)


@pytest.mark.parametrize(("alpha", "init", "ridge"), [(2, 1e-3, 0), ("6/5", 1e-4, 0), (3, 1e-3, "1/500"), (5, 1e-2, 0)])
def test_closed_bounds_of_cross_entropy_hold(alpha, init, ridge):
    model = two_rate_model(alpha, "cross_entropy", ridge=ridge)
    found = derive(model).window(init)
    pairs = {name: tuple(at_start(x, init) for x in found.formulas[name]) for name in (*TIMES, "height")}
    closed = Window(**pairs)
    assert brackets_hold(model, init, closed)
    # No wider than the curves that they come from, up to what 1 - Y for e^-Y gives away.
    assert closed.onset[0] <= found.onset[1] and closed.onset[1] >= found.onset[0]
    assert not brackets_hold(
        model, init, Window(tuple(3 * t for t in closed.onset), *(pairs[x] for x in ("peak", "end", "height")))
    )


def test_the_onset_of_cross_entropy_closes_as_the_start_shrinks():
    widths = []
    for init in (1e-1, 1e-2, 1e-4):
        low, high = derive(two_rate_model(2, "cross_entropy")).window(init).onset
        widths.append((high - low) / high)
    assert widths[0] > widths[1] > widths[2] and widths[2] < 1e-3


# Where there is none, and where nothing is known


def test_no_window_in_the_plain_model_or_with_one_attribute():
    assert derive(UFM(GRID, loss="mse")).window(1e-3) is None
    assert derive(UFM("a[3]", loss="mse")).window(1e-3) is None and derive(UFM("a[3]")).window(1e-3) is None
    assert derive(two_rate_model("1/2")).window(1e-3) is None
    assert derive(two_rate_model(2)).window(1e-3) is not None


@pytest.mark.parametrize(
    ("model", "init", "message"),
    [
        (UFM(GRID, constraint="sphere"), 1e-3, "^window: nothing is known with constraint sphere"),
        (UFM("a[n] * b[2]", loss="mse"), 1e-3, "^window: n has no number"),
        (two_rate_model(2), -1e-3, "^init: -0.001 is not positive"),
        (two_rate_model(2), (1e-3, 1e-3, 1), "^init: 3 numbers"),
        (two_rate_model(2, ridge=(1e-3, 2e-3)), 1e-3, "^closed_form: with ridge"),
        (
            UFM(GRID, loss="mse", ridge=1e-3, feature_kernel=rates_of(GRID, 2, 1)),
            1e-3,
            "^window: with ridge the squared",
        ),
        (two_rate_model(2, ridge=1), 1e-3, "^window: with ridge .* every stratum dies out"),
        (two_rate_model(2, "cross_entropy", ridge=1), 1e-3, "^window: ridge .* leaves nothing to grow"),
        (two_rate_model("1/2", "cross_entropy"), 1e-3, "^window: with cross-entropy the brackets need kW kH larger"),
        (two_rate_model(2, "cross_entropy", ridge=(1e-3, 2e-3)), 1e-3, "^window: with cross-entropy and ridge"),
        (UFM(GRID, targets={"a": "1/2", "b": 1, "a:b": "1/2"}), 1e-3, "one-hot targets"),
        (UFM(GRID, loss="mse", feature_kernel=rates_of(GRID, 2, 1)), None, "^window: formulas are known without"),
        (UFM("a[3]"), None, "^window: formulas are known without"),
    ],
)
def test_what_is_not_known_is_said(model, init, message):
    with pytest.raises(InputError, match=message):
        derive(model).window(init)


def test_curves_with_known_half_maxima():
    """t e^{1-t}: half of 1 at -W_0(-1/2e) and -W_{-1}(-1/2e)."""
    times = list(np.linspace(0, 60, 400))
    onset, peak, end, height = half_maximum(lambda t: t * mpmath.exp(1 - t), times, 0)
    exact = [float(-mpmath.lambertw(-1 / (2 * mpmath.e), k).real) for k in (0, -1)]
    assert [onset[0], end[0]] == pytest.approx(exact, rel=1e-14)
    assert peak[0] == pytest.approx(1.0, rel=1e-13) and height == pytest.approx((1, 1), rel=1e-14)
    assert half_maximum(lambda t: t / 1000, [0, 1, 2], 0.002) is None
    rising = half_maximum(lambda t: 1 - mpmath.exp(-t), times, 1)
    assert rising[0][0] == pytest.approx(math.log(2), rel=1e-14) and rising[1][0] == rising[2][0] == math.inf


def test_a_curve_between_two_is_bracketed():
    def curve(t):
        return 0.9 * t * mpmath.exp(1 - t)

    times = list(np.linspace(0, 40, 300))
    onset, peak, end, height = between(lambda t: 0.95 * curve(t), lambda t: 1.05 * curve(t), times)
    exact = half_maximum(curve, times, 0)
    assert onset[0] < exact[0][0] < onset[1] and peak[0] < exact[1][0] and end[0] < exact[2][0]
    assert height[0] < exact[3][0] < 1
    assert between(lambda t: 0.005, curve, times) is None
