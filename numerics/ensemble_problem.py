"""What an engine is given, and what it gives back: many trajectories of one set of equations.

Members are columns.  A trajectory is a function of its own numbers alone: compiled engines give the same bits whatever
they compute beside it, NumPy's products of matrices the same to rounding.
"""

from dataclasses import dataclass

import numpy as np

from .ensemble_equations import Equations

# Why a member stopped.
DONE, UNDERFLOW, TOO_MANY_STEPS, STIFF = 0, 1, 2, 3
MOST_STEPS = 10**6


@dataclass(frozen=True)
class Index:
    """The semantic index of a state: (sum_i main_i y_i^2 / sum_i all_i y_i^2 - etf) / (1 - etf); see `trajectory`.

    Attributes
    ----------
    main, all : n numbers each, multiplicities of the label's main effects, and of all strata but the mean, at the features
    etf : the share of the main effects at the ETF
    """

    main: tuple[float, ...]
    all: tuple[float, ...]
    etf: float

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Of states (n, L): (L,)."""
        return (self._share(y)[0] - self.etf) / (1 - self.etf)

    def slope(self, y: np.ndarray, rate: np.ndarray) -> np.ndarray:
        """Its time derivative, from states and rates (n, L)."""
        share, total = self._share(y)
        moved = y * rate
        change = 2 * (np.array(self.main) @ moved - share * (np.array(self.all) @ moved))
        return np.divide(change, total, out=np.zeros_like(total), where=total > 0) / (1 - self.etf)

    def _share(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        main, total = (np.array(weights) @ (y * y) for weights in (self.main, self.all))
        return np.divide(main, total, out=np.zeros_like(total), where=total > 0), total


@dataclass(frozen=True)
class Problem:
    """Initial value problems dy/dt = f(y; p), y(0) = start, on [0, end].

    Attributes
    ----------
    equations : Equations
    start : array (n, N)
    parameters : array (P, N)
    end : float
    times : array (T,) in (0, end]: when the state is kept
    rtol : float
    atol : array (N,)
    index : Index whose window is watched; None where none is wanted
    method : "explicit", "rosenbrock", or "auto": explicit until a member turns out stiff
    """

    equations: Equations
    start: np.ndarray
    parameters: np.ndarray
    end: float
    times: np.ndarray
    rtol: float
    atol: np.ndarray
    index: Index | None
    method: str

    @property
    def members(self) -> int:
        """N."""
        return self.start.shape[1]


@dataclass
class Found:
    """What became of the members; an engine fills it in, a row or column for each.

    Attributes
    ----------
    state : array (n, N), at the time reached
    reached : array (N,), the end of the time, or where a member stopped
    status : int array (N,), one of DONE, UNDERFLOW, TOO_MANY_STEPS
    steps, rejected : int arrays (N,)
    kept : array (N, T, n), the state at the times; NaN beyond what was reached
    window : array (4, N), onset, peak, end and height of the index; NaN where it is not watched
    paused : array (7, N), what `Watch` knew of members that go on by another method
    attempts : int, steps that vectors of lanes took together (engine "native")
    """

    state: np.ndarray
    reached: np.ndarray
    status: np.ndarray
    steps: np.ndarray
    rejected: np.ndarray
    kept: np.ndarray
    window: np.ndarray
    paused: np.ndarray
    attempts: int = 0

    @classmethod
    def empty(cls, problem: Problem) -> "Found":
        """Nothing found yet: all members at their start."""
        n, N = problem.start.shape
        status, steps, rejected = np.zeros((3, N), dtype=np.int64)
        kept = np.full((N, len(problem.times), n), np.nan)
        window, paused = np.full((4, N), np.nan), np.full((7, N), np.nan)
        return cls(problem.start.copy(), np.zeros(N), status, steps, rejected, kept, window, paused)
