"""Forecasts held to several seeds at once: bands over seeds of each error, and a verdict on their mean.

Over the seeds i of one setting, a measure x_i (an error, or a ratio of window steps) has the band (mean, min, max).
The verdict compares the designated forecasts' mean errors with the tolerances that a single run is held to: one lucky
seed cannot confirm a theory, nor one unlucky seed refute it, and every seed stays visible.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .crosscheck import LOSS_TOLERANCE, SHARE_TOLERANCE, Check, check_record, check_tolerances, crosscheck
from .integrate import IntegrationError, Progress
from .runs import Run
from .trajectory import Trajectory, Window

ERRORS = ("share_rmse_mean", "share_rmse_max", "loss_log_ratio_median")
RATIOS = ("onset_ratio", "peak_ratio", "end_ratio")
SETTINGS = (
    "setting",
    "arch",
    "norm",
    "optimizer",
    "lr",
    "schedule",
    "batch",
    "weight_decay",
    "steps",
    "d",
    "from_step",
)


@dataclass(frozen=True)
class Band:
    """Mean, least and largest value over the seeds that have one, and how many these are."""

    mean: float
    min: float
    max: float
    seeds: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Band | None":
        """The band of the values that are there; None when there is none.

        Examples
        --------
        >>> Band.of([1.0, None, 3.0])
        Band(mean=2.0, min=1.0, max=3.0, seeds=2)
        """
        known = [value for value in values if value is not None]
        return Band(float(np.mean(known)), min(known), max(known), len(known)) if known else None


@dataclass(frozen=True)
class Failure:
    """A run that no forecast could be made for, and why."""

    run: Run
    reason: str


@dataclass(frozen=True)
class Bands:
    """Cross-checks of several runs of one structure.

    Attributes
    ----------
    checks : one for each run that could be forecast
    failures : the runs that could not; any of them leaves the verdict unconfirmed
    share_tolerance, loss_tolerance : of the verdict, on the means over seeds
    """

    checks: tuple[Check, ...]
    failures: tuple[Failure, ...]
    share_tolerance: float
    loss_tolerance: float

    @property
    def attributes(self) -> Attributes:
        """The structure of all runs."""
        return self.checks[0].run.attributes

    @property
    def levels(self) -> tuple[str, ...]:
        """Every level that was forecast for at least one run, in the order of the first that has it."""
        return tuple(dict.fromkeys(level for check in self.checks for level in check.forecasts))

    def measures(self, level: str | None = None) -> list[dict[str, float | None] | None]:
        """The errors and window ratios of a level for each check; None for a run without that level.

        Parameters
        ----------
        level : the one designated for each run if None

        Returns
        -------
        list of dict: `share_rmse_mean`, `share_rmse_max`, `loss_log_ratio_median`; `onset_ratio`, `peak_ratio`,
        `end_ratio`, time forecast / time observed, None where a window is missing, starts at 0, or stays open
        """
        found: list[dict[str, float | None] | None] = []
        for check in self.checks:
            name = check.designated if level is None else level
            if name not in check.forecasts:
                found.append(None)
                continue
            ratios = window_ratios(check.trajectories[name], check.run)
            found.append({**check.forecasts[name].summary(), **ratios})
        return found

    def bands(self, level: str | None = None) -> dict[str, Band | None]:
        """The band of each measure of a level over the seeds; of the designated ones if None."""
        rows = [row for row in self.measures(level) if row is not None]
        return {name: Band.of(row[name] for row in rows) for name in (*ERRORS, *RATIOS)}

    @property
    def diagnoses(self) -> dict[str, dict[str, Band | None]]:
        """Bands of the errors that are left with the kernel measured anew along the runs; see `crosscheck.diagnose`."""
        names = dict.fromkeys(name for check in self.checks for name in check.diagnoses)
        return {
            name: {
                error: Band.of(getattr(found, error) for check in self.checks if (found := check.diagnoses.get(name)))
                for error in ERRORS
            }
            for name in names
        }

    @property
    def baselines(self) -> dict[str, Band | None]:
        """Share errors of "always the ETF", "geometry frozen at initialisation", and the better of both."""
        return {
            "etf": Band.of(check.baseline_etf for check in self.checks),
            "frozen": Band.of(check.baseline_frozen for check in self.checks),
            "best": Band.of(check.best_baseline for check in self.checks),
        }

    @property
    def mean_errors(self) -> tuple[float, float, float]:
        """Means over seeds: designated share error, median |ln loss ratio|, best baseline's share error."""
        held = [check.forecasts[check.designated] for check in self.checks]
        return (
            float(np.mean([found.share_rmse_mean for found in held])),
            float(np.mean([found.loss_log_ratio_median for found in held])),
            float(np.mean([check.best_baseline for check in self.checks])),
        )

    @property
    def confirmed(self) -> bool:
        """Whether every run could be forecast and the mean errors are within tolerance and below the baselines'."""
        shares, loss, baseline = self.mean_errors
        return not self.failures and shares <= min(self.share_tolerance, baseline) and loss <= self.loss_tolerance

    @property
    def verdict(self) -> str:
        """One sentence: what was held to what, and the outcome."""
        shares, loss, baseline = self.mean_errors
        alone = sum(check.confirmed for check in self.checks)
        short = [check.run.name for check in self.checks if check.too_short is not None]
        text = (
            f"{'confirmed' if self.confirmed else 'not confirmed'}: in the mean over {len(self.checks)} runs the "
            f"designated forecasts miss the shares by {shares:.4f} (tolerance {self.share_tolerance:g}, best baseline "
            f"{baseline:.3f}) and the loss by a factor {np.exp(loss):.3f} (tolerance {self.loss_factor_tolerance:.3f}); "
            f"{alone} of {len(self.checks)} are confirmed by themselves"
        )
        if self.failures:
            text += f"; {len(self.failures)} could not be forecast: " + ", ".join(f.run.name for f in self.failures)
        if short:
            text += "; too short to show the whole semantic window: " + ", ".join(short)
        return text

    @property
    def loss_factor_tolerance(self) -> float:
        """The loss tolerance as a factor."""
        return float(np.exp(self.loss_tolerance))

    @property
    def differences(self) -> tuple[str, ...]:
        """Settings in which the runs differ, the seed left out; bands then span more than seeds."""
        metas = [check.run.meta for check in self.checks]
        return tuple(name for name in SETTINGS if any(meta.get(name) != metas[0].get(name) for meta in metas))

    def shares(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times (T,), and observed and designated forecast shares (runs, T, strata without the mean).

        The times are the first run's, as far as all runs go; other runs are interpolated.
        """
        time = self.checks[0].run.time
        time = time[time <= min(check.run.time[-1] for check in self.checks)]
        observed = [_at(check.run, time) for check in self.checks]
        forecast = [_at(check.trajectories[check.designated], time) for check in self.checks]
        return time, np.stack(observed), np.stack(forecast)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""

        def plain(bands: dict[str, Band | None]) -> dict[str, dict[str, float] | None]:
            return {name: None if band is None else dict(vars(band)) for name, band in bands.items()}

        return {
            "runs": [check.to_dict() for check in self.checks],
            "failures": [{"run": failure.run.name, "reason": failure.reason} for failure in self.failures],
            "levels": {level: {**plain(self.bands(level)), "by_run": self.measures(level)} for level in self.levels},
            "designated": {
                "levels": [check.designated for check in self.checks],
                **plain(self.bands()),
                "by_run": self.measures(),
            },
            "diagnoses": {name: plain(bands) for name, bands in self.diagnoses.items()},
            "baselines": plain(self.baselines),
            "differences": list(self.differences),
            "tolerance": {"share_rmse_mean": self.share_tolerance, "loss_log_ratio_median": self.loss_tolerance},
            "confirmed": self.confirmed,
            "verdict": self.verdict,
        }


def crosscheck_many(
    runs: Sequence[Run],
    share_tolerance: float = SHARE_TOLERANCE,
    loss_tolerance: float = LOSS_TOLERANCE,
    progress: Progress | None = None,
    gates: bool | None = None,
    remeasure: bool = False,
) -> Bands:
    """Hold every forecast from each run's initialisation to the run, and gather the errors over the runs.

    Parameters
    ----------
    runs : recorded runs of one structure, usually the seeds of one setting
    share_tolerance, loss_tolerance : of the verdict, on the means over the runs
    progress : callable (done, runs)
    gates, remeasure : as in `crosscheck`

    Returns
    -------
    Bands; a run that cannot be forecast is among its `failures`

    Raises
    ------
    InputError
        For no runs, runs of different structures or labels, the same run twice, and when no run can be forecast.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> crosscheck_many([example_run()]).levels
    ('modes', 'flow', 'map', 'flow_deep', 'map_deep')
    """
    check_tolerances(share_tolerance, loss_tolerance)
    check_together(runs)
    checks: list[Check] = []
    failures: list[Failure] = []
    first: InputError | IntegrationError | None = None
    for done, run in enumerate(runs):
        try:
            part = _part(progress, done, len(runs))
            checks.append(crosscheck(run, None, share_tolerance, loss_tolerance, part, gates, remeasure))
        except (InputError, IntegrationError) as error:
            failures.append(Failure(run, str(error)))
            first = first or error
    if not checks:
        assert first is not None
        raise first
    if progress is not None:
        progress(len(runs), len(runs))
    return Bands(tuple(checks), tuple(failures), share_tolerance, loss_tolerance)


def gather(checks: Iterable[Check]) -> Bands:
    """Bands of cross-checks that were made before, with the tolerances of the first.

    Raises
    ------
    InputError
        As `crosscheck_many` does for the runs.
    """
    found = tuple(checks)
    check_together([check.run for check in found])
    return Bands(found, (), found[0].share_tolerance, found[0].loss_tolerance)


def check_together(runs: Sequence[Run]) -> None:
    """Refuse runs whose errors have no common band."""
    if not runs:
        raise InputError("runs: there is none; give at least one recorded run.")
    first = runs[0]
    for i, run in enumerate(runs):
        check_record(run)
        if run.attributes != first.attributes or run.labels != first.labels:
            raise InputError(
                f"runs: {first.name} has {_structure(first)}, but {run.name} has {_structure(run)}; give runs of one "
                "structure together, and the others by themselves."
            )
        for other in runs[:i]:
            if np.array_equal(other.data["loss"].values, run.data["loss"].values):
                raise InputError(
                    f"runs: {other.name} and {run.name} are the same run; give each once, or bands are too narrow."
                )


def window_ratios(forecast: Trajectory, observed: Trajectory) -> dict[str, float | None]:
    """Onset, peak and end of the semantic window, time forecast / time observed.

    None where either has no window, the observed time is 0, or the record ends before the time is known.
    """
    there, here = forecast.window(), observed.window()
    return {
        f"{name}_ratio": None
        if there is None or here is None or not _known(there, name, forecast) or not _known(here, name, observed)
        else getattr(there, name) / getattr(here, name)
        for name in ("onset", "peak", "end")
    }


def _known(window: Window, name: str, trajectory: Trajectory) -> bool:
    """Whether a border lies inside the record: at its ends it may lie anywhere beyond."""
    return bool(trajectory.time[0] < getattr(window, name) < trajectory.time[-1])


def _at(trajectory: Trajectory, time: np.ndarray) -> np.ndarray:
    shares = trajectory.shares()
    return np.stack([np.interp(time, trajectory.time, column) for column in shares.T], axis=1)


def _structure(run: Run) -> str:
    return str(run.attributes) + (f" with labels {' * '.join(run.labels)}" if run.labels else "")


def _part(progress: Progress | None, done: int, runs: int) -> Callable[[float, float], None] | None:
    """One run's progress as a part of all; every level starts anew, so it never goes back."""
    furthest = 0.0

    def update(at: float, total: float) -> None:
        nonlocal furthest
        furthest = max(furthest, at / total if total else 0.0)
        if progress is not None:
            progress(done + 0.9 * furthest, runs)

    return None if progress is None else update
