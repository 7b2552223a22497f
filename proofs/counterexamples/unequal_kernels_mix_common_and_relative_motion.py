"""At the ETF with different kernels, strata that part also move as a whole: the Jacobian does not split."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure, Identity
from ._instances import PAIR, Instance, alike


def counterexample() -> Counterexample:
    """2 x 2, one-hot, m lam = 1/2, so z = ln 5: the image of w_a = 1, w_b = -1; kernels 2 on a and 1 elsewhere."""

    def sum_of_image(kernel: int) -> sp.Expr:
        options = {"label_kernel": {"a": kernel, "b": 1, "a:b": 1}, "ridge": sp.Rational(1, 8)}
        x = Instance("a[2] * b[2]", alike(PAIR, sp.sqrt(sp.log(5))), **options)
        rates = [x.flow.expand(x.flow.rates[x.flow.w[A]]) for A in PAIR]
        return sum(x.value(sp.diff(r, x.flow.w["a"]) - sp.diff(r, x.flow.w["b"])) for r in rates)

    return Counterexample(
        name="unequal_kernels_mix_common_and_relative_motion",
        statement="2 x 2 one-hot, m lam = 1/2, z = ln 5, all multiplicities 1: the Jacobian takes w_a = 1, w_b = -1 "
        "to a motion of w whose sum over strata is 0 for equal kernels, and negative for the label kernel "
        "2 on a.",
        theorem="cross_entropy_couples_strata_at_the_etf_by_rank_one",
        without="equal kernels for the splitting",
        proof=(
            Identity("equal kernels", sum_of_image(1), sp.S(0)),
            Enclosure("kernel 2 on a", sum_of_image(2), None, sp.S(0)),
        ),
    )
