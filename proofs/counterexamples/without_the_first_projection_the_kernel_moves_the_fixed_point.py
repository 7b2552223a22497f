"""Sphere without the projection before the kernel: features in an ETF do not rest when kernels differ."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """Crossed 2 x 2, kernel 3, 1, 1, with g w = 1/10 and h = 1 on all strata but the mean (multiplicities 1)."""
    kernel = {"a": sp.S(3), "b": sp.S(1), "a:b": sp.S(1)}
    pull, h = sp.Rational(1, 10), sp.S(1)

    def rates(projected: bool) -> dict[str, sp.Expr]:
        c = pull / h if projected else sp.S(0)  # <u, h> / <h, h>
        f = {A: k * (pull - c * h) for A, k in kernel.items()}
        a = sum(f.values()) * h / (len(f) * h**2)
        return {A: f[A] - a * h for A in f}

    with_it, without = rates(True), rates(False)
    return Counterexample(
        name="without_the_first_projection_the_kernel_moves_the_fixed_point",
        statement="Crossed 2 x 2 with kernel 3 on a and 1 elsewhere, features in an ETF: with the projection before "
        "the kernel they rest; without it h_a grows at 2/15 and the others fall, so the kernel moves the fixed point.",
        theorem="sphere_keeps_norms_and_its_fixed_points_ignore_the_kernel",
        without="tangent projection before and after the kernel",
        proof=(
            Cases(
                "dh/dt",
                (
                    ("projected", with_it["a"], "==", sp.S(0)),
                    ("not projected", without["a"], "==", sp.Rational(2, 15)),
                    ("the others", without["b"], "<", sp.S(0)),
                ),
            ),
        ),
    )
