"""Soft labels and ridge, at rest: strata with different z, and no coupling of rank one between them."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure, Identity
from ._instances import Instance

Z = {"a": 5 * sp.log(2), "b": 3 * sp.log(2), "a:b": sp.log(2)}  # softmax 16 : 4 : 2 : 1
PI = {"a": sp.Rational(17, 23), "b": sp.Rational(13, 23), "a:b": sp.Rational(11, 23)}


def counterexample() -> Counterexample:
    """2 x 2, targets pi_A + m lam with m lam = 1/20, kernels 1, w = h = sqrt(z)."""
    shift = sp.Rational(1, 20)
    targets = {A: pi + shift for A, pi in PI.items()}
    start = {A: (sp.sqrt(z), sp.sqrt(z)) for A, z in Z.items()}
    x = Instance("a[2] * b[2]", start, targets=targets, ridge=shift / 4)
    apart = sp.Rational(9, 1000)
    rest = [Identity(f"rate of {A}", rate, sp.S(0)) for A in Z for rate in x.rates(A)]
    return Counterexample(
        name="unlike_strata_couple_unlike",
        statement="2 x 2, equal kernels and ridge, m lam = 1/20, soft labels whose point of rest has z = 5, 3, 1 "
        "(in ln 2) on a, b, a:b: the couplings of a to b and to a:b differ by more than 9/1000, while the "
        "form of rank one gives strata of one multiplicity the same coupling.",
        theorem="cross_entropy_couples_strata_at_the_etf_by_rank_one",
        without="all strata but the mean alike",
        also=(("ridge_collapse_rates_depend_on_one_number_rho", "cross-entropy: one-hot"),),
        proof=(
            *rest,
            Enclosure("dg_a/dz_b less dg_a/dz_ab", x.coupling("a", "b") - x.coupling("a", "a:b"), apart, None),
        ),
    )
