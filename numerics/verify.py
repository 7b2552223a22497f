"""`verify(advice)`: train with and without each recommended intervention over seeds; hold the predictions to it.

For each seed the same intervention is predicted from that seed's own start, then trained.  What is compared:

- the optimal stopping step, as a factor between predicted and achieved;
- the index at the goal's best stop, when one stops at the predicted step, and at the last step;
- the window's width, and the loss at the last step, each beside that of the same seed without intervention.

An effect counts as seen when its mean over seeds exceeds the spread over seeds of what it changes, with and without.
A prediction that fails is flagged, not left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .advice import STOP, Advice
from .advice_goal import Goal
from .advice_outcome import Outcome, outcome
from .advice_source import POINTS, Source
from .integrate import IntegrationError, Progress
from .interventions import Intervention
from .options import whole
from .runs import load_run

INDEX_WITHIN = 0.1  # of the predicted index
COST_WITHIN = 0.25  # of the achieved cost in loss, or of its spread over seeds where that is larger
STOP_WITHIN = 1.3  # factor on the stopping step
WIDTH_WITHIN = 1.5  # factor on the window's width


@dataclass(frozen=True)
class Band:
    """A number over seeds; None where no seed has it."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Band | None":
        """The band of those that are numbers."""
        found = tuple(float(x) for x in values if x is not None)
        return cls(found) if found else None

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        """Standard deviation over seeds, 0 for one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"mean": self.mean, "least": min(self.values), "largest": max(self.values), "values": list(self.values)}


@dataclass(frozen=True)
class Trial:
    """One intervention on one seed.

    Attributes
    ----------
    intervention : its name
    seed : int
    predicted, achieved : Outcome; None where the forecast failed, or the training
    stopped : (index, loss) of the trained network at the predicted stopping step; None where there is none
    problem : why one of them is missing; empty if none is
    """

    intervention: str
    seed: int
    predicted: Outcome | None
    achieved: Outcome | None
    stopped: tuple[float, float] | None
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the curves."""
        shown = {
            name: found and found.to_dict() for name in ("predicted", "achieved") for found in (getattr(self, name),)
        }
        return {
            "intervention": self.intervention,
            "seed": self.seed,
            **shown,
            "stopped": self.stopped,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Verdict:
    """What the trials of one intervention say of its advice.

    Attributes
    ----------
    intervention : its name
    trials : of the seeds that were both predicted and trained
    effect : dict with `predicted` and `achieved`, mean change by the intervention of what the goal asks for (the index at
        the goal's loss, the logarithm of the window's width, the index at the last step), and `noise`, the larger of
        its spreads over seeds without and with; None for stopping alone
    seen : whether the effect has the predicted sign and exceeds the noise; None for stopping alone and for one seed
    failures : sentences, one for each prediction that did not come true
    """

    intervention: str
    trials: tuple[Trial, ...]
    effect: dict[str, float] | None
    seen: bool | None
    failures: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the effect is seen, or there is none to see, and every prediction came true."""
        return self.seen is not False and not self.failures

    def bands(self) -> dict[str, dict[str, Band | None]]:
        """Predicted and achieved over seeds, by quantity."""
        names = ("best_stop", "index_at_goal", "loss_at_goal", "index_final", "loss_final", "width")
        pairs = {name: [(getattr(t.predicted, name), getattr(t.achieved, name)) for t in self.trials] for name in names}
        found = {
            name: {"predicted": Band.of(a for a, _ in of), "achieved": Band.of(b for _, b in of)}
            for name, of in pairs.items()
        }
        stopped = [t.stopped for t in self.trials if t.stopped is not None]
        found["index_at_goal"]["at the predicted stop"] = Band.of(index for index, _ in stopped)
        found["loss_at_goal"]["at the predicted stop"] = Band.of(loss for _, loss in stopped)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        bands = {
            name: {side: band and band.to_dict() for side, band in of.items()} for name, of in self.bands().items()
        }
        return {"intervention": self.intervention, "holds": self.holds, "seen": self.seen, "effect": self.effect,
                "failures": list(self.failures), "bands": bands, "trials": [t.to_dict() for t in self.trials]}  # fmt: skip


@dataclass(frozen=True)
class Verification:
    """What `verify` returns.

    Attributes
    ----------
    goal : Goal
    seeds : tuple of int
    verdicts : the training as it is first, then interventions in the order of the advice
    """

    goal: Goal
    seeds: tuple[int, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool:
        """Whether all advice held."""
        return all(verdict.holds for verdict in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"goal": str(self.goal), "seeds": list(self.seeds), "holds": self.holds,
                "verdicts": [verdict.to_dict() for verdict in self.verdicts]}  # fmt: skip


def verify(
    advice: Advice,
    seeds: Iterable[int] = range(5),
    *,
    top: int = 3,
    precise: bool = False,
    out: Any = None,
    progress: Progress | None = None,
) -> Verification:
    """Train with and without the first interventions of an advice, over seeds, and compare with what was predicted.

    Parameters
    ----------
    advice : of `ufmflow.plan`, for a setting, a training plan or a run that `train` recorded
    seeds : whole numbers, each once
    top : how many interventions, from the best on
    precise : as for `plan`
    out : folder to keep the runs in; runs that are there are not trained again.  None keeps none
    progress : callable (done, trials)

    Returns
    -------
    Verification

    Raises
    ------
    InputError
        For a network of which only the kernel is known, and seeds that are none or repeated.

    Examples
    --------
    >>> from ufmflow.numerics.advice import plan
    >>> advice = plan("objects", only=["body rate 0.1"], steps=40, features=32)
    >>> found = verify(advice, seeds=[0], top=1)
    >>> [(verdict.intervention, len(verdict.trials)) for verdict in found.verdicts]
    [('stop', 1), ('body rate 0.1', 1)]
    """
    if advice.source.known is None:
        raise InputError(
            f"network: of {advice.source.name} only the kernel is known, so it cannot be trained; give a setting's name or "
            "a run that `ufmflow train` recorded."
        )
    numbers = tuple(whole("seeds", seed, 0, 2**63 - 1) for seed in seeds)
    if not numbers or len(set(numbers)) < len(numbers):
        raise InputError(f"seeds: {list(numbers)}; give at least one, each once.")
    ranked = [found.intervention for found in advice.recommendations if found.intervention.name != STOP.name]
    chosen = [STOP, *ranked[: whole("top", top, 1, 1000)]]
    trials: dict[str, list[Trial]] = {each.name: [] for each in chosen}
    with TemporaryDirectory() as scratch:
        folder = Path(scratch if out is None else out)
        for done, (seed, each) in enumerate((seed, each) for seed in numbers for each in chosen):
            trials[each.name].append(trial(advice.source, each, seed, advice.goal, folder, precise))
            if progress is not None:
                progress(done + 1, len(numbers) * len(chosen))
    return Verification(advice.goal, numbers, verdicts(trials, advice.goal))


def trial(source: Source, each: Intervention, seed: int, goal: Goal, folder: Path, precise: bool = False) -> Trial:
    """Predict and train one intervention on one seed; a run that is in the folder is not trained again."""
    from .plan import Plan
    from .train import train_plan

    assert source.known is not None
    own = Plan.of_record(source.known.describe() | {"seed": seed, "snapshots": POINTS})
    predicted, achieved, problem = None, None, ""
    try:
        trajectory, steps, _ = Source.of(own).predict(each, precise)
        predicted = outcome(trajectory, steps, goal)
        run = load_run(train_plan(each.plan(own), folder / f"{own.setting}-{slug(each.name)}-seed{seed}"))
        achieved = outcome(run, run.data["step"].values, goal)
    except (InputError, IntegrationError) as error:
        problem = str(error)
    return Trial(each.name, seed, predicted, achieved, stopped_at(predicted, achieved), problem)


def stopped_at(predicted: Outcome | None, achieved: Outcome | None) -> tuple[float, float] | None:
    """Index and loss of the trained network where the forecast says to stop."""
    if predicted is None or achieved is None or predicted.best_stop is None:
        return None
    at, steps = np.log1p(predicted.best_stop), np.log1p(achieved.steps)
    loss = np.exp(np.interp(at, steps, np.log(np.maximum(achieved.loss, np.finfo(float).tiny))))
    return float(np.interp(at, steps, achieved.index)), float(loss)


def slug(name: str) -> str:
    """An intervention's name for a file."""
    return name.replace(" ", "-")


def verdicts(trials: dict[str, list[Trial]], goal: Goal) -> tuple[Verdict, ...]:
    """What the trials say, intervention by intervention; the training as it is is among them."""
    plain = {t.seed: t for t in trials[STOP.name] if not t.problem}
    return tuple(_verdict(name, of, plain, goal) for name, of in trials.items())


def _verdict(name: str, every: list[Trial], plain: dict[int, Trial], goal: Goal) -> Verdict:
    good = tuple(t for t in every if not t.problem)
    failures = [f"seed {t.seed}: {t.problem}" for t in every if t.problem]
    if not good:
        return Verdict(name, good, None, False, tuple(failures))
    verdict = Verdict(name, good, None, None, ())
    bands = verdict.bands()
    failures += _misses(bands)
    pairs = [(t, plain[t.seed]) for t in good if t.seed in plain]
    effect, seen = None, None
    if name != STOP.name and pairs:
        failures += _cost_misses(pairs)
        effect = _effect(pairs, goal)
        if effect is None:
            failures.append("what the goal asks for is reached by no seed, or predicted for none")
        elif len(pairs) > 1:
            same = effect["predicted"] * effect["achieved"] > 0
            seen = bool(same and abs(effect["achieved"]) > effect["noise"])
            if not same:
                failures.append(
                    f"effect {effect['achieved']:+.3g}, predicted {effect['predicted']:+.3g}: the wrong sign"
                )
    return replace(verdict, effect=effect, seen=seen, failures=tuple(failures))


def _misses(bands: dict[str, dict[str, Band | None]]) -> list[str]:
    """Predictions of the training itself that did not come true, in means over seeds."""
    found = []
    for name, what in (("index_at_goal", "index at the best stop"), ("index_final", "index at the last step")):
        predicted, achieved = bands[name]["predicted"], bands[name]["achieved"]
        if (predicted is None) != (achieved is None):
            found.append(
                f"the goal's loss is {'not reached' if achieved is None else 'reached'}, against the prediction"
            )
        elif predicted is not None and achieved is not None and abs(predicted.mean - achieved.mean) > INDEX_WITHIN:
            found.append(f"{what} {achieved.mean:.3f}, predicted {predicted.mean:.3f}")
    for name, what, within in (
        ("best_stop", "best stop at step", STOP_WITHIN),
        ("width", "window of steps", WIDTH_WITHIN),
    ):
        predicted, achieved = bands[name]["predicted"], bands[name]["achieved"]
        if predicted is not None and achieved is not None and _factor(predicted.mean, achieved.mean) > within:
            found.append(f"{what} {achieved.mean:.0f}, predicted {predicted.mean:.0f}")
    return found


def _cost_misses(pairs: list[tuple[Trial, Trial]]) -> list[str]:
    """The cost in loss where it was not predicted."""
    predicted, achieved = (
        Band.of(getattr(a, side).loss_final - getattr(b, side).loss_final for a, b in pairs)
        for side in ("predicted", "achieved")
    )
    assert predicted is not None and achieved is not None
    if abs(predicted.mean - achieved.mean) > COST_WITHIN * max(abs(achieved.mean), achieved.spread):
        return [f"cost in loss {achieved.mean:+.3g}, predicted {predicted.mean:+.3g}"]
    return []


def _effect(pairs: list[tuple[Trial, Trial]], goal: Goal) -> dict[str, float] | None:
    def of(found: Outcome | None) -> float | None:
        assert found is not None
        if goal.kind == "index":
            return found.index_at_goal
        if goal.kind == "widest":
            return float(np.log(found.width)) if found.width > 0 else None
        return found.index_final

    sides = {
        side: [(of(getattr(a, side)), of(getattr(b, side))) for a, b in pairs] for side in ("predicted", "achieved")
    }
    both = {side: [(a, b) for a, b in of if a is not None and b is not None] for side, of in sides.items()}
    if not both["predicted"] or not both["achieved"]:
        return None
    changes = {side: float(np.mean([a - b for a, b in of])) for side, of in both.items()}
    spreads = [Band(tuple(column)).spread for column in zip(*both["achieved"], strict=True)]
    return changes | {"noise": max(spreads)}


def _factor(a: float, b: float) -> float:
    """How far apart two step numbers are, as a factor."""
    low, high = sorted((1 + a, 1 + b))
    return high / low
