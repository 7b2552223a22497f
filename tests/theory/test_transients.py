"""Emergence times: where a closed form exists it is half-way then, else linearised growth reaches the target then."""

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ufmflow.proofs.strategies import rationals, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.closed_forms import X0, Y0, Z0
from ufmflow.theory.errors import InputError
from ufmflow.theory.flow import TIME, derive_flow
from ufmflow.theory.kernels import embedding_kernel
from ufmflow.theory.model import CONSTRAINTS, LOSSES, UFM
from ufmflow.theory.system import derive
from ufmflow.theory.transients import H0, W0, emergence_expression

POSITIVE = rationals(0, 3).filter(bool)
SMALL = st.integers(2, 12).map(lambda n: sp.Rational(1, 10**n))


def is_half_way(model: UFM, w0: sp.Expr, h0: sp.Expr, plateau: sp.Expr, late: sp.Expr = sp.S(1)) -> bool:
    """Whether the closed form is at half its plateau at (late times) the emergence time, to 30 of 50 digits."""
    form = derive(model).closed_form("a")
    kW, kH = form.kernels
    time = late * emergence_expression(model, "a").subs({W0: w0, H0: h0}).evalf(50)
    start = {X0: (w0 / sp.sqrt(kW)).evalf(50), Y0: (h0 / sp.sqrt(kH)).evalf(50), Z0: w0 * h0, TIME: time}
    return abs(form.expression.xreplace(start).evalf(50) - plateau / 2) < 1e-30


def one_stratum(tau, kW, kH, ridge=(0, 0)) -> UFM:
    return UFM("a[3]", loss="mse", targets={"a": tau}, label_kernel=kW, feature_kernel=kH, ridge=ridge)


@settings(max_examples=10)  # SymPy takes half a second to evaluate a form with 50 digits
@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, POSITIVE, SMALL)
def test_the_closed_form_is_half_way_at_emergence(tau, kW, kH, w0, h0, small):
    assert is_half_way(one_stratum(tau, kW, kH), w0 * small, h0, tau)


@given(POSITIVE, POSITIVE, POSITIVE, rationals(0, 3).filter(lambda x: 0 < x < 3), SMALL)
def test_with_ridge_it_is_half_way_to_the_shifted_plateau(tau, c, kH, share, small):
    kW = c**2 * kH  # so that the start and the plateau are rational
    s = c * kH / 3  # sqrt(kW kH) / m
    mu = share / 3 * s * tau  # less than s tau: the stratum survives
    model = one_stratum(tau, kW, kH, (mu / kW, mu / kH))
    plateau = tau - mu / s
    assert is_half_way(model, c * small, small, plateau)
    gone = one_stratum(tau, kW, kH, (2 * s * tau / kW, 2 * s * tau / kH))
    assert derive(gone).emergence_time("a", 1e-3) == np.inf


def test_a_wrong_time_or_plateau_is_noticed():
    model = one_stratum(2, 1, 3)
    w0, h0 = sp.Rational(1, 100), sp.Rational(1, 7)
    assert is_half_way(model, w0, h0, sp.S(2))
    assert not is_half_way(model, w0, h0, sp.S(2), late=sp.Rational(101, 100))
    assert not is_half_way(model, w0, h0, sp.Rational(201, 100))


def test_beyond_half_it_is_past_and_beyond_the_plateau_never():
    system = derive(one_stratum(1, 1, 1))
    assert system.emergence_time("a", 0.9) < 0 < system.emergence_time("a", 0.5)
    with pytest.raises(InputError, match="^init: 1.5 lies beyond where 'a' ends"):
        system.emergence_time("a", 1.5)


def linear_growth(model: UFM, w0: float, h0: float, time: float) -> float:
    """z of the flow linearised at 0 by SymPy, by the matrix exponential, with 40 digits."""
    flow = derive_flow(model)
    pair = (flow.w["a"], flow.h["a"])
    zero = {x: 0 for x in flow.state}
    matrix = sp.Matrix(2, 2, lambda i, j: sp.diff(flow.expand(flow.rates[pair[i]]).rewrite(sp.log), pair[j]).subs(zero))
    with mpmath.workdps(40):
        grown = mpmath.expm(mpmath.matrix(matrix.evalf(40).tolist()) * time) * mpmath.matrix([w0, h0])
        return float(grown[0] * grown[1])


def reaches(model: UFM, init: float, target: float) -> bool:
    """Linear growth from (init, init) is at the target at the emergence time.

    The decaying direction, which the formula leaves out, is down by init^2 or so; 1e-9 covers init <= 1e-6 amply, and
    the float in the exponent, below 100, rounds to 1e-14.
    """
    time = derive(model).emergence_time("a", init)
    return abs(linear_growth(model, init, init, time) / target - 1) < 1e-9


@settings(max_examples=10)
@given(POSITIVE, POSITIVE, st.tuples(rationals(0, 1), rationals(0, 1)))
@example(sp.Rational(9, 4), sp.Rational(14, 5), (sp.Rational(1, 5), sp.Rational(1, 6)))  # roots of 65-bit integers
def test_linearised_growth_reaches_the_target(kW, kH, shares):
    # Each ridge at most a third of what would stop the growth, so that the decay is faster than a half of the growth.
    kernels = {"label_kernel": kW, "feature_kernel": kH}
    pull = sp.Rational(1, 6) * sp.nsimplify(sp.sqrt(kW * kH).evalf(8), rational=True)  # below s tau / 2
    ridge = tuple(share * pull / 2 / k for share, k in zip(shares, (kW, kH), strict=True))
    if any(ridge):  # without, the closed form stands in its place
        assert reaches(UFM("a[3]", ridge=ridge, **kernels), 1e-8, 1.0)
    if ridge[0] * kW != ridge[1] * kH:
        assert reaches(UFM("a[3]", loss="mse", ridge=ridge, **kernels), 1e-8, 1.0)


def test_another_target_or_loss_of_growth_is_noticed():
    model = UFM("a[3]", label_kernel=2, feature_kernel=3, ridge=("1/20", "1/30"))
    assert reaches(model, 1e-8, 1.0) and not reaches(model, 1e-8, 1.001)
    time = derive(model).emergence_time("a", 1e-8)
    without = UFM("a[3]", label_kernel=2, feature_kernel=3)
    assert abs(linear_growth(without, 1e-8, 1e-8, time) - 1) > 0.1


@pytest.mark.parametrize("constraint", ["sphere", "normalized"])
def test_with_the_norm_held_growth_is_linear_in_time(constraint):
    """w moves at kW scale tau h while h holds, so z = w h is at tau then."""
    model = UFM("a[3] * b[2]", constraint=constraint, width=7, label_kernel={"a": 2, "b": 1, "a:b": 1})
    h = sp.sqrt(7) if constraint == "normalized" else sp.Rational(3, 2)
    w0 = sp.Rational(1, 10)
    time = emergence_expression(model, "a").subs({W0: w0, H0: sp.Rational(3, 2)})
    speed = 2 * sp.Rational(1, 6) * h  # kW scale tau h
    assert sp.simplify((w0 + speed * time) * h - 1) == 0
    assert sp.simplify((w0 + speed * time) * h - 2) != 0


RAYS = [
    (UFM("a[5]"), (1e-3, 1e-3)),
    (UFM("a[3] * b[2]", label_kernel=4, feature_kernel="1/4", reduction="sum"), (4e-6, 1e-6)),
    (UFM("a[3] * b[4]", "a"), (0.2, 0.2)),
    (UFM("a[3] / b[2]", constraint="sphere", label_kernel=2), (1e-3, 1.5)),
    (UFM("a[3] * b[2]", "a", constraint="normalized", width=5), (0.0, 1.0)),
    (UFM("a[3]", feature_kernel={"a": 0}), (0.1, 0.3)),
    (UFM("a[3]", label_kernel={"a": 0}), (0.1, 0.3)),
]


@pytest.mark.parametrize(("model", "init"), RAYS)
def test_along_the_etf_ray_the_target_is_reached_exactly_then(model, init):
    """z = tau at the emergence time by the closed form, to a few roundings; the linearised time is another."""
    system = derive(model)
    time = float(system.emergence_time("a", init))
    form, tau = system.closed_form("a"), float(model.tau["a"])
    assert float(form(time, init)) == pytest.approx(tau, rel=1e-13)
    assert float(form(time * (1 + 1e-6), init)) != pytest.approx(tau, rel=1e-13)
    assert float(form.time_of(tau, init)) == pytest.approx(time, rel=1e-13)


def test_off_balance_the_growing_part_is_what_emerges():
    """x = y or not, only (x + y)/2 grows: starts with the same sum reach the target together, to their size squared."""
    system = derive(UFM("a[4]"))
    even, odd = (system.emergence_time("a", init) for init in ((2e-6, 2e-6), (1e-6, 3e-6)))
    assert even == pytest.approx(odd, rel=1e-14)
    solution = mpmath.odefun(lambda t, y: _rates_of_pair(y), 0, [mpmath.mpf(1), mpmath.mpf(3)], tol=1e-12)
    w, h = solution(mpmath.mpf(float(odd)))
    assert float(w * h * mpmath.mpf(10) ** -12) == pytest.approx(1.0, abs=1e-9)


def _rates_of_pair(y: list) -> list:
    """dw/dt, dh/dt of four one-hot labels, in units of 1e-6."""
    g = 1 / (mpmath.exp(y[0] * y[1] * mpmath.mpf(10) ** -12) + 3)
    return [g * y[1], g * y[0]]


@settings(max_examples=10)
@given(structures(max_cardinality=24, max_factors=3), st.data())
def test_larger_kernels_emerge_first(attributes, data):
    weights = {k: data.draw(rationals(0, 2).filter(bool)) for k in attributes.sizes}
    kernel = embedding_kernel(attributes, weights, residual=data.draw(rationals(0, 1)))
    for loss in LOSSES:
        system = derive(UFM(attributes, loss=loss, feature_kernel=kernel))
        times = {A: float(system.emergence_time(A, 1e-4)) for A in attributes.names if A != "1"}
        for A in times:
            for B in times:
                assert (kernel[A] > kernel[B]) == (times[A] < times[B])


def test_coarse_before_fine_and_attributes_before_interactions():
    nested, grid = Attributes("a[2] / b[3] / c[2]"), Attributes("a[3] * b[4]")
    chain = UFM(nested, feature_kernel=embedding_kernel(nested, {"a": 1, "b": 1, "c": 1}))
    times = [derive(chain).emergence_time(A, 1e-3) for A in ("a", "a:b", "a:b:c")]
    assert times == sorted(times) and len(set(times)) == 3
    crossed = UFM(grid, feature_kernel=embedding_kernel(grid, {"a": 1, "b": 1}, residual=1))
    a, b, both = (derive(crossed).emergence_time(A, 1e-3) for A in ("a", "b", "a:b"))
    assert a < b < both
    plain = derive(UFM(grid))
    assert len({plain.emergence_time(A, 1e-3) for A in ("a", "b", "a:b")}) == 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_what_nothing_pulls_never_emerges(loss, constraint):
    model = UFM("(a[2] * b[2]) / c[2]", labels="a * b", loss=loss, constraint=constraint, width=5,
                targets={"a": 1, "b": 0, "a:b": 0}, label_kernel=1)
    system = derive(model)
    starts = np.array([1e-3, 1e-2])
    for A in ("b", "a:b:c") + (("1",) if loss == "cross_entropy" else ()):
        assert (system.emergence_time(A, starts) == np.inf).all() and system.emergence_time(A, starts).shape == (2,)
    assert np.isfinite(system.emergence_time("a", starts)).all()


def test_starts_are_numbers_pairs_arrays_or_symbols():
    system = derive(UFM("a[3]", loss="mse"))
    starts = np.array([1e-3, 1e-2])
    time = system.emergence_time
    assert time("a", starts) == pytest.approx([time("a", x) for x in starts], rel=1e-14)
    assert time("a", (1e-3, 1e-2)) == pytest.approx(time("a", (1e-2, 1e-3)), rel=1e-14)  # symmetric in w and h
    x = sp.Rational(1, 1000)
    assert float(system.emergence_time("a", x)) == pytest.approx(float(system.emergence_time("a", 1e-3)), rel=1e-13)
    assert system.emergence_time("a").free_symbols == {W0, H0}
    with pytest.raises(InputError, match="^emergence_time: n has no number"):
        derive(UFM("a[n]", loss="mse")).emergence_time("a", 1e-3)
    with pytest.raises(InputError, match="^emergence_time: stratum 'b' is unknown"):
        system.emergence_time("b", 1e-3)
