"""With the norm of H held, the least norm of W at given z costs |z| / sqrt(kW): kH drops out, and unequal kW stay."""

from itertools import combinations

import sympy as sp

from ...theory.limits import limit
from ...theory.model import UFM
from ..checker import Theorem
from ..steps import POSITIVE, Identity, Step, SumOfSquares

STATEMENT = r"""For $z_A = w_A h_A \ge 0$ and $\sum_A m_A h_A^2 = N$ held, $\sum_A m_A w_A^2/\kappa^W_A \ge
\left(\sum_A m_A z_A/\sqrt{\kappa^W_A}\right)^2 / N$, with equality exactly where $h_A^2$ is proportional to
$z_A/\sqrt{\kappa^W_A}$. So on the sphere, and under normalisation, the least norm of $W$ with all margins $\ge 1$ is
that of the max-margin programme with $b_A = 1/\sqrt{\kappa^W_A}$: $\kappa^H$ does not enter, equal $\kappa^W$ give
features in an ETF, and where the ETF solves the programme for unequal $\kappa^W$ the features have $h_A^2 \propto
1/\sqrt{\kappa^W_A}$, which is no ETF."""


def theorem() -> Theorem:
    return Theorem(
        name="held_norms_cost_z_over_sqrt_kW",
        statement=STATEMENT,
        setting=("sphere or normalized: sum m_A h_A^2 held", "positive label kernel, as the cost divides by it"),
        hypotheses=("no ridge on W",),
        open_hypotheses=("no ridge on W",),
        scope="up to 7 strata (K <= 3) by explicit squares, every number alike; theory/'s limit for 2 x 3 crossed.  "
        "That the flow tends to the least norm is not part of it",
        claims=(10, 13),
        rests_on=("Cauchy-Schwarz has equality only for proportional vectors",),
        uses=("balanced_factors_cost_z_over_sqrt_kW_kH",),
        proof=(*(step for count in (1, 2, 3, 7) for step in least(count)), *stated()),
        mutations={
            "h^2 in proportion to z": equality(power=0),
            "without multiplicities": least(2, weighted=False),
            "an ETF whatever the label kernel": stated(etf=True),
        },
        references=("Lyu and Li 2020 (homogeneous models and margins)",),
    )


def symbols(count: int) -> tuple:
    return tuple(sp.symbols(f"{x}1:{count + 1}", positive=True) for x in "mzhs")


def least(count: int, weighted: bool = True) -> tuple[Step, ...]:
    """kW = s^2 and w = z / h: the gap times N is a sum of squares (Lagrange's identity)."""
    m, z, h, s = symbols(count)
    norm = sum(a * (x / (k * y)) ** 2 for a, x, y, k in zip(m, z, h, s))
    held = sum(a * y**2 for a, y in zip(m, h))
    cost = sum(a * x / k for a, x, k in zip(m, z, s))
    squares = tuple(
        (m[i] * m[j] if weighted else sp.S(1), z[i] * h[j] / (s[i] * h[i]) - z[j] * h[i] / (s[j] * h[j]))
        for i, j in combinations(range(count), 2)
    )
    domain = dict.fromkeys((*m, *z, *h, *s), POSITIVE)
    inequality = SumOfSquares(f"{count} strata", norm * held - cost**2, squares, domain)
    return (inequality, *equality(count)) if weighted else (inequality,)


def equality(count: int = 2, power: int = 1) -> tuple[Step, ...]:
    m, z, _, s = symbols(count)
    c = sp.Symbol("c", positive=True)
    square = [c * x / k**power for x, k in zip(z, s)]
    norm = sum(a * x**2 / (k**2 * y) for a, x, k, y in zip(m, z, s, square))
    held = sum(a * y for a, y in zip(m, square))
    return (Identity("equality", norm * held, sum(a * x / k for a, x, k in zip(m, z, s)) ** 2),)


def stated(etf: bool = False) -> tuple[Step, ...]:
    """kW = 4, 9/4, 1 on 2 x 3 crossed, where the ETF solves the programme: h^2 sqrt(kW) is the same on all strata."""
    kernel = {"a": sp.S(4), "b": sp.Rational(9, 4), "a:b": sp.S(1)}
    found = limit(
        UFM("a[2] * b[3]", constraint="sphere", label_kernel=kernel, feature_kernel={"a": 3, "b": 2, "a:b": 1})
    )
    R = sp.Symbol("R", positive=True)
    weight = {A: sp.S(1) if etf else sp.sqrt(k) for A, k in kernel.items()}
    level = found["a"][1] ** 2 * weight["a"]
    steps: list[Step] = [Identity(f"h^2 sqrt(kW) on {A}", found[A][1] ** 2 * weight[A], level) for A in ("b", "a:b")]
    m = {"a": 1, "b": 2, "a:b": 2}
    return (*steps, Identity("the norm", sum(n * found[A][1] ** 2 for A, n in m.items()), 6 * R**2))
