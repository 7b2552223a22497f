"""Adam's corrected averages of a constant gradient are the gradient and its square, whatever the memories: a sign step."""

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, Induction, Step

STATEMENT = r"""$m_k = \beta_1 m_{k-1} + (1-\beta_1) g$, $v_k = \beta_2 v_{k-1} + (1-\beta_2) g^2$ from 0, with a constant
gradient entry $g \neq 0$: $m_k = (1-\beta_1^k) g$, $v_k = (1-\beta_2^k) g^2$. So the corrected step $\hat m_k/\sqrt{\hat
v_k}$ is $g/|g|$ at each $k$: as long as gradients keep their values, Adam takes sign steps, however long its memory is,
and not steps normalised for the whole matrix. A second moment that is frozen at its first value $g_0^2$ makes $g/|g_0|$
of a later gradient."""

K = sp.Symbol("k", integer=True, nonnegative=True)
G, B1, B2, M = sp.symbols("g beta1 beta2 M", positive=True)


def theorem() -> Theorem:
    return Theorem(
        name="adam_takes_sign_steps_while_the_gradient_is_constant",
        statement=STATEMENT,
        hypotheses=("a constant gradient", "memories in [0, 1)", "no epsilon"),
        scope="all k, by induction; an entry of either sign (|g| = g for the symbol, and both sides are odd in g)",
        claims=(14,),
        proof=(*averages(), *step()),
        mutations={
            "the second moment without its square": averages(power=1),
            "no correction for the start": step(corrected=False),
            "the gradient itself": step(size=G),
        },
        references=("Kingma, Ba, Adam, 2015",),
    )


def averages(power: int = 2) -> tuple[Step, ...]:
    return (
        Induction("m_k", K, 0, sp.S(0), M, B1 * M + (1 - B1) * G, (1 - B1**K) * G),
        Induction("v_k", K, 0, sp.S(0), M, B2 * M + (1 - B2) * G**2, (1 - B2**K) * G**power),
    )


def step(corrected: bool = True, size: sp.Expr = sp.S(1)) -> tuple[Step, ...]:
    p, q = sp.symbols("p q", positive=True)  # 1 - beta1^k and 1 - beta2^k
    mean, square = p * G, q * G**2
    found = (mean / p) ** 2 / (square / q) if corrected else mean**2 / square
    return (Identity("the squared step", found, size**2),)
