"""Verification: verdicts on constructed trials, each kind of failure flagged; one small training from end to end."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ufmflow.numerics.advice import plan
from ufmflow.numerics.advice_goal import Goal
from ufmflow.numerics.advice_outcome import Outcome
from ufmflow.numerics.runs import example_run
from ufmflow.numerics.start import Start
from ufmflow.numerics.verify import Trial, Verification, stopped_at, verdicts, verify
from ufmflow.numerics.verify_text import HEADER, table, verification_lines
from ufmflow.theory.errors import InputError

WIDEST = Goal.parse("widest window at loss <= 0.1")


def found(width=300.0, index=0.2, loss=0.02, stop=1000.0):
    """An outcome with a window from 0 on."""
    steps = np.geomspace(1, 5000, 100)
    return Outcome(steps, np.full(100, index), np.full(100, loss), 0.0, 50.0, width, False, 0.8, None, stop, index, 0.1)


def trials(predicted, achieved, name="slow", jitter=0.01, seeds=3):
    """Trials that all say the same, up to a factor a seed."""
    factors = [1 + jitter * (seed - 1) for seed in range(seeds)]
    return [Trial(name, seed, predicted, replace(achieved, end=achieved.end * x, loss=achieved.loss * x), (0.2, 0.1))
            for seed, x in enumerate(factors)]  # fmt: skip


def judged(with_it, goal=WIDEST, plain=None):
    plain = trials(found(), found(), "stop") if plain is None else plain
    return verdicts({"stop": plain, "slow": with_it}, goal)[1]


def test_an_effect_that_was_predicted_holds():
    verdict = judged(trials(found(1000, loss=0.04), found(1100, loss=0.041)))
    assert verdict.seen and verdict.holds and not verdict.failures
    assert verdict.effect["predicted"] == pytest.approx(np.log(1000 / 300))
    assert verdict.effect["achieved"] == pytest.approx(np.log(1100 / 300), rel=1e-3)
    assert verdict.effect["noise"] == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("with_it", "says"),
    [
        (trials(found(1000, index=0.5), found(1000, index=0.2)), "index at the best stop 0.200, predicted 0.500"),
        (trials(found(1000), found(1000, loss=0.05)), "cost in loss"),
        (trials(found(1000), found(1000, stop=2000.0)), "best stop at step 2000, predicted 1000"),
        (trials(found(1000), found(4000)), "window of steps 4000, predicted 1000"),
        (trials(found(400), found(250)), "the wrong sign"),
        (trials(found(1000), replace(found(1000), best_stop=None, index_at_goal=None)), "loss is not reached"),
    ],
)
def test_predictions_that_fail_are_flagged(with_it, says):
    verdict = judged(with_it)
    assert not verdict.holds and any(says in failure for failure in verdict.failures)
    assert says in "\n".join(table(Verification(WIDEST, (0, 1, 2), (verdict,))))


def test_an_effect_within_seed_noise_is_not_seen():
    noisy = trials(found(330), found(330), jitter=0.3)
    verdict = judged(noisy, plain=trials(found(), found(), "stop", jitter=0.3))
    assert verdict.seen is False and not verdict.holds
    assert judged(
        trials(found(330), found(330), jitter=0.001), plain=trials(found(), found(), "stop", jitter=0.001)
    ).seen
    assert judged(trials(found(1000), found(1000), seeds=1)).seen is None


def test_the_effect_is_of_what_the_goal_asks_for():
    changed = trials(found(300, index=0.6), found(300, index=0.65))
    index = judged(changed, Goal.parse("index >= 0.5 at loss <= 0.1"))
    assert index.effect["achieved"] == pytest.approx(0.45) and index.seen
    assert judged(changed, Goal.parse("permanent")).effect["predicted"] == pytest.approx(0.4)
    assert judged(changed).effect["predicted"] == 0.0


def test_a_seed_that_diverges_is_a_failure():
    broken = [*trials(found(1000), found(1000), seeds=2), Trial("slow", 2, None, None, None, "lr: 9 is too large")]
    verdict = judged(broken)
    assert not verdict.holds and len(verdict.trials) == 2 and "seed 2: lr: 9 is too large" in verdict.failures
    nothing = judged([Trial("slow", 0, None, None, None, "lr: 9 is too large")])
    assert nothing.seen is False and "not seen" in table(Verification(WIDEST, (0,), (nothing,)))[0]


def test_what_stopping_as_advised_gives():
    achieved = replace(found(), index=np.linspace(0, 1, 100), loss=np.geomspace(1, 0.01, 100))
    index, loss = stopped_at(found(stop=float(achieved.steps[50])), achieved)
    assert (index, loss) == pytest.approx((achieved.index[50], achieved.loss[50]))
    assert stopped_at(replace(found(), best_stop=None), achieved) is None


def test_from_advice_to_trained_networks(tmp_path):
    pytest.importorskip("torch")
    advice = plan("objects", "widest window", only=["body rate 0.1"], steps=60, formula="color[2] * shape[3]", features=16)
    held = verify(advice, [0, 1], top=1, out=tmp_path)
    assert [verdict.intervention for verdict in held.verdicts] == ["stop", "body rate 0.1"]
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [
        f"objects-{name}-seed{seed}.npz" for name in ("body-rate-0.1", "stop") for seed in (0, 1)
    ]
    first, second = held.verdicts[0].trials
    # Few steps: the forecast is close, and each seed has its own.
    assert first.predicted.loss_final == pytest.approx(first.achieved.loss_final, rel=0.03)
    assert first.predicted.loss_final != second.predicted.loss_final
    assert json.loads(json.dumps(held.to_dict()))["verdicts"][1]["trials"][0]["seed"] == 0
    text = "\n".join(verification_lines(held))
    assert "body rate 0.1:" in text and "following the advice" in text
    assert len(table(held)) == 2 and all(row.count("|") == HEADER[0].count("|") for row in table(held))
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    verify(advice, [0], top=1, out=tmp_path)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}


def test_what_cannot_be_verified():
    advice = plan(Start.of(example_run()), only=["body rate 0.3"], steps=50)
    with pytest.raises(InputError, match="only the kernel is known, so it cannot be trained"):
        verify(advice)
    pytest.importorskip("torch")
    small = plan("objects", only=["body rate 0.3"], steps=20, formula="color[2] * shape[3]", features=16)
    with pytest.raises(InputError, match="seeds: .0, 0.; give at least one, each once"):
        verify(small, [0, 0])
    with pytest.raises(InputError, match="top: 0"):
        verify(small, [0], top=0)
