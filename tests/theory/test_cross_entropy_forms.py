"""Closed forms of cross-entropy on the ETF ray: against 60 digits wherever floats reach, and against the flow."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import DOP853

from ufmflow.theory.closed_forms import Z0
from ufmflow.theory.cross_entropy_forms import HELD, FreeRay, HeldRay, Z
from ufmflow.theory.errors import InputError
from ufmflow.theory.flow import TIME
from ufmflow.theory.model import UFM
from ufmflow.theory.ray_times import check_label_count
from ufmflow.theory.system import derive

from .evaluate import function_of_state, rates

LABELS = st.one_of(st.integers(2, 50), st.sampled_from([10**3, 10**6, 10**9, 10**17]))
DECADES = st.one_of(st.integers(-300, 3), st.integers(-3, 3))  # of z0
TIMES = st.lists(st.one_of(st.floats(0, 1e3), st.floats(-20, 307.9).map(lambda x: 10.0**x)), min_size=1, max_size=5)


def form_of(V: int, r: int = 1, reduction: str = "mean", constraint: str = "free", kW=1, kH=1) -> FreeRay | HeldRay:
    formula, labels = (f"a[{V}] * b[{r}]", "a") if r > 1 else (f"a[{V}]", None)
    kernel = kH if r == 1 else {"a": kH, "b": 1, "a:b": 2}
    model = UFM(
        formula,
        labels,
        reduction=reduction,
        constraint=constraint,
        label_kernel=kW,
        feature_kernel=kernel,
        width=None if constraint != "normalized" else V * r,
    )
    return derive(model).closed_form("a")


def is_right(form: FreeRay | HeldRay, times: np.ndarray, init: tuple[float, float], tolerance: float = 1e-12) -> bool:
    """Whether z is within the tolerance of the root of t(z) = t, for the very same floats t, w(0), h(0).

    t(z) increases, so the root lies between two points at which it is below and above t, evaluated with 60 digits
    beside those of e^z - 1 for the smallest z.  1e-12: z/z0 = e^v with v up to 700, each rounding of which counts v
    times; the rest is some ten roundings.
    """
    values = form(times, init)
    with mpmath.workdps(60 + int(max(0.0, -np.log10(np.clip(values.min(), 1e-310, None))))):
        law = sp.lambdify([Z, Z0, HELD], form.time, "mpmath")
        w0, h0 = map(mpmath.mpf, init)
        z0, held = w0 * h0, h0
        if isinstance(form, HeldRay) and form.held != HELD:
            held = sp.lambdify([], form.held, "mpmath")()
            z0 = w0 * held
        for z, t in zip(values, times, strict=True):
            z, t = mpmath.mpf(float(z)), mpmath.mpf(float(t))
            low, high = law(z * (1 - tolerance), z0, held), law(z * (1 + tolerance), z0, held)
            if not low <= t <= high:
                return False
    return True


@settings(max_examples=40)
@given(LABELS, st.integers(1, 4), st.sampled_from(["mean", "sum"]), DECADES, st.floats(1, 9.99), TIMES)
@example(2, 1, "mean", -300, 1.0, [0.0, 1.0, 680.0, 690.0, 700.0, 1e3, 1e10, 1e300, 1.7e308])
@example(10**9, 1, "mean", -300, 1.0, [0.0, 3e11, 3.4e11, 3.5e11, 1e12, 1e300])
@example(2, 4, "sum", 3, 3.0, [0.0, 1e-300, 1e300])  # margins of 1500
@example(3, 1, "sum", 2, 5.99, [1e250, 1e258, 1e260, 1e262, 1e270])  # at the border between the two ways
def test_the_free_form_inverts_its_law(V, r, reduction, decade, digits, times):
    size = np.sqrt(digits) * 10.0 ** (decade / 2)
    assert is_right(form_of(V, r, reduction), np.array(times), (size, size))


@settings(max_examples=40)
@given(
    LABELS, st.integers(1, 4), st.sampled_from(["mean", "sum"]), st.sampled_from(["sphere", "normalized"]),
    DECADES, st.floats(0.01, 30), TIMES,
)  # fmt: skip
@example(2, 1, "mean", "sphere", -300, 1.0, [0.0, 1e-300, 1e-10, 1.0, 700.0, 1e3, 1e300, 1.7e308])
@example(10**9, 1, "mean", "sphere", -300, 1.0, [0.0, 1.0, 1e9, 2e10, 2.1e10, 1e12, 1e300])
@example(2, 4, "sum", "sphere", 3, 3.0, [0.0, 1e-300, 1e300])
@example(3, 1, "sum", "sphere", 2, 6.0, [1e250, 1e258, 1e260, 1e262, 1e270])
def test_the_held_form_inverts_its_law(V, r, reduction, constraint, decade, h, times):
    form = form_of(V, r, reduction, constraint)
    assert is_right(form, np.array(times), (10.0**decade / h, h))


def test_wrong_constants_are_noticed():
    times = np.array([1.0, 50.0, 200.0, 1e6])
    for constraint, init in (("free", (0.01, 0.01)), ("sphere", (0.1, 2.0))):
        form = form_of(7, 2, constraint=constraint)
        assert is_right(form, times, init)
        assert not is_right(form, times, init, tolerance=1e-18)  # the test sees rounding itself
        for wrong in (
            replace(form, rate=form.rate * (1 + sp.Rational(1, 10**9))),
            replace(form, labels=form.labels + sp.Rational(1, 10**8)),
            replace(form, root=form.root * (1 + sp.Rational(1, 10**9))),
        ):
            assert not is_right(wrong, times, init)


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(1, 3), st.floats(0, 12), st.floats(0.1, 4))
def test_lambert_w_itself_agrees(V, r, log_t, h):
    """The explicit expression by mpmath's W, at 60 digits, where e^(X / (V - 1)) is within mpmath's reach."""
    form, t = form_of(V, r, constraint="sphere"), 10.0**log_t * V
    with mpmath.workdps(60):
        stated = sp.lambdify([TIME, Z0, HELD], form.expression, "mpmath")
        expected = stated(mpmath.mpf(t), mpmath.mpf(0.25) * mpmath.mpf(h), mpmath.mpf(h))
    value = form(t, (0.25, h))
    assert abs(mpmath.mpf(float(value)) / expected - 1) < 1e-13
    assert abs(mpmath.mpf(float(form(t * (1 + 1e-9), (0.25, h)))) / expected - 1) > 1e-13


RAYS = [
    (UFM("a[5]"), 0.1, 0.1),
    (UFM("a[3]", label_kernel=4, feature_kernel="1/9", reduction="sum"), 0.2, sp.Rational(1, 30)),
    (UFM("a[2] * b[3]", label_kernel={"a": 2, "b": 1, "a:b": "1/2"}, feature_kernel={"a": 1, "b": 2, "a:b": 4}), 1, 1),
    (UFM("(a[2] * b[2]) / c[3]", "a * b", feature_kernel={"1": 5, "a": 1, "b": 1, "a:b": 1, "a:b:c": 7}), 0.3, 0.3),
    (UFM("a[2] / b[3]", constraint="sphere", feature_kernel={"a": 3, "a:b": 1}, ridge=(0, 2)), 0.1, 1.5),
    (UFM("a[4] * c[2]", "a", constraint="sphere", label_kernel=3, reduction="sum"), 0, 0.7),
    (UFM("a[4] * c[2]", "a", constraint="normalized", width=8, feature_kernel=2), 0.05, 0.3),
    (UFM("a[2] * b[2]", feature_kernel={"1": 1, "a": 0, "b": 0, "a:b": 0}, ridge=(0, 1)), 0.1, 2),
    (UFM("a[3]", label_kernel={"a": 0}), 2, 0.1),
]


def integrated(model: UFM, w0: float, h0: float, times: np.ndarray) -> np.ndarray:
    """z of every label stratum but the mean (T, strata) by DOP853 on all modes, from the start that the form is for."""
    flow = derive(model).flow
    rhs, logits = rates(flow), function_of_state(flow, flow.z.values())
    labels = [A for A in model.targets if A != "1"]
    aside = 0.3 if model.constraint == "free" else 0.0  # what the mean and the dropped strata do has no effect
    start = [w0 * balance(model, A, model.label_kernel) if A in labels else 0.0 for A in model.targets]
    start += [h0 * balance(model, A, model.feature_kernel) if A in labels else aside for A in model.attributes.names]
    solver = DOP853(lambda t, y: np.array(rhs(y), dtype=float), 0.0, np.array(start), times[-1],
                    rtol=1e-13, atol=1e-16)  # fmt: skip
    found = []
    for t in times:
        while solver.t < t:
            solver.step()
        y = solver.dense_output()(t) if t > 0 else solver.y
        found.append([float(z) for A, z in zip(flow.z, logits(y), strict=True) if A in labels])
    return np.array(found)


def balance(model: UFM, A: str, kernel: dict) -> float:
    """What a stratum's factor starts at beside the first one's: in proportion to sqrt(kernel) when both move."""
    first = next(B for B in model.targets if B != "1")
    free = model.constraint == "free" and model.label_kernel[first] * model.feature_kernel[first] != 0
    return float(sp.sqrt(kernel[A] / kernel[first])) if free else 1.0


@pytest.mark.parametrize(("model", "w0", "h0"), RAYS, ids=lambda x: str(x.attributes) if isinstance(x, UFM) else "")
def test_the_form_is_the_flow_of_all_modes(model, w0, h0):
    first = next(A for A in model.targets if A != "1")
    if model.constraint == "free" and 0 not in (model.label_kernel[first], model.feature_kernel[first]):
        h0 = w0 * sp.sqrt(model.feature_kernel[first] / model.label_kernel[first])
    w0, h0 = float(w0), float(h0)
    times = np.array([0.0, 1.0, 10.0, 60.0])
    form = derive(model).closed_form(first)
    values = form(times, (w0, h0))
    found = integrated(model, w0, h0, times)
    # 1e-13 for each of some hundred steps.
    assert found == pytest.approx(np.repeat(values[:, None], found.shape[1], axis=1), rel=1e-10)
    wrong = replace(form, rate=form.rate * sp.Rational(1001, 1000))(times, (w0, h0))
    assert found != pytest.approx(np.repeat(wrong[:, None], found.shape[1], axis=1), rel=1e-10)


@settings(max_examples=30)
@given(LABELS, st.integers(1, 3), st.floats(-100, 2), st.floats(-100, 2), st.sampled_from(["free", "sphere"]))
@example(5, 1, -2.0, -2.0, "free")
@example(5, 1, 1.0, 1.00000001, "free")
@example(5, 1, 1.0, 1.00000001, "sphere")
def test_the_time_of_a_level(V, r, log_start, log_level, constraint):
    """To 1e-12 of mpmath, for the same floats."""
    form = form_of(V, r, constraint=constraint)
    start, level = 10.0 ** (log_start / 2), 10.0**log_level
    with mpmath.workdps(330):  # Ei(z) - Ei(z0) of starts down to 1e-100 beside times as large
        law = sp.lambdify([Z, Z0, HELD], form.time, "mpmath")
        z0 = mpmath.mpf(start * start)  # the float z(0) that is formed first
        expected = law(mpmath.mpf(level), z0, mpmath.mpf(start))
        time = mpmath.mpf(float(form.time_of(level, (start, start))))
        assert abs(time - expected) <= 1e-12 * abs(expected)


def test_the_time_of_another_level_differs():
    for constraint in ("free", "sphere"):
        form = form_of(5, constraint=constraint)
        assert form.time_of(2.0 * (1 + 1e-9), 0.5) != pytest.approx(float(form.time_of(2.0, 0.5)), rel=1e-12)


@given(st.floats(-300, 2), st.floats(0, 300))
def test_time_of_inverts_the_form(log_start, log_t):
    for constraint in ("free", "sphere"):
        form = form_of(6, constraint=constraint)
        init = (10.0 ** (log_start / 2), 10.0 ** (log_start / 2)) if constraint == "free" else (10.0**log_start, 1.0)
        t = 10.0**log_t
        z = form(t, init)
        later, earlier = form.time_of(z * (1 + 1e-12), init), form.time_of(z * (1 - 1e-12), init)
        assert earlier <= t * (1 + 1e-13) and t * (1 - 1e-13) <= later


def test_arrays_broadcast_and_numbers_stay_numbers():
    form = form_of(4)
    starts, times = np.array([[1e-3], [1e-2]]), np.array([0.0, 1.0, 1e3])
    together = form(times, starts)
    assert together.shape == (2, 3)
    assert together[1, 2] == pytest.approx(float(form(1e3, 1e-2)), rel=1e-15)
    assert np.ndim(form(1.0, 1e-3)) == 0 and form([0.0, 1.0], 1e-3).shape == (2,)
    assert form.time_of(np.array([0.5, 1.0]), 1e-3).shape == (2,)
    assert form.time_of(5000.0, 1e-3) == np.inf and form.time_of(1e-6, 1.0) < 0
    assert form.time_of(900.0, 30.0) == 0.0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (UFM("a[2] * b[3]", feature_kernel={"a": 2, "b": 1, "a:b": 1}), "kW kH differs between the strata"),
        (UFM("a[2] * b[3]", constraint="sphere", label_kernel={"a": 2, "b": 1, "a:b": 1}), "label_kernel differs"),
        (UFM("a[3]", targets={"a": "1/2"}), "targets are not one-hot"),
        (UFM("a[3]", ridge=(0, "1/10")), r"ridge \(0, 1/10\) acts on a factor that moves"),
        (UFM("a[3]", constraint="sphere", ridge=("1/10", 0)), "acts on a factor that moves"),
        (UFM("a[3]", constraint="sphere", label_kernel={"a": 0}), "the only factor that moves vanishes"),
        (UFM("a[3]", label_kernel={"a": 0}, feature_kernel={"a": 0}), "the only factor that moves vanishes"),
        (
            UFM("a[2] * b[3]", label_kernel={"a": 1, "b": 0, "a:b": 0}, feature_kernel={"a": 0, "b": 1, "a:b": 1}),
            "a kernel vanishes on some strata alone",
        ),
    ],
)
def test_what_leaves_the_ray_is_named(model, message):
    stratum = next(A for A in model.targets if A != "1")
    with pytest.raises(InputError, match=f"^closed_form: none is known for cross-entropy when .*{message}"):
        derive(model).closed_form(stratum)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: derive(UFM("a[3]")).closed_form("1"), "^closed_form: cross-entropy does not act on the mean"),
        (lambda: form_of(3)(1.0, 0.0), "^init: 0.0 is not positive"),
        (lambda: form_of(3)(1.0, float("nan")), "^init: nan is not positive"),
        (lambda: form_of(3)(1.0, 1e-200), "^init: w\\(0\\) h\\(0\\) = 0.0 is no normal"),
        (lambda: form_of(3)(1.0, (1.0, 2.0)), "needs a balanced start"),
        (lambda: form_of(3)(1.0, (1.0, 2.0, 3.0)), "^init: 3 numbers"),
        (lambda: form_of(3)(-1.0, 1.0), "^t: -1.0 holds a time below 0"),
        (lambda: form_of(3)(np.array([0.0, np.nan]), 1.0), "holds a time below 0 or no number"),
        (lambda: form_of(3)(np.inf, 1.0), "^t: inf is not finite"),
        (lambda: form_of(3).time_of(0.0, 1.0), "^z: 0.0 is not positive"),
        (lambda: form_of(3, constraint="sphere").time_of(-1.0, 1.0), "^z: -1.0 is below 0"),
        (lambda: form_of(3, constraint="sphere")(1.0, (1.0, 0.0)), "^init: .* is no start"),
        (lambda: form_of(3, constraint="sphere")(1.0, (-1.0, 1.0)), "^init: .* is no start"),
        (lambda: derive(UFM("a[n]")).closed_form("a")(1.0), "^closed_form: n has no number"),
        (lambda: derive(UFM("a[3]", constraint="normalized")).closed_form("a")(1.0), "^closed_form: d has no number"),
        (lambda: check_label_count(1e201), "^closed_form: 1e\\+201 labels are beyond"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
