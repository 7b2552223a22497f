"""Hold forecasts to a recorded run: per-stratum residuals, share and loss errors, baselines, and a verdict."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from . import strata
from .forecast import forecast_all, knows_network
from .integrate import IntegrationError, Progress
from .kernel_strata import kernel_drift
from .runs import Run
from .stability import EDGE, edge, largest_step_curvature, largest_step_ratio
from .start import Start
from .trajectory import Trajectory, Window

SHARE_TOLERANCE = 0.02
LOSS_TOLERANCE = 0.03


@dataclass(frozen=True)
class Comparison:
    """A forecast beside what was observed.

    Attributes
    ----------
    residuals : array (T, strata without the mean), forecast share - observed share of H
    share_rmse : array (T,), root mean square of the residuals over strata
    share_rmse_mean, share_rmse_max : over the times
    loss_log_ratio_median : median over the times of |ln(loss forecast / loss observed)|
    """

    residuals: np.ndarray
    share_rmse: np.ndarray
    share_rmse_mean: float
    share_rmse_max: float
    loss_log_ratio_median: float

    @property
    def loss_ratio(self) -> float:
        """The factor by which the loss is missed, in the median."""
        return float(np.exp(self.loss_log_ratio_median))

    def summary(self) -> dict[str, float]:
        """The three numbers that a forecast is judged by."""
        names = ("share_rmse_mean", "share_rmse_max", "loss_log_ratio_median")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Check:
    """Forecasts of a run against the run.

    Attributes
    ----------
    forecasts : dict from level (or `given`) to Comparison
    trajectories : the forecasts themselves
    designated, rule : the level that is held to the tolerances, and why it was designated before the run was seen
    baseline_etf, baseline_frozen : errors of "always the ETF" and "geometry frozen at initialisation"
    kernel_residual : part of the initial kernel's norm outside the algebra; None when not recorded
    gram_residual : array (T,), the same for the Gram matrix of H along the run
    departs_at : first time at which the designated share RMSE exceeds its tolerance; None if never
    windows : semantic windows, `observed` and `forecast` (None where there is none)
    diagnoses : dict from `isotropic`, `directional` to Comparison, None where it diverged
        What the kernel measured anew along the run makes of its start (see `ufmflow.numerics.remeasured`); these look
        at the run, so none is a forecast.
    confirmed : whether both errors are within tolerance and below both baselines
    """

    run: Run
    forecasts: dict[str, Comparison]
    trajectories: dict[str, Trajectory]
    designated: str
    rule: str
    baseline_etf: float
    baseline_frozen: float
    kernel_residual: float | None
    gram_residual: np.ndarray
    departs_at: float | None
    windows: dict[str, Window | None]
    share_tolerance: float
    loss_tolerance: float
    diagnoses: dict[str, Comparison | None] = field(default_factory=dict)

    @property
    def best_baseline(self) -> float:
        """The smaller error of the two baselines."""
        return min(self.baseline_etf, self.baseline_frozen)

    @property
    def loss_factor_tolerance(self) -> float:
        """The loss tolerance as a factor."""
        return float(np.exp(self.loss_tolerance))

    @property
    def confirmed(self) -> bool:
        """Whether the designated forecast is within its tolerances and better than the baselines."""
        held = self.forecasts[self.designated]
        return (
            held.share_rmse_mean <= min(self.share_tolerance, self.best_baseline)
            and held.loss_log_ratio_median <= self.loss_tolerance
        )

    @property
    def verdict(self) -> str:
        """One sentence: what was held to what, and the outcome."""
        held = self.forecasts[self.designated]
        return (
            f"{'confirmed' if self.confirmed else 'not confirmed'}: the forecast {self.designated} misses the shares by "
            f"{held.share_rmse_mean:.4f} (tolerance {self.share_tolerance:g}, best baseline {self.best_baseline:.3f}) and "
            f"the loss by a factor {held.loss_ratio:.3f} (tolerance {self.loss_factor_tolerance:.3f})"
            f"{''.join(f'; {more}' for more in (self.too_short, self.edge) if more is not None)}"
        )

    @property
    def too_short(self) -> str | None:
        """What of the semantic window the record ends too soon to show, in words; None if it shows all of it."""
        found = self.windows["observed"]
        if found is None:
            semantic = self.run.attributes.semantic_strata(self.run.labels)
            return "no semantic window is seen in the recorded steps" if semantic else None
        if found.end < self.run.time[-1]:
            return None
        last = f"the last recorded step, {int(self.run.data['step'].values[-1])}"
        if found.peak == self.run.time[-1]:
            return f"the semantic index still rises at {last}, so neither peak nor end of the window is seen"
        return f"the semantic window is still open at {last}, so its end is not seen"

    @cached_property
    def flow_time(self) -> np.ndarray | None:
        """The time of gradient flow (T,) that the run's times stand for, by its momentum (see `Start.flow_time`).

        None where the run has no forecast from its kernel, and where steps have a size of their own.
        """
        try:
            start = Start.of(self.run)
        except InputError:
            return None
        return start.flow_time(self.run.time) if start.optimizer == "sgd" else None

    @cached_property
    def step_curvature(self) -> float | None:
        """The largest learning rate x curvature along the flow from the kernel; None where there is no such flow.

        See `ufmflow.numerics.stability`.
        """
        try:
            return largest_step_curvature(Start.of(self.run), self.run.time)
        except (InputError, IntegrationError):
            return None

    @cached_property
    def step_ratio(self) -> float | None:
        """What steps with a size of their own lose to curvature, at most; None for others, and where none are known."""
        try:
            start = Start.of(self.run)
            return None if start.optimizer == "sgd" else largest_step_ratio(start, self.run.time)
        except (InputError, IntegrationError):
            return None

    @property
    def edge(self) -> str | None:
        """In words, that steps pass the edge of stability and no flow describes them there; None if they do not."""
        if self.step_ratio is not None and self.step_ratio > EDGE:
            return (
                f"steps of {self.run.meta['optimizer']} lose all their gain to curvature in places (ratio "
                f"{self.step_ratio:.2f}, the loss rises from 2 on): no continuous limit holds there"
            )
        limit = edge(self.run.meta.get("momentum") or 0.0, bool(self.run.meta.get("nesterov")))
        if self.step_curvature is None or self.step_curvature <= limit:
            return None
        return (
            f"learning rate x curvature reaches {self.step_curvature:.2f} along the forecast flow, beyond the edge of "
            f"stability at {limit:g}: steps swing there, and no flow describes them"
        )

    @property
    def kernel_drift(self) -> dict[str, float] | None:
        """How far the kernel's eigenvalue on each stratum has grown by the last measured step, relative to the first.

        None where the run has no kernels after the start (`ufmflow train ... --kernels 8` measures some), and where the
        first vanishes on a stratum, so that no change is relative to it.
        """
        if "kernel" not in self.run.data:
            return None
        # The run's arrays are in the formula's order, whatever the order of its table.
        try:
            drift = kernel_drift(self.run.data["kernel"].values, Attributes(str(self.run.attributes)))
        except InputError:
            return None
        return {A: float(values[-1]) for A, values in drift.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        step_at = self.run.step_at

        def window(found: Window | None) -> dict[str, float] | None:
            return (
                None
                if found is None
                else {
                    "onset": found.onset,
                    "peak": found.peak,
                    "end": found.end,
                    "height": found.height,
                    "onset_step": step_at(found.onset),
                    "peak_step": step_at(found.peak),
                    "end_step": step_at(found.end),
                }
            )

        return {
            "run": self.run.name,
            **({"from_step": self.run.meta["from_step"]} if "from_step" in self.run.meta else {}),
            "designated": self.designated,
            "rule": self.rule,
            **self.forecasts[self.designated].summary(),
            "forecasts": {level: found.summary() for level, found in self.forecasts.items()},
            "diagnoses": {
                name: None if found is None else found.summary() for name, found in self.diagnoses.items()
            },
            "baseline_etf_share_rmse_mean": self.baseline_etf,
            "baseline_frozen_share_rmse_mean": self.baseline_frozen,
            "kernel_residual": self.kernel_residual,
            "kernel_drift": self.kernel_drift,
            "step_curvature": self.step_curvature,
            "step_ratio": self.step_ratio,
            "gram_residual_max": float(self.gram_residual.max()),
            "departs_at": self.departs_at,
            "window": {name: window(found) for name, found in self.windows.items()},
            "residuals": {
                A: self.forecasts[self.designated].residuals[:, i].tolist()
                for i, A in enumerate(self.run.attributes.names[1:])
            },
            "time": self.run.time.tolist(),
            "flow_time": None if self.flow_time is None else self.flow_time.tolist(),
            "tolerance": {"share_rmse_mean": self.share_tolerance, "loss_log_ratio_median": self.loss_tolerance},
            "confirmed": self.confirmed,
            "verdict": self.verdict,
        }


def crosscheck(
    run: Run,
    trajectory: Trajectory | None = None,
    share_tolerance: float = SHARE_TOLERANCE,
    loss_tolerance: float = LOSS_TOLERANCE,
    progress: Progress | None = None,
    gates: bool | None = None,
    remeasure: bool = False,
) -> Check:
    """Hold a trajectory, or every forecast from the run's initialisation, to the run.

    Parameters
    ----------
    run : recorded run
    trajectory : a forecast at the run's times; if None, all levels are forecast and one is designated by rule
    share_tolerance, loss_tolerance : of the verdict, on share_rmse_mean and loss_log_ratio_median
    gates : whether to forecast with the network's gates expanded about the start, too; see `forecast.forecast_all`
    remeasure : whether to tell what the kernel's growth and its dependence on direction cost; see `diagnose`

    Raises
    ------
    InputError
        When the trajectory has other times or strata, the run lacks what a forecast needs, or its times or losses are
        no run's.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> from ufmflow.numerics.forecast import forecast
    >>> crosscheck(example_run(), forecast(example_run(), level="flow")).confirmed
    True
    """
    check_tolerances(share_tolerance, loss_tolerance)
    check_record(run)
    if trajectory is not None:
        given = {"given": trajectory}
        return hold(run, given, "given", "the trajectory that was given", share_tolerance, loss_tolerance)
    if "feature_norm" not in run.data:
        raise InputError(
            f"feature_norm: the run {run.name} has none; forecasts cover networks that end in a norm and need the "
            "features' lengths before it, so record them, or give a trajectory to hold the run to."
        )
    check = hold(run, *forecast_all(run, progress, gates), share_tolerance, loss_tolerance)
    return diagnose(check, progress) if remeasure else check


def hold(
    run: Run,
    trajectories: dict[str, Trajectory],
    designated: str,
    rule: str,
    share_tolerance: float = SHARE_TOLERANCE,
    loss_tolerance: float = LOSS_TOLERANCE,
) -> Check:
    """Hold forecasts that were made before to the run, as `forecast_all` gives them."""
    forecasts = {level: compare(run, found) for level, found in trajectories.items()}
    observed = run.shares()
    m = run.data["multiplicity"].values[1:]
    kept = run.attributes.keep(run.labels).names
    # The ETF spreads over the label's strata by multiplicity and leaves the dropped ones empty.
    etf = np.where([A in kept for A in run.attributes.names[1:]], m, 0.0)
    beyond = np.flatnonzero(forecasts[designated].share_rmse > share_tolerance)
    return Check(
        run,
        forecasts,
        trajectories,
        designated,
        rule,
        baseline_etf=_mean_rmse(observed - etf / etf.sum()),
        baseline_frozen=_mean_rmse(observed - observed[0]),
        kernel_residual=strata.residual(run.data["kernel_init"].values, run.attributes)
        if "kernel_init" in run.data
        else None,
        gram_residual=np.array([strata.residual(H @ H.T, run.attributes) for H in run.data["H"].values]),
        departs_at=float(run.time[beyond[0]]) if beyond.size else None,
        windows={"observed": run.window(), "forecast": trajectories[designated].window()},
        share_tolerance=share_tolerance,
        loss_tolerance=loss_tolerance,
    )


def diagnose(check: Check, progress: Progress | None = None) -> Check:
    """The same check, with what the kernel measured anew along the run makes of its start.

    It trains the run's network again, several times; without the extra `train`, and for a network that is not
    known, there are no diagnoses.
    """
    if not knows_network(check.run):
        return check
    from .plan import Plan
    from .remeasured import diagnoses_of, remeasure

    found: dict[str, Comparison | None] = {}
    for name in diagnoses_of(Plan.of_record(check.run.meta)):
        try:
            found[name] = compare(check.run, remeasure(check.run, name, progress))
        except IntegrationError:
            found[name] = None
    return replace(check, diagnoses=found)


def compare(run: Run, trajectory: Trajectory) -> Comparison:
    """Errors of a trajectory at the run's times."""
    if trajectory.attributes != run.attributes:
        raise InputError(f"trajectory: it has {trajectory.attributes}, but the run has {run.attributes}.")
    if trajectory.time.shape != run.time.shape or not np.allclose(trajectory.time, run.time, rtol=1e-9):
        raise InputError("trajectory: its times are not the run's; forecast or simulate at t=run.time.")
    for name, values in (("loss", trajectory.data["loss"].values), ("shares", trajectory.shares())):
        if not np.all(np.isfinite(values)):
            raise InputError(f"trajectory: its {name} hold NaN or infinity; give a forecast that stayed finite.")
    residuals = trajectory.shares() - run.shares()
    rmse = np.sqrt(np.mean(residuals**2, axis=1))
    loss, seen = trajectory.data["loss"].values, run.data["loss"].values
    with np.errstate(divide="ignore"):  # a loss that has reached 0 is missed by an infinite factor, unless both have
        log_ratio = np.abs(np.subtract(np.log(loss), np.log(seen), out=np.zeros_like(loss), where=loss != seen))
    return Comparison(residuals, rmse, float(rmse.mean()), float(rmse.max()), float(np.median(log_ratio)))


def check_tolerances(share_tolerance: float, loss_tolerance: float) -> None:
    """Refuse tolerances that nothing or everything meets."""
    for name, value in (("share_tolerance", share_tolerance), ("loss_tolerance", loss_tolerance)):
        if not value > 0:
            raise InputError(f"{name}: {value} is not positive; give the largest error that confirms a forecast.")


def check_record(run: Run) -> None:
    """Refuse a record that no forecast can be held to."""
    if len(run.time) < 2:
        raise InputError(f"run: {run.name} has a single recorded time, so there is nothing to forecast; record more.")
    if np.any(np.diff(run.time) <= 0) or np.any(np.diff(run.data["step"].values) <= 0):
        raise InputError(f"run: the recorded steps of {run.name} are not increasing; put its checkpoints in order.")
    loss = run.data["loss"].values
    if not np.all(np.isfinite(loss)) or np.any(loss < 0):
        where = int(run.data["step"].values[~(np.isfinite(loss) & (loss >= 0))][0])
        raise InputError(f"loss: NaN, infinity or a negative number at step {where} of {run.name}; record it again.")


def _mean_rmse(residuals: np.ndarray) -> float:
    return float(np.sqrt(np.mean(residuals**2, axis=1)).mean())
