"""A structure's scheme written out from the definitions, as integer matrices: what fast formulas are tested by.

V P_A is an integer matrix, so products of such matrices are exact in int64.
"""

from itertools import product

import numpy as np

from ufmflow.theory.attributes import Attributes


def cells(attributes: Attributes) -> list[dict[str, int]]:
    """The contexts in the formula's order, each with its value of every factor."""
    return [
        dict(zip(attributes.sizes, cell, strict=True)) for cell in product(*(range(n) for n in attributes.shape))
    ]


def relation_names(attributes: Attributes) -> np.ndarray:
    """The V x V table of relations: the largest ancestral set on which two contexts agree."""
    contexts = cells(attributes)

    def relation(i: dict[str, int], j: dict[str, int]) -> str:
        return attributes.term(max((A for A in attributes.ancestral_sets if all(i[k] == j[k] for k in A)), key=len))

    return np.array([[relation(i, j) for j in contexts] for i in contexts], dtype=object)


def agreement(attributes: Attributes, names: frozenset[str]) -> np.ndarray:
    """The V x V matrix with 1 where two contexts agree on all the named factors."""
    contexts = cells(attributes)
    return np.array([[int(all(i[k] == j[k] for k in names)) for j in contexts] for i in contexts])


def scaled_projectors(attributes: Attributes) -> dict[str, np.ndarray]:
    """V P_A for each stratum, integers, from `Attributes.projector`."""
    V = int(attributes.cardinality)
    return {A: np.array((V * attributes.projector(A)).tolist(), dtype=np.int64) for A in attributes.names}


def has_eigenvalues(matrix: np.ndarray, eigenvalues: dict, attributes: Attributes) -> bool:
    """Whether an integer matrix is sum_A eigenvalues[A] P_A, exactly: M P_A = lambda_A P_A for all A."""
    scaled = scaled_projectors(attributes)
    return all(
        np.array_equal(int(eigenvalues[A].q) * (matrix @ P), int(eigenvalues[A].p) * P) for A, P in scaled.items()
    )
