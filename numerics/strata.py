"""The stratum transform on arrays, without forming V x V matrices.

Contexts are cells of an array of shape (n_1, ..., n_K) (last factor fastest), and M_B averages over the axes that are
not in the ancestral set B.  Since P_A = sum over S within min(A) of (-1)^|S| M_{A \\ S}, an element of the algebra acts as

    sum_A q_A P_A x = sum_B c_B M_B x,      c_B = sum over A, S with A \\ S = B of (-1)^|S| q_A,

at the cost of a few passes over x.  Arrays keep their type: numpy in, numpy out; cupy in, cupy out.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations
from typing import Any

from array_api_compat import array_namespace

from ..theory.attributes import Attributes
from ..theory.errors import InputError

Array = Any


def apply(x: Array, eigenvalues: Mapping[str, float], attributes: Attributes, axis: int = 0) -> Array:
    """(sum_A eigenvalues[A] P_A) x along one axis.

    Parameters
    ----------
    x : array with V entries along `axis`, in the formula's order
    eigenvalues : one number for each stratum
    attributes : structure with numeric sizes

    Returns
    -------
    array of the shape of x

    Examples
    --------
    >>> import numpy as np
    >>> structure = Attributes("a[2] * b[2]")
    >>> apply(np.array([4.0, 2.0, 0.0, 2.0]), {"1": 1, "a": 0, "b": 0, "a:b": 0}, structure).tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    cells, offset = _as_cells(x, attributes, axis)
    xp = array_namespace(x)
    coefficients = _averaging_coefficients(tuple(float(eigenvalues[A]) for A in attributes.names), attributes)
    means = _means(cells, attributes, offset)
    sums = {B: coefficients[B] * mean for B, mean in means.items()}
    for B, (parent, _) in _parents(attributes).items():
        sums[parent] = sums[parent] + sums[B]  # smallest first: small arrays add up before they spread over large ones
    return xp.reshape(sums[attributes.ancestral_sets[-1]], x.shape)


def spread(attributes: Attributes) -> float:
    """Numbers in all averages that `apply` takes of an array, as a multiple of the array's own.

    Examples
    --------
    >>> spread(Attributes("a[2] * b[2]"))  # 4 cells, two margins of 2, and the mean
    2.25
    """
    sizes = {factor.name: n for factor, n in zip(attributes.factors, attributes.shape, strict=True)}
    return sum(math.prod(sizes[k] for k in B) for B in attributes.ancestral_sets) / math.prod(attributes.shape)


def components(x: Array, attributes: Attributes, axis: int = -2) -> dict[str, Array]:
    """P_A x for each stratum, with size 1 along the factors that are not in A (on which it is constant).

    Parameters
    ----------
    x : array with V entries along `axis`

    Returns
    -------
    dict from stratum name to array whose `axis` is replaced by one axis for each factor
    """
    cells, offset = _as_cells(x, attributes, axis)
    xp = array_namespace(x)
    means = _means(cells, attributes, offset)
    found = {}
    for A, name in zip(attributes.ancestral_sets, attributes.names, strict=True):
        part = means[A]
        for factor_axis in attributes.axes(name)[1]:
            part = part - xp.mean(part, axis=offset + factor_axis, keepdims=True)
        found[name] = part
    return found


def energies(x: Array, attributes: Attributes) -> Array:
    """e_A = |P_A x|^2 / m_A, the stratum energies of the Gram matrix x x^T.

    Parameters
    ----------
    x : array (..., V, d), one row per context

    Returns
    -------
    array (..., strata)
    """
    return inner_products(x, x, attributes)


def inner_products(x: Array, y: Array, attributes: Attributes) -> Array:
    """<P_A x, y> / m_A for arrays (..., V, d); `energies` when y is x.  Returns (..., strata)."""
    xp = array_namespace(x)
    V = math.prod(attributes.shape)
    found = []
    for stratum, left, right in zip(
        attributes.strata, components(x, attributes).values(), components(y, attributes).values(), strict=True
    ):
        spread = V / math.prod(left.shape[x.ndim - 2 : -1])
        found.append(
            xp.sum(left * right, axis=tuple(range(x.ndim - 2, left.ndim))) * (spread / int(stratum.multiplicity))
        )
    return xp.stack(found, axis=-1)


def matrix_eigenvalues(K: Array, attributes: Attributes) -> dict[str, float]:
    """tr(P_A K) / m_A of a V x V matrix, rows and columns in the formula's order: K's part in the algebra."""
    xp = array_namespace(K)
    V = math.prod(attributes.shape)
    if K.shape != (V, V):
        raise InputError(f"kernel: its shape is {K.shape}, but {attributes} has {V} contexts; give a {V} x {V} matrix.")
    found = {}
    for stratum in attributes.strata:
        only = {A: float(A == stratum.name) for A in attributes.names}
        found[stratum.name] = float(xp.sum(xp.linalg.diagonal(apply(K, only, attributes)))) / int(stratum.multiplicity)
    return found


def residual(K: Array, attributes: Attributes) -> float:
    """|K - its part in the algebra| / |K| in Frobenius norm: how far the symmetric theory misses a kernel or Gram."""
    xp = array_namespace(K)
    eigenvalues = matrix_eigenvalues(K, attributes)
    norm = float(xp.linalg.matrix_norm(K))
    outside = K - apply(xp.eye(K.shape[0], dtype=K.dtype), eigenvalues, attributes)
    return float(xp.linalg.matrix_norm(outside)) / norm if norm > 0 else 0.0


def _as_cells(x: Array, attributes: Attributes, axis: int) -> tuple[Array, int]:
    axis = axis % x.ndim
    shape = attributes.shape
    if x.shape[axis] != math.prod(shape):
        raise InputError(f"x: it has {x.shape[axis]} rows, but {attributes} has {math.prod(shape)} contexts.")
    xp = array_namespace(x)
    return xp.reshape(x, x.shape[:axis] + shape + x.shape[axis + 1 :]), axis


def _means(cells: Array, attributes: Attributes, offset: int) -> dict[frozenset[str], Array]:
    """M_B x for each ancestral set B, each averaged from a larger set's."""
    xp = array_namespace(cells)
    means = {attributes.ancestral_sets[-1]: cells}
    for B, (parent, lost) in reversed(_parents(attributes).items()):
        means[B] = xp.mean(means[parent], axis=offset + lost, keepdims=True)
    return means


@lru_cache(maxsize=64)
def _parents(attributes: Attributes) -> dict[frozenset[str], tuple[frozenset[str], int]]:
    """For each ancestral set but the whole: the one with a factor more, of the fewest cells, and that factor's axis."""
    found = {}
    position = {factor.name: i for i, factor in enumerate(attributes.factors)}
    sizes = dict(zip(position, attributes.shape, strict=True))
    for B in attributes.ancestral_sets[:-1]:
        more = [k for k in position if k not in B and attributes.ancestors[k] <= B]
        k = min(more, key=sizes.__getitem__)
        found[B] = (B | {k}, position[k])
    return found


@lru_cache(maxsize=256)
def _averaging_coefficients(eigenvalues: tuple[float, ...], attributes: Attributes) -> dict[frozenset[str], float]:
    coefficients = dict.fromkeys(attributes.ancestral_sets, 0.0)
    for A, value in zip(attributes.ancestral_sets, eigenvalues, strict=True):
        low = sorted(attributes.lowest(A))
        for size in range(len(low) + 1):
            for S in combinations(low, size):
                coefficients[A - frozenset(S)] += (-1) ** size * value
    return coefficients
