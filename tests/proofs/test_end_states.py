"""Where the flow ends, and how variability falls, against integration of the derived flows: an independent route."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import linprog

from ufmflow.theory.attributes import Attributes
from ufmflow.theory.flow import derive_flow
from ufmflow.theory.model import UFM

POSITIVE = st.floats(0.3, 3)


def integrated(model, start, times, rtol=1e-10):
    """The state at `times`, by LSODA on the derived rates; rows follow flow.state."""
    flow = derive_flow(model)

    def log_partition(*args):
        n = len(args) // 2
        return np.log1p(sum(v * np.exp(-M) for M, v in zip(args[:n], args[n:], strict=True)))

    rates = sp.lambdify(
        flow.state,
        [flow.rates[x] for x in flow.state],
        [{"LogPartition": log_partition}, "numpy"],
        cse=lambda expressions: (list(flow.definitions), expressions),
    )
    solution = solve_ivp(
        lambda t, y: rates(*y), (0, times[-1]), start, method="LSODA", t_eval=times, rtol=rtol, atol=1e-13
    )
    return flow, dict(zip(flow.state, solution.y, strict=True))


def variability(constraint, kernel, label_kernel, start):
    """ln of a dropped stratum of (a[3] * b[4], labels a) against the law, and the law's exponent, over time."""
    model = UFM(
        "a[3] * b[4]",
        labels="a",
        feature_kernel=dict(zip(("1", "a", "b", "a:b"), kernel, strict=True)),
        label_kernel=dict(zip(("1", "a"), label_kernel, strict=True)),
        constraint=constraint,
        width=5,
    )
    flow, y = integrated(model, start, np.array([0.0, 0.5, 2, 6]))
    m = {A: float(x) for A, x in model.attributes.multiplicities.items()}
    k = {A: float(x) for A, x in model.feature_kernel.items()}
    W2 = sum(m[A] * y[x] ** 2 / float(model.label_kernel[A]) for A, x in flow.w.items())
    features = dict(zip(flow.h, (y[x] for x in flow.state[len(flow.w) :]), strict=True))
    square = sum(m[A] * x**2 for A, x in features.items())
    weighted = sum(m[A] * x**2 / k[A] for A, x in features.items())
    law = -k["b"] * (W2 - W2[0]) / (2 * square[0])
    return np.log(features["b"] / features["b"][0]), law, weighted, square


@pytest.mark.parametrize("control", [1, 2])
@given(
    kernel=st.tuples(POSITIVE, POSITIVE, POSITIVE, POSITIVE),
    label_kernel=st.tuples(POSITIVE, POSITIVE),
    start=st.tuples(*[POSITIVE] * 6),
)
@settings(max_examples=6)
def test_variability_on_the_sphere(control, kernel, label_kernel, start):
    """h_B / sqrt(Q) = exp(-kH growth of |W|^2 / 2N); with twice the exponent (control) it is not."""
    fall, law, weighted, _ = variability("sphere", kernel, label_kernel, start)
    gap = np.abs(fall - np.log(weighted / weighted[0]) / 2 - control * law).max()
    # The integrator's relative error 1e-10 per step over a few hundred steps.
    assert (gap < 1e-6) == (control == 1)


@given(
    kernel=st.tuples(POSITIVE, POSITIVE, POSITIVE, POSITIVE),
    label_kernel=st.tuples(POSITIVE, POSITIVE),
    start=st.tuples(*[POSITIVE] * 6),
)
@settings(max_examples=6)
def test_normalized_features_keep_their_weighted_norm(kernel, label_kernel, start):
    _, _, weighted, square = variability("normalized", kernel, label_kernel, start)
    assert np.abs(weighted / weighted[0] - 1).max() < 1e-6  # as above
    if np.ptp(kernel) > 0.5:  # the plain norm moves: a control
        assert np.abs(square / square[0] - 1).max() > 1e-6


def margins(formula, kW, kH, constraint, w, h, duration):
    """The normalised margin over its largest value, along the flow in loss-rescaled time (rates over P)."""
    attributes = Attributes(formula)
    strata, relations = attributes.names[1:], attributes.relations[:-1]
    m = np.array([float(attributes.multiplicities[A]) for A in strata])
    v = np.array([float(T.valency) for T in relations])
    V, n = float(attributes.cardinality), len(strata)
    rows = np.array([[float(attributes.character(A, T.name)) for A in strata] for T in relations])
    rows = (1 - rows) * m / V

    def rates(_, y):
        w, h = y[:n], y[n:]
        e = np.log(v) - rows @ (w * h)
        g = rows.T @ np.exp(e - np.logaddexp.reduce(e)) / m
        if constraint == "free":
            return np.concatenate([kW * g * h, kH * g * w])
        N = m @ h**2
        f = kH * (g * w - (m @ (g * w * h)) / N * h)
        return np.concatenate([kW * g * h, f - (m @ (h * f)) / N * h])

    cost = m / np.sqrt(kW * kH if constraint == "free" else kW)
    best = linprog(cost, A_ub=-rows, b_ub=-np.ones(len(v))).fun
    duration *= best if constraint == "free" else 1  # there ln z grows at 2 / best or more
    times = np.linspace(0, duration, 60)
    y = solve_ivp(rates, (0, duration), np.concatenate([w, h]), method="LSODA", t_eval=times, rtol=1e-8, atol=1e-12).y
    w, h = y[:n], y[n:]
    mu = -np.logaddexp.reduce(np.log(v)[:, None] - rows @ (w * h), axis=0)
    if constraint == "free":
        return 2 * best * mu / (m @ (w**2 / kW[:, None] + h**2 / kH[:, None]))
    return best * mu / np.sqrt((m @ (w**2 / kW[:, None])) * (m @ h**2))


@pytest.mark.parametrize(("constraint", "duration"), [("free", 4), ("sphere", 3000)])
@given(kernels=st.tuples(*[POSITIVE] * 6), start=st.tuples(*[POSITIVE] * 6))
@settings(max_examples=4)
def test_positive_starts_reach_the_largest_margin(constraint, duration, kernels, start):
    kW, kH, w, h = (np.array(x) for x in (kernels[:3], kernels[3:], start[:3], start[3:]))
    ratio = margins("a[2] * b[3]", kW, kH, constraint, w, h, duration)
    rising = np.diff(ratio[ratio > 0])
    assert (rising > -1e-6).all()  # tolerance of the integrator
    assert ratio.max() < 1 + 1e-6
    # The deficit is ln(V - 1) over the largest margin to leading order; the directions converge faster.
    assert ratio[-1] > 0.9


def test_a_stratum_at_zero_never_reaches_it():
    """A control: the features end as a prism, whose margin is smaller at the same norms."""
    one = np.ones(3)
    off = np.array([1.0, 1.0, 0.0])
    ratio = margins("a[2] * b[3]", one, one, "sphere", off, off, 3000)
    assert ratio[-1] < 0.85


def test_deviations_from_the_etf_fall_like_the_fourth_power_of_w():
    """2 x 3 on the sphere, equal kernels, in loss-rescaled time: w^4 eta tends to a constant, w^3 and w^5 do not."""
    strength = {}
    for duration in (500, 1000):
        m, w0 = np.array([1.0, 2, 2]), 10.0
        R = np.array([[float(Attributes("a[2] * b[3]").character(A, T)) for A in ("a", "b", "a:b")]
                      for T in ("1", "a", "b")])  # fmt: skip
        v, R = np.array([2.0, 2, 1]), (1 - R) * m / 6

        def rates(_, y, m=m, v=v, R=R):
            w, h = y[:3], y[3:]
            e = np.log(v) - R @ (w * h)
            g = R.T @ np.exp(e - np.logaddexp.reduce(e)) / m
            f = g * w - (m @ (g * w * h)) / (m @ h**2) * h
            return np.concatenate([g * h, f - (m @ (h * f)) / (m @ h**2) * h])

        start = [w0, w0, w0, 1.0, 1.05, 0.96]
        y = solve_ivp(rates, (0, duration), start, method="LSODA", rtol=1e-11, atol=1e-15).y[:, -1]
        w, h = m @ y[:3] / 5, m @ y[3:] / 5
        strength[duration] = (w, np.abs(y[3:] / h - 1).max())
    (w1, eta1), (w2, eta2) = strength.values()
    power = -np.log(eta2 / eta1) / np.log(w2 / w1)
    assert 3.6 < power < 4.2  # corrections are of order 1 / nu = V / (w h), some percents here
