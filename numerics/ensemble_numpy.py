"""The engine that needs NumPy alone: a pool of members, each with a step of its own; who is done makes room for the next.

Members leave the pool as they finish, and members of the queue take their columns, so that few columns are ever idle.
"""

from dataclasses import replace

import numpy as np

from .ensemble_problem import DONE, MOST_STEPS, STIFF, TOO_MANY_STEPS, UNDERFLOW, Found, Problem
from .ensemble_steps import STIFF_AT, STIFF_LEFT, STIFF_STEPS, Explicit, Implicit
from .ensemble_window import Watch
from .integrate import Progress

LANES = 1024  # measured: wider pools leave the cache, narrower ones are all calls


def run(problem: Problem, progress: Progress | None = None) -> Found:
    """Integrate all members; see `ensemble_problem`."""
    found = Found.empty(problem)
    with np.errstate(all="ignore"):  # a member that overflows is told by its status
        _run(problem, found, progress)
    return found


def _run(problem: Problem, found: Found, progress: Progress | None) -> None:
    Pool(problem, found, np.arange(problem.members), problem.method == "rosenbrock", progress).run()
    stiff = np.flatnonzero(found.status == STIFF)
    if stiff.size:
        Pool(problem, found, stiff, True, progress, resumed=True).run()
    unsettled = np.flatnonzero(np.isnan(found.window[0]) & (found.window[3] > 0))
    if unsettled.size:
        levels = found.window[3] / 2
        Pool(replace(problem, times=np.empty(0)), found, unsettled, problem.method == "rosenbrock", levels=levels).run()


class Pool:
    """Members in work: columns of y, rate and p (n, L), (n, L), (P, L), and of the scalars (L,).

    Parameters
    ----------
    queue : members (k,)
    resumed : bool, whether they go on from where `found` has them
    levels : array (N,), indices whose first times are all that is wanted of these members
    """

    def __init__(
        self,
        problem: Problem,
        found: Found,
        queue: np.ndarray,
        implicit: bool,
        progress: Progress | None = None,
        resumed: bool = False,
        levels: np.ndarray | None = None,
    ) -> None:
        self.resumed, self.levels = resumed, levels
        self.problem, self.found, self.progress = problem, found, progress
        self.queue, self.taken = queue, 0
        L = min(LANES, len(queue))
        n = len(problem.start)
        self.steps: Explicit | Implicit = (
            Implicit(problem.equations, problem.rtol)
            if implicit
            else Explicit(problem.equations, problem.rtol, L, problem.method == "auto" and levels is None)
        )
        self.member = np.full(L, -1)
        self.y, self.rate, self.p = np.ones((n, L)), np.ones((n, L)), np.ones((len(problem.parameters), L))
        self.t, self.h, self.before, self.atol = np.zeros(L), np.ones(L), np.ones(L), np.ones(L)
        self.count, self.rejected, self.next_time, self.stiff = (np.zeros(L, dtype=np.int64) for _ in range(4))
        self.watch = Watch(L) if problem.index is not None else None

    def run(self) -> None:
        """Work until the queue and the pool are empty."""
        self._take(np.arange(len(self.member)))
        while len(self.member):
            self._step()
            gone = np.flatnonzero(self.member < 0)
            if gone.size and self.taken < len(self.queue):
                self._take(gone)
            elif gone.size > len(self.member) // 4 or gone.size == len(self.member):
                self._close(self.member >= 0)

    def _take(self, columns: np.ndarray) -> None:
        """Members of the queue into free columns."""
        columns = columns[: len(self.queue) - self.taken]
        who = self.queue[self.taken : self.taken + len(columns)]
        self.taken += len(columns)
        problem, found = self.problem, self.found
        y = found.state[:, who] if self.resumed else problem.start[:, who]
        p, atol = problem.parameters[:, who], problem.atol[who]
        rate = self.steps.rates(y, p)
        self.member[columns], self.y[:, columns], self.p[:, columns], self.rate[:, columns] = who, y, p, rate
        self.atol[columns], self.before[columns], self.stiff[columns] = atol, 1e-8, 0
        self.t[columns] = found.reached[who] if self.resumed else 0.0
        self.count[columns], self.rejected[columns] = (
            (found.steps[who], found.rejected[who]) if self.resumed else (0, 0)
        )
        self.next_time[columns] = np.searchsorted(problem.times, self.t[columns], side="right")
        self.h[columns] = self.steps.first_step(y, rate, atol, problem.end)
        if self.watch is not None and problem.index is not None:
            levels = np.full(len(who), np.inf) if self.levels is None else self.levels[who]
            self.watch.begin(columns, problem.index(y), levels)
            if self.resumed:
                self.watch.resume(columns, found.paused[:, who])

    def _close(self, keep: np.ndarray) -> None:
        """Drop the idle columns."""
        for name in ("member", "t", "h", "before", "atol", "count", "rejected", "next_time", "stiff"):
            setattr(self, name, getattr(self, name)[keep])
        for name in ("y", "rate", "p"):
            setattr(self, name, np.ascontiguousarray(getattr(self, name)[:, keep]))
        if isinstance(self.steps, Explicit):
            self.steps.K = np.empty((*self.steps.K.shape[:2], len(self.member)))
        if self.watch is not None:
            self.watch.close(keep)

    def _step(self) -> None:
        problem, steps = self.problem, self.steps
        left = problem.end - self.t
        h = np.minimum(self.h, left)
        steps.attempt(self.y, self.rate, h, self.p, self.atol)
        grown, shrunk = steps.factor(steps.error, self.before)
        busy = self.member >= 0
        accepted = busy & (steps.error <= 1)
        at = np.flatnonzero(accepted)
        t = np.where(h >= left, problem.end, self.t + h)
        if len(problem.times):
            self._keep(at, t, h)
        if self.watch is not None and at.size:
            self._look(at, h)
        np.copyto(self.y, steps.new, where=accepted)
        np.copyto(self.rate, steps.new_rate, where=accepted)
        # A step cut short by the end says nothing of the next one's length.
        self.h = np.where(accepted, np.maximum(h * grown, np.where(h >= left, self.h, 0.0)), h * shrunk)
        self.before = np.where(accepted, np.maximum(steps.error, 1e-8), self.before)
        stuck = busy & ~accepted & (self.t + 0.1 * self.h <= self.t)
        self.t = np.where(accepted, t, self.t)
        self.count += busy
        self.rejected += busy & ~accepted
        self._leave(np.flatnonzero(busy & (self.t >= problem.end)), DONE)
        self._leave(np.flatnonzero(stuck), UNDERFLOW)
        self._leave(np.flatnonzero((self.member >= 0) & (self.count >= MOST_STEPS)), TOO_MANY_STEPS)
        if self.watch is not None and self.levels is not None:
            self._leave(np.flatnonzero((self.member >= 0) & ~np.isnan(self.watch.onset)), DONE)
        if steps.stiffness is not None:
            limited = steps.stiffness > STIFF_AT
            self.stiff = np.where(accepted, np.where(limited, self.stiff + 1, 0), self.stiff)
            long = (problem.end - self.t) > STIFF_LEFT * self.h
            self._leave(np.flatnonzero((self.member >= 0) & (self.stiff >= STIFF_STEPS) & long), STIFF)

    def _keep(self, at: np.ndarray, t: np.ndarray, h: np.ndarray) -> None:
        """States at the output times that were passed."""
        times = self.problem.times
        while True:
            at = at[self.next_time[at] < len(times)]
            at = at[times[self.next_time[at]] <= t[at]]
            if not at.size:
                return
            asked = times[self.next_time[at]]
            x = np.clip((asked - self.t[at]) / h[at], 0.0, 1.0)
            self.found.kept[self.member[at], self.next_time[at]] = self.steps.dense(at, x).T
            self.next_time[at] += 1

    def _look(self, at: np.ndarray, h: np.ndarray) -> None:
        """What the accepted steps mean for the windows."""
        steps, index = self.steps, self.problem.index
        assert index is not None and self.watch is not None
        points = np.stack([
            index(self.y), index.slope(self.y, self.rate), index(steps.middle()),
            index(steps.new), index.slope(steps.new, steps.new_rate),
        ])  # fmt: skip
        self.watch.step(at, self.t[at], h[at], points[:, at])

    def _leave(self, columns: np.ndarray, status: int) -> None:
        """Write down what became of members, and free their columns."""
        if not columns.size:
            return
        found, who = self.found, self.member[columns]
        self.member[columns] = -1
        self.h[columns] = 0.0  # an idle column stands still
        if self.watch is not None and self.levels is not None:
            found.window[0, who] = self.watch.onset[columns]
            return
        found.state[:, who] = self.y[:, columns]
        found.reached[who], found.status[who] = self.t[columns], status
        found.steps[who], found.rejected[who] = self.count[columns], self.rejected[columns]
        if self.watch is not None:
            self.watch.settle(columns)
            found.window[:, who] = self.watch.window(columns, self.t[columns])
            found.paused[:, who] = self.watch.paused(columns)
        if self.progress is not None:
            self.progress(float(self.taken - np.sum(self.member >= 0)), float(len(self.queue)))
