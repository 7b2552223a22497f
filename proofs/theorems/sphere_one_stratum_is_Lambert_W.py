"""Cross-entropy on the sphere, one stratum: z = X/(V-1) - W0(e^(X/(V-1)) / (V-1)) with X linear in time."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Theorem
from ..gallery import at
from ..steps import Identity, Step

STATEMENT = r"""Cross-entropy, one-hot, features held at their norm, one stratum beside the mean: $h$ is constant,
$e^z + (V-1) z = X$ with $X = \kappa^W h^2 V t/m + C$, and $z = \frac{X}{V-1} -
W_0\!\left(\frac{e^{X/(V-1)}}{V-1}\right)$."""


def theorem() -> Theorem:
    return Theorem(
        name="sphere_one_stratum_is_Lambert_W",
        statement=STATEMENT,
        hypotheses=("cross-entropy", "one-hot", "sphere", "no ridge", "one stratum beside a mean that starts at 0"),
        scope="all V >= 2, kernels and norms",
        claims=(7,),
        rests_on=("W0(x) e^W0(x) = x, with one real solution for x > 0",),
        proof=explicit(),
        mutations={
            "h instead of h^2": explicit(power=1),
            "V instead of V - 1": explicit(less=0),
            "the other sign of W0": explicit(sign=1),
        },
    )


def explicit(power: int = 2, less: int = 1, sign: int = -1) -> tuple[Step, ...]:
    kW, kH, h, w, z, X = sp.symbols("kW kH h w z X", positive=True)
    n = sp.Symbol("n", integer=True, positive=True)
    flow = derive_flow(UFM("a[n]", label_kernel=kW, feature_kernel=kH, constraint="sphere"))
    state = {flow.h["1"]: sp.S(0), flow.w["1"]: sp.S(0), flow.w["a"]: w, flow.h["a"]: h}
    dw, dh, dmean = (at(flow, flow.rates[x], state) for x in (flow.w["a"], flow.h["a"], flow.h["1"]))
    slope = sp.diff(sp.exp(z) + (n - less) * z, z).subs(z, w * h)
    # u = W0(e^(X/(V-1)) / (V-1)) is a symbol with u e^u (V-1) = e^(X/(V-1)); Eu and EX name the exponentials.
    u, Eu, EX = sp.symbols("u Eu EX", positive=True)
    return (
        Identity("the norm of the only stratum is constant", dh, sp.S(0)),
        Identity("the mean stays at 0", dmean, sp.S(0)),
        Identity("d/dt (e^z + (V-1) z) = kW h^2 V/m", slope * dw * h, kW * h**power * n / n),
        Identity(
            "e^z + (V-1) z = X at z = X/(V-1) - W0",
            EX / Eu + (n - 1) * (X / (n - 1) + sign * u),
            X,
            where=((u * Eu * (n - 1), EX),),
        ),
    )
