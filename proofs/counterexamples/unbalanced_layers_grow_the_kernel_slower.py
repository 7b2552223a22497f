"""Two layers that start at 1 and 2: the kernel grows slower than the features."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """u_1^2 - u_2^2 is kept: (1, 4) and later (6, 9); phi^2 = u_1^2 u_2^2, kappa = u_1^2 + u_2^2."""
    start, later = (sp.S(1), sp.S(4)), (sp.S(6), sp.S(9))
    growth = sum(later) / sum(start)
    return Counterexample(
        name="unbalanced_layers_grow_the_kernel_slower",
        statement="L = 2, u^2 = (1, 4) at the start and (6, 9) later, which the flow's u_1^2 - u_2^2 = -3 allows: the "
        "kernel grows by 3, phi^(2 - 2/L) = phi by sqrt(54/4) > 3.",
        theorem="balanced_depth_grows_the_kernel_as_phi_to_the_2_minus_2_over_L",
        without="balanced layers, for the power law",
        proof=(
            Cases(
                "growth",
                (
                    ("kept", start[0] - start[1], "==", later[0] - later[1]),
                    ("the kernel's", growth, "==", sp.S(3)),
                    ("less than that of phi", growth**2, "<", later[0] * later[1] / (start[0] * start[1])),
                ),
            ),
        ),
    )
