"""Steps of an embedded Runge-Kutta pair on one state vector, in place.

A step uses two state buffers and as many rate buffers as the tableau's `slots` says (six for Dormand-Prince 5(4), so
eight in all): a stage's buffer is given on once nothing needs it.  An interpolated state is written over the step's
end, which is built again from the same stages, to the same bits, when it is wanted.
"""

from collections.abc import Callable
from math import inf, sqrt
from typing import Any

from .tableaux import Tableau
from .vectors import Terms

Rate = Callable[[float, Any, Any], None]


class PairSteps:
    """Steps by a tableau.

    Attributes
    ----------
    y, rate : arrays (n,), the accepted state and its rate
    evaluations : int, calls of `rhs`
    order : int, the power of the step in its error
    lands : bool, whether steps must end on output times
    """

    lands = False

    def __init__(self, tableau: Tableau, rhs: Rate, ops: Any, rtol: float, atol: float, watch: bool = False) -> None:
        self.tableau, self.rhs, self.ops, self.rtol, self.atol, self.watch = tableau, rhs, ops, rtol, atol, watch
        self.order = tableau.error_order
        self.evaluations = 0
        self.stiffness = 0.0  # of the last attempt: an estimate of step x spectral radius, where watched
        self._rows = [[float(a) for a in row] for row in tableau.rows]
        self._errors = [[float(e) for e in row] for row in tableau.errors]
        self.y, self._end = ops.empty(), ops.empty()
        slots = tableau.slots()
        buffers = [ops.empty() for _ in range(max(slots) + 1)]
        self._slots, self._buffers = slots, buffers
        self._end_is_state, self._stages_known = True, 0
        self.t = self.h = 0.0

    @property
    def rate(self) -> Any:
        """The rate at the accepted state."""
        return self._buffers[0]

    @property
    def new_y(self) -> Any:
        """The state at the end of the attempted step, built again if an interpolated state took its place."""
        if not self._end_is_state:
            self._argument(self.tableau.last)
            self._end_is_state = True
        return self._end

    @property
    def new_rate(self) -> Any:
        """The rate at the end of the attempted step."""
        return self._stage(self.tableau.last)

    @property
    def spare(self) -> tuple[Any, Any]:
        """A state and a rate buffer that are free before a step is attempted."""
        return self._end, self._stage(self.tableau.last)

    def longest(self, t: float) -> float:
        """The longest step allowed from t on."""
        return inf

    def begin(self, t: float, y: Any, rate: Any | None = None) -> None:
        """Start from a state, whose rate is found if not given."""
        self.ops.combine(self.y, [(1.0, y)])
        if rate is None:
            self.evaluate(t, self.y, self._buffers[0])
        else:
            self.ops.combine(self._buffers[0], [(1.0, rate)])

    def attempt(self, t: float, h: float) -> float:
        """Take a step from the accepted state; its error in units of the tolerance."""
        self.t, self.h = t, h
        last = self.tableau.last
        moved = 0.0
        for i in range(1, last + 1):
            if self.watch and i == last:
                moved = self.ops.combine_measured(self._end, self._terms(i))
            else:
                self._argument(i)
            self.evaluate(t + h * float(self.tableau.nodes[i]), self._end, self._stage(i))
        self._end_is_state, self._stages_known = True, last
        if self.watch:
            turned = self.ops.norm([(1.0, self._stage(last)), (-1.0, self._stage(last - 1))])
            self.stiffness = h * turned / moved if moved > 0 else 0.0
        return self._error()

    def accept(self) -> None:
        """Make the end of the attempted step the state."""
        _ = self.new_y
        self.y, self._end = self._end, self.y
        a, b = 0, self._slots[self.tableau.last]
        self._buffers[a], self._buffers[b] = self._buffers[b], self._buffers[a]

    def at(self, theta: float) -> Any:
        """The state at t + theta h of the attempted step; valid until the next use of the steps."""
        for i in range(self._stages_known + 1, len(self.tableau.nodes)):
            self._argument(i)
            self._end_is_state = False
            self.evaluate(self.t + self.h * float(self.tableau.nodes[i]), self._end, self._stage(i))
            self._stages_known = i
        weights = self.tableau.dense_weights(theta)
        terms = [(self.h * b, self._stage(i)) for i, b in enumerate(weights) if self.tableau.dense[i]]
        self.ops.combine(self._end, [(1.0, self.y), *terms])
        self._end_is_state = False
        return self._end

    def _error(self) -> float:
        norms = [
            abs(self.h) * self.ops.weighted_rms(self._weighted(row, 1.0), self.y, self._end, self.rtol, self.atol)
            for row in self._errors
        ]
        if len(norms) == 1:
            return norms[0]
        fifth, third = norms
        # Both vanish together where the state stands still.
        return fifth**2 / sqrt(fifth**2 + 0.01 * third**2) if fifth > 0 else fifth

    def _stage(self, i: int) -> Any:
        return self._buffers[self._slots[i]]

    def _weighted(self, row: list[float], factor: float) -> Terms:
        return [(factor * c, self._stage(j)) for j, c in enumerate(row) if c != 0.0]

    def _terms(self, i: int) -> Terms:
        return [(1.0, self.y), *self._weighted(self._rows[i], self.h)]

    def _argument(self, i: int) -> None:
        self.ops.combine(self._end, self._terms(i))

    def evaluate(self, t: float, y: Any, out: Any) -> None:
        """Write the rate at (t, y) into out, and count it."""
        self.evaluations += 1
        self.rhs(t, y, out)
