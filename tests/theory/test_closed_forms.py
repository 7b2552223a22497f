"""Closed forms solve the mode equations: exactly where SymPy can say so, else against 40-digit integration."""

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ufmflow.proofs.strategies import models, rationals
from ufmflow.theory.closed_forms import X0, Y0, Z0, logistic
from ufmflow.theory.errors import InputError
from ufmflow.theory.flow import TIME, derive_flow
from ufmflow.theory.model import UFM
from ufmflow.theory.system import derive

POSITIVE = rationals(0, 3).filter(bool)


def one_stratum(tau=1, kW=1, kH=1, ridge=(0, 0)) -> UFM:
    return UFM("a[2]", loss="mse", targets={"a": tau}, label_kernel=kW, feature_kernel=kH, ridge=ridge)


def solves(expression: sp.Expr, slope: sp.Expr) -> bool:
    """Whether z(0) = z0 and dz/dt = slope(z), identically in all symbols."""
    z = sp.Symbol("z")
    return (
        sp.simplify(expression.subs(TIME, 0) - Z0) == 0
        and sp.simplify(sp.diff(expression, TIME) - slope.subs(z, expression)) == 0
    )


def test_the_logistic_solves_its_equation():
    s, plateau = sp.symbols("s plateau", positive=True)
    z = sp.Symbol("z")
    equation = 2 * s * z * (plateau - z)
    assert solves(logistic(s, plateau), equation)
    for falling in (sp.Integer(0), sp.Rational(-1, 3)):
        assert solves(logistic(s, falling), 2 * s * z * (falling - z))
    assert not solves(logistic(2 * s, plateau), equation)
    assert not solves(logistic(s, plateau).subs(Z0, Z0 / 2), equation)


def test_the_balanced_equations_are_that_logistic():
    """On w^2/kW = h^2/kH the rates give d(w h)/dt = 2 s z (plateau - z), also with ridge kW lam_W = kH lam_H."""
    kW, kH, mu, x, tau = sp.symbols("kW kH mu x tau", positive=True)
    for shift, ridge in ((0, (0, 0)), (mu, (mu / kW, mu / kH))):
        model = one_stratum(tau, {"a": kW}, {"a": kH}, ridge)
        flow = derive_flow(model)
        w, h = flow.w["a"], flow.h["a"]
        z, s = sp.sqrt(kW * kH) * x**2, sp.sqrt(kW * kH) * model.scale
        change = (flow.expand(flow.rates[w]) * h + w * flow.expand(flow.rates[h])).subs(
            {w: sp.sqrt(kW) * x, h: sp.sqrt(kH) * x}
        )
        assert sp.simplify(change - 2 * s * z * (tau - shift / s - z)) == 0
        assert sp.simplify(change - 2 * s * z * (tau - 2 * shift / s - z / 2)) != 0


def solves_with_60_digits(model: UFM, start: tuple, t: float, wrong: int = 1) -> bool:
    """z(0) = w h and dz/dt = s (tau - z) sqrt(C^2 + 4 z^2) at t; with uniqueness of solutions, z is the solution.

    mpmath differentiates by a step of about 1e-30 with 120 digits: 1e-25 of the terms' size is far above its error.
    """
    form = derive(model).closed_form("a")
    with mpmath.workdps(60):
        kW, kH, tau, scale, w0, h0 = (
            mpmath.mpf(int(x.p)) / int(x.q) for x in (*form.kernels, model.tau["a"], model.scale, *start)
        )
        closed = sp.lambdify([TIME, X0, Y0], form.expression, "mpmath")

        def z(at):
            return closed(at, w0 / mpmath.sqrt(kW), h0 / mpmath.sqrt(kH))

        t = mpmath.mpf(t)
        root = mpmath.sqrt(kW * kH) * scale * mpmath.sqrt(kW * kH * (w0**2 / kW - h0**2 / kH) ** 2 + 4 * z(t) ** 2)
        defect = abs(mpmath.diff(z, t) - wrong * root * (tau - z(t))) / (root * (tau + z(t)))
        return defect < 1e-25 and abs(z(0) / (w0 * h0) - 1) < 1e-50


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, POSITIVE, st.integers(0, 150), st.floats(0.01, 30))
def test_the_unbalanced_form_solves_its_equation(tau, kW, kH, w0, h0, decades, t):
    assert solves_with_60_digits(one_stratum(tau, kW, kH), (w0 / sp.Integer(10) ** decades, h0), t)


def test_a_wrong_rate_or_sign_is_noticed():
    model, start = one_stratum(2, 3, 1), (sp.Rational(1, 10), sp.Rational(1, 3))
    assert solves_with_60_digits(model, start, 1.0)
    assert not solves_with_60_digits(model, start, 1.0, wrong=-1)
    assert not solves_with_60_digits(model, start, 1.0, wrong=2)


def integrated(model: UFM, w0: sp.Expr, h0: sp.Expr, times: list[float]) -> list[mpmath.mpf]:
    """z at times by Taylor steps of the derived rates, in units of the larger start so that tiny ones keep digits."""
    flow = derive_flow(model)
    w, h = flow.w["a"], flow.h["a"]
    with mpmath.workdps(20):
        slopes = sp.lambdify([w, h], [sp.expand(flow.expand(flow.rates[x])) for x in (w, h)], "mpmath")
        start = [mpmath.mpf(int(x.p)) / int(x.q) for x in (w0, h0)]
        unit = max(start)

        def scaled(t, y):
            return [slope / unit for slope in slopes(unit * y[0], unit * y[1])]

        solution = mpmath.odefun(scaled, 0, [x / unit for x in start], tol=mpmath.mpf(10) ** -17)
        return [mpmath.fprod(solution(mpmath.mpf(t))) * unit**2 for t in times]


def agrees(values: np.ndarray, expected: list[mpmath.mpf]) -> bool:
    """To 1e-12: about fifty floating-point operations, and exponents up to 700 whose rounding exp multiplies."""
    return all(abs(mpmath.mpf(float(x)) / y - 1) < 1e-12 for x, y in zip(values, expected, strict=True))


CASES = [
    (one_stratum(), "1/1000", "1/1000"),
    (one_stratum("2/3", 2, "1/2"), "1/10", "3/7"),
    (one_stratum("3/2", "1/5", 3), 2, "1/1000"),
    (one_stratum(), 1, 3),  # from above
    (one_stratum(), "1e-8", "1"),
    (one_stratum(2, 1, 4), "1e-150", "1e-150"),
    (one_stratum(), "1e-150", "1e-20"),
    (one_stratum(1, 1, 1, "1/10"), "1/100", "1/100"),
    (one_stratum(1, 4, 1, ("1/20", "1/5")), "1/50", "1/100"),
    (one_stratum("1/2", 1, 1, 1), "1/2", "1/2"),  # a ridge that takes it to 0
    (one_stratum(1, 1, 1, "1/2"), "1/2", "1/2"),  # at the border, where the decay is algebraic
]


@pytest.mark.parametrize(("model", "w0", "h0"), CASES)
def test_the_closed_form_agrees_with_integration(model, w0, h0):
    w0, h0 = sp.Rational(w0), sp.Rational(h0)
    form = derive(model).closed_form("a")
    times = [0.0, 0.5, 3.0, 20.0]
    values = form(np.array(times), (float(w0), float(h0)))
    expected = integrated(model, w0, h0, times)
    assert agrees(values, expected)
    assert not agrees(form(np.array(times) * (1 + 1e-9), (float(w0), float(h0))), expected)
    assert not agrees(form(np.array(times), (float(w0) * (1 + 1e-9), float(h0) * (1 + 1e-9))), expected)


@settings(max_examples=10)
@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, POSITIVE, st.integers(0, 150), st.integers(0, 150))
def test_random_starts_agree_with_integration(tau, kW, kH, w0, h0, down_w, down_h):
    model = one_stratum(tau, kW, kH)
    w0, h0 = w0 / sp.Integer(10) ** down_w, h0 / sp.Integer(10) ** down_h
    times = [0.0, 1.0, 10.0]
    values = derive(model).closed_form("a")(np.array(times), (float(w0), float(h0)))
    # Denormal numbers have fewer digits; no rounding of the input remains above them.
    if float(w0) * float(h0) > 1e-290:
        assert agrees(values, integrated(model, w0, h0, times))


RIDGES = ["0", "1/10", "1/2", "1", "0.4999999999", "0.5000000001"]  # the plateau is 1 - 2 mu: also 0, below, and 1e-10
DECADES = st.one_of(st.floats(-150, 2), st.floats(-1, 2))


def digits_kept(evaluate, model: UFM, times: np.ndarray, w0: float, h0: float) -> float:
    """The largest relative error of evaluate(t, w0, h0) against the expression at 420 digits, for the same floats.

    Values that floats round to 0 or to denormal numbers need only be small.
    """
    form = derive(model).closed_form("a")
    worst = 0.0
    with mpmath.workdps(420):
        stated = sp.lambdify([TIME, X0, Y0, Z0], form.expression, "mpmath")
        kW, kH = (mpmath.sqrt(mpmath.mpf(int(k.p)) / int(k.q)) for k in form.kernels)
        w, h = mpmath.mpf(w0), mpmath.mpf(h0)
        for t, value in zip(times, evaluate(times, w0, h0), strict=True):
            expected = stated(mpmath.mpf(float(t)), w / kW, h / kH, w * h)
            if expected < 1e-300:
                assert 0 <= value < 1e-299
            else:
                worst = max(worst, float(abs(mpmath.mpf(float(value)) / expected - 1)))
    return worst


def at_extremes(evaluate_of, mu: str, k: tuple, low: float, ratio: float, times: list[float]) -> float:
    kW, kH = map(sp.Rational, k)
    mu = sp.Rational(mu)
    model = one_stratum(1, kW, kH, (mu / kW, mu / kH))
    w0 = 10.0**low * float(sp.sqrt(kW))
    h0 = 10.0**low * float(sp.sqrt(kH)) if mu else 10.0 ** (low * ratio)
    return digits_kept(evaluate_of(model), model, np.array(times), w0, h0)


def ours(model: UFM):
    return lambda t, w0, h0: derive(model).closed_form("a")(t, (w0, h0))


@settings(max_examples=25)
@given(
    st.sampled_from(RIDGES), st.sampled_from([(1, 1), ("1/4", 4), (9, 1)]), DECADES, st.floats(0, 1),
    st.lists(st.one_of(st.floats(0, 3e3), st.floats(-10, 307).map(lambda x: 10.0**x)), min_size=1, max_size=4),
)  # fmt: skip
@example("0", (1, 1), -150.0, 1.0, [0.0, 1.0, 680.0, 690.0, 700.0, 720.0, 1e300])
@example("0", (1, 1), -150.0, 0.0, [0.0, 1e-3, 1.0, 600.0, 1e300])
@example("0", (1, 1), 2.0, 0.9, [0.0, 1e-9, 1e-5, 1e-3, 1.0])
@example("0.4999999999", (1, 1), 1.2, 1.0, [0.0, 1e-3, 1e9, 1e12, 1e300])
@example("1", (9, 1), 2.0, 1.0, [0.0, 1e-3, 300.0, 700.0, 800.0])
def test_digits_are_kept_at_extremes(mu, kernels, low, ratio, times):
    """To 1e-12: exponents up to 700, each rounding of which counts as often; the rest is some fifty roundings."""
    assert at_extremes(ours, mu, kernels, low, ratio, times) < 1e-12


def test_cancellation_at_extremes_is_noticed():
    """The same expressions without expm1, or in the textbook form of the logistic, lose digits there."""

    def plain(model):
        form = derive(model).closed_form("a")
        compiled = sp.lambdify([TIME, X0, Y0], form.expression, "numpy")
        return lambda t, w0, h0: compiled(t, w0, h0)

    assert at_extremes(plain, "0", (1, 1), -150.0, 0.0, [1e-6]) > 1e-12

    def textbook(model):
        plateau = 1 - 2 * float(model.ridge[0])
        return lambda t, w0, h0: plateau / (1 + (plateau / (w0 * h0) - 1) * np.exp(-plateau * t))

    assert at_extremes(textbook, "0.4999999999", (1, 1), 1.2, 1.0, [0.0]) > 1e-12


FREE_MSE = models(losses=("mse",), constraints=("free",), ridge=False, positive_kernels=True, max_factors=2)


@settings(max_examples=10)  # compiling a form takes SymPy a tenth of a second
@given(FREE_MSE, st.floats(1e-6, 3), st.floats(1e-6, 3))
def test_start_end_and_vectors_of_times(model, w0, h0):
    system = derive(model)
    for A in model.targets:
        if model.tau[A] <= 0:
            with pytest.raises(InputError, match="^closed_form: the target of"):
                system.closed_form(A)
            continue
        form = system.closed_form(A)
        end = 60 / float(form.rate.subs({X0: w0, Y0: h0}))  # exp(-60) is below rounding
        times = np.array([0.0, end / 7, end, 100 * end, 1e300])
        values = form(times, (w0, h0))
        assert values.shape == times.shape and np.isfinite(values).all()
        assert values[0] == pytest.approx(w0 * h0, rel=1e-12)
        assert values[3] == pytest.approx(float(model.tau[A]), rel=1e-12) == values[4]
        one_by_one = [float(form(t, (w0, h0))) for t in times]
        assert values == pytest.approx(one_by_one, rel=1e-14)
        # It moves towards its target, and never past it.
        toward = np.sign(float(model.tau[A]) - w0 * h0)
        assert (np.diff(values) * toward >= -1e-12 * max(values)).all()


def test_other_strata_do_not_matter():
    """Squared error takes the strata apart: one moves as it would in a structure without the others."""
    model = UFM("a[2] * b[3]", labels="a * b", loss="mse", feature_kernel={"a": 3, "b": 2, "a:b": 1})
    system = derive(model)
    values = {A: system.closed_form(A)(2.0, 0.1) for A in ("a", "b", "a:b")}
    assert values["a"] > values["b"] > values["a:b"]
    alone = UFM("a[6]", loss="mse", feature_kernel={"a": 2})
    assert derive(alone).closed_form("a")(2.0, 0.1) == pytest.approx(values["b"], rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: derive(UFM("a[2]", loss="mse", constraint="sphere")).closed_form("a"),
            "^closed_form: none is known for loss mse with constraint sphere",
        ),
        (lambda: derive(one_stratum(kH=0)).closed_form("a"), "^closed_form: a kernel vanishes on 'a'"),
        (lambda: derive(one_stratum(ridge=(1, 0))).closed_form("a"), r"^closed_form: with ridge \(1, 0\) none is"),
        (lambda: derive(one_stratum(tau=0)).closed_form("a"), "^closed_form: the target of 'a' is 0"),
        (lambda: derive(one_stratum()).closed_form("b"), "^closed_form: stratum 'b' is unknown"),
        (lambda: derive(one_stratum()).closed_form("a")(1.0, 0.0), "^init: 0.0 is not positive"),
        (lambda: derive(one_stratum()).closed_form("a")(1.0, (1.0, -1.0)), "is not positive"),
        (lambda: derive(one_stratum()).closed_form("a")(1.0, 1e-160), r"^init: w\(0\) h\(0\) = .* is no normal"),
        (lambda: derive(one_stratum()).closed_form("a")(-1.0, 1.0), "^t: -1.0 holds a time below 0"),
        (lambda: derive(one_stratum()).closed_form("a")(float("nan"), 1.0), "^t: nan holds a time below 0 or no"),
        (lambda: derive(one_stratum(ridge=1)).closed_form("a")(1.0, (1.0, 2.0)), "needs a balanced start"),
        (lambda: derive(UFM("a[n]", loss="mse")).closed_form("a")(1.0), "^closed_form: n has no number"),
    ],
)
def test_what_has_no_closed_form_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
