"""One step of many members at once, each of its own length: an order 5 pair, and a Rosenbrock method.

An attempt leaves the new state in `new`, its rate in `new_rate`, and the error in units of the tolerance in `error`, the
mean square over the modes.  Arrays have a column for each member.
"""

from typing import Any

import numpy as np

from .ensemble_arrays import ArrayCode, array_code
from .ensemble_equations import Equations
from .rosenbrock import RODAS4
from .tableaux import DORMAND_PRINCE_5

SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0
STIFF_AT, STIFF_STEPS = 3.0, 15  # step x spectral radius, that many steps running: stability, not accuracy, limits them
STIFF_LEFT = 200  # explicit steps that a stiff member must have before it for a change of method to pay


def power(x: np.ndarray, exponent: float) -> np.ndarray:
    """x^exponent to a tenth, for x > 0 and exponents below 1, from the bits of x: a float's bits are nearly its logarithm.

    The same in every engine, whatever its library, so that all take the same steps.

    Examples
    --------
    >>> power(np.array([1.0, 4.0, 0.001]), 0.2).round(2).tolist()
    [1.0, 1.4, 0.25]
    """
    one = 4607182418800017408  # the bits of 1.0
    bits = np.ascontiguousarray(x).view(np.int64)
    return (one + (exponent * (bits - one)).astype(np.int64)).view(np.float64)


class Steps:
    """What the two methods share.

    Attributes
    ----------
    rates : ArrayCode
    order : int, the power of the step in its error
    """

    order: int

    def __init__(self, equations: Equations, rtol: float) -> None:
        self.rates: ArrayCode = array_code(
            equations.rate_definitions, equations.rates, equations.state, equations.parameters
        )
        self.rtol = rtol
        self.stiffness: np.ndarray | None = None

    def measure(self, y: np.ndarray, new: np.ndarray, error: np.ndarray, atol: np.ndarray) -> np.ndarray:
        """The mean square over the modes of errors (n, L) in units of the tolerance."""
        scaled = error / (atol + self.rtol * np.maximum(np.abs(y), np.abs(new)))
        return np.einsum("il,il->l", scaled, scaled) / len(y)

    def first_step(self, y: np.ndarray, rate: np.ndarray, atol: np.ndarray, end: float) -> np.ndarray:
        """A hundredth of the time in which the rate changes the state by its own size."""
        scale = atol + self.rtol * np.abs(y)
        size, speed = (np.sqrt(np.mean((x / scale) ** 2, axis=0)) for x in (y, rate))
        return np.minimum(np.where(speed > 0, 0.01 * size / np.where(speed > 0, speed, 1), end), end)

    def factor(self, error: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the step is multiplied by if accepted, and if rejected (PI control), from errors squared."""
        errors = np.maximum(np.where(error < 1e18, error, 1e18), 1e-20)
        alone = SAFETY * power(errors, -0.425 / self.order)
        grown = np.clip(alone * power(before, 0.1 / self.order), SHRINK, GROW)
        return grown, np.clip(alone, SHRINK, 1.0)


class Explicit(Steps):
    """Dormand and Prince's pair of order 5(4)."""

    order = DORMAND_PRINCE_5.order

    def __init__(self, equations: Equations, rtol: float, lanes: int, watch_stiffness: bool) -> None:
        super().__init__(equations, rtol)
        n = len(equations.state)
        self.K = np.empty((7, n, lanes))
        self.a = [np.array(row, dtype=float) for row in DORMAND_PRINCE_5.rows]
        self.e = np.array(DORMAND_PRINCE_5.errors[0], dtype=float)
        self.middle_weights = np.array(DORMAND_PRINCE_5.dense_weights(0.5))
        self.watch_stiffness = watch_stiffness

    def attempt(self, y: np.ndarray, rate: np.ndarray, h: np.ndarray, p: np.ndarray, atol: np.ndarray) -> None:
        """Steps of lengths h (L,) from states y (n, L)."""
        K = self.K = self.K[:, :, : y.shape[1]] if self.K.shape[2] != y.shape[1] else self.K
        K[0], new = rate, y
        for i in range(1, 7):
            before, new = new, y + h * self._sum(self.a[i], K[:i])
            K[i] = self.rates(new, p)
        if self.watch_stiffness:
            apart, bend = new - before, K[6] - K[5]
            far = np.einsum("il,il->l", apart, apart)
            steep = np.einsum("il,il->l", bend, bend)
            self.stiffness = h * np.sqrt(np.divide(steep, far, out=np.zeros_like(far), where=far > 0))
        self.y, self.h, self.new, self.new_rate = y, h, new, K[6]
        self.error = self.measure(y, new, h * self._sum(self.e, K), atol)

    def middle(self) -> np.ndarray:
        """The states half-way (n, L)."""
        return self.y + self.h * self._sum(self.middle_weights, self.K)

    def dense(self, columns: np.ndarray, x: np.ndarray) -> np.ndarray:
        """States (n, k) of some columns at fractions x (k,) of their steps."""
        weights = np.array([DORMAND_PRINCE_5.dense_weights(float(fraction)) for fraction in x])
        return self.y[:, columns] + self.h[columns] * np.einsum("ks,snk->nk", weights, self.K[:, :, columns])

    @staticmethod
    def _sum(weights: np.ndarray, K: np.ndarray) -> np.ndarray:
        used = len(weights)
        flat = K[:used].reshape(used, -1) if K.flags.c_contiguous else np.ascontiguousarray(K[:used]).reshape(used, -1)
        return (weights @ flat).reshape(K.shape[1:])


class Implicit(Steps):
    """The Rosenbrock method `rosenbrock.RODAS4`, with the symbolic Jacobian."""

    order = RODAS4.error_order

    def __init__(self, equations: Equations, rtol: float) -> None:
        super().__init__(equations, rtol)
        self.jacobian = array_code(
            equations.jacobian_definitions, equations.jacobian, equations.state, equations.parameters
        )

    def attempt(self, y: np.ndarray, rate: np.ndarray, h: np.ndarray, p: np.ndarray, atol: np.ndarray) -> None:
        """Steps of lengths h (L,) from states y (n, L)."""
        n, L = y.shape
        method = RODAS4
        W = -self.jacobian(y, p).T.reshape(L, n, n)
        W[:, np.arange(n), np.arange(n)] += (1 / (method.gamma * h))[:, None]
        inverse = np.linalg.inv(W)
        U = np.empty((method.stages, n, L))
        for i in range(method.stages):
            new = y + np.tensordot(np.array(method.a[i]), U[:i], 1) if i else y
            b = rate if i == 0 else self.rates(new, p) + np.tensordot(np.array(method.c[i]), U[:i], 1) / h
            U[i] = (inverse @ b.T[:, :, None])[:, :, 0].T
        self.y, self.h, self.U, self.new = y, h, U, new + U[-1]
        self.new_rate = self.rates(self.new, p)
        self.error = self.measure(y, self.new, U[-1], atol)

    def middle(self) -> np.ndarray:
        """The states half-way (n, L)."""
        return self._between(slice(None), np.full(self.y.shape[1], 0.5))

    def dense(self, columns: np.ndarray, x: np.ndarray) -> np.ndarray:
        """States (n, k) of some columns at fractions x (k,) of their steps."""
        return self._between(columns, x)

    def _between(self, columns: Any, x: np.ndarray) -> np.ndarray:
        first, second = (np.tensordot(np.array(row), self.U[:, :, columns], 1) for row in RODAS4.dense)
        return (1 - x) * self.y[:, columns] + x * (self.new[:, columns] + (1 - x) * (first + x * second))
