"""Nesting never persists: on a chain whose kernels fall from coarse to fine the ETF solves the max-margin programme."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..steps import NONNEGATIVE, POSITIVE, SIZE, Identity, Interval, Positive, Step

STATEMENT = r"""On a chain of nestings with $N_j = n_1 \cdots n_j$ and $b_1 \le b_2 \le \dots \le b_K$ ($b =
1/\sqrt{\kappa^W\kappa^H}$; every embedding kernel has this order), $\eta(T_j) = b_1 + \sum_{i \le j} N_i (b_{i+1} -
b_i) > 0$ for contexts that agree down to level $j$. So the ETF is optimal for all sizes, depths and strengths of the
kernel: unlike crossed attributes, nested ones leave no permanent trace in the programme."""


def theorem() -> Theorem:
    return Theorem(
        name="nested_chains_with_coarse_first_kernels_always_collapse",
        statement=STATEMENT,
        setting=("a chain of nestings", "the programme of one-hot labels"),
        hypotheses=("kernels that do not increase from coarse to fine",),
        scope="all sizes and kernels; depths 2, 3, 4 from the package's characters, every depth by the recursion",
        claims=(10,),
        uses=("collapse_is_optimal_iff_the_inverse_kernel_has_no_positive_entry", "coarse_strata_have_larger_kernels"),
        proof=(*(step for depth in (2, 3, 4) for step in chain(depth)), *recursion()),
        mutations={
            "N_{i-1} instead of N_i": chain(3, shift=1),
            "kernels of any order": chain(3, increments=Interval(-sp.S(1))),
            "the recursion without m_i = N_i - N_{i-1}": recursion(multiplicity=False),
        },
    )


def chain(depth: int, shift: int = 0, increments: Interval = NONNEGATIVE) -> tuple[Step, ...]:
    attributes = Attributes(" / ".join(f"{'abcd'[i]}[n{i + 1}]" for i in range(depth)))
    n, m = list(attributes.sizes.values()), attributes.multiplicities
    first, steps_up = sp.Symbol("b1", positive=True), sp.symbols(f"d1:{depth}", positive=True)
    b = dict(zip(attributes.names[1:], [first + sum(steps_up[:i]) for i in range(depth)], strict=True))
    domain = dict.fromkeys(n, SIZE) | {first: POSITIVE} | dict.fromkeys(steps_up, increments)
    steps: list[Step] = []
    for j, T in enumerate(attributes.names[:-1]):
        eta = -sum(m[A] * attributes.character(A, T) * b[A] for A in b)
        closed = first + sum(sp.prod(n[: i + 1 - shift]) * steps_up[i] for i in range(j))
        steps.append(Identity(f"depth {depth}: eta({T})", eta, closed))
        steps.append(Positive(f"depth {depth}: eta({T}) > 0", closed, domain))
    return tuple(steps)


def recursion(multiplicity: bool = True) -> tuple[Step, ...]:
    """eta_j = N_j b_{j+1} - sum_{i<=j} (N_i - N_{i-1}) b_i: eta_0 = b_1, eta_j - eta_{j-1} = N_j (b_{j+1} - b_j)."""
    N, before, b, after, rest = sp.symbols("N_j N_i b_j b_k rest", positive=True)
    own = N - before if multiplicity else N
    eta, previous = N * after - own * b - rest, before * b - rest
    return (Identity("eta_j - eta_{j-1}", eta - previous, N * (after - b)),)
