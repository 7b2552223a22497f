"""Sphere: a start with a stratum at zero never reaches the ETF."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Counterexample
from ..steps import Identity


def counterexample() -> Counterexample:
    flow = derive_flow(UFM("a[2] * b[2]", constraint="sphere"))
    zero = {flow.w["a:b"]: sp.S(0), flow.h["a:b"]: sp.S(0)}
    f = {symbol: value for symbol, value in flow.definitions if str(symbol) == "f_a__b"}
    return Counterexample(
        name="a_stratum_at_zero_keeps_the_sphere_from_the_etf",
        statement="2 x 2 one-hot on the sphere, equal kernels, w = h = 0 on a:b at the start: both stay 0 whatever the "
        "others do, so the features end as a square, not as an ETF.",
        theorem="positive_starts_on_the_sphere_reach_the_largest_margin",
        without="w, h > 0 on the support of a solution of the programme at the start",
        proof=tuple(Identity(f"d{x}/dt", flow.rates[x].xreplace(f).xreplace(zero), sp.S(0)) for x in zero),
    )
