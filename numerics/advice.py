"""`plan(network, goal)`: ranked interventions with what theory predicts of each, before anything is trained.

Every intervention's training is predicted from the start alone (from the kernel, or with `precise` from the network with
its gates expanded), measured against the goal, and set beside the prediction without it.  Cost is the difference in loss
at the last step: what the same number of steps would have reached.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .advice_goal import Goal
from .advice_outcome import Outcome, outcome
from .advice_outlook import Outlook, outlook
from .advice_source import Source, start_of
from .integrate import IntegrationError, Progress
from .interventions import Intervention, catalogue
from .sensitivities import Sensitivities, network_sensitivities
from .start import Start
from .trajectory import Trajectory

STOP = Intervention("stop", "Stop within the window, and change nothing else.", "nothing changes")


@dataclass(frozen=True)
class Recommendation:
    """An intervention with its predicted outcome.

    Attributes
    ----------
    intervention : Intervention
    outcome : Outcome, predicted
    level : of the forecast that predicts it
    outlook : Outlook, what theory says of its end; None where no start of the kernel's forecast is known
    reaches : whether the goal is predicted to be reached
    gain : predicted change of the index at the goal's loss; None where either does not get there
    widens : predicted factor on the window's width in steps, a lower bound where its window is open at the last step
    cost : predicted change of the loss at the last step
    trajectory : the prediction itself
    """

    intervention: Intervention
    outcome: Outcome
    level: str
    outlook: Outlook | None
    reaches: bool
    gain: float | None
    widens: float | None
    cost: float
    trajectory: Trajectory

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the curves."""
        return {
            "intervention": self.intervention.name,
            "options": dict(self.intervention.options),
            "says": self.intervention.says,
            "why": self.intervention.why,
            "level": self.level,
            "reaches": self.reaches,
            "gain": self.gain,
            "widens": self.widens,
            "cost": self.cost,
            "outlook": None if self.outlook is None else vars(self.outlook),
            **self.outcome.to_dict(),
        }


@dataclass(frozen=True)
class Advice:
    """What `plan` returns.

    Attributes
    ----------
    source : Source
    goal : Goal
    recommendations : ranked, the best first; "stop" among them is the training as it is
    refused : dict from an intervention's name to the sentence that says why the network cannot take it
    verdict : whether the goal is reached, or which constraint binds and the nearest goal that is reached
    sensitivities : of the window as it is, under the kernel at the start; None where that does not cover it, or not asked for
    """

    source: Source
    goal: Goal
    recommendations: tuple[Recommendation, ...]
    refused: Mapping[str, str]
    verdict: str
    sensitivities: Sensitivities | None

    @property
    def baseline(self) -> Recommendation:
        """The prediction without intervention."""
        return next(found for found in self.recommendations if found.intervention.name == STOP.name)

    @property
    def reached(self) -> bool:
        """Whether some intervention is predicted to reach the goal."""
        return any(found.reaches for found in self.recommendations)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "network": self.source.name,
            "attributes": str(self.source.attributes),
            "labels": list(self.source.labels) if self.source.labels else None,
            "goal": str(self.goal),
            "reached": self.reached,
            "verdict": self.verdict,
            "recommendations": [found.to_dict() for found in self.recommendations],
            "refused": dict(self.refused),
            "sensitivities": None if self.sensitivities is None else self.sensitivities.to_dict(),
        }


def plan(
    network: Any,
    goal: str | Goal = "widest window",
    *,
    interventions: Iterable[Intervention] | None = None,
    only: Iterable[str] | None = None,
    precise: bool = False,
    slopes: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Advice:
    """Rank interventions by how well they reach a goal, as predicted before training.

    Parameters
    ----------
    network : name of a setting (with `options`), `ufmflow.numerics.plan.Plan`, recorded run, or `Start` of a network of
        your own with `steps`, how many it is to train for
    goal : "semantic index >= 0.8 at loss <= 0.05 for color", "widest window", "permanent"; see `advice_goal`
    interventions : those to look at; those of `interventions.catalogue` if None
    only : names of the interventions to look at, of these; all if None
    precise : predict from the network with its gates expanded, which costs what training costs, rather than from its
        kernel at the start
    slopes : also give the derivatives of the window as it is by each parameter, as `sensitivities`
    progress : callable (done, interventions)
    **options : of `ufmflow.train`, for a setting

    Returns
    -------
    Advice

    Raises
    ------
    InputError
        For a goal that cannot be read or means nothing for this structure, a network that cannot be forecast, and
        interventions that are unknown.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> start = Start.of(example_run())
    >>> advice = plan(start, "semantic index >= 0.5 at loss <= 0.1", only=["body rate 0.1"], steps=2000)
    >>> [(found.intervention.name, found.reaches) for found in advice.recommendations]
    [('body rate 0.1', True), ('stop', False)]
    """
    wanted = Goal.parse(goal)
    source = source_of(network, options)
    wanted.check(source.attributes, source.labels)

    def known(peak: int) -> list[Intervention]:
        labels = int(source.attributes.keep(source.labels).cardinality)
        return list(interventions or catalogue(labels, source.width, peak, source.known is not None, wanted.attribute))

    interventions = None if interventions is None else list(interventions)
    _chosen(known(0), only)  # refused before anything is predicted
    trajectory, steps, level = source.predict(STOP, precise)
    base = outcome(trajectory, steps, wanted)
    chosen = [STOP, *_chosen(known(round(base.peak or 0)), only)]
    found: list[Recommendation] = []
    refused: dict[str, str] = {}
    for done, each in enumerate(chosen):
        try:
            predicted = (trajectory, steps, level) if each is STOP else source.predict(each, precise)
        except (InputError, IntegrationError) as error:
            refused[each.name] = str(error)
        else:
            found.append(_recommendation(source, each, predicted, wanted, base))
        if progress is not None:
            progress(done + 1, len(chosen))
    moved = _sensitivities(source, wanted) if slopes else None
    ranked = tuple(sorted(found, key=lambda each: _rank(each, wanted), reverse=True))
    return Advice(source, wanted, ranked, refused, verdict_of(wanted, ranked), moved)


def _chosen(interventions: Iterable[Intervention], only: Iterable[str] | None) -> list[Intervention]:
    known = {each.name: each for each in interventions if each.name != STOP.name}
    wanted = list(known) if only is None else [name for name in only if name != STOP.name]
    if unknown := [name for name in wanted if name not in known]:
        raise InputError(
            f"only: {unknown[0]!r} is no intervention here; choose among {', '.join((STOP.name, *known))}."
        )
    return [known[name] for name in wanted]


def source_of(network: Any, options: Mapping[str, Any]) -> Source:
    """The source of a setting's name with training options, of a Plan, a recorded run, or a Start with `steps`."""
    if isinstance(network, Start):
        _only({"steps"}, options, "a Start takes")
        return Source.of(network, options.get("steps"))
    if not isinstance(network, str):
        _only(set(), options, "a run or a training plan has its own, so it takes")
        return Source.of(network)
    try:
        from .plan import Plan
    except ImportError:
        raise InputError("network: a setting's name needs PyTorch; pip install 'ufmflow[train]'.") from None
    _only(set(signature(Plan).parameters) - {"setting"}, options, "training takes")
    return Source.of(Plan(network, **options))


def _only(known: set[str], options: Mapping[str, Any], what: str) -> None:
    if unknown := sorted(set(options) - known):
        raise InputError(f"{unknown[0]}: an option that is unknown here; {what} {', '.join(sorted(known)) or 'none'}.")


def _recommendation(
    source: Source, each: Intervention, predicted: tuple[Trajectory, np.ndarray, str], goal: Goal, base: Outcome
) -> Recommendation:
    trajectory, steps, level = predicted
    got = outcome(trajectory, steps, goal)
    end = _outlook(source, each)
    ratio = None if not base.width or got.onset is None else got.width / base.width
    gain = None if None in (got.index_at_goal, base.index_at_goal) else got.index_at_goal - base.index_at_goal  # type: ignore[operator]
    return Recommendation(
        each, got, level, end, reaches(got, goal, base, end), gain, ratio, got.loss_final - base.loss_final, trajectory
    )


def reaches(got: Outcome, goal: Goal, base: Outcome, end: Outlook | None) -> bool:
    """Whether an outcome reaches a goal: `permanent` asks for a window still open at the last step, and for theory's word.

    `widest` asks for a window at least twice as wide as the training's own, at the goal's loss if it names one.
    """
    if goal.loss is not None and got.best_stop is None:
        return False
    if goal.kind == "index":
        return got.stop is not None
    if goal.kind == "widest":
        return bool(got.width >= 2 * base.width and got.width > 0)
    return bool(got.open and end is not None and end.phase == "permanent")


def _outlook(source: Source, each: Intervention) -> Outlook | None:
    try:
        if source.known is None:
            assert source.kernel is not None
            return outlook(each.start(source.kernel))
        return outlook(start_of(each.plan(source.known)))
    except InputError:
        return None


def _rank(each: Recommendation, goal: Goal) -> tuple:
    got = each.outcome
    least = -np.inf if got.index_at_goal is None else got.index_at_goal
    if goal.kind == "index":
        return (each.reaches, least, -got.loss_final)
    within = goal.loss is None or got.best_stop is not None
    if goal.kind == "widest":
        return (within, got.width, got.index_final)
    permanent = each.outlook is not None and each.outlook.phase == "permanent"
    return (each.reaches, within and permanent, within, got.index_final, -got.loss_final)


def verdict_of(goal: Goal, ranked: tuple[Recommendation, ...]) -> str:
    """Whether and how the goal is reached; else which constraint binds, and the nearest goal that is reached."""
    best = ranked[0]
    if best.reaches:
        many = sum(each.reaches for each in ranked)
        return f"reached by {many} of {len(ranked)}; best: {best.intervention.name}"
    if goal.loss is not None and all(each.outcome.best_stop is None for each in ranked):
        lowest = min(ranked, key=lambda each: each.outcome.lowest_loss_at[0])
        loss, step = lowest.outcome.lowest_loss_at
        return (
            f"not reached: the loss binds; within the steps of this training no intervention brings it below {loss:.3g} "
            f"({lowest.intervention.name}, step {step:.0f}).  Nearest: loss <= {_up(loss):g}, or train longer"
        )
    if goal.kind == "index":
        assert goal.index is not None
        top = max(
            ranked, key=lambda each: -np.inf if each.outcome.index_at_goal is None else each.outcome.index_at_goal
        )
        got = top.outcome.index_at_goal
        assert got is not None
        text = (
            f"not reached: the index binds; {'' if goal.loss is None else f'at loss <= {goal.loss:g} '}the largest "
            f"predicted is {got:.3f} ({top.intervention.name}, step {top.outcome.best_stop:.0f}).  Nearest: semantic "
            f"index >= {np.floor(100 * got) / 100:g}" + ("" if goal.loss is None else f" at loss <= {goal.loss:g}")
        )
        reach = [(float(each.outcome.loss[each.outcome.index >= goal.index].min()), each) for each in ranked
                 if (each.outcome.index >= goal.index).any()]  # fmt: skip
        if reach and goal.loss is not None:
            loss, each = min(reach, key=lambda pair: pair[0])
            text += f", or index >= {goal.index:g} at loss <= {_up(loss):g} ({each.intervention.name})"
        return text
    top = max(ranked, key=lambda each: each.outcome.width)
    if goal.kind == "widest":
        return (
            f"not reached: no intervention doubles the width of the window; the widest is that of "
            f"{top.intervention.name}, {top.outcome.width:.0f} steps"
        )
    why = "" if best.outlook is None else f" ({best.outlook.why})"
    return (
        f"not reached: what binds is the end of training, where every structure collapses or is not known to stay{why}.  "
        f"Nearest: the widest window, {top.intervention.name}, {top.outcome.width:.0f} steps"
    )


def _up(loss: float) -> float:
    """Two digits, rounded up."""
    unit = 10.0 ** (np.floor(np.log10(loss)) - 1)
    return float(f"{np.ceil(loss / unit) * unit:.3g}")


def _sensitivities(source: Source, goal: Goal) -> Sensitivities | None:
    try:
        start = source.start()
        return network_sensitivities(start, float(start.flow_time(source.flow_times())[-1]), goal)
    except (InputError, IntegrationError):
        return None
