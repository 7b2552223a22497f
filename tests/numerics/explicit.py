"""Matrices written out from the exact projectors, and random numbers, for tests of code that forms neither."""

from functools import lru_cache
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ufmflow.theory.attributes import Attributes

EPS = np.finfo(float).eps

seeds = st.integers(0, 2**32 - 1)


@lru_cache(maxsize=512)
def projectors(attributes: Attributes) -> dict[str, np.ndarray]:
    """P_A (V x V) for each stratum; entries are the exact fractions rounded once."""
    return {A: np.array(attributes.projector(A).tolist(), dtype=float) for A in attributes.names}


def element(eigenvalues: Mapping[str, Any], attributes: Attributes) -> np.ndarray:
    """sum_A eigenvalues[A] P_A (V x V)."""
    return sum(float(eigenvalues[A]) * P for A, P in projectors(attributes).items())


def normal(seed: int, *shape: int) -> np.ndarray:
    """Independent standard normal entries."""
    return np.random.default_rng(seed).standard_normal(shape)
