"""Numerical trajectories, reduced and full, held to every derived transient and asymptotic statement.

Each statement is a predicate on a trajectory, true on drawn models and false on a trajectory that it must reject: that
of another model, or of another start.  Trajectories are integrated to 1e-8 of the largest value.
"""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ufmflow.numerics.simulate import simulate
from ufmflow.proofs.strategies import models, ridges, starts, structures, times
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.kernels import embedding_kernel
from ufmflow.theory.model import CONSTRAINTS, LOSSES, UFM
from ufmflow.theory.system import derive

TOLERANCE = 1e-7  # ten times what is integrated to: statements are sums of a few values or their squares

COLORS = "color[2] * shape[3]"
KERNEL = {"1": 6, "color": 4, "shape": 3, "color:shape": 1}
PLAIN = dict.fromkeys(("1", "color", "shape", "color:shape"), (0.1, 0.1))


def wide(model: UFM, **fields) -> UFM:
    """Width for every context, so that the same start can be given to whole matrices."""
    return UFM(**(model.config() | {"width": int(model.contexts) + 1} | fields))


def column(trajectory, variable: str, stratum: str) -> np.ndarray:
    return trajectory.data[variable].sel(stratum=stratum).values


# Without ridge: what is conserved, and the loss.


def keeps_what_is_conserved(model: UFM, trajectory) -> bool:
    flow = derive(model).flow
    values = {str(flow.w[A]): column(trajectory, "w", A) for A in flow.w}
    values |= {str(flow.h[A]): column(trajectory, "h", A) for A in flow.h}
    conserved = derive(model).conserved
    for expression in conserved.values():
        symbols = sorted(expression.free_symbols, key=str)
        parts = [
            sp.lambdify(symbols, term)(*(values[str(s)] for s in symbols)) for term in sp.Add.make_args(expression)
        ]
        if np.ptp(sum(parts)) > TOLERANCE * max(np.abs(part).max() for part in parts):
            return False
    return bool(conserved)


def never_rises(model: UFM, trajectory) -> bool:
    """The loss with ridge, which the flow descends; the ridge on H counts where its norm is free."""
    lam_W, lam_H = (float(lam) for lam in model.ridge)
    lam_H = lam_H if model.constraint == "free" else 0.0
    m = np.array([float(x) for x in model.attributes.multiplicities.values()])
    w, h = trajectory.data["w"].values, trajectory.data["h"].values
    total = trajectory.data["loss"].values + (m * (lam_W * w**2 + lam_H * h**2)).sum(axis=1) / 2
    return bool(np.all(np.diff(total) <= TOLERANCE * np.abs(total).max()))


@pytest.mark.parametrize("full", [False, True])
@settings(max_examples=8)
@given(data=st.data())
def test_what_is_conserved_stays(full, data):
    constraint = data.draw(st.sampled_from(["free", "sphere"]))
    model = wide(data.draw(models(constraints=(constraint,), ridge=False, positive_kernels=True)))
    found = simulate(model, data.draw(times(model)), init=data.draw(starts(model)), full=full)
    assert keeps_what_is_conserved(model, found)


def test_what_a_ridge_breaks_is_noticed():
    model = UFM(COLORS, feature_kernel=KERNEL)
    assert keeps_what_is_conserved(model, simulate(model, [0, 1.0, 5.0], init=0.3))
    assert not keeps_what_is_conserved(model, simulate(wide(model, ridge=(0.01, 0.02)), [0, 1.0, 5.0], init=0.3))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
@settings(max_examples=6)
@given(data=st.data())
def test_the_loss_never_rises(constraint, full, data):
    model = wide(data.draw(models(constraints=(constraint,))))
    assert never_rises(model, simulate(model, data.draw(times(model)), init=data.draw(starts(model)), full=full))


def test_a_loss_that_rises_is_noticed():
    model = UFM(COLORS, loss="mse", feature_kernel=KERNEL)
    found = simulate(model, [0, 1.0, 5.0], init=0.3)
    assert never_rises(model, found)
    data = found.data.assign(loss=("time", found.data["loss"].values[::-1]))
    assert not never_rises(model, type(found)(data))


# Squared error: closed forms, and the times that follow from them.


def follows_its_closed_form(model: UFM, trajectory, init: dict) -> bool:
    """z at the integrator's tolerance, relative to the larger of start and target."""
    for A in model.targets:
        if model.tau[A] <= 0:
            continue
        expected = derive(model).closed_form(A)(trajectory.time, init[A])
        if np.abs(column(trajectory, "z", A) - expected).max() > TOLERANCE * max(1.0, np.abs(expected).max()):
            return False
    return True


@pytest.mark.parametrize("full", [False, True])
@settings(max_examples=8)
@given(data=st.data())
def test_squared_error_follows_its_closed_form(full, data):
    model = wide(data.draw(models(("mse",), ("free",), ridge=False, positive_kernels=True)))
    init, t = data.draw(starts(model)), data.draw(times(model))
    assert follows_its_closed_form(model, simulate(model, t, init=init, full=full), init)


def test_another_closed_form_is_noticed():
    model = UFM(COLORS, loss="mse", feature_kernel=KERNEL)
    found = simulate(model, [0, 1.0, 3.0], init=PLAIN)
    assert follows_its_closed_form(model, found, PLAIN)
    assert not follows_its_closed_form(UFM(COLORS, loss="mse"), found, PLAIN)
    assert not follows_its_closed_form(model, found, PLAIN | {"color": (0.1, 0.1001)})


def is_half_way_at(model: UFM, stratum: str, init: dict, time: float) -> bool:
    """z = tau/2 at the time: an error e of z is one of e / (slope tau s / 2) in time."""
    found = simulate(model, [0, time], init=init)
    half = float(model.tau[stratum]) / 2
    return abs(column(found, "z", stratum)[-1] - half) <= TOLERANCE * max(1.0, half)


@settings(max_examples=10)
@given(data=st.data())
def test_strata_are_half_way_at_their_emergence_time(data):
    model = data.draw(models(("mse",), ("free",), ridge=False, positive_kernels=True))
    init = {A: (w / 100, h / 100) for A, (w, h) in data.draw(starts(model)).items()}
    emerging = [A for A in model.targets if model.tau[A] > sp.Rational(1, 10)]
    stratum = data.draw(st.sampled_from(emerging))  # the mean's target is 1, so there is one
    time = float(derive(wide(model, width=None)).emergence_time(stratum, init[stratum]))
    assert time > 0 and is_half_way_at(wide(model, width=None), stratum, init, time)
    assert not is_half_way_at(wide(model, width=None), stratum, init, 1.01 * time)


# A small start: growth at 2 sqrt(kW kH) tau / m.


def growth_rates(trajectory) -> np.ndarray:
    z = trajectory.data["z"].values[:, 1:]
    return np.log(z[1:] / z[:-1]) / np.diff(trajectory.time)[:, None]


@settings(max_examples=10)
@given(data=st.data())
def test_small_strata_grow_at_their_rate(data):
    """From 1e-6 to at most 1e-6 e^4, where pi is 1e-10 of one-hot's 1 (dimensions and 12 contexts included)."""
    loss = data.draw(st.sampled_from(LOSSES))
    model = data.draw(models((loss,), ("free",), ridge=False, one_hot=True, positive_kernels=True, replication=False))
    expected = np.array(
        [
            2 * float(model.scale) * np.sqrt(float(model.label_kernel[A] * model.feature_kernel[A]))
            for A in model.attributes.names[1:]
        ]
    )
    init = {
        A: (1e-6 * float(model.label_kernel[A]) ** 0.5, 1e-6 * float(model.feature_kernel[A]) ** 0.5)
        for A in model.attributes.names
    }
    rates = growth_rates(simulate(wide(model, width=None), [0, 2 / expected.max(), 4 / expected.max()], init=init))
    assert np.allclose(rates, expected, rtol=1e-6)
    assert not np.allclose(rates, expected * 1.001, rtol=1e-6)


# Order of emergence along a chain.


def comes_coarse_first(trajectory) -> bool:
    """z of each level at least that of the next finer one, at all times."""
    z = trajectory.data["z"].values[:, 1:]
    return bool(np.all(np.diff(z, axis=1) <= TOLERANCE * np.abs(z).max(axis=1, keepdims=True)))


@pytest.mark.parametrize("loss", LOSSES)
@settings(max_examples=10)
@given(data=st.data())
def test_chains_emerge_coarse_first(loss, data):
    """One-hot, no ridge, balanced, kernels no larger on finer levels, z equal at the start."""
    sizes = data.draw(st.lists(st.integers(2, 4), min_size=2, max_size=4))
    attributes = Attributes(" / ".join(f"level{k}[{n}]" for k, n in enumerate(sizes)))
    steps = [data.draw(st.integers(0, 3)) for _ in attributes.names]
    kernel = dict(zip(attributes.names, np.cumsum([1, *steps[1:]])[::-1].tolist(), strict=True))
    model = UFM(attributes, loss=loss, feature_kernel=kernel, reduction="sum")
    z0 = data.draw(st.integers(1, 50)) / 1000
    init = {A: ((z0 / k**0.5) ** 0.5, (z0 * k**0.5) ** 0.5) for A, k in kernel.items()}
    assert comes_coarse_first(simulate(model, [0, 0.1, 0.3, 1, 3, 10, 100], init=init))


def test_a_chain_that_comes_fine_first_is_noticed():
    model = UFM("a[2] / b[3]", feature_kernel={"a": 1, "a:b": 3}, reduction="sum")
    init = {A: ((0.01 / k**0.5) ** 0.5, (0.01 * k**0.5) ** 0.5) for A, k in {"1": 1, "a": 1, "a:b": 3}.items()}
    assert not comes_coarse_first(simulate(model, [0, 1, 3, 10], init=init))


# Equal kernels: the ETF for all times.


def stays_on_the_etf_ray(trajectory) -> bool:
    z = trajectory.data["z"].values[:, 1:]
    return bool(np.all(np.ptp(z, axis=1) <= TOLERANCE * np.abs(z).max(axis=1)))


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@settings(max_examples=5)
@given(attributes=structures(max_cardinality=12, max_factors=3), loss=st.sampled_from(LOSSES), data=st.data())
def test_equal_kernels_stay_on_the_etf_ray(constraint, attributes, loss, data):
    model = wide(UFM(attributes, loss=loss, constraint=constraint, feature_kernel=2, label_kernel=3))
    t = data.draw(times(model))
    assert stays_on_the_etf_ray(simulate(model, t, init=0.1))
    assert stays_on_the_etf_ray(simulate(model, t, init=0.1, full=True))


def test_leaving_the_etf_ray_is_noticed():
    t = [0, 1.0, 5.0]
    assert stays_on_the_etf_ray(simulate(UFM(COLORS), t, init=0.1))
    assert not stays_on_the_etf_ray(simulate(UFM(COLORS, feature_kernel=KERNEL), t, init=0.1))
    assert not stays_on_the_etf_ray(simulate(UFM(COLORS), t, init=PLAIN | {"color": (0.1, 0.11)}))


# With ridge: the limit, which no kernel moves, and the decay of what the label drops.


def has_reached(trajectory, limit: dict) -> bool:
    largest = max(float(x) for point in limit.values() for x in point)
    return all(
        abs(column(trajectory, v, A)[-1] - float(x)) <= TOLERANCE * max(largest, 1.0)
        for A, point in limit.items()
        for v, x in zip("whz", point, strict=True)
    )


@settings(max_examples=8)
@given(data=st.data())
def test_the_limit_is_reached_whatever_the_kernels(data):
    """Rates near the limit are at least the ridge times the smallest kernel times 1 - pi, the target's missing part."""
    loss = data.draw(st.sampled_from(LOSSES))
    drawn = data.draw(models((loss,), ("free",), ridge=False, one_hot=True, positive_kernels=True))
    model = wide(drawn, ridge=[str(x) for x in data.draw(ridges(drawn))], width=None)
    limit = derive(model).limit()
    plain = wide(model, width=None, feature_kernel=1, label_kernel=1)
    assert derive(plain).limit() == limit
    init = {A: (max(w, 0.1), max(h, 0.1)) for A, (w, h) in data.draw(starts(model)).items()}
    long = [0, 1e9]
    assert has_reached(simulate(model, long, init=init), limit) and has_reached(simulate(plain, long, init=init), limit)
    assert not has_reached(simulate(model, [0, 1e-3], init=init), limit)


def decays_at(trajectory, stratum: str, rate: float) -> bool:
    h = column(trajectory, "h", stratum)
    expected = h[0] * np.exp(-rate * trajectory.time)
    return bool(np.abs(h - expected).max() <= TOLERANCE * h[0])


@pytest.mark.parametrize("full", [False, True])
@settings(max_examples=6)
@given(data=st.data())
def test_dropped_strata_decay_at_the_ridge(full, data):
    drawn = data.draw(models(constraints=("free",), positive_kernels=True).filter(lambda x: x.labels is not None))
    model = wide(drawn)
    found = simulate(model, data.draw(times(model, folds=1)), init=data.draw(starts(model)), full=full)
    lam = float(model.ridge[1])
    for A in set(model.attributes.names) - set(model.targets):
        rate = float(model.feature_kernel[A]) * lam
        assert decays_at(found, A, rate) and not decays_at(found, A, rate + 0.1 / found.time[-1])


# Held norms, and the direction without ridge.


def radius_is_kept(model: UFM, trajectory) -> bool:
    m = np.array([float(x) for x in model.attributes.multiplicities.values()])
    norm = (m * trajectory.data["h"].values ** 2).sum(axis=1)
    return bool(np.abs(norm - norm[0]).max() <= TOLERANCE * norm[0])


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("constraint", ["sphere", "normalized"])
@settings(max_examples=6)
@given(data=st.data())
def test_held_norms_stay(constraint, full, data):
    model = wide(data.draw(models(constraints=(constraint,))))
    found = simulate(model, data.draw(times(model)), init=data.draw(starts(model)), full=full)
    assert radius_is_kept(model, found)
    if constraint == "normalized":
        total = sum(float(s.multiplicity) * column(found, "h", s.name)[-1] ** 2 for s in model.attributes.strata)
        assert total == pytest.approx(float(model.width * model.contexts), rel=TOLERANCE)


def test_a_norm_that_moves_is_noticed():
    model = UFM(COLORS, feature_kernel=KERNEL)
    assert not radius_is_kept(model, simulate(model, [0, 1.0], init=0.3))
    assert radius_is_kept(model, simulate(wide(model, constraint="sphere"), [0, 1.0], init=0.3))


def distance_to(direction: dict, trajectory) -> np.ndarray:
    """Of z's direction, weighted by dimension, from the max-margin one, at each time."""
    z = trajectory.data["z"].values[:, 1:]
    m = trajectory.data["multiplicity"].values[1:] ** 0.5
    goal = np.array([float(x) for x in direction.values()]) * m
    z = z * m / np.linalg.norm(z * m, axis=1, keepdims=True)
    return np.linalg.norm(z - goal / np.linalg.norm(goal), axis=1)


@pytest.mark.parametrize("ratio", ["1", "5/4", "3", "10"])
def test_the_direction_tends_to_the_persistent_one(ratio):
    """The threshold of two crossed attributes is 2 (kernels on both sides); at it the direction is not unique.

    Margins grow like ln t with offsets of order one, so distances fall like 1 / ln t at best: what is held to the
    statement is that they fall, and that z ends nearer to its own phase's direction than to the other's.
    """
    attributes = Attributes("a[3] * b[3]")
    kernel = {"a": ratio, "b": ratio, "a:b": "1"}
    model = UFM(attributes, feature_kernel=kernel, label_kernel=kernel, reduction="sum")
    own = derive(model).persistence()
    found = simulate(model, [0, 1e2, 1e4, 1e6, 1e8], init=0.1)
    apart = distance_to(own.direction, found)
    assert np.all(np.diff(apart[1:]) <= TOLERANCE), apart
    other_kernel = {A: "1" if own.phase == "attributes only" else "10" for A in kernel} | {"a:b": "1"}
    other = derive(UFM(attributes, feature_kernel=other_kernel, label_kernel=other_kernel)).persistence()
    assert own.phase != other.phase and own.phase == ("collapsed" if ratio in ("1", "5/4") else "attributes only")
    further = distance_to(other.direction, found)
    assert apart[-1] < further[-1] / 2, (apart, further)


def test_the_embedding_kernel_keeps_no_attributes_with_a_ridge():
    """The persistence is the ridge's to break: the same kernel with ridge ends on the ETF."""
    kernel = embedding_kernel(Attributes("a[3] * b[3]"), {"a": 3, "b": 3}, residual=1)
    model = UFM("a[3] * b[3]", feature_kernel=kernel, label_kernel=kernel, reduction="sum", ridge="1/100")
    assert ends_on_the_etf_ray(simulate(model, [0, 1e5], init=0.1))
    assert not ends_on_the_etf_ray(simulate(wide(model, ridge=0, width=None), [0, 1e5], init=0.1))


def ends_on_the_etf_ray(trajectory) -> bool:
    z = trajectory.data["z"].values[-1, 1:]
    return bool(np.ptp(z) <= TOLERANCE * z.max())
