"""The cheapest factors of z = w h cost |z| / sqrt(kW kH): where the max-margin programme's cost comes from."""

import sympy as sp

from ..checker import Theorem
from ..steps import POSITIVE, Identity, Step, SumOfSquares

STATEMENT = r"""For $z = w h$, $\frac12 (w^2/\kappa^W + h^2/\kappa^H) \ge |z|/\sqrt{\kappa^W \kappa^H}$, with equality
exactly for balanced factors $w^2/\kappa^W = h^2/\kappa^H$ (of equal sign for $z > 0$). So the least weighted norm at
given singular values is the linear cost $\sum_A m_A |z_A| / \sqrt{\kappa^W_A \kappa^H_A}$."""


def theorem() -> Theorem:
    return Theorem(
        name="balanced_factors_cost_z_over_sqrt_kW_kH",
        statement=STATEMENT,
        setting=("positive kernels, as the cost divides by them",),
        hypotheses=(),
        scope="every stratum of every structure; that gradient flow tends to the direction of least cost is not "
        "part of it",
        claims=(10,),
        proof=cost(),
        mutations={"without the factor 1/2": cost(half=sp.S(1)), "sqrt(kW / kH)": cost(inverted=True)},
        references=("Srebro, Rennie, Jaakkola, Maximum-margin matrix factorization, 2005 (equal kernels)",),
    )


def cost(half: sp.Rational = sp.Rational(1, 2), inverted: bool = False) -> tuple[Step, ...]:
    w, h = sp.symbols("w h", real=True)
    a, b = sp.symbols("a b", positive=True)  # kW = a^2, kH = b^2
    root = a / b if inverted else a * b
    norm = half * (w**2 / a**2 + h**2 / b**2)
    domain = {a: POSITIVE, b: POSITIVE}
    steps: list[Step] = [
        SumOfSquares(
            f"norm {'-' if sign > 0 else '+'} z / sqrt(kW kH)",
            norm - sign * w * h / root,
            ((sp.Rational(1, 2), w / a - sign * h / b),),
            domain,
        )
        for sign in (1, -1)
    ]
    q = sp.Symbol("q", positive=True)
    return (*steps, Identity("equality when balanced", norm.subs({w: a * q, h: b * q}), a * b * q**2 / root))
