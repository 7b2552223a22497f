"""The depth law: in a balanced product of L layers the kernel grows as (phi / phi0)^(2 - 2/L), and balance is kept."""

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, MatrixIdentity, Step, derivative

STATEMENT = r"""On a mode, features $\phi = u_1 u_2 \cdots u_L$ with every $u_l$ trained: the kernel is $\kappa =
\sum_l (\partial\phi/\partial u_l)^2 = \phi^2 \sum_l u_l^{-2}$. The flow keeps $u_l^2 - u_k^2$. For equal $u_l$,
$\kappa = L \phi^{2 - 2/L}$, so $\kappa/\kappa_0 = (\phi/\phi_0)^{2 - 2/L}$. For unequal layers $u_l^2 = y + c_l$ with
constants $c_l$ and one variable $y$, $\kappa = \phi^2 \sum_l 1/(y + c_l)$, $\phi^2 = \prod_l (y + c_l)$, and $\kappa
= d(\phi^2)/dy$."""


def theorem() -> Theorem:
    return Theorem(
        name="balanced_depth_grows_the_kernel_as_phi_to_the_2_minus_2_over_L",
        statement=STATEMENT,
        setting=("a product of L scalars on each mode, all trained",),
        hypotheses=("balanced layers, for the power law",),
        scope="balanced: all L; unbalanced: L = 2, 3, 4; matrices of two neighbouring layers: all sizes",
        claims=(8,),
        proof=(*power_law(), *(step for L in (2, 3, 4) for step in unbalanced(L)), *neighbours()),
        mutations={
            "the exponent 2 - 1/L": power_law(loss=1),
            "the exponent 2": power_law(loss=0),
            "kernel without the sum over layers": unbalanced(3, layers=2),
            "neighbours with a sum": neighbours(sign=1),
        },
        references=("Arora, Cohen, Hazan 2018",),
    )


def power_law(loss: int = 2) -> tuple[Step, ...]:
    """u = phi^(1/L) on each layer; with e^l = u no root is needed: phi = e^(L l)."""
    L, log_u, log_start = sp.symbols("L l l0", positive=True)
    phi, phi0 = sp.exp(L * log_u), sp.exp(L * log_start)
    kernel, kernel0 = (L * f**2 * sp.exp(-2 * u) for f, u in ((phi, log_u), (phi0, log_start)))
    ratio = sp.exp((2 * L - loss) * (log_u - log_start))  # (phi / phi0)^(2 - loss / L)
    return (Identity("kernel / kernel0 = (phi / phi0)^(2 - 2/L)", kernel / kernel0, ratio),)


def unbalanced(L: int, layers: int | None = None) -> tuple[Step, ...]:
    u, c = sp.symbols(f"u1:{L + 1}", positive=True), sp.symbols(f"c1:{L + 1}", positive=True)
    y, pull = sp.symbols("y p", positive=True)
    phi = sp.prod(u)
    kernel = sum(sp.diff(phi, x) ** 2 for x in u[:layers])
    square = sp.prod([y + x for x in c])
    rate = {x: pull * sp.diff(phi, x) for x in u}  # any pull on phi
    steps: list[Step] = [
        Identity(f"L = {L}: u_{i + 1}^2 - u_1^2 is kept", 2 * u[i] * rate[u[i]] - 2 * u[0] * rate[u[0]], sp.S(0))
        for i in range(1, L)
    ]
    levels = {x**2: y + k for x, k in zip(u, c)}
    steps.append(Identity(f"L = {L}: kernel = d(phi^2)/dy", kernel, sp.diff(square, y), tuple(levels.items())))
    return tuple(steps)


def neighbours(sign: int = -1) -> tuple[Step, ...]:
    """A' = M B', B' = A' M for neighbours A (left) and B (right) in a product A B, M the pull: A'A - B B' is kept."""
    A, At, B, Bt, M, Mt = sp.symbols("A A' B B' M M'", commutative=False)
    rates = {A: M * Bt, At: B * Mt, B: At * M, Bt: Mt * A}
    return (MatrixIdentity("A'A - BB' is constant", derivative(At * A + sign * B * Bt, rates), sp.S(0)),)
