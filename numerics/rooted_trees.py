"""Rooted trees, and with them the order conditions of Runge-Kutta methods, in whatever arithmetic the coefficients have.

    order p:   sum_i b_i Phi_i(t) = 1 / gamma(t)                          for every tree t of at most p vertices
    Phi(leaf) = 1,   Phi([t1 ... tk])_i = prod_l sum_j a_ij Phi_j(t_l),   gamma([t1 ... tk]) = |t| prod_l gamma(t_l)

A tree is the tuple of its root's subtrees; the leaf is ().
Source: Butcher, Math. Comp. 18 (1964) 50; Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, II.2.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

Tree = tuple


@lru_cache(maxsize=32)
def trees(vertices: int) -> tuple[Tree, ...]:
    """All rooted trees of a number of vertices, each once.

    Examples
    --------
    >>> trees(3)
    ((((),),), ((), ()))
    >>> [len(trees(n)) for n in range(1, 9)]
    [1, 1, 2, 4, 9, 20, 48, 115]
    """
    smaller = [tree for n in range(vertices - 1, 0, -1) for tree in trees(n)]
    return tuple(_forests(vertices - 1, smaller))


def _forests(vertices: int, allowed: list[Tree]) -> Iterator[Tree]:
    """Multisets of allowed trees with a number of vertices in all, each in the order of `allowed`."""
    if vertices == 0:
        yield ()
        return
    for i, tree in enumerate(allowed):
        if size(tree) <= vertices:
            for rest in _forests(vertices - size(tree), allowed[i:]):
                yield (tree, *rest)


def size(tree: Tree) -> int:
    """|t|: its number of vertices."""
    return 1 + sum(map(size, tree))


def density(tree: Tree) -> int:
    """gamma(t): the product of the sizes of its subtrees, one for each vertex.

    Examples
    --------
    >>> density(((), ())), density((((),),))
    (3, 6)
    """
    product = size(tree)
    for subtree in tree:
        product *= density(subtree)
    return product


def elementary_weights(rows: Sequence[Sequence[Any]], tree: Tree) -> list[Any]:
    """Phi_i(t) for every stage i.

    Parameters
    ----------
    rows : the lower triangle of a, row i with i numbers of one kind (Fraction, Decimal, float)

    Examples
    --------
    >>> from fractions import Fraction
    >>> elementary_weights([[], [Fraction(1, 2)]], ((),)) == [0, Fraction(1, 2)]
    True
    """
    one = rows[1][0] - rows[1][0] + 1
    product = [one] * len(rows)
    for subtree in tree:
        inner = elementary_weights(rows, subtree)
        sums = [sum((a * x for a, x in zip(row, inner, strict=False)), one - one) for row in rows]
        product = [p * s for p, s in zip(product, sums, strict=True)]
    return product


def defects(rows: Sequence[Sequence[Any]], weights: Sequence[Any], vertices: int, theta: Any = 1) -> list[Any]:
    """sum_i b_i Phi_i(t) - theta^|t| / gamma(t) for each tree of a number of vertices: all 0 where the condition holds.

    Parameters
    ----------
    weights : b, or b(theta) of dense output; shorter than the stages where the others do not count
    theta : part of the step; 0 for weights of an error estimate, whose sums must vanish

    Examples
    --------
    The explicit midpoint rule is of order 2 and not 3.

    >>> from fractions import Fraction
    >>> half = Fraction(1, 2)
    >>> [defects([[], [half]], [0, 1], n) == [0] * len(trees(n)) for n in (1, 2, 3)]
    [True, True, False]
    """
    one = rows[1][0] - rows[1][0] + 1
    out = []
    for tree in trees(vertices):
        phi = elementary_weights(rows, tree)
        total = sum((b * p for b, p in zip(weights, phi, strict=False)), one - one)
        out.append(total - (one * theta) ** vertices / density(tree))
    return out
