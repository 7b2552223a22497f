"""Capacity, cross-entropy: a bottleneck that holds the coarse stratum of a nesting alone splits its blocks later on."""

from itertools import product

import sympy as sp

from ..checker import Theorem
from ..steps import POSITIVE, Identity, Positive, Step

STATEMENT = r"""One-hot cross-entropy on $n_1$ blocks of $n_2$ labels, width $d = n_1 - 1 \ge 2$, $W = H^\top$ with $Z
= W H = z P_a$: the labels of a block coincide. Write $\rho = z / n_2$ and let $q_a$ be the rows of a frame with $Q
Q^\top = I - J/n_1$. Split block $a$ along a unit vector $e \perp q_a$: $W_i = \sqrt\rho\, q_{a(i)} + \epsilon s_i e$,
the same for $H$, with $s$ in block $a$, $\sum s_i = 0$. Then, with ridge $\lambda$ on both, the first variation is 0
and the second is $\frac{2}{m} \sum s_i^2 \left(m\lambda - 1 + \frac{\rho}{e^\rho + n_1 - 1}\right)$, which is
negative for $m \lambda \le 1/2$, since $e^\rho + 2 > 2\rho$. So the coarse geometry is a strict saddle within its own
width, at a rate of the order of emergence, not of the ridge."""


def theorem() -> Theorem:
    return Theorem(
        name="coarse_strata_alone_are_saddles_of_cross_entropy",
        statement=STATEMENT,
        setting=("cross-entropy", "a nesting in blocks, whose coarse stratum alone fills the width"),
        hypotheses=("one-hot", "three blocks or more", "a ridge of at most 1/(2 m)"),
        open_hypotheses=("three blocks or more",),
        scope="n1 = 3 with n2 = 2, 3, 4, n1 = 4 with n2 = 2 and 3; any split s of a block, any z > 0; the sign: all n1",
        claims=(11,),
        rests_on=(
            "exp(x) >= 1 + x + x^2 / 2 for x > 0",
            "a gradient flow leaves a strict saddle from almost every start near it (centre-stable manifold)",
        ),
        proof=(
            *(step for n1, n2 in ((3, 2), (3, 3), (3, 4), (4, 2), (4, 3)) for step in split(n1, n2)),
            *sign(),
        ),
        mutations={
            "the softmax's variance left out": split(3, 2, variance=False),
            "along q_a": split(3, 2, along=True),
            "a split that moves the block's centre": split(3, 2, centred=False),
            "negative for m lambda up to 1": sign(bound=sp.S(1)),
        },
    )


def split(n1: int, n2: int, variance: bool = True, along: bool = False, centred: bool = True) -> tuple[Step, ...]:
    """The loss with ridge of W(epsilon), H(epsilon), differentiated twice; the block that splits is the last."""
    rho, lam, epsilon = sp.symbols("rho lambda epsilon", positive=True)
    labels = list(product(range(n1), range(n2)))
    m = len(labels)
    free = sp.symbols(f"s1:{n2}", real=True)
    s = dict.fromkeys(labels, sp.S(0))
    s |= dict(zip([(n1 - 1, i) for i in range(n2)], (*free, -sum(free) if centred else sp.S(0)), strict=True))
    q = frame(n1)
    e = sp.zeros(n1 - 1, 1)
    e[-1 if along else 0] = 1  # the last row of the frame is along the last axis
    rows = {i: (sp.sqrt(rho) * q[i[0]], s[i] * e) for i in labels}
    square = sum(x**2 for x in s.values())

    first = second = sp.S(0)
    for j in labels:
        D = {i: rows[i][0].dot(rows[j][1]) + rows[i][1].dot(rows[j][0]) for i in labels}
        weight = {i: sp.exp(rho * (int(i[0] == j[0]) - sp.Rational(1, n1))) for i in labels}
        total = n2 * sp.exp(-rho / n1) * (sp.exp(rho) + n1 - 1)
        mean = sum(weight[i] * D[i] for i in labels) / total
        bend = {i: 2 * rows[i][1].dot(rows[j][1]) for i in labels}
        first += mean - D[j]
        second += sum(weight[i] * (bend[i] + D[i] ** 2) for i in labels) / total - mean**2 - bend[j]
    ridge = sum(lam * (rows[i][0] + epsilon * rows[i][1]).dot(rows[i][0] + epsilon * rows[i][1]) for i in labels)
    pull = rho / (sp.exp(rho) + n1 - 1) if variance else sp.S(0)
    at_zero = first / m + sp.diff(ridge, epsilon).subs(epsilon, 0)
    bent = second / m + sp.diff(ridge, epsilon, 2)
    claimed = 2 * square / m * (m * lam - 1 + pull)
    return (
        Identity(f"{n1} / {n2}: first variation", at_zero, sp.S(0)),
        Identity(f"{n1} / {n2}: second variation", bent, claimed),
    )


def frame(n: int) -> list[sp.Matrix]:
    """Rows q of an n x (n - 1) frame with Q Q' = I - J/n (Helmert), the last along the last axis."""
    return [
        sp.Matrix(
            [
                1 / sp.sqrt(k * (k + 1)) if b < k else -sp.sqrt(sp.Rational(k, k + 1)) if b == k else 0
                for k in range(1, n)
            ]
        )
        for b in range(n)
    ]


def sign(bound: sp.Expr = sp.Rational(1, 2)) -> tuple[Step, ...]:
    """rho / (e^rho + n1 - 1) < 1 - bound with e^rho >= 1 + rho + rho^2 / 2 and n1 >= 3."""
    rho = sp.Symbol("rho", positive=True)
    least = 1 + rho + rho**2 / 2 + 2
    return (Positive("1 - bound - rho / (e^rho + 2)", (1 - bound) * least - rho, {rho: POSITIVE}),)
