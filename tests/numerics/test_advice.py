"""Advice: goals, outcomes against constructed curves, interventions against the model's own flow, ranking, bad input."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from ufmflow.numerics import strata
from ufmflow.numerics.advice import plan
from ufmflow.numerics.advice_goal import Goal
from ufmflow.numerics.advice_outcome import outcome
from ufmflow.numerics.advice_outlook import outlook
from ufmflow.numerics.advice_text import advice_lines
from ufmflow.numerics.forecast import forecast
from ufmflow.numerics.interventions import Intervention, catalogue, scaled_main_effects
from ufmflow.numerics.runs import example_run, make_run
from ufmflow.numerics.start import Start
from ufmflow.numerics.trajectory import Trajectory
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

FORMULA = "color[4] * shape[6]"


def curve(index, loss, steps, formula=FORMULA):
    """A trajectory with a given semantic index and loss, all of its structure in `color`."""
    attributes = Attributes(formula)
    share = np.zeros((len(steps), len(attributes.names)))
    share[:, attributes.names.index("color")] = 1.0
    data = xr.Dataset(
        {"semantic_index": ("time", index), "loss": ("time", loss), "share_H": (("time", "stratum"), share)},
        {"time": np.asarray(steps, dtype=float), "stratum": list(attributes.names)},
        {"formula": formula, "labels": ""},
    )
    return Trajectory(data)


@pytest.fixture(scope="module")
def steps():
    return np.unique(np.append(0, np.round(np.geomspace(1, 10_000, 200))))


@pytest.fixture(scope="module")
def hump(steps):
    """Index exp(-(ln s - ln 100)^2 / 2): half of its maximum at 100 exp(+-sqrt(2 ln 2)); loss 10 / (10 + s)."""
    return curve(np.exp(-((np.log(steps + 1e-9) - np.log(100.0)) ** 2) / 2), 10 / (10 + steps), steps)


def run_of_start(start):
    """The start as a recorded run of which the kernel alone is known."""
    run = example_run()
    label = np.arange(24)
    arrays = {"step": np.array([0, 10, 100, 1000, 20000]), "loss": np.ones(5), "label": label}
    H = np.repeat(run.data["H"].values[:1], 5, axis=0)
    W = np.repeat(run.data["W"].values[:1], 5, axis=0)
    arrays |= {
        "H": H,
        "W": W,
        "kernel_init": start.kernel,
        "feature_norm": np.linalg.norm(start.F, axis=0)[None].repeat(5, 0),
    }
    return make_run(arrays, run.attributes, {"lr": start.lr, "optimizer": "sgd"}, "bare.npz")


# Goals


@pytest.mark.parametrize(
    ("text", "kind", "index", "loss", "attribute"),
    [
        ("semantic index >= 0.8 at loss <= 0.05 for color", "index", 0.8, 0.05, "color"),
        ("index ≥ 0.5", "index", 0.5, None, None),
        ("Widest window at loss <= 1e-2", "widest", None, 1e-2, None),
        ("permanent for shape", "permanent", None, None, "shape"),
    ],
)
def test_goals_are_read_and_written(text, kind, index, loss, attribute):
    goal = Goal.parse(text)
    assert (goal.kind, goal.index, goal.loss, goal.attribute) == (kind, index, loss, attribute)
    assert Goal.parse(str(goal)) == goal


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("make it nice", "no goal"),
        ("semantic index >= 1.2", "at most 1"),
        ("semantic index >= x at loss <= 1", "no semantic index"),
        ("permanent at loss <= -1", "no loss"),
        ("permanent for color and shape", "cannot be read"),
        (7, "no goal"),
    ],
)
def test_goals_that_cannot_be_read(text, says):
    with pytest.raises(InputError, match=says):
        Goal.parse(text)


def test_goals_without_meaning():
    crossed = Attributes(FORMULA)
    with pytest.raises(InputError, match="'size' is no attribute that labels share; choose one of color, shape"):
        Goal.parse("permanent for size").check(crossed, None)
    with pytest.raises(InputError, match="share no attribute"):
        Goal.parse("permanent").check(Attributes("color[4] / copy[6]"), ("color",))
    # The innermost attribute of a nesting tells every label from every other.
    with pytest.raises(InputError, match="choose one of kingdom"):
        Goal.parse("permanent for genus").check(Attributes("kingdom[3] / genus[4]"), None)


def test_the_index_of_one_attribute_leaves_the_others_out():
    attributes = Attributes(FORMULA)
    run = example_run()
    data = run.data.isel(time=slice(0, 4)).drop_vars(["H", "W"])
    share = np.zeros((4, 4))
    names = list(attributes.names)
    m = attributes.multiplicities
    share[0, names.index("color")] = share[1, names.index("shape")] = 1.0
    share[2, 1:] = [m[A] / 23 for A in names[1:]]  # collapsed
    share[3, [names.index("color"), names.index("shape")]] = 0.5
    data["share_H"] = (("time", "stratum"), share)
    shown = Trajectory(data.assign_coords(stratum=names).assign_attrs(formula=FORMULA))
    index = Goal.parse("index >= 0.5 for color").index_of(shown)
    # Only color; only shape (nothing to tell of color: collapsed by convention); the ETF; both, each counting alone.
    assert index == pytest.approx([1.0, 0.0, 0.0, 1.0])


# Outcomes


def test_a_windows_borders_are_those_of_the_curve(hump, steps):
    found = outcome(hump, steps, Goal.parse("semantic index >= 0.5"))
    half = np.exp(np.sqrt(2 * np.log(2)))
    assert [found.onset, found.peak, found.end] == pytest.approx([100 / half, 100, 100 * half], rel=0.02)
    assert found.stop == pytest.approx((100 / half, 100 * half), rel=0.02)
    assert found.height == pytest.approx(1.0, abs=1e-3) and not found.open
    assert found.best_stop == pytest.approx(100, rel=0.02)


def test_a_loss_that_binds_moves_the_stop_to_where_it_is_reached(hump, steps):
    found = outcome(hump, steps, Goal.parse("semantic index >= 0.5 at loss <= 0.05"))  # loss 0.05 at step 190
    assert found.best_stop == pytest.approx(190, rel=0.01)
    assert found.stop == pytest.approx((190, 100 * np.exp(np.sqrt(2 * np.log(2)))), rel=0.02)
    never = outcome(hump, steps, Goal.parse("semantic index >= 0.5 at loss <= 1e-4"))
    assert never.stop is None and never.best_stop is None
    assert never.lowest_loss_at == pytest.approx((10 / 10_010, 10_000), rel=1e-6)


def test_no_window_and_an_open_one(steps):
    flat = outcome(curve(np.zeros(len(steps)), np.ones(len(steps)), steps), steps, Goal.parse("widest"))
    assert flat.onset is None and flat.width == 0.0 and flat.stop is None
    rising = outcome(curve(steps / 1e4, np.ones(len(steps)), steps), steps, Goal.parse("widest"))
    assert rising.open and rising.end == pytest.approx(1e4)


# Interventions on the model


def test_a_scaled_kernel_is_scaled_on_main_effects_alone():
    start = Start.of(example_run())
    before = strata.matrix_eigenvalues(start.kernel, start.attributes)
    after = strata.matrix_eigenvalues(scaled_main_effects(start, 4.0), start.attributes)
    factor = {A: after[A] / before[A] for A in start.attributes.names}
    assert factor == pytest.approx({"1": 1.0, "a0": 4.0, "a1": 4.0, "a0:a1": 1.0})


def test_rates_act_on_the_flow_as_on_time():
    """Both rates times c: the same flow at c times the time."""
    start = Start.of(example_run())
    faster = Intervention("both", "", "", {"head_rate": 3.0, "body_rate": 3.0}).start(start)
    times = np.array([0.0, 0.5, 5.0])
    assert forecast(faster, t=times, level="flow").shares() == pytest.approx(
        forecast(start, t=3 * times, level="flow").shares(), abs=1e-5
    )
    slower = Intervention("body", "", "", {"body_rate": 0.3}).start(start)
    assert (
        np.abs(
            forecast(slower, t=3 * times, level="flow").shares() - forecast(start, t=times, level="flow").shares()
        ).max()
        > 0.01
    )


def test_a_smaller_head_starts_from_the_same_kernel_and_features():
    start = Start.of(example_run())
    small = next(each for each in catalogue(24, 64, 100, False) if each.name == "head start 0.1").start(start)
    assert np.array_equal(small.W, 0.1 * start.W) and small.kernel is start.kernel and small.F is start.F
    with pytest.raises(InputError, match="head start 0.1: the head is frozen"):
        next(each for each in catalogue(24, 64, 100, False) if each.name == "head start 0.1").start(
            replace(start, head_rate=0.0)
        )


def test_the_outlook_follows_the_theory():
    start = Start.of(example_run())
    assert outlook(replace(start, body_rate=0.0)).phase == "permanent"
    assert outlook(replace(start, head_rate=0.0)).phase == "collapses"
    assert outlook(start).phase == "collapses"
    soft = Intervention("smooth", "", "", {"smoothing": 0.1}).start(start)
    assert outlook(soft).phase == "permanent"
    assert outlook(replace(soft, decay_head=0.01)).phase == "unknown"
    # Without a norm the kernel decides: ratio 1 collapses, a large one does not.
    names = start.attributes.names
    for ratio, phase in ((1.0, "collapses"), (9.0, "permanent")):
        kernel = {A: ratio if A in ("a0", "a1") else 1.0 for A in names}
        free = replace(start, normalized=False, kernel=strata.apply(np.eye(24), kernel, start.attributes))
        assert outlook(free).phase == phase


def test_labels_are_softened_along_the_attribute_that_is_asked_for(start):
    known = {found.name: found for found in catalogue(24, 64, 100, False, "a0")}
    soft = known["smoothing 0.1 on a0"].start(start).targets
    assert {A: float(x) for A, x in soft.items()} == pytest.approx({"1": 1, "a0": 1, "a1": 0.9, "a0:a1": 0.9})
    with pytest.raises(InputError, match="smoothing 0.1 on size: the network cannot take it"):
        next(each for each in catalogue(24, 64, 100, False, "size") if "size" in each.name).start(start)


def test_what_a_known_kernel_cannot_take():
    start = Start.of(example_run())
    for name, options, says in (
        ("adamw", {"optimizer": "adamw"}, "adamw: optimizer changes the network itself"),
        ("ridge", {"ridge_features": 0.1}, "ridge: the final norm holds the length"),
        ("smooth", {"smoothing": 1.5}, "smooth: the network cannot take it"),
    ):
        with pytest.raises(InputError, match=says):
            Intervention(name, "", "", options).start(start)
    with pytest.raises(InputError, match=r"slow: the body is frozen \(body_rate 0\)"):
        Intervention("slow", "", "", {"body_rate": 0.1}).start(replace(start, body_rate=0.0))
    with pytest.raises(InputError, match="the head is frozen"):
        Intervention("fast", "", "", {"head_rate": 2.0}).start(replace(start, head_rate=0.0))


# Advice


ONLY = ("body rate 0.1", "smoothing 0.1", "kernel ratio x4", "adamw", "average checkpoints")


STEPS = 2500


@pytest.fixture(scope="module")
def start():
    return Start.of(example_run())


@pytest.fixture(scope="module")
def advice(start):
    return plan(start, "semantic index >= 0.5 at loss <= 0.1", only=ONLY, steps=STEPS)


def test_advice_ranks_what_reaches_the_goal_first(advice):
    by_name = {found.intervention.name: found for found in advice.recommendations}
    assert advice.reached and advice.recommendations[0].reaches
    assert not by_name["stop"].reaches and by_name["stop"].cost == 0.0
    assert [found.reaches for found in advice.recommendations] == sorted(
        (found.reaches for found in advice.recommendations), reverse=True
    )
    assert by_name["body rate 0.1"].widens > 3 and by_name["body rate 0.1"].outcome.index_at_goal > 0.5
    assert "adamw" in advice.refused
    assert json.loads(json.dumps(advice.to_dict()))["goal"] == "semantic index >= 0.5 at loss <= 0.1"


def test_advice_is_told_in_lines(advice):
    text = "\n".join(advice_lines(advice))
    assert "best first" in text and "not predicted:\n  adamw" in text and "body_rate=0.1" in text


def test_a_mean_of_checkpoints_lags_behind(advice):
    """Means of W and F since the peak: the index falls later than that of the last checkpoint."""
    by_name = {found.intervention.name: found for found in advice.recommendations}
    mean, last = by_name["average checkpoints"].trajectory, by_name["stop"].trajectory
    late = mean.time > 2 * by_name["stop"].outcome.peak * 0.005
    assert np.all(mean.data["semantic_index"].values[late] > last.data["semantic_index"].values[late])
    early = mean.time <= by_name["stop"].outcome.peak * 0.005
    assert mean.shares()[early] == pytest.approx(last.shares()[early], abs=1e-5)


def test_slopes_go_with_the_advice_when_asked_for(start, advice):
    assert advice.sensitivities is None
    asked = plan(start, "semantic index >= 0.5 at loss <= 1", only=["body rate 0.3"], steps=300, slopes=True)
    slopes = asked.sensitivities.slopes["stop"]
    assert slopes["head rate"] + slopes["body rate"] == pytest.approx(-1, abs=1e-3)
    assert "head scale" in "\n".join(advice_lines(asked))


def test_a_start_of_ones_own_is_advised_on(start):
    found = plan(start, "permanent", only=["smoothing 0.1"], steps=300)
    assert found.baseline.outcome.steps[-1] == pytest.approx(300)
    with pytest.raises(InputError, match="steps: None"):
        plan(start)
    with pytest.raises(InputError, match="no learning rate"):
        plan(replace(start, lr=None), steps=300)


@pytest.mark.parametrize(
    ("goal", "binds"),
    [
        ("semantic index >= 0.99 at loss <= 0.1", "the index binds; at loss <= 0.1 the largest predicted is"),
        ("semantic index >= 0.5 at loss <= 1e-9", "the loss binds"),
        ("permanent", "every structure collapses"),
    ],
)
def test_goals_out_of_reach_say_what_binds_and_what_is_near(goal, binds, start):
    found = plan(start, goal, only=["body rate 0.3"], steps=1500)
    assert not found.reached and binds in found.verdict and "Nearest" in found.verdict


def test_the_nearest_goal_is_reached(start):
    """What the verdict calls nearest is a goal that the same advice reaches, and little beyond it is not."""
    options = {"only": ["body rate 0.3"], "steps": 1500}
    found = plan(start, "semantic index >= 0.99 at loss <= 0.1", **options)
    nearest = Goal.parse(found.verdict.partition("Nearest: ")[2].partition(", or")[0])
    assert plan(start, nearest, **options).reached
    assert not plan(start, replace(nearest, index=nearest.index + 0.02), **options).reached


def test_bad_input_is_refused(start):
    run = example_run()
    with pytest.raises(InputError, match="only: 'magic' is no intervention here; choose among stop"):
        plan(run, only=["magic"])
    with pytest.raises(InputError, match="arch: an option that is unknown here"):
        plan(run, arch="mlp")
    with pytest.raises(InputError, match="list is no setting's name"):
        plan([1, 2])
    with pytest.raises(InputError, match="only its kernel is known"):
        plan(run_of_start(start), precise=True)


def test_settings_are_advised_on_and_refused():
    pytest.importorskip("torch")
    small = {"width": 128, "features": 32, "steps": 60}
    found = plan("objects", "widest window", only=["body rate 0.1", "ridge on the features"], **small)
    assert set(found.refused) == {"ridge on the features"} and "has no effect" in found.refused["ridge on the features"]
    close = plan("objects", "widest window", only=["adamw"], precise=True, **small)
    assert {each.level for each in close.recommendations} == {"gated_doubling"} and not close.refused
    with pytest.raises(InputError, match="hold_out: 6 of 24 labels are never trained on"):
        plan("objects", hold_out=6)
    with pytest.raises(InputError, match="magic: an option that is unknown here"):
        plan("objects", magic=1)
    with pytest.raises(InputError, match="ask for precise"):
        plan("objects", final_affine=True, **small)
    frozen = plan("objects", only=["head rate 10", "body rate 0.1"], head_rate=0.0, **small)
    assert "the head is frozen" in frozen.refused["head rate 10"] and len(frozen.recommendations) == 2


def test_the_catalogue_has_what_the_theory_speaks_of():
    known = {found.name for found in catalogue(24, 64, 100, True)}
    assert {"stop", "freeze the head", "average checkpoints", "no final norm", "adamw", "muon", "width 12"} <= known
    bare = {found.name for found in catalogue(24, 64, 100, False)}
    assert {"kernel ratio x4", "kernel ratio x0.25"} <= bare and not any(name.startswith("kernel") for name in known)
