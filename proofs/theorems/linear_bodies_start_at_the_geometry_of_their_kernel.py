"""Networks with linear bodies: the expected Gram of the initial features is proportional to the expected kernel."""

from itertools import pairwise, product

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, Step

STATEMENT = r"""Features $f_j = U_L \cdots U_1 \phi_j$ with independent entries of mean 0 and variance $s^2$, $U_l$ of
size $n_l \times n_{l-1}$, all trained; $\Theta_{ij} = \frac{1}{n_L} \sum_c \langle \partial f_{jc}, \partial f_{ic}
\rangle$. Then $E[F^\top F] = s^{2L} n_1 \cdots n_L\, \Phi^\top \Phi$ and $E[\Theta] = L\, s^{2(L-1)} n_1 \cdots
n_{L-1}\, \Phi^\top \Phi$: both are $\Phi^\top \Phi$ up to a factor, so the strata's energies in the expected Gram are
in the ratios of the expected kernel's eigenvalues: shares start at the kernel's geometry."""


def theorem() -> Theorem:
    return Theorem(
        name="linear_bodies_start_at_the_geometry_of_their_kernel",
        statement=STATEMENT,
        hypotheses=("the body is linear", "independent entries of mean 0 and equal variance", "every layer is trained"),
        scope="exactly, with symbolic inputs of two contexts: one layer 3 x 2 and 2 x 3, two layers of widths 2, 3, 2 "
        "and 2, 2, 3, three layers of width 2.  Expected matrices, not expected shares: these agree as widths grow",
        claims=(13,),
        rests_on=("expectations of products of independent factors multiply, so second moments decide for all sizes",),
        proof=(*(step for widths in ((2, 3), (3, 2), (2, 3, 2), (2, 2, 3), (2, 2, 2, 2)) for step in moments(widths)),),
        mutations={
            "the kernel of one layer alone": moments((2, 3, 2), layers=1),
            "the kernel without the factor of the widths": moments((2, 3, 2), widths_count=False),
            "entries with a mean": moments((2, 2), mean=sp.Symbol("mu", positive=True)),
        },
        references=("Jacot et al. 2018", "Saxe et al. 2014"),
    )


def moments(
    widths: tuple[int, ...], layers: int | None = None, widths_count: bool = True, mean: sp.Expr = sp.S(0)
) -> tuple[Step, ...]:
    """E[F'F] and E[Theta], by differentiating the network and taking moments entry by entry."""
    s = sp.Symbol("s", positive=True)
    depth = len(widths) - 1
    U = [
        sp.Matrix(rows, columns, lambda i, j, layer=layer: sp.Symbol(f"u{layer}_{i}{j}", real=True))
        for layer, (columns, rows) in enumerate(pairwise(widths))
    ]
    Phi = sp.Matrix(widths[0], 2, lambda i, j: sp.Symbol(f"phi{i}{j}", real=True))
    F = Phi
    for matrix in U:
        F = matrix * F
    entries = [x for matrix in U for x in matrix]
    gram, shape = F.T * F, Phi.T * Phi
    scale = s ** (2 * depth) * sp.prod(widths[1:])
    slope = s ** (2 * (depth - 1)) * (sp.prod(widths[1:-1]) if widths_count else 1) * (layers or depth)
    where = " x ".join(map(str, reversed(widths)))
    steps: list[Step] = []
    for i, j in ((0, 0), (0, 1)):
        kernel = sum(
            sp.diff(F[c, i], x) * sp.diff(F[c, j], x) for c, x in product(range(widths[-1]), entries)
        ) / sp.Integer(widths[-1])
        steps.append(Identity(f"{where}: E[F'F] {i}{j}", expected(gram[i, j], entries, s, mean), scale * shape[i, j]))
        steps.append(Identity(f"{where}: E[Theta] {i}{j}", expected(kernel, entries, s, mean), slope * shape[i, j]))
    return tuple(steps)


def expected(expression: sp.Expr, entries: list[sp.Symbol], s: sp.Expr, mean: sp.Expr) -> sp.Expr:
    """Every entry occurs at most squared: u has mean `mean`, u^2 the second moment s^2 + mean^2."""
    moment = {0: sp.S(1), 1: mean, 2: s**2 + mean**2}
    polynomial = sp.Poly(sp.expand(expression), *entries)
    return sp.Add(*(factor * sp.prod(moment[power] for power in powers) for powers, factor in polynomial.terms()))
