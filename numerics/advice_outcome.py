"""What a trajectory comes to: its semantic window in steps, when to stop, and what that costs in loss.

Between recorded steps the index is linear and the loss geometric in the logarithm of 1 + step.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .advice_goal import Goal
from .trajectory import Trajectory

GRID = 4000  # points between the first and the last recorded step: a factor 1.003 or less apart
SEEN = 0.01  # an index that never exceeds it makes no window


@dataclass(frozen=True)
class Outcome:
    """One training, predicted or achieved, measured against a goal.

    Attributes
    ----------
    steps, index, loss : arrays, on a fine grid
    onset, peak, end : of the semantic window, in steps; None without a window; `end` is the last step where `open`
    open : whether the window is still open at the last step
    height : the index at the peak
    stop : (first, last) step at which the goal holds, around the best; for goals without an index, where the index is
        above half of its peak and the loss within the goal's; None if never
    best_stop : the step of the largest index among those whose loss is within the goal's; None if none is
    index_at_goal, loss_at_goal : there
    index_final, loss_final : at the last step
    """

    steps: np.ndarray
    index: np.ndarray
    loss: np.ndarray
    onset: float | None
    peak: float | None
    end: float | None
    open: bool
    height: float
    stop: tuple[float, float] | None
    best_stop: float | None
    index_at_goal: float | None
    loss_at_goal: float | None

    @property
    def index_final(self) -> float:
        """The index at the last step."""
        return float(self.index[-1])

    @property
    def loss_final(self) -> float:
        """The loss at the last step."""
        return float(self.loss[-1])

    @property
    def width(self) -> float:
        """Steps from onset to end, 0 without a window; a lower bound where the window is open."""
        return 0.0 if self.end is None or self.onset is None else self.end - self.onset

    @property
    def lowest_loss_at(self) -> tuple[float, float]:
        """The least loss on the way and its step."""
        i = int(np.argmin(self.loss))
        return float(self.loss[i]), float(self.steps[i])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the curves."""
        names = ("onset", "peak", "end", "open", "height", "stop", "best_stop", "index_at_goal", "loss_at_goal",
                 "index_final", "loss_final", "width")  # fmt: skip
        return {name: getattr(self, name) for name in names}


def outcome(trajectory: Trajectory, steps: np.ndarray, goal: Goal) -> Outcome:
    """Measure a trajectory against a goal.

    Parameters
    ----------
    trajectory : with times (T,)
    steps : array (T,), the training step of each time
    goal : Goal

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> run = example_run()
    >>> found = outcome(run, run.data["step"].values, Goal.parse("semantic index >= 0.5 at loss <= 0.5"))
    >>> found.loss_at_goal <= 0.5, found.open
    (True, False)
    """
    grid = np.expm1(np.linspace(np.log1p(steps[0]), np.log1p(steps[-1]), GRID))
    place, at = np.log1p(grid), np.log1p(steps)
    index = np.interp(place, at, goal.index_of(trajectory))
    tiny = np.finfo(float).tiny
    loss = np.exp(np.interp(place, at, np.log(np.maximum(trajectory.data["loss"].values, tiny))))
    onset, peak, end, is_open, height = _window(grid, index)
    allowed = loss <= (np.inf if goal.loss is None else goal.loss)
    best = int(np.argmax(np.where(allowed, index, -np.inf))) if allowed.any() else None
    good = allowed & (index >= (goal.index if goal.index is not None else max(height / 2, SEEN)))
    return Outcome(
        grid, index, loss, onset, peak, end, is_open, height, _around(grid, good, best),
        None if best is None else float(grid[best]), None if best is None else float(index[best]),
        None if best is None else float(loss[best]),
    )  # fmt: skip


def _window(grid: np.ndarray, index: np.ndarray) -> tuple[float | None, float | None, float | None, bool, float]:
    """First, argmax and last at half of the maximum, as `Trajectory.window` has them."""
    peak = int(np.argmax(index))
    height = float(index[peak])
    if not height > SEEN:
        return None, None, None, False, height
    above = np.flatnonzero(index >= height / 2)
    return float(grid[above[0]]), float(grid[peak]), float(grid[above[-1]]), bool(above[-1] == len(grid) - 1), height


def _around(grid: np.ndarray, good: np.ndarray, best: int | None) -> tuple[float, float] | None:
    """The run of good points that holds the best one."""
    if best is None or not good[best]:
        return None
    bad = np.flatnonzero(~good)
    before, after = bad[bad < best], bad[bad > best]
    first = before[-1] + 1 if before.size else 0
    last = after[0] - 1 if after.size else len(grid) - 1
    return float(grid[first]), float(grid[last])
