"""The slow eigenvalue at the ridge's fixed point is a harmonic mean, not lam (kW + kH) (a corrected claim)."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """Squared error, m = 1, tau = 1, kW = 1, kH = 4, lam = 1/100: the characteristic polynomial at both candidates."""
    lam, kW, kH = sp.Rational(1, 100), sp.S(1), sp.S(4)
    z = 1 - lam
    total, product = (kW + kH) * (z + lam), 4 * kW * kH * lam * z

    def characteristic(rate: sp.Expr) -> sp.Expr:
        return rate**2 - total * rate + product  # positive below the slow rate, negative between the two

    harmonic, arithmetic = 4 * lam * kW * kH / (kW + kH), lam * (kW + kH)
    return Counterexample(
        name="balance_relaxes_slower_than_the_sum_of_kernels",
        statement="Squared error, kW = 1, kH = 4, lam = 1/100: the slow rate lies within 1 percent of 4 lam kW "
        "kH/(kW + kH) = 0.032, below lam (kW + kH) = 0.05, which is the rate at which z decays once its pull has "
        "died out.",
        theorem="ridge_relaxes_in_two_time_scales",
        against="the balance relaxes at lam (kW + kH) too",
        proof=(
            Cases(
                "characteristic polynomial",
                (
                    ("0.99 harmonic", characteristic(harmonic * sp.Rational(99, 100)), ">", sp.S(0)),
                    ("1.01 harmonic", characteristic(harmonic * sp.Rational(101, 100)), "<", sp.S(0)),
                    ("arithmetic", characteristic(arithmetic), "<", sp.S(0)),
                ),
            ),
        ),
    )
