"""Collapse times against the spectrum of the derived Jacobian, and the order of strata against trajectories."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ufmflow.numerics.simulate import simulate
from ufmflow.proofs.strategies import rationals, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM
from ufmflow.theory.system import System, derive
from ufmflow.theory.transients import exchanged_pairs

from .evaluate import function_of_state

RIDGE = st.sampled_from([(1e-3, 1e-3), (1e-3, 4e-3), (2e-2, 5e-3)])


def decay_rates(system: System) -> np.ndarray:
    """Minus the spectrum of the Jacobian at the limit, without the mean, in increasing order."""
    flow, end, matrix = system.flow, system.limit(), system.jacobian()
    state = [float(end[A][0]) for A in flow.w] + [float(end[A][1]) for A in flow.h]
    values = np.array(function_of_state(flow, list(matrix))(state), dtype=float).reshape(matrix.shape)
    kept = [i for i, x in enumerate(flow.state) if not x.name.endswith("_1")]
    return np.sort(-np.linalg.eigvals(values[np.ix_(kept, kept)]).real)


def slow_rates(system: System) -> np.ndarray:
    return np.sort([1 / float(system.collapse_time(A, 1e-3)) for A in system.model.attributes.names[1:]])


@settings(max_examples=6)
@given(structures(max_cardinality=12, max_factors=2), RIDGE, st.data())
def test_squared_error_collapses_at_the_slow_root(attributes, ridge, data):
    """Each stratum's slow rate is in the spectrum; 1e-9 is the eigenvalue solver's rounding for rates decades apart."""
    kernel = {A: data.draw(rationals(0, 3).filter(bool)) for A in attributes.names}
    system = derive(UFM(attributes, loss="mse", ridge=ridge, feature_kernel=kernel))
    spectrum = decay_rates(system)
    for A in attributes.names[1:]:
        rate = 1 / float(system.collapse_time(A))
        assert np.abs(spectrum / rate - 1).min() < 1e-9


@settings(max_examples=6)
@given(structures(max_cardinality=12, max_factors=2), RIDGE, st.data())
def test_cross_entropy_collapses_between_the_slow_rates(attributes, ridge, data):
    """The slowest rate of the coupled strata lies between the least and the next of theirs."""
    kernel = {A: data.draw(rationals(0, 3).filter(bool)) for A in attributes.names}
    system = derive(UFM(attributes, ridge=ridge, feature_kernel=kernel, label_kernel=kernel))
    slowest, rates = decay_rates(system)[0], slow_rates(system)
    assert rates[0] * (1 - 1e-9) <= slowest
    assert len(rates) == 1 or slowest <= rates[1] * (1 + 1e-9)


def test_another_rate_is_noticed():
    system = derive(UFM("a[3]", loss="mse", ridge=(1e-3, 4e-3), feature_kernel=2))
    rate = 1 / float(system.collapse_time("a"))
    spectrum = decay_rates(system)
    assert np.abs(spectrum / rate - 1).min() < 1e-9
    for wrong in (1.001 * rate, 1e-3 + 2 * 4e-3):  # the second: lam_W kW + lam_H kH
        assert np.abs(spectrum / wrong - 1).min() > 1e-4


def test_cross_entropy_with_equal_kernels_collapses_at_exactly_that_rate():
    """24 labels: 2 lam z / V, and not lam (kW + kH) = 2 lam."""
    system = derive(UFM("a[4] * b[6]", ridge=1e-3))
    rate = 1 / float(system.collapse_time("a"))
    logit = float(system.limit()["a"][2])
    assert rate == pytest.approx(2e-3 * logit / 24, rel=1e-12)
    assert decay_rates(system)[0] == pytest.approx(rate, rel=1e-9)
    assert decay_rates(system)[0] < 0.3 * 2e-3


def test_dropped_and_unregularised_strata_decay_exactly():
    words = UFM("a[3] / word[2]", "a", ridge=(1e-2, 2e-2), feature_kernel=3)
    time = float(derive(words).collapse_time("a:word"))
    h = simulate(words, [0, time], init=0.1, rtol=1e-10).data["h"].sel(stratum="a:word").values
    assert h[1] / h[0] == pytest.approx(np.exp(-1), rel=1e-6)
    free = derive(UFM("a[3]", loss="mse", feature_kernel=2, label_kernel=2))
    time, form = float(free.collapse_time("a", 0.1)), free.closed_form("a")
    gap = [1 - float(form(t, 0.1)) for t in (20 * time, 21 * time)]
    assert gap[1] / gap[0] == pytest.approx(np.exp(-1), rel=1e-6)  # the next exponential is 100 e^-20 of it
    dead = derive(UFM("a[3]", loss="mse", ridge=1))
    time = float(dead.collapse_time("a"))
    w = simulate(dead.model, [0, 8 * time, 9 * time], init=0.1, rtol=1e-10).data["w"].sel(stratum="a").values
    assert w[2] / w[1] == pytest.approx(np.exp(-1), rel=1e-5)  # z, which is left out, is 1e-9


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (UFM("a[3]", constraint="sphere", ridge=1e-3), "^collapse_time: none is known with constraint sphere"),
        (UFM("a[3]"), "^collapse_time: on 'a' it needs a ridge on both"),
        (UFM("a[3]", loss="mse", ridge=(1e-3, 0)), "^collapse_time: on 'a' it needs a ridge on both"),
        (UFM("a[3]", ridge=1e-3, targets={"a": "1/2"}), "^collapse_time: with cross-entropy it needs one-hot"),
        (UFM("a[3]", ridge=1), "^collapse_time: with ridge .* nothing stays"),
    ],
)
def test_unknown_collapse_is_said(model, message):
    with pytest.raises(InputError, match=message):
        derive(model).collapse_time("a")
    with pytest.raises(InputError, match="^collapse_time: stratum 'b' is unknown"):
        derive(model).collapse_time("b")


# Which strata stay ahead


def softmax_eigenvalues(attributes: Attributes, z: dict) -> dict:
    """pi_A in floats, from the characters alone."""
    table = np.array(attributes.character_table().tolist(), dtype=float)
    m = np.array([float(attributes.multiplicities[A]) for A in attributes.names])
    v = np.array([float(relation.valency) for relation in attributes.relations])
    logits = (m * np.array([z[A] for A in attributes.names])) @ table / float(attributes.cardinality)
    weight = v * np.exp(logits - logits.max())
    return dict(zip(attributes.names, table @ (weight / weight.sum()), strict=True))


@given(structures(max_cardinality=24, max_factors=4), st.data())
def test_exchanged_pairs_are_level_together(attributes, data):
    """z_A = z_B gives pi_A = pi_B to rounding (sums of at most 24 terms of size 1), and z_A > z_B gives pi_A > pi_B."""
    z = {A: data.draw(st.floats(0, 5)) for A in attributes.names}
    for A, B in exchanged_pairs(attributes):
        pi = softmax_eigenvalues(attributes, z | {B: z[A]})
        assert abs(pi[A] - pi[B]) < 1e-13
        pi = softmax_eigenvalues(attributes, z | {B: z[A] + 1.0})
        assert pi[A] < pi[B]


def test_pairs_of_three_crossed_attributes_do_not_exchange():
    attributes = Attributes("a[3] * b[3] * c[3]")
    assert exchanged_pairs(attributes) == {}
    z = {A: 9.0 for A in attributes.names} | {"a:b:c": 18.0}
    pi = softmax_eigenvalues(attributes, z)
    assert 1 - pi["a:b"] > 1.07 * (1 - pi["a"])


@settings(max_examples=6)
@given(structures(max_cardinality=24, max_factors=3), st.data())
def test_larger_kernels_stay_ahead_for_all_times(attributes, data):
    """min over time of ln(z_A/z_B), to the integration's 1e-7."""
    kernel = {A: data.draw(rationals(0, 3).filter(lambda x: x > 0.1)) for A in attributes.names}
    model = UFM(attributes, feature_kernel=kernel, label_kernel=kernel)
    z = simulate(model, np.geomspace(1e-2, 1e4, 80), init=1e-2, rtol=1e-9).data["z"]
    for A, B in exchanged_pairs(attributes):
        ahead = np.log(z.sel(stratum=A).values / z.sel(stratum=B).values)
        if kernel[A] >= kernel[B]:
            assert ahead.min() > -1e-7
        if kernel[A] > kernel[B]:
            assert ahead[-1] > 0
        if kernel[A] < kernel[B]:
            assert ahead.min() < 0


def test_with_ridge_two_levels_keep_their_order_and_three_attributes_do_not():
    kernel = {"1": 1, "a": 6, "b": 6, "a:b": 1}
    two = UFM("a[3] * b[4]", feature_kernel=kernel, label_kernel=kernel, ridge=(sp.Rational(1, 240),) * 2)
    z = simulate(two, np.geomspace(1, 1e5, 200), init=1e-2).data["z"]
    a, ab = z.sel(stratum="a").values, z.sel(stratum="a:b").values
    assert np.log(a / ab).min() > -1e-6 and np.diff(ab).min() > -1e-6 and a.max() > 2 * a[-1]
    cube = Attributes("a[2] * b[2] * c[2]")
    kernel = {A: 6 if A in cube.semantic_strata() else 1 for A in cube.names}
    three = UFM(cube, feature_kernel=kernel, label_kernel=kernel, ridge=(sp.Rational(1, 160),) * 2)
    z = simulate(three, np.geomspace(1, 1e5, 400), init=3e-2).data["z"]
    assert np.log(z.sel(stratum="a").values / z.sel(stratum="a:b:c").values).min() < -0.05
