"""Hold forecasts to a recorded run: per-stratum residuals, share and loss errors, baselines, and a verdict."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..theory.errors import InputError
from . import strata
from .forecast import forecast_all
from .integrate import Progress
from .runs import Run
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
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        lr = self.run.lr

        def window(found: Window | None) -> dict[str, float] | None:
            return (
                None
                if found is None
                else {
                    "onset": found.onset,
                    "peak": found.peak,
                    "end": found.end,
                    "height": found.height,
                    "onset_step": found.onset / lr,
                    "peak_step": found.peak / lr,
                    "end_step": found.end / lr,
                }
            )

        return {
            "run": self.run.name,
            "designated": self.designated,
            "rule": self.rule,
            **self.forecasts[self.designated].summary(),
            "forecasts": {level: found.summary() for level, found in self.forecasts.items()},
            "baseline_etf_share_rmse_mean": self.baseline_etf,
            "baseline_frozen_share_rmse_mean": self.baseline_frozen,
            "kernel_residual": self.kernel_residual,
            "gram_residual_max": float(self.gram_residual.max()),
            "departs_at": self.departs_at,
            "window": {name: window(found) for name, found in self.windows.items()},
            "residuals": {
                A: self.forecasts[self.designated].residuals[:, i].tolist()
                for i, A in enumerate(self.run.attributes.names[1:])
            },
            "time": self.run.time.tolist(),
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
) -> Check:
    """Hold a trajectory, or every forecast from the run's initialisation, to the run.

    Parameters
    ----------
    run : recorded run
    trajectory : a forecast at the run's times; if None, all levels are forecast and one is designated by rule
    share_tolerance, loss_tolerance : of the verdict, on share_rmse_mean and loss_log_ratio_median

    Raises
    ------
    InputError
        When the trajectory has other times or strata, or the run lacks what a forecast needs.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> from ufmflow.numerics.forecast import forecast
    >>> crosscheck(example_run(), forecast(example_run(), level="flow")).confirmed
    True
    """
    for name, value in (("share_tolerance", share_tolerance), ("loss_tolerance", loss_tolerance)):
        if not value > 0:
            raise InputError(f"{name}: {value} is not positive; give the largest error that confirms a forecast.")
    if trajectory is None:
        trajectories, designated, rule = forecast_all(run, progress)
    else:
        trajectories, designated, rule = {"given": trajectory}, "given", "the trajectory that was given"
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


def compare(run: Run, trajectory: Trajectory) -> Comparison:
    """Errors of a trajectory at the run's times."""
    if trajectory.attributes != run.attributes:
        raise InputError(f"trajectory: it has {trajectory.attributes}, but the run has {run.attributes}.")
    if trajectory.time.shape != run.time.shape or not np.allclose(trajectory.time, run.time, rtol=1e-9):
        raise InputError("trajectory: its times are not the run's; forecast or simulate at t=run.time.")
    residuals = trajectory.shares() - run.shares()
    rmse = np.sqrt(np.mean(residuals**2, axis=1))
    with np.errstate(divide="ignore"):
        log_ratio = np.abs(np.log(trajectory.data["loss"].values) - np.log(run.data["loss"].values))
    return Comparison(residuals, rmse, float(rmse.mean()), float(rmse.max()), float(np.median(log_ratio)))


def _mean_rmse(residuals: np.ndarray) -> float:
    return float(np.sqrt(np.mean(residuals**2, axis=1)).mean())
