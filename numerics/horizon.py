"""Error against horizon: the forecast of what is left of a run, from each step at which its kernel was measured.

A kernel frozen at initialisation ages as the features move.  Started anew from step S, with the kernel, features and
head of that step, the designated forecast is held to the rest of the run; where the error falls as S rises, the
kernel's motion is what the forecast from initialisation misses.
"""

from dataclasses import dataclass
from typing import Any

from ..theory.errors import InputError
from .crosscheck import LOSS_TOLERANCE, SHARE_TOLERANCE, Check, crosscheck
from .integrate import Progress
from .runs import Run


@dataclass(frozen=True)
class Horizon:
    """Cross-checks of the rest of a run by the step they start from.

    Attributes
    ----------
    run : the whole run
    checks : dict from step to the Check of `run.since(step)`
    """

    run: Run
    checks: dict[int, Check]

    def rows(self) -> list[dict[str, Any]]:
        """One for each start: its step, loss and number of times left; the designated forecast with its errors."""
        return [
            {
                "from_step": step,
                "loss": float(check.run.data["loss"].values[0]),
                "times": len(check.run.time) - 1,
                "designated": check.designated,
                **check.forecasts[check.designated].summary(),
                "baseline_frozen_share_rmse_mean": check.baseline_frozen,
                "baseline_etf_share_rmse_mean": check.baseline_etf,
                "kernel_residual": check.kernel_residual,
                "confirmed": check.confirmed,
            }
            for step, check in self.checks.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"run": self.run.name, "horizon": self.rows()}


def horizon(
    run: Run,
    share_tolerance: float = SHARE_TOLERANCE,
    loss_tolerance: float = LOSS_TOLERANCE,
    progress: Progress | None = None,
    gates: bool | None = None,
) -> Horizon:
    """Hold the forecast from each step with a measured kernel to the rest of the run.

    Parameters
    ----------
    run : recorded run with `kernel` and `kernel_step` (`ufmflow train --kernels 8`)
    share_tolerance, loss_tolerance, gates : as in `crosscheck`
    progress : callable (done, starts)

    Raises
    ------
    InputError
        When the kernel was measured at one step alone, and as `crosscheck` does.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> horizon(example_run())
    Traceback (most recent call last):
    ...
    ufmflow.theory.errors.InputError: run: crossed_4x6_mlp_flow has its kernel at 1 of its steps; an error against the
    horizon needs two with more recorded after them, so train with --kernels.
    """
    steps = run.checkpoints()
    if len(steps) < 2:
        raise InputError(
            f"run: {run.name} has its kernel at {len(steps)} of its steps; an error against the horizon needs two with "
            "more recorded after them, so train with --kernels."
        )
    checks = {}
    for done, step in enumerate(steps):
        checks[step] = crosscheck(run.since(step), None, share_tolerance, loss_tolerance, gates=gates)
        if progress is not None:
            progress(done + 1, len(steps))
    return Horizon(run, checks)
