"""The time that n steps of momentum, dampening or Nesterov's rule stand for; exact for a constant gradient."""

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, Induction, Step

STATEMENT = r"""With $b_1 = G$, $b_{k+1} = \beta b_k + (1-\delta) G$ and a constant gradient $G$, $b_k = c_k G$ with $c_k =
\beta^{k-1} + (1-\delta)(1-\beta^{k-1})/(1-\beta)$. Steps $\eta b_k$ move as far in $n$ steps as gradient flow in the time
$\eta \left( \frac{1-\delta}{1-\beta} n + \left(1 - \frac{1-\delta}{1-\beta}\right) \frac{1-\beta^n}{1-\beta} \right)$.
Nesterov's steps $\eta (G + \beta b_k)$ with $\delta = 0$ take $\eta \left( \frac{n}{1-\beta} -
\frac{\beta^2 (1-\beta^n)}{(1-\beta)^2} \right)$: the same speed, a shorter delay. On a mode of rate $\mu$ ($G = -\mu
x$) the heavy ball grows by $\exp(\eta\mu/(1-\beta) - \eta^2\mu^2 (1+\beta)/(2(1-\beta)^3))$ a step, to second order."""

BETA, DELTA, G, S, B = sp.symbols("beta delta G S b", positive=True)
K = sp.Symbol("k", integer=True, nonnegative=True)


def theorem() -> Theorem:
    return Theorem(
        name="effective_time_of_momentum_is_exact_for_constant_gradients",
        statement=STATEMENT,
        hypotheses=("0 <= beta < 1", "a constant gradient"),
        scope="all k and n, by induction; linear modes to second order in the step, without dampening.  Other changing "
        "gradients are tested and not part of this",
        claims=(14,),
        uses=("momentum_is_gradient_flow_in_rescaled_time",),
        proof=(*buffer(), *distance(), *nesterov(), *second_order()),
        mutations={
            "the first step dampened too": buffer(first=(1 - DELTA) * G),
            "speed 1 - delta": distance(speed=1 - DELTA),
            "second order of plain descent": second_order(power=1),
            "Nesterov with the delay of the heavy ball": nesterov(delay=1),
        },
        references=("Polyak 1964", "Sutskever, Martens, Dahl, Hinton 2013"),
    )


def gain(steps_before: sp.Expr) -> sp.Expr:
    """c_k, with k - 1 steps before."""
    return BETA**steps_before + (1 - DELTA) * (1 - BETA**steps_before) / (1 - BETA)


def buffer(first: sp.Expr = G) -> tuple[Step, ...]:
    return (Induction("b_(k+1)", K, 0, first, B, BETA * B + (1 - DELTA) * G, gain(K) * G),)


def distance(speed: sp.Expr = (1 - DELTA) / (1 - BETA)) -> tuple[Step, ...]:
    closed = speed * K + (1 - speed) * (1 - BETA**K) / (1 - BETA)
    return (Induction("the sum of c_1, ..., c_n", K, 0, sp.S(0), S, S + gain(K), closed),)


def nesterov(delay: int = 2) -> tuple[Step, ...]:
    heavy = (1 - BETA ** (K + 1)) / (1 - BETA)
    closed = K / (1 - BETA) - BETA**delay * (1 - BETA**K) / (1 - BETA) ** 2
    return (
        Identity("c_k without dampening", gain(K).subs(DELTA, 0), heavy),
        Induction("the sum of 1 + beta c_k", K, 0, sp.S(0), S, S + 1 + BETA * heavy, closed),
    )


def second_order(power: int = 3) -> tuple[Step, ...]:
    """r = exp(s eta + c eta^2) is a root of r^2 - (1 + beta + eta mu) r + beta up to eta^2."""
    eta, mu = sp.symbols("eta mu", positive=True)
    s, c = mu / (1 - BETA), -(mu**2) * (1 + BETA) / (2 * (1 - BETA) ** power)
    r = sp.exp(s * eta + c * eta**2)
    characteristic = r**2 - (1 + BETA + eta * mu) * r + BETA
    return tuple(Identity(f"order {k}", sp.diff(characteristic, eta, k).subs(eta, 0), sp.S(0)) for k in (0, 1, 2))
