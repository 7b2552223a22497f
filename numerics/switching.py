"""Order-5 steps that give way to stabilised ones where stability limits them, and come back where it does not.

The last two stages of an order-5 step lie at its end: the quotient of their rates' and states' differences estimates
step x spectral radius for nothing.  Where it has been near the limit of stability for PATIENCE steps, the stabilised
method takes over; where that then spends more evaluations for the same time than stability would cost the order-5
steps, they return, and wait twice as long before giving way again.
"""

from typing import Any

from .chebyshev import ChebyshevSteps
from .explicit_pairs import PairSteps, Rate
from .stabilised import OVER, DampedSteps, StabilisedSteps
from .tableaux import DORMAND_PRINCE_5

PATIENCE = 6
NEAR = 0.6  # of the limit of stability
ORDER_2_FROM = 1e-5  # the tolerance from which order 2 takes fewer evaluations than order 4 (benchmarks/work_precision.py)


class SwitchingSteps:
    """Steps by either method; the same uses as `PairSteps`."""

    def __init__(self, rhs: Rate, ops: Any, rtol: float, atol: float) -> None:
        self.rhs, self.ops, self.rtol, self.atol = rhs, ops, rtol, atol
        self._spent, self._seen, self._patience = 0, 0, PATIENCE
        self._steps: PairSteps | StabilisedSteps = self._pair()
        self._paid = self._due = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._steps, name)

    @property
    def evaluations(self) -> int:
        """Calls of the right-hand side, by both methods."""
        return self._spent + self._steps.evaluations

    def accept(self) -> None:
        """Make the end of the attempted step the state, and choose the method of the next."""
        steps = self._steps
        steps.accept()
        if isinstance(steps, PairSteps):
            near = steps.stiffness > NEAR * DORMAND_PRINCE_5.stability
            self._seen = self._seen + 1 if near else 0
            if self._seen >= self._patience:
                kind = ChebyshevSteps if self.rtol >= ORDER_2_FROM else DampedSteps
                self._become(kind(self.rhs, self.ops, self.rtol, self.atol))
            return
        # What the step cost, and what order-5 steps held to stability would have.
        self._seen += 1
        self._paid += steps.stages
        self._due += 6 * steps.h * steps.radius / OVER / DORMAND_PRINCE_5.stability
        if self._seen >= 10:
            if self._paid > self._due:
                self._patience *= 2
                self._become(self._pair())
            self._seen, self._paid, self._due = 0, 0.0, 0.0

    def _pair(self) -> PairSteps:
        return PairSteps(DORMAND_PRINCE_5, self.rhs, self.ops, self.rtol, self.atol, watch=True)

    def _become(self, steps: PairSteps | StabilisedSteps) -> None:
        old, self._seen = self._steps, 0
        self._spent += old.evaluations
        steps.begin(0.0, old.y, old.rate)
        self._steps, self._paid, self._due = steps, 0.0, 0.0
