"""A linearly implicit Runge-Kutta pair as frozen data, for stiff flows of few modes with their symbolic Jacobian J.

For dy/dt = f(y), with W = I/(h gamma) - J(y):

    W U_i = f(y + sum_{j<i} a_ij U_j) + sum_{j<i} (c_ij/h) U_j,      y(t + h) ~ y + sum_i m_i U_i,    error ~ sum_i e_i U_i
    y(t + x h) ~ (1 - x) y(t) + x (y(t + h) + (1 - x) (sum_i d_i U_i + x sum_i d'_i U_i))

Source: Hairer & Wanner, Solving Ordinary Differential Equations II, IV.7 and IV.10 (RODAS).
"""

from dataclasses import dataclass

import numpy as np

from ..theory.errors import InputError


@dataclass(frozen=True)
class Rosenbrock:
    """A stiffly accurate method whose last stage is its error estimate, with dense output.

    Attributes
    ----------
    name : str
    order, error_order : int, of the step, and the power of h in the error estimate
    gamma : float
    a, c : lower triangles, row i with i entries
    dense : two rows, d and d'

    Raises
    ------
    InputError
        When rows have the wrong lengths, or the orders' conditions (to order 4) do not hold.
    """

    name: str
    order: int
    error_order: int
    gamma: float
    a: tuple[tuple[float, ...], ...]
    c: tuple[tuple[float, ...], ...]
    dense: tuple[tuple[float, ...], tuple[float, ...]]

    def __post_init__(self) -> None:
        if any(len(row) != i for rows in (self.a, self.c) for i, row in enumerate(rows)):
            raise InputError(f"method: {self.name} is not valid: row i of a and c must have i entries; correct them.")
        missed = max(abs(value) for value in self.order_conditions())
        if missed > 1e-10:
            raise InputError(
                f"method: {self.name} misses an order condition by {missed:.1e}; correct its coefficients."
            )

    @property
    def stages(self) -> int:
        return len(self.a)

    def order_conditions(self) -> list[float]:
        """What the conditions of order 1 to 4 of an autonomous Rosenbrock method miss by.

        Examples
        --------
        >>> bool(max(map(abs, RODAS4.order_conditions())) < 1e-12)
        True
        """
        s = self.stages
        lower = np.array([[*row, *[0.0] * (s - len(row))] for row in self.c])
        # With U = G k: k_i = h f(y + sum_j alpha_ij k_j) + h J sum_j G_ij k_j, for which the conditions are known.
        G = np.linalg.inv(np.eye(s) / self.gamma - lower)
        a = np.array([[*row, *[0.0] * (s - len(row))] for row in self.a])
        alpha = a @ G
        beta = alpha + G
        b = np.array([*self.a[-1], 1.0]) @ G
        ca, cb = alpha.sum(axis=1), beta.sum(axis=1)
        return [
            b.sum() - 1,
            b @ cb - 1 / 2,
            b @ ca**2 - 1 / 3,
            b @ beta @ cb - 1 / 6,
            b @ ca**3 - 1 / 4,
            b @ (ca * (alpha @ cb)) - 1 / 8,
            b @ beta @ ca**2 - 1 / 12,
            b @ beta @ beta @ cb - 1 / 24,
        ]


RODAS4 = Rosenbrock(
    name="rodas4",
    order=4,
    error_order=4,
    gamma=0.25,
    a=(
        (),
        (1.544,),
        (0.9466785280815826, 0.2557011698983284),
        (3.314825187068521, 2.896124015972201, 0.9986419139977817),
        (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895),
        (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895, 1.0),
    ),
    c=(
        (),
        (-5.6688,),
        (-2.430093356833875, -0.2063599157091915),
        (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
        (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
        (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
    ),
    dense=(
        (10.12623508344586, -7.487995877610167, -34.80091861555747, -7.992771707568823, 1.025137723295662, 0.0),
        (-0.6762803392806898, 6.087714651680015, 16.43084320892478, 24.76722511418386, -6.594389125716872, 0.0),
    ),
)  # fmt: skip
