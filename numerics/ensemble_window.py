"""The window of a quantity I(t), found while stepping: no history is kept but that of the last rises.

On a step from t to t + h, I is the quartic through its values at the start, the middle and the end with its slopes at
the start and the end, so that the error of what is found is that of the integrator's dense output.  With H the height
of the highest point,

    onset   first time at which I >= H/2, or the start        peak   the time of H        end   last time at which I >= H/2, or the end.

Peak and end follow I.  H is known at the end only, so steps on which I rose above all before are kept, the last RING of
them, and the onset is looked up there; where it has been overwritten, the members are integrated once more up to it.
"""

from dataclasses import dataclass

import numpy as np

RING = 128
BISECTIONS, NEWTON = 20, 3


@dataclass(frozen=True)
class Piece:
    """I on steps of L members: c0 + c1 x + ... + c4 x^4 with x = (time - start) / length.

    Attributes
    ----------
    start, length : arrays (L,)
    c : array (5, L)
    """

    start: np.ndarray
    length: np.ndarray
    c: np.ndarray

    @classmethod
    def through(cls, start: np.ndarray, length: np.ndarray, points: np.ndarray) -> "Piece":
        """From (I, dI/dt at the start, I in the middle, I, dI/dt at the end): array (5, L)."""
        first, slope, middle, last, final = points
        c1 = length * slope
        A, B, C = last - first - c1, length * final - c1, 16 * (middle - first) - 8 * c1
        c4 = 2 * B - 8 * A + C
        c3 = B - 2 * A - 2 * c4
        return cls(start, length, np.stack([first, c1, A - c3 - c4, c3, c4]))

    def __getitem__(self, columns: np.ndarray) -> "Piece":
        return Piece(self.start[columns], self.length[columns], self.c[:, columns])

    def value(self, x: np.ndarray) -> np.ndarray:
        c = self.c
        return c[0] + x * (c[1] + x * (c[2] + x * (c[3] + x * c[4])))

    def slope(self, x: np.ndarray) -> np.ndarray:
        c = self.c
        return c[1] + x * (2 * c[2] + x * (3 * c[3] + x * 4 * c[4]))

    def bend(self, x: np.ndarray) -> np.ndarray:
        c = self.c
        return 2 * c[2] + x * (6 * c[3] + x * 12 * c[4])

    def time(self, x: np.ndarray) -> np.ndarray:
        return self.start + x * self.length

    def summit(self) -> np.ndarray:
        """x of the highest point, where I rises at the start and falls at the end."""
        L = len(self.start)
        return _root(lambda x: -self.slope(x), lambda x: -self.bend(x), np.zeros(L), np.ones(L))

    def crossing(self, level: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """x between `low` and `high` at which I is `level`, which lies between its values there."""
        sign = np.where(self.value(low) <= self.value(high), 1.0, -1.0)
        return _root(lambda x: sign * (self.value(x) - level), lambda x: sign * self.slope(x), low, high)


def _root(f, slope, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A root between low, where f <= 0, and high: halved intervals, then Newton's steps inside the last one."""
    low, high = low.copy(), high.copy()
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        below = f(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    x = 0.5 * (low + high)
    for _ in range(NEWTON):
        d = slope(x)
        step = np.divide(f(x), d, out=np.zeros_like(x), where=d != 0)
        x = np.clip(x - step, low, high)
    return x


class Watch:
    """The windows of L members at a time, each in its column.

    Attributes
    ----------
    height, peak, end : arrays (L,), of what has passed; `end` is NaN while I is above half its height
    onset, settled : arrays (L,), an onset and the height to which it belongs
    first : array (L,), I at the start
    level : array (L,), half the height where it is known beforehand, else infinite
    """

    FIELDS = ("height", "peak", "end", "onset", "settled", "first", "level")

    def __init__(self, lanes: int) -> None:
        self.height, self.peak, self.end, self.onset, self.settled, self.first, self.level = (
            np.full(lanes, np.nan) for _ in self.FIELDS
        )
        self.rises = np.zeros(lanes, dtype=np.int64)
        self.ring = np.empty((RING, 9, lanes))  # start, length, points, highest point of the step, and height before

    def begin(self, columns: np.ndarray, I: np.ndarray, level: np.ndarray) -> None:
        """Members start in some columns, with the index I."""
        for name, value in (("height", I), ("peak", 0.0), ("end", np.nan), ("settled", I), ("first", I)):
            getattr(self, name)[columns] = value
        self.level[columns], self.rises[columns] = level, 0
        # A level that is known beforehand is looked for, unless it is there from the start.
        self.onset[columns] = np.where(np.isinf(level) | (I >= level), 0.0, np.nan)

    def step(self, columns: np.ndarray, start: np.ndarray, length: np.ndarray, points: np.ndarray) -> None:
        """Members in some columns took a step; `points` (5, k) as in `Piece.through`."""
        piece = Piece.through(start, length, points)
        first, slope, _, last, final = points
        x, top = np.where(last >= first, 1.0, 0.0), np.maximum(first, last)
        bump = np.flatnonzero((slope > 0) & (final < 0))
        if bump.size:
            x[bump] = piece[bump].summit()
            top[bump] = piece[bump].value(x[bump])
        known = np.flatnonzero(np.isnan(self.onset[columns]) & (top >= self.level[columns]))
        if known.size:
            found, zero = piece[known], np.zeros(known.size)
            self.onset[columns[known]] = found.time(found.crossing(self.level[columns[known]], zero, x[known]))
        higher = np.flatnonzero(top > self.height[columns])
        if higher.size:
            where = columns[higher]
            record = np.stack([start, length, *points, top, self.height[columns]])[:, higher]
            self.ring[self.rises[where] % RING, :, where] = record.T
            self.rises[where] += 1
            self.height[where], self.peak[where] = top[higher], piece[higher].time(x[higher])
        half = self.height[columns] / 2
        left = np.flatnonzero((top >= half) & (last < half))
        if left.size:
            passed = piece[left]
            self.end[columns[left]] = passed.time(passed.crossing(half[left], x[left], np.ones(left.size)))
        self.end[columns[last >= half]] = np.nan

    def settle(self, columns: np.ndarray) -> None:
        """Look up the onset that belongs to the present height; NaN where it has been overwritten."""
        waiting = (self.settled[columns] < self.height[columns]) & (self.first[columns] < self.height[columns] / 2)
        todo = columns[waiting & np.isinf(self.level[columns])]
        self.settled[columns] = self.height[columns]
        if not todo.size:
            return
        half, rises, slot = self.height[todo] / 2, self.rises[todo], np.arange(RING)[:, None]
        age = np.where(rises > RING, (slot - rises) % RING, slot)  # 0 for the oldest that is kept
        reached = (self.ring[:, 7, todo] >= half) & (slot < rises)
        oldest = np.argmin(np.where(reached, age, RING), axis=0)
        records = self.ring[oldest, :, todo].T
        piece = Piece.through(records[0], records[1], records[2:7])
        x = np.ones(todo.size)
        bump = np.flatnonzero(records[5] < half)
        x[bump] = piece[bump].summit()
        onset = piece.time(piece.crossing(half, np.zeros(todo.size), x))
        self.onset[todo] = np.where((records[8] < half) & reached.any(axis=0), onset, np.nan)

    def window(self, columns: np.ndarray, now: np.ndarray) -> np.ndarray:
        """(onset, peak, end, height) of members at the time `now`: array (4, k)."""
        end = np.where(np.isnan(self.end[columns]), now, self.end[columns])
        return np.stack([self.onset[columns], self.peak[columns], end, self.height[columns]])

    def close(self, keep: np.ndarray) -> None:
        """Keep some columns alone."""
        for name in (*self.FIELDS, "rises"):
            setattr(self, name, getattr(self, name)[keep])
        self.ring = self.ring[:, :, keep]

    def paused(self, columns: np.ndarray) -> np.ndarray:
        """What `resume` needs: array (7, k)."""
        return np.stack([getattr(self, name)[columns] for name in self.FIELDS])

    def resume(self, columns: np.ndarray, paused: np.ndarray) -> None:
        """Members go on; of the steps before, the onset is known that belongs to their height then."""
        for name, values in zip(self.FIELDS, paused, strict=True):
            getattr(self, name)[columns] = values
