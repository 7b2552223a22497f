"""Borders of the phases against independent routes: the logistic closed form, quadrature's own equations, a staircase."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM
from ufmflow.theory.phases import bottleneck_index, bottleneck_width, log_semantic_start, semantic_ratio, survival


def peak_index(kappa, z0, M, N):
    """The largest index of two logistics, on a grid of times fine enough for four digits."""
    t = np.linspace(0, 4 * np.log(1 / z0), 400_001)
    z1, z2 = (1 / (1 + (1 / z0 - 1) * np.exp(-k * t)) for k in (kappa, 1.0))
    share = M * z1 / (M * z1 + N * z2)
    return float(((share - M / (M + N)) / (1 - M / (M + N))).max())


@pytest.mark.parametrize("formula", ["a[3] * b[3]", "a[4] * b[6]", "a[2] * b[2] * c[3]"])
@pytest.mark.parametrize("kappa", [1.3, 2.0, 5.0])
def test_the_start_from_which_attributes_are_seen(formula, kappa):
    attributes = Attributes(formula)
    main = sum(attributes.multiplicities[A] for A in attributes.semantic_strata())
    M, N = float(main), float(attributes.cardinality - 1 - main)
    z0 = 1 / (1 + float(sp.exp(log_semantic_start(kappa, attributes))))
    assert peak_index(kappa, z0, M, N) == pytest.approx(0.5, abs=1e-4)
    # The border parts what is seen from what is not.
    assert peak_index(kappa, 0.8 * z0, M, N) > 0.5 + 1e-3 and peak_index(kappa, 1.25 * z0, M, N) < 0.5 - 1e-3


def test_no_start_is_small_enough_without_a_larger_kernel():
    assert (
        log_semantic_start(1, Attributes("a[3] * b[3]")) == sp.oo == log_semantic_start(0.5, Attributes("a[3] * b[3]"))
    )


def test_the_ratio_is_where_the_index_is_a_half():
    for formula in ("a[3] * b[3]", "a[4] * b[6] * c[2]"):
        attributes = Attributes(formula)
        main = sum(attributes.multiplicities[A] for A in attributes.semantic_strata())
        etf = main / (attributes.cardinality - 1)
        r = semantic_ratio(attributes)
        share = main * r / (main * r + attributes.cardinality - 1 - main)
        assert sp.simplify((share - etf) / (1 - etf)) == sp.Rational(1, 2)


def test_what_a_bottleneck_holds():
    attributes = Attributes("a[3] * b[5]")  # M = 6, N = 8
    share = {d: min(6 / d, 1) for d in range(1, 15)}
    for d, s in share.items():
        assert float(bottleneck_index(d, attributes)) == pytest.approx((s - 6 / 14) / (8 / 14))
    for index in ("1/10", "1/2", "9/10"):
        assert bottleneck_index(bottleneck_width(index, attributes), attributes) == sp.Rational(index)
    with pytest.raises(InputError, match="width: 0"):
        bottleneck_index(0, attributes)


def model(n=4, k1=4.0, k2=1.0, ridge=1e-4, **other):
    kernel = {"1": 1, "a": k1, "b": k1, "a:b": k2}
    return UFM(f"a[{n}] * b[{n}]", feature_kernel=kernel, label_kernel=kernel, ridge=ridge, **other)


@pytest.mark.parametrize(
    ("n", "k1", "ridge", "init"), [(3, 3.0, 1e-4, 1e-3), (5, 10.0, 1e-3, 1e-2), (4, 2.5, 1e-5, 1e-4)]
)
def test_survival_is_the_crossing_of_main_effects_and_a_small_interaction(n, k1, ridge, init):
    """The same quantities by integrating the two equations in time instead of the margin."""
    sigma, M, N = 1 / n**2, 2 * (n - 1), (n - 1) ** 2

    def rates(t, y):
        x = n * np.exp(y[0]) / n**2
        pi = np.expm1(x) / (np.expm1(x) + n)
        return [2 * k1 * (sigma * (1 - pi) - ridge), 2 * (sigma * (1 - pi**2) - ridge)]

    def gap(t, y):
        return y[0] - y[1] - np.log(2 + N / M)

    start = np.log(init**2)
    onset, end = survival(model(n, k1, 1.0, ridge), init)
    events = solve_ivp(rates, (0, 2 * end), [start, start], "LSODA", events=gap, rtol=1e-11, atol=1e-12).t_events[0]
    assert events[-1] == pytest.approx(end, rel=1e-6)  # exact once the main effects have settled
    assert events[0] == pytest.approx(onset, rel=0.02)  # growth alone, before they saturate


def test_survival_needs_its_hypotheses():
    good = model()
    assert survival(good, 1e-3) == survival(good, (1e-3, 1e-3))
    for bad, init, message in (
        (model(ridge=0), 1e-3, "ridge between 0 and"),
        (model(ridge=1.0), 1e-3, "ridge between 0 and"),
        (model(k1=0.5), 1e-3, "larger kernel"),
        (model(loss="mse"), 1e-3, "known for cross-entropy"),
        (UFM("a[3] * b[4]", ridge=1e-3), 1e-3, "of one size"),
        (UFM("a[3] / b[3]", ridge=1e-3), 1e-3, "two crossed attributes"),
        (UFM("a[2] * b[2] * c[2]", ridge=1e-3), 1e-3, "two crossed attributes"),
        (good, 0, "positive start"),
        (good, 100.0, "below the main effects' end"),
        (good, (1e-3, 1e-2), "not balanced"),
        (good, "x", "init: 'x'"),
    ):
        with pytest.raises(InputError, match=message):
            survival(bad, init)
