"""Capacity, cross-entropy: in a bottleneck that holds the main effects alone, twisting them against each other lowers
the loss at fixed norms, so the attribute geometry is a strict saddle and not permanent."""

from itertools import product

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, Step

STATEMENT = r"""One-hot cross-entropy on crossed attributes, $W = H^\top$ of width $d = \sum_k (n_k - 1)$ with $Z = W
H = \sum_k z_k P_k$: main effects alone, filling the width. Write the part of attribute $b$ in a row of $W$ as
$\sqrt\rho\, q_b$ with $Q Q^\top = I - J/n_b$, $\rho = z_b n_b / V$, and turn it by $e^{\theta_a \Omega}$,
$\Omega^\top = -\Omega$, in the rows of $W$ and columns of $H$ with level $a$ of another attribute. All norms stay,
and with them ridge and sphere; $L'(0) = 0$ and, with $\alpha = z_a n_a / V$, $$L''(0) =
-\frac{\rho\,|\Omega|^2\,(e^\rho - 1 - \rho) \sum_{a, a'} (\theta_a - \theta_{a'})^2}{n_a n_b\,(e^\alpha + n_a -
1)(e^\rho + n_b - 1)} < 0$$ when $n_b \ge 3$ and $z_b > 0$. Pairs $b, c$ with $z_b = z_c$ turn in their plane, by
$\pm\theta$ as $a = \pm$: there $L''(0) = -2 \rho\,(\sinh\rho - \rho) / (\cosh^2(\rho/2)\,(e^\alpha + 1)) < 0$. So the
truncated fixed point is a strict saddle of the loss within its own width, with any ridge, and the attribute geometry
is not permanent."""


def theorem() -> Theorem:
    return Theorem(
        name="crossed_main_effects_alone_are_saddles_of_cross_entropy",
        statement=STATEMENT,
        setting=("cross-entropy", "crossed attributes of which main effects alone are kept, and fill the width"),
        hypotheses=("one-hot", "an attribute of size 3 or more beside another, or three pairs with equal z"),
        scope="the sum over levels: n_b = 3, 4, 5, any antisymmetric Omega (its form in n_b is the same for all); the "
        "loss itself: 2 x 3, 3 x 3, 2 x 4, 2 x 2 x 3, with all z_k symbolic, and 2 x 2 x 2.  The square 2 x 2 is not "
        "covered (it has no such twist)",
        claims=(11,),
        rests_on=(
            "exp(x) > 1 + x and sinh(x) > x for x > 0",
            "a gradient flow leaves a strict saddle from almost every start near it (centre-stable manifold)",
        ),
        proof=(
            *(step for n in (3, 4, 5) for step in levels(n)),
            *loss_of_twist((2, 3), (0, 1)),
            *loss_of_twist((3, 3), (1, -2, 1)),
            *loss_of_twist((2, 4), (0, 1)),
            *loss_of_twist((2, 3, 2), (0, 1)),
            *cube(),
        ),
        mutations={
            "the loss rises": loss_of_twist((2, 3), (0, 1), sign=-1),
            "exp(rho) - 1 for exp(rho) - 1 - rho": levels(3, linear=False),
            "turning all alike": loss_of_twist((2, 3), (1, 1), claimed=(0, 1)),
            "a cube without twist energy": cube(angle=1),
        },
        references=("Jiang et al. 2024 (softmax codes: generalised neural collapse below full width)",),
    )


def levels(n: int, linear: bool = True) -> tuple[Step, ...]:
    """Sum over b, b' of the second derivative of exp(rho <q_b, exp(theta Omega) q_b'>); A = Q Omega Q'."""
    rho = sp.Symbol("rho", positive=True)
    free = {(i, j): sp.Symbol(f"x{i}{j}") for i in range(n - 1) for j in range(i)}
    A = sp.zeros(n, n)  # antisymmetric with zero sums: bordered by what makes the sums zero
    for (i, j), x in free.items():
        A[i, j], A[j, i] = x, -x
    for i in range(n - 1):
        A[i, n - 1] = -sum(A[i, j] for j in range(n - 1))
        A[n - 1, i] = -A[i, n - 1]
    square = A * A  # = Q Omega^2 Q', because A P = A
    weight = sp.Matrix(n, n, lambda i, j: sp.exp(rho * (int(i == j) - sp.Rational(1, n))))
    slopes = [sum(weight[i, j] * rho * A[i, j] for j in range(n)) for i in range(n)]
    second = sum(weight[i, j] * (rho**2 * A[i, j] ** 2 + rho * square[i, j]) for i, j in product(range(n), repeat=2))
    size = sum(entry**2 for entry in A)
    claimed = -rho * sp.exp(-rho / n) * size * (sp.exp(rho) - 1 - (rho if linear else 0))
    return (
        *(Identity(f"n = {n}: no slope at level {i}", slope, sp.S(0)) for i, slope in enumerate(slopes)),
        Identity(f"n = {n}: the second derivative", second, claimed),
    )


def simplex(n: int) -> list[sp.Matrix]:
    """Rows q of an n x (n - 1) frame with Q Q' = I - J/n (Helmert)."""
    rows = [
        [1 / sp.sqrt(k * (k + 1)) if b < k else -sp.sqrt(sp.Rational(k, k + 1)) if b == k else 0 for k in range(1, n)]
        for b in range(n)
    ]
    return [sp.Matrix(row) for row in rows]


def loss_of_twist(
    sizes: tuple[int, ...], turns: tuple[int, ...], sign: int = 1, claimed: tuple[int, ...] = ()
) -> tuple[Step, ...]:
    """The mean cross-entropy of Z(theta), differentiated; attribute 1 turns in its first plane by turns[level of 0]."""
    theta = sp.Symbol("theta", real=True)
    z = sp.symbols(f"z1:{len(sizes) + 1}", positive=True)
    frames = [simplex(n) for n in sizes]
    V = sp.prod(sizes)
    contexts = list(product(*map(range, sizes)))
    strength = [x * n / V for x, n in zip(z, sizes)]

    def logit(i: tuple[int, ...], j: tuple[int, ...]) -> sp.Expr:
        angle = theta * (turns[j[0]] - turns[i[0]])
        turn = sp.eye(sizes[1] - 1)
        turn[:2, :2] = sp.Matrix([[sp.cos(angle), -sp.sin(angle)], [sp.sin(angle), sp.cos(angle)]])
        parts = [frame[p].dot(frame[q]) for frame, p, q in zip(frames, i, j)]
        parts[1] = (frames[1][i[1]].T * turn * frames[1][j[1]])[0]
        return sum(s * part for s, part in zip(strength, parts))

    first = second = sp.S(0)
    for j in contexts:
        # ln sum_i exp(Z_ij) - Z_jj: mean of D' and, with weights p, of D'' + D'^2, less the square of the mean.
        Z = [logit(i, j) for i in contexts]
        weights = [sp.exp(x.subs(theta, 0)) for x in Z]
        total = _merged(weights)
        slope = [sp.diff(x, theta).subs(theta, 0) for x in Z]
        bend = [sp.diff(x, theta, 2).subs(theta, 0) for x in Z]
        mean = sum(p * s for p, s in zip(weights, slope)) / total
        own = contexts.index(j)
        first += mean - slope[own]
        second += sum(p * (b + s**2) for p, s, b in zip(weights, slope, bend)) / total - mean**2 - bend[own]
    alpha, rho = strength[0], strength[1]
    spread = sum((p - q) ** 2 for p in claimed or turns for q in claimed or turns)
    nominator = -sign * rho * 2 * (sp.exp(rho) - 1 - rho) * spread
    denominator = sizes[0] * sizes[1] * (sp.exp(alpha) + sizes[0] - 1) * (sp.exp(rho) + sizes[1] - 1)
    where = " x ".join(map(str, sizes))
    return (
        Identity(f"{where}: L'(0) = 0", first, sp.S(0)),
        Identity(f"{where}: L''(0)", second / V, nominator / denominator),
    )


def _merged(terms: list[sp.Expr]) -> sp.Expr:
    """The sum with equal exponents collected, so that one denominator serves all contexts."""
    return sp.Add(*(sp.exp(sp.expand(term.args[0])) for term in terms))


def cube(angle: int = 2) -> tuple[Step, ...]:
    """Three pairs: the plane of b and c turns by +theta or -theta with a; `angle` is the difference of the turns."""
    rho, alpha, theta = sp.symbols("rho alpha theta", positive=True)
    signs = (1, -1)
    turned = sp.cos(angle * theta), sp.sin(angle * theta)
    across = sum(sp.exp(rho / 2 * (turned[0] * (x + y) + turned[1] * (x - y))) for x, y in product(signs, repeat=2))
    same = sum(sp.exp(rho / 2 * (x + y)) for x, y in product(signs, repeat=2))
    loss = sp.log(sp.exp(alpha / 2) * same + sp.exp(-alpha / 2) * across)
    second = sp.diff(loss, theta, 2).subs(theta, 0)
    sinh = (sp.exp(rho) - sp.exp(-rho)) / 2
    cosh = (sp.exp(rho / 2) + sp.exp(-rho / 2)) / 2
    claimed = -8 * rho * (sinh - rho) / (4 * cosh**2 * (sp.exp(alpha) + 1))
    return (
        Identity("2 x 2 x 2: L'(0) = 0", sp.diff(loss, theta).subs(theta, 0), sp.S(0)),
        Identity("2 x 2 x 2: L''(0)", second, claimed),
    )
