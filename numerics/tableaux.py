"""Embedded Runge-Kutta pairs as frozen data: coefficients, orders, dense output, and the checks each must pass.

    k_i = f(t + c_i h, y + h sum_{j<i} a_ij k_j),      y(t + theta h) ~ y + h sum_i b_i(theta) k_i,

with b_i(theta) a polynomial.  One stage, the `last`, is the rate at the end of the step, so that its row of a is the
weights b_i(1) and the next step starts from it.  Stages after it serve dense output alone.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ..theory.errors import InputError

Row = tuple[Fraction, ...]


@dataclass(frozen=True)
class Tableau:
    """An embedded pair whose last stage is the first of the next step, with dense output.

    Attributes
    ----------
    name : str
    order, dense_order : int, orders of the step and of its interpolation (global errors h^order, h^dense_order)
    error_order : int, the power of h of the error estimate
    nodes : c, one for each stage
    rows : the lower triangle of a, row i with i entries
    last : int, the stage at the end of the step
    errors : weights of the error estimates, each over stages 0..last
    dense : for each stage the coefficients of theta, theta^2, ... in b_i(theta)
    stability : float, the step times the size of a real negative eigenvalue up to which the step is stable
    tolerance : Fraction, what the row sums may miss by: 0 for rational coefficients

    Raises
    ------
    InputError
        When a row does not sum to its node, the estimates do not sum to 0 or dense output misses the step's ends.
    """

    name: str
    order: int
    dense_order: int
    error_order: int
    nodes: Row
    rows: tuple[Row, ...]
    last: int
    errors: tuple[Row, ...]
    dense: tuple[Row, ...]
    stability: float
    tolerance: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        stages = len(self.nodes)
        if len(self.rows) != stages or len(self.dense) != stages or not 0 < self.last < stages:
            self._refuse("nodes, rows and dense must have one entry a stage, and last must name one")
        for i, (node, row) in enumerate(zip(self.nodes, self.rows, strict=True)):
            if len(row) != i or abs(sum(row) - node) > self.tolerance:
                self._refuse(f"row {i} must have {i} entries that sum to node {node}")
        if self.nodes[self.last] != 1:
            self._refuse(f"stage {self.last} must lie at the end of the step")
        for weights in self.errors:
            if len(weights) != self.last + 1 or abs(sum(weights, Fraction(0))) > self.tolerance:
                self._refuse("an error estimate must have one weight a stage up to the last and sum to 0")
        for i, polynomial in enumerate(self.dense):
            end = self.rows[self.last][i] if i < self.last else Fraction(0)
            if abs(sum(polynomial) - end) > self.tolerance:
                self._refuse(f"dense output of stage {i} must end at the step's weight {end}")

    def _refuse(self, why: str) -> None:
        raise InputError(f"tableau: {self.name} is not valid: {why}; correct its coefficients.")

    @property
    def weights(self) -> Row:
        """b: the weights of the step, over stages 0..last-1."""
        return self.rows[self.last]

    def dense_weights(self, theta: float) -> list[float]:
        """b_i(theta) of every stage, 0 <= theta <= 1.

        Examples
        --------
        >>> DORMAND_PRINCE_5.dense_weights(0.0)[0], round(DORMAND_PRINCE_5.dense_weights(1.0)[0] - 35 / 384, 15)
        (0.0, 0.0)
        """
        return [_horner(polynomial, theta) for polynomial in _float_dense(self)]

    def slots(self) -> tuple[int, ...]:
        """Which buffer each stage uses, when a stage's buffer is given on after its last use.

        Stage 0 and the last stage keep theirs, for the next step starts from them.

        Examples
        --------
        >>> DORMAND_PRINCE_5.slots()
        (0, 1, 2, 3, 4, 1, 5)
        """
        used = [self._last_use(j) for j in range(len(self.nodes))]
        slots: list[int] = []
        for i in range(len(self.nodes)):
            # Stage i's argument is complete before stage i is written: what it uses last is free to be overwritten.
            busy = {slots[j] for j in range(i) if used[j] > i}
            slots.append(next(k for k in range(i + 1) if k not in busy))
        return tuple(slots)

    def _last_use(self, j: int) -> int:
        stages = len(self.nodes)
        if j in (0, self.last) or any(self.dense[j]):
            return stages
        later = [i for i in range(j + 1, stages) if self.rows[i][j] != 0]
        estimated = [self.last + 1] if any(j <= self.last and weights[j] for weights in self.errors) else []
        return max(later + estimated, default=j)


@lru_cache(maxsize=8)
def _float_dense(tableau: Tableau) -> list[list[float]]:
    return [[float(c) for c in polynomial] for polynomial in tableau.dense]


def _horner(polynomial: list[float], theta: float) -> float:
    total = 0.0
    for c in reversed(polynomial):
        total = (total + c) * theta
    return total


def nested_dense(weights: Row, rows_of_terms: list[Row], stages: int, last: int) -> tuple[Row, ...]:
    """Dense output given in Hairer's nested form, as one polynomial in theta for each stage.

    y + theta (F0 + (1 - theta) (F1 + theta (F2 + (1 - theta) (F3 + theta (...))))) with F0 = y1 - y, F1 = h k_first - F0,
    F2 = 2 F0 - h (k_last + k_first) and h times the given combinations of stages after them.
    """
    zero, one = Fraction(0), Fraction(1)
    step = [*weights, *[zero] * (stages - len(weights))]
    first = [one if i == 0 else zero for i in range(stages)]
    final = [one if i == last else zero for i in range(stages)]
    terms = [step, [a - b for a, b in zip(first, step, strict=True)]]
    terms.append([2 * s - f - g for s, f, g in zip(step, first, final, strict=True)])
    terms += [list(row) for row in rows_of_terms]
    basis, polynomials = [zero, one], []
    for i in range(len(terms)):
        polynomials.append(basis)
        # The next factor is 1 - theta after an even term, theta after an odd one.
        shifted = [zero, *basis]
        basis = [a - b for a, b in zip([*basis, zero], shifted, strict=True)] if i % 2 == 0 else shifted
    degree = len(polynomials[-1]) - 1
    out = []
    for stage in range(stages):
        coefficients = [zero] * (degree + 1)
        for polynomial, term in zip(polynomials, terms, strict=True):
            for power, c in enumerate(polynomial):
                coefficients[power] += c * term[stage]
        out.append(tuple(coefficients[1:]) if any(coefficients) else ())
    return tuple(out)


def _row(text: str) -> Row:
    return tuple(Fraction(entry) for entry in text.split())


def _dormand_prince_5() -> Tableau:
    rows = (
        _row(""),
        _row("1/5"),
        _row("3/40 9/40"),
        _row("44/45 -56/15 32/9"),
        _row("19372/6561 -25360/2187 64448/6561 -212/729"),
        _row("9017/3168 -355/33 46732/5247 49/176 -5103/18656"),
        _row("35/384 0 500/1113 125/192 -2187/6784 11/84"),
    )
    fourth = _row(
        "-12715105075/11282082432 0 87487479700/32700410799 -10690763975/1880347072"
        " 701980252875/199316789632 -1453857185/822651844 69997945/29380423"
    )
    return Tableau(
        name="dp5",
        order=5,
        dense_order=4,
        error_order=5,
        nodes=_row("0 1/5 3/10 4/5 8/9 1 1"),
        rows=rows,
        last=6,
        errors=(_row("71/57600 0 -71/16695 71/1920 -17253/339200 22/525 -1/40"),),
        dense=nested_dense(rows[6], [fourth], stages=7, last=6),
        stability=3.3,
    )


# Dormand & Prince, J. Comput. Appl. Math. 6 (1980) 19; dense output of order 4 by Shampine, as in Hairer, Norsett &
# Wanner, Solving Ordinary Differential Equations I, II.6.
DORMAND_PRINCE_5 = _dormand_prince_5()
