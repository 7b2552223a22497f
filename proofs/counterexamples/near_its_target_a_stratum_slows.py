"""Squared error from z0 = 3 tau/4: the growth is no longer 2 s tau, and tau/2 lies behind."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure, Identity
from ._instances import Instance


def counterexample() -> Counterexample:
    """a[2], summed loss, unit kernels, w = h = sqrt(3)/2."""
    x = Instance("a[2]", {"a": (sp.sqrt(3) / 2, sp.sqrt(3) / 2)}, loss="mse", reduction="sum")
    return Counterexample(
        name="near_its_target_a_stratum_slows",
        statement="a[2], squared error, unit kernels, tau = 1, z0 = 3/4: z grows at 1/2, not at 2 s tau = 2, and away "
        "from tau/2; the stated time ln(tau/z0 - 1)/(2 s tau) is negative.",
        theorem="half_saturation_time_is_exact_for_mse",
        without="0 < z0 < tau/2",
        also=(("growth_rate_near_zero_is_2_sqrt_kW_kH_tau_over_m", "a start near zero"),),
        proof=(
            Identity("d ln z/dt", x.growth("a"), sp.Rational(1, 2)),
            Enclosure("the time", sp.log(sp.Rational(4, 3) - 1) / 2, None, sp.S(0)),
        ),
    )
