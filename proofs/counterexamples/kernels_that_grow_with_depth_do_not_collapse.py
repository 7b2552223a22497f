"""A chain whose finer level has the larger kernel: the ETF is not optimal."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """a[2] / b[2], kernels 1 and 3: eta(a) = b_1 + 2 (b_2 - b_1) = -1/3 < 0."""
    attributes = Attributes("a[2] / b[2]")
    b = {"a": sp.S(1), "a:b": sp.Rational(1, 3)}
    eta = -sum(attributes.multiplicities[A] * attributes.character(A, "a") * b[A] for A in b)
    return Counterexample(
        name="kernels_that_grow_with_depth_do_not_collapse",
        statement="a[2] / b[2] with sqrt(kW kH) = 1 on a and 3 below: eta(a) = -1/3 < 0, so the ETF is not the "
        "max-margin solution.  The cost below is 1/3 - 1/2 < 0 once C/V_X is taken off, so that the "
        "programme below has no solution.",
        theorem="nested_chains_with_coarse_first_kernels_always_collapse",
        without="kernels that do not increase from coarse to fine",
        also=(("nesting_shifts_the_costs_below_by_the_value_above", "b_B >= C / V_X below"),),
        proof=(
            Cases("eta(a)", (("value", eta, "==", -sp.Rational(1, 3)),)),
            Cases("the cost below, less C / V_X", (("negative", b["a:b"] - b["a"] / 2, "==", -sp.Rational(1, 6)),)),
        ),
    )
