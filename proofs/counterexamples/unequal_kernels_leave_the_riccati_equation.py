"""A label kernel of 2: W W' does not obey the Riccati equation, and W'W - HH' moves."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases
from ._instances import Instance


def counterexample() -> Counterexample:
    """a[2], summed loss, tau = 1, kW = 2, kH = 1, w = h = 1/2: C = 0 at the start."""
    half = sp.Rational(1, 2)
    x = Instance("a[2]", {"a": (half, half)}, loss="mse", reduction="sum", label_kernel={"a": 2})
    w, h = x.flow.w["a"], x.flow.h["a"]
    S, T = sp.ones(2, 2) * half**2, sp.Matrix([[0, 1], [1, 0]])
    riccati = T * S + S * T - S * S
    return Counterexample(
        name="unequal_kernels_leave_the_riccati_equation",
        statement="One mode, squared error, tau = 1, kW = 2, kH = 1, w = h = 1/2: d(w^2)/dt = 3/4, the Riccati "
        "equation has 3/8, and w^2 - h^2 = 0 is not kept.",
        theorem="random_start_mse_is_a_matrix_riccati_equation",
        without="equal kernels",
        proof=(
            Cases(
                "one mode",
                (
                    ("d(w^2)/dt", x.change(w**2), "==", sp.Rational(3, 4)),
                    ("Riccati", riccati[0, 0], "==", sp.Rational(3, 8)),
                    ("d(w^2 - h^2)/dt", x.change(w**2 - h**2), "!=", sp.S(0)),
                ),
            ),
        ),
    )
