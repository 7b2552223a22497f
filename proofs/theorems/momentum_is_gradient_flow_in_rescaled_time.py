"""Heavy-ball momentum beta multiplies time by 1 / (1 - beta) and leaves the order of emergence alone."""

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, Induction, Step

STATEMENT = r"""$v_{k+1} = \beta v_k + G$, $x_{k+1} = x_k - \eta v_{k+1}$ with a gradient that is constant over the
memory $1/(1-\beta)$: $v_k = G (1 - \beta^k)/(1 - \beta)$ from $v_0 = 0$, so steps become $\eta G/(1 - \beta)$:
gradient flow with time multiplied by $1/(1 - \beta)$. On a mode that grows at the rate $\mu$ of the flow ($G = -\mu
x$) the two-term recursion has the growing root $1 + \eta\mu/(1 - \beta)$ to first order in $\eta$: all strata are
sped up by the same factor."""


def theorem() -> Theorem:
    return Theorem(
        name="momentum_is_gradient_flow_in_rescaled_time",
        statement=STATEMENT,
        setting=("gradients constant over the memory, or a linear mode",),
        hypotheses=("0 <= beta < 1", "small steps"),
        scope="constant gradients: all k by induction; linear modes: first order in the step",
        claims=(14,),
        proof=(*constant_gradient(), *linear_mode()),
        mutations={
            "time multiplied by 1 / (1 + beta)": constant_gradient(sign=1),
            "no rescaling": linear_mode(rescaled=False),
            "the power k + 1": constant_gradient(ahead=1),
        },
        references=("Polyak, Some methods of speeding up the convergence of iteration methods, 1964",),
    )


def constant_gradient(sign: int = -1, ahead: int = 0) -> tuple[Step, ...]:
    k = sp.Symbol("k", integer=True, nonnegative=True)
    beta, G, v = sp.symbols("beta G v", positive=True)
    closed = G * (1 - beta ** (k + ahead)) / (1 + sign * beta)
    return (Induction("v_k for all k", k, 0, sp.S(0), v, beta * v + G, closed),)


def linear_mode(rescaled: bool = True) -> tuple[Step, ...]:
    """x_{k+1} - x_k = beta (x_k - x_{k-1}) + eta mu x_k has the characteristic r^2 - (1 + beta + eta mu) r + beta."""
    beta, mu, eta, slope = sp.symbols("beta mu eta s", positive=True)
    root = 1 + slope * eta
    characteristic = root**2 - (1 + beta + eta * mu) * root + beta
    speed = mu / (1 - beta) if rescaled else mu
    return (
        Identity("r = 1 at eta = 0", characteristic.subs(eta, 0), sp.S(0)),
        Identity("first order in eta", sp.diff(characteristic, eta).subs(eta, 0).subs(slope, speed), sp.S(0)),
    )
