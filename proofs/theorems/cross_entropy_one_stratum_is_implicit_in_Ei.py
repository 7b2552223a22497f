"""Cross-entropy on the ETF ray, balanced, free: t = (m / 2 V k) [Ei(z) - Ei(z0) + (V - 1) ln(z / z0)]."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Theorem
from ..gallery import at
from ..steps import POSITIVE, SIZE, Identity, Positive, Step

STATEMENT = r"""Cross-entropy, one-hot, free, no ridge, balanced start, one stratum beside the mean (or all strata
alike): with $k = \sqrt{\kappa^W \kappa^H}$, $\dot z = 2 k z V/(m (e^z + V - 1))$, and $t = \frac{m}{2 V k} \left[
\mathrm{Ei}(z) - \mathrm{Ei}(z_0) + (V - 1) \ln (z/z_0) \right]$, which increases in $z > 0$."""


def theorem() -> Theorem:
    return Theorem(
        name="cross_entropy_one_stratum_is_implicit_in_Ei",
        statement=STATEMENT,
        hypotheses=("cross-entropy", "one-hot", "free", "no ridge", "balanced positive start", "all strata alike"),
        scope="all V >= 2 and kernels",
        claims=(7,),
        rests_on=("d Ei(z)/dz = e^z / z", "the inverse of an increasing function"),
        uses=("one_hot_equal_kernels_has_no_transient",),
        proof=implicit(),
        mutations={
            "without the factor 2": implicit(two=1),
            "V instead of V - 1 before the logarithm": implicit(less=0),
            "Ei(-z)": implicit(sign=-1),
        },
    )


def implicit(two: int = 2, less: int = 1, sign: int = 1) -> tuple[Step, ...]:
    a, b, q, z, z0, m = sp.symbols("a b q z z0 m", positive=True)  # kW = a^2, kH = b^2, w = a q, h = b q
    n = sp.Symbol("n", integer=True, positive=True)
    flow = derive_flow(UFM("a[n]", label_kernel=a**2, feature_kernel=b**2))
    balanced = {flow.w["a"]: a * q, flow.h["a"]: b * q}
    dw, dh = (at(flow, flow.rates[x], balanced) for x in (flow.w["a"], flow.h["a"]))
    level = a * b * q**2
    rate = two * a * b * level * n / (n * (sp.exp(level) + n - 1))  # m = V = n here
    time = m / (two * n * a * b) * (sp.Ei(sign * z) - sp.Ei(sign * z0) + (n - less) * sp.log(z / z0))
    dz = 2 * a * b * z * n / (m * (sp.exp(z) + n - 1))
    E = sp.Symbol("E", positive=True)
    return (
        Identity("the balance is kept", dw / a, dh / b),
        Identity("dz/dt of the derived flow", dw * b * q + dh * a * q, rate),
        Identity("dt/dz is its inverse", sp.diff(time, z), 1 / dz),
        Identity("t = 0 at z = z0", time.subs(z, z0), sp.S(0)),
        Positive("t increases with z (E = e^z)", (E + n - 1) / z, {E: POSITIVE, z: POSITIVE, n: SIZE}),
    )
