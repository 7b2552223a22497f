"""Forecasts of runs whose truth is known, their levels against each other, and what a forecast refuses."""

import csv
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ufmflow.numerics import full_flow, matrices, runs
from ufmflow.numerics.crosscheck import compare, crosscheck
from ufmflow.numerics.forecast import SMALL_HEAD, Start, designate, forecast
from ufmflow.numerics.integrate import IntegrationError
from ufmflow.numerics.runs import example_run, load_run, save_run
from ufmflow.numerics.simulate import simulate
from ufmflow.numerics.strata import matrix_eigenvalues
from ufmflow.proofs.strategies import kernels, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM

from .explicit import element, normal, projectors, seeds

LR = 1e-3
STEPS = np.array([0, 300, 1000, 3000, 10000])


def made_by_the_flow(folder, attributes, kernel, W0, F0):
    """A run recorded from the normalized flow itself, with a kernel of the algebra and rows in the formula's order."""
    m = int(attributes.cardinality)
    model = UFM(attributes, feature_kernel=kernel, constraint="normalized", width=len(F0))
    flow = simulate(model, STEPS * LR, init=(W0, F0), full=True, rtol=1e-10).data
    arrays = {
        "step": STEPS, "H": flow["H"].values, "W": flow["W"].values, "loss": flow["loss"].values, "label": np.arange(m),
        # Only the norms at the start are known, and only they are used.
        "feature_norm": np.tile(np.linalg.norm(F0, axis=0), (len(STEPS), 1)),
        "kernel_init": element(kernel, attributes),
    }  # fmt: skip
    cells = np.indices(attributes.shape).reshape(len(attributes.shape), m)
    rows = {"label": range(m)}
    for i, factor in enumerate(attributes.factors):
        above = [j for j, other in enumerate(attributes.factors) if other.name in attributes.closure(factor.name)]
        rows[factor.name] = [".".join(map(str, cells[above, j])) for j in range(m)]
    return load_run(save_run(folder / "run", arrays, rows, {"formula": str(attributes), "lr": LR, "body_depth": 1}))


def worst(run, trajectory) -> float:
    """The largest error of a share or of the logarithm of the loss, over all times."""
    found = compare(run, trajectory)
    log_ratio = np.abs(np.log(trajectory.data["loss"].values / run.data["loss"].values)).max()
    return max(np.abs(found.residuals).max(), log_ratio)


# Forecasts are integrated to 1e-6, held well within by `integrate`; shares and log losses are of order one.
EXACT = 2e-6


@settings(max_examples=8)
@given(attributes=structures(max_cardinality=12, max_factors=3), data=st.data(), seed=seeds)
def test_a_run_made_by_the_flow_is_forecast_exactly(tmp_path_factory, attributes, data, seed):
    kernel = data.draw(kernels(attributes, positive=True))
    m = int(attributes.cardinality)
    folder = tmp_path_factory.mktemp("run")
    run = made_by_the_flow(folder, attributes, kernel, 0.3 * normal(seed, m, 5), normal(seed + 1, 5, m))
    right = forecast(run, level="flow")
    assert worst(run, right) <= EXACT
    # One linear layer: the depth law's exponent is 0.
    assert worst(run, forecast(run, level="flow_deep")) <= EXACT
    start = Start.of(run)
    for part in ("kernel", "W", "F"):
        wrong = dataclasses.replace(start, **{part: 1.01 * getattr(start, part)})
        assert worst(run, forecast(wrong, t=run.time, level="flow")) > EXACT


@settings(max_examples=10)
@given(seed=seeds)
def test_a_kernel_that_vanishes_on_strata_is_no_negative_one(seed):
    """Features that add up over attributes have no interaction: its eigenvalue is 0 up to the sign of a rounding."""
    attributes = Attributes("a[2] * b[3]")
    features = normal(seed, 6, 30).reshape(2, 3, 30)
    additive = (features.mean(axis=0, keepdims=True) + features.mean(axis=1, keepdims=True)).reshape(6, 30)
    gram = additive @ additive.T
    kernel = sum(np.trace(P @ gram) / np.trace(P) * P for P in projectors(attributes).values())
    model = Start(attributes, None, kernel, normal(0, 6, 4), normal(1, 4, 6)).model
    assert model.feature_kernel["a"] > 0 and 0 <= model.feature_kernel["a:b"] < 1e-12


def test_modes_are_exact_for_a_symmetric_run(tmp_path):
    attributes = Attributes("color[2] * shape[3]")
    kernel = {"1": 5, "color": 3, "shape": 2, "color:shape": 1}
    model = UFM(attributes)
    start = matrices.symmetric_start(model, dict.fromkeys(kernel, SMALL_HEAD), dict.fromkeys(kernel, 0.5), 8, 0)
    run = made_by_the_flow(tmp_path, attributes, kernel, *start)
    assert worst(run, forecast(run, level="modes")) <= EXACT
    swapped = kernel | {"color": 2, "shape": 3}
    other = dataclasses.replace(Start.of(run), kernel=element(swapped, attributes))
    assert worst(run, forecast(other, t=run.time, level="modes")) > 1e-3


@pytest.fixture(scope="module")
def start() -> Start:
    return Start.of(example_run())


def descended(W, F, kernel, lr: float, steps: int):
    """Gradient descent on the mean cross-entropy of labels 0, 1, ..., written out context by context."""
    d, m = F.shape
    for _ in range(steps):
        norm = [np.sqrt(F[:, j] @ F[:, j]) for j in range(m)]
        H = np.stack([np.sqrt(d) * F[:, j] / norm[j] for j in range(m)], axis=1)
        S = np.exp(W @ H) / np.exp(W @ H).sum(axis=0)
        G = (S - np.eye(m)) / m
        q = np.zeros((d, m))
        for j in range(m):
            pull, unit = -W.T @ G[:, j], F[:, j] / norm[j]
            q[:, j] = (pull - unit * (unit @ pull)) * np.sqrt(d) / norm[j]
        W, F = W - lr * G @ H.T, F + lr * q @ kernel
    return W, np.sqrt(d) * F / np.sqrt((F**2).sum(axis=0))


@given(seed=seeds, steps=st.integers(0, 6))
def test_the_map_is_gradient_descent_step_by_step(seed, steps):
    attributes = Attributes("a[2] * b[3]")
    kernel, lr = element({"1": 3, "a": 2, "b": 1, "a:b": 0.5}, attributes), 0.5
    W, F = normal(seed, 6, 4), normal(seed + 1, 4, 6)
    found = forecast(kernel, attributes, [steps * lr], level="map", W0=W, F0=F, lr=lr).data
    for count in (steps, steps + 1):
        W_end, H_end = descended(W, F, kernel, lr, count)
        # Six steps of some hundred operations on numbers of order 10.
        same = np.allclose(found["W"][0], W_end, atol=1e-11) and np.allclose(found["H"][0], H_end.T, atol=1e-11)
        assert same == (count == steps)


def test_the_map_tends_to_the_flow_with_the_step(start):
    """Euler's error is of first order: a tenth of the step leaves a tenth of the difference."""
    times = np.array([0.0, 0.1, 0.4, 1.0])
    flow = forecast(start, t=times, level="flow").shares()
    steps = (dataclasses.replace(start, lr=lr) for lr in (2e-3, 2e-4))
    coarse, fine = (np.abs(forecast(step, t=times, level="map").shares() - flow).max() for step in steps)
    assert 5 < coarse / fine < 20 and coarse > 1e-5


@pytest.mark.parametrize("level", ["flow", "map"])
def test_the_depth_law_of_one_layer_is_no_law(start, level):
    times = np.array([0.0, 0.2, 1.0])
    plain = forecast(start, t=times, level=level).shares()

    def change(depth):
        deep = forecast(dataclasses.replace(start, depth=depth), t=times, level=f"{level}_deep")
        return np.abs(deep.shares() - plain).max()

    by_depth = {depth: change(depth) for depth in (1, 3, 30)}
    assert by_depth[1] <= EXACT and 1e-3 < by_depth[3] < by_depth[30]


def test_the_bare_kernel_forecasts_what_the_run_does(start):
    run = example_run()
    times = np.array([0.0, 0.5, 2.0])
    bare = forecast(start.kernel, run.attributes, times, level="flow", W0=start.W, F0=start.F)
    np.testing.assert_array_equal(bare.shares(), forecast(run, t=times, level="flow").shares())
    designated = forecast(start.kernel, run.attributes, times, W0=start.W, F0=start.F, depth=3)
    assert designated.data.attrs["source"] == "forecast flow_deep"  # no learning rate: no map to compare with


def test_the_designation_looks_at_the_start_alone(start):
    times = np.array([0.0, 0.05, 0.2, 1.0])
    for lr, level in ((0.005, "flow_deep"), (0.05, "map")):
        assert designate(dataclasses.replace(start, lr=lr), times, {})[0] == level
    assert designate(dataclasses.replace(start, depth=None), times, {})[0] == "flow"
    assert designate(dataclasses.replace(start, lr=None, depth=None), times, {})[0] == "flow"
    known = {}
    designate(start, times, known)
    assert set(known) == {"flow", "map"}


def misses(start: Start) -> bool:
    """Whether the flow from this start fails what the true one meets: 0.012 in shares and 0.02 in loss."""
    run = example_run()
    found = compare(run, forecast(start, t=run.time, level="flow"))
    return found.share_rmse_mean > 0.012 or found.loss_log_ratio_median > 0.02


def test_wrong_kernels_miss(start):
    q = matrix_eigenvalues(start.kernel, start.attributes)
    assert not misses(dataclasses.replace(start, kernel=element(q, start.attributes)))
    for wrong in ({"a0": q["a1"], "a1": q["a0"]}, {"a0": q["a0:a1"], "a0:a1": q["a1"], "a1": q["a0"]},
                  {"a0": q["a0:a1"], "a0:a1": q["a0"]}, {"1": q["a0"], "a0": q["1"]}):  # fmt: skip
        assert misses(dataclasses.replace(start, kernel=element(q | wrong, start.attributes))), wrong
    assert misses(dataclasses.replace(start, kernel=2 * start.kernel))


@pytest.mark.parametrize("change", [lambda X, H: -X, None, lambda X, H: 0 * X])
def test_wrong_tangents_miss(start, monkeypatch, change):
    wrong = change or (lambda X, H: -matrices.tangent(X, H))

    def make_wrong(self, X, H):
        X[...] = wrong(X.T, H.T).T

    monkeypatch.setattr(full_flow.FullFlow, "_make_tangent", make_wrong)
    assert misses(start)


@pytest.mark.parametrize("seed", range(5))
def test_attributes_in_the_wrong_order_are_refused(start, tmp_path, seed):
    """The strata of shuffled attributes do not describe the kernel, and the forecast says so instead of being made."""
    folder, name = Path(runs.__file__).parent / "data", "crossed_4x6_mlp_flow"
    for ending in (".npz", ".json"):
        shutil.copy(folder / f"{name}{ending}", tmp_path)
    with open(folder / f"{name}.attributes.csv", newline="") as file:
        header, *rows = csv.reader(file)
    order = np.random.default_rng(seed).permutation(len(rows))
    with open(tmp_path / f"{name}.attributes.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *([row[0], *rows[j][1:]] for row, j in zip(rows, order, strict=True))])
    run = load_run(tmp_path / name)
    for refused in (lambda: crosscheck(run), lambda: forecast(run, level="flow"), lambda: forecast(run, level="modes")):
        with pytest.raises(InputError, match="^kernel: 0.[67]. of its centred norm lies outside the algebra"):
            refused()

    shuffled = dataclasses.replace(start, kernel=start.kernel[np.ix_(order, order)])
    with pytest.raises(InputError, match="^kernel: .* are these the attributes, and the rows in their order"):
        forecast(shuffled, t=1.0, level="flow")


@pytest.mark.parametrize("formula", ["a[6] * b[4]", "a[2] * b[12]", "a[3] * b[8]", "a[6] / b[4]"])
def test_another_structure_is_refused(start, formula):
    with pytest.raises(InputError, match="^kernel: .* of its centred norm lies outside"):
        forecast(dataclasses.replace(start, attributes=Attributes(formula)), t=1.0, level="flow")


def test_steps_that_diverge_are_reported(start):
    with pytest.raises(IntegrationError, match="diverged"), np.errstate(all="ignore"):
        forecast(dataclasses.replace(start, lr=1e200), t=[0.0, 2e203], level="map")


BARE = {"source": np.eye(6), "attributes": Attributes("a[2] * b[3]"), "t": 1.0, "level": "flow",
        "W0": normal(0, 6, 4), "F0": normal(1, 4, 6), "lr": 0.1}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attributes": None}, "^attributes: it is missing"),
        ({"t": None}, "^t: it is missing"),
        ({"W0": None}, "^W0: it is missing"),
        ({"F0": None}, "^F0: it is missing"),
        ({"t": -1}, "^t: -1.0"),
        ({"level": "deep"}, "^level: 'deep' is unknown"),
        ({"level": "map", "lr": None}, "^level: 'map' needs the learning rate"),
        ({"level": "flow_deep"}, "^level: 'flow_deep' needs the depth"),
        ({"source": np.eye(5)}, r"^kernel: shape \(5, 5\)"),
        ({"source": np.full((6, 6), np.nan)}, "^kernel: it holds NaN"),
        ({"source": normal(2, 6, 6)}, "^kernel: .* lies outside the algebra"),
        ({"source": -np.eye(6)}, "^feature_kernel.* is negative"),
        ({"W0": normal(0, 5, 4)}, "^W0, F0: shapes"),
        ({"F0": normal(0, 6, 4)}, "^W0, F0: shapes"),
        ({"W0": np.full((6, 4), np.inf)}, "^W0"),
        ({"F0": np.zeros((4, 6))}, "^F0"),
        ({"labels": "c"}, "^labels: 'c' is no attribute"),
        ({"lr": -0.1, "level": "map"}, "^lr: -0.1"),
        ({"depth": 0, "level": "flow_deep"}, "^depth: 0"),
    ],
)
def test_each_bad_argument_is_named(arguments, message):
    forecast(**BARE)
    with pytest.raises(InputError, match=message) as caught:
        forecast(**(BARE | arguments))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.drop_vars("kernel_init"), "^kernel_init: the run .* has none"),
        (lambda data: data.drop_vars("feature_norm"), "^feature_norm: the run .* has none"),
        (lambda data: data.isel(time=slice(1, None)), "^step: the run .* starts at step"),
        (lambda data: data.assign_attrs(unused_labels=2), "^W: the run .* has rows that label no context"),
    ],
)
def test_runs_that_lack_a_start_are_named(change, message):
    run = example_run()
    with pytest.raises(InputError, match=message):
        forecast(dataclasses.replace(run, data=change(run.data)))
