"""Labels that tell the block alone: splitting a block raises the loss, with any ridge."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Counterexample
from ..steps import Cases, Enclosure
from ._instances import second_variation


def counterexample() -> Counterexample:
    """Three blocks of two, targets 1 on a and 0 on a:b, rho = 1, m lam = 1/4."""
    targets = Attributes("a[3] / b[2]").projector("a") + sp.ones(6, 6) / 6
    bent = second_variation(*split(sp.S(1)), targets, sp.Rational(1, 4))
    return Counterexample(
        name="labels_of_blocks_alone_keep_the_blocks",
        statement="Three blocks of two labels in width 2, each label right with probability 1/2 and its twin "
        "otherwise, rho = 1, m lam = 1/4: the second variation along a split is positive.",
        theorem="coarse_strata_alone_are_saddles_of_cross_entropy",
        without="one-hot",
        proof=(
            Cases("the table", (("own block", targets[0, 1], "==", sp.Rational(1, 2)),)),
            Enclosure("second variation", bent, sp.S(0), None),
        ),
    )


def split(rho: sp.Expr) -> tuple[sp.Matrix, sp.Matrix]:
    """W on three blocks of two, and the split of the last block along a direction orthogonal to its row."""
    rows = [(1 / sp.sqrt(2), 1 / sp.sqrt(6)), (-1 / sp.sqrt(2), 1 / sp.sqrt(6)), (sp.S(0), -2 / sp.sqrt(6))]
    W = sp.sqrt(rho) * sp.Matrix([row for row in rows for _ in range(2)])
    dW = sp.zeros(6, 2)
    dW[4, 0], dW[5, 0] = 1, -1
    return W, dW
