"""The DETEST problems of Hull, Enright, Fellen & Sedgwick, SIAM J. Numer. Anal. 9 (1972) 603, on 0 <= t <= 20.

Classes: A single equations, B small systems, C moderate systems, D orbits of eccentricity 0.1 to 0.9, E second order.
C5, the five outer planets, is left out: it needs their ephemeris.
"""

import numpy as np

END = 20.0
DECAY = np.diag([*-np.ones(9), 0.0]) + np.diag(np.ones(9), -1)
CHAIN = np.diag([*-np.arange(1.0, 10), 0.0]) + np.diag(np.arange(1.0, 10), -1)


def laplacian(n):
    """The second difference with zero ends, (n, n)."""
    return np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1) - 2 * np.eye(n)


def linear(A):
    """y' = A y."""
    return lambda t, y: A @ y


def orbit(t, y):
    """Two bodies: positions y[:2], velocities y[2:]."""
    cube = (y[0] ** 2 + y[1] ** 2) ** 1.5
    return [y[2], y[3], -y[0] / cube, -y[1] / cube]


def torus(t, y):
    """B4: a line on a torus."""
    r = np.hypot(y[0], y[1])
    return [-y[1] - y[0] * y[2] / r, y[0] - y[1] * y[2] / r, y[0] / r]


def bessel(t, y):
    """E1: Bessel's equation of order 1/2, from t = 1 on."""
    return [y[1], -(y[1] / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * y[0])]


def unit(n):
    """(1, 0, ..., 0)."""
    return [1.0] + [0.0] * (n - 1)


# Name: right-hand side (t, y) and start.
PROBLEMS = {
    "A1": (lambda t, y: -y, [1.0]),
    "A2": (lambda t, y: -(y**3) / 2, [1.0]),
    "A3": (lambda t, y: y * np.cos(t), [1.0]),
    "A4": (lambda t, y: y / 4 * (1 - y / 20), [1.0]),
    "A5": (lambda t, y: (y - t) / (y + t), [4.0]),
    "B1": (lambda t, y: [2 * (y[0] - y[0] * y[1]), -(y[1] - y[0] * y[1])], [1.0, 3.0]),
    "B2": (lambda t, y: [-y[0] + y[1], y[0] - 2 * y[1] + y[2], y[1] - y[2]], [2.0, 0.0, 1.0]),
    "B3": (lambda t, y: [-y[0], y[0] - y[1] ** 2, y[1] ** 2], [1.0, 0.0, 0.0]),
    "B4": (torus, [3.0, 0.0, 0.0]),
    "B5": (lambda t, y: [y[1] * y[2], -y[0] * y[2], -0.51 * y[0] * y[1]], [0.0, 1.0, 1.0]),
    "C1": (linear(DECAY), unit(10)),
    "C2": (linear(CHAIN), unit(10)),
    "C3": (linear(laplacian(10)), unit(10)),
    "C4": (linear(laplacian(51)), unit(51)),
    **{
        f"D{i + 1}": (orbit, [1 - e, 0.0, 0.0, np.sqrt((1 + e) / (1 - e))])
        for i, e in enumerate((0.1, 0.3, 0.5, 0.7, 0.9))
    },
    "E1": (bessel, [0.6713967071418030, 0.09540051444747446]),
    "E2": (lambda t, y: [y[1], (1 - y[0] ** 2) * y[1] - y[0]], [2.0, 0.0]),
    "E3": (lambda t, y: [y[1], y[0] ** 3 / 6 - y[0] + 2 * np.sin(2.78535 * t)], [0.0, 0.0]),
    "E4": (lambda t, y: [y[1], 0.032 - 0.4 * y[1] ** 2], [30.0, 0.0]),
    "E5": (lambda t, y: [y[1], np.sqrt(1 + y[1] ** 2) / (25 - t)], [0.0, 0.0]),
}
