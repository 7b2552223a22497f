"""What ends a flow of whole matrices: collapse reached, or the semantic window closed, by the semantic index of H.

The index is (share of main effects - its ETF value) / (1 - its ETF value): 1 for attributes only, 0 for the ETF.
"""

from typing import Any

import numpy as np

from . import strata
from .full_flow import FullFlow
from .stops import Crossing, Fallen, Level
from .trajectory import semantic_index, shares

LEAST = 0.01  # of the index: below, there is no window to close


def index_of(full: FullFlow) -> Level:
    """The semantic index as a function (t, y) of the flow's states.

    Examples
    --------
    >>> from ufmflow.numerics.matrices import MatrixFlow
    >>> from ufmflow.theory.model import UFM
    >>> full = FullFlow(MatrixFlow.of(UFM("color[2] * shape[2]")), width=4)
    >>> round(index_of(full)(0.0, full.state(np.eye(4), np.eye(4))), 12) + 0.0  # simplex: collapsed
    0.0
    """
    model = full.flow.model
    multiplicities = np.array([float(model.attributes.multiplicities[A]) for A in model.attributes.names])

    def index(t: float, y: Any) -> float:
        H = full.embedded(full.split(y)[1])
        energies = np.asarray(full.device.to_host(strata.energies(H, model.attributes)), dtype=float)
        return float(semantic_index(shares(np.sqrt(energies), multiplicities), model.attributes, model.labels))

    return index


def collapse_reached(full: FullFlow, index: float = 0.05) -> Crossing:
    """Stop where the semantic index falls below a level; a start below it must first rise above."""
    level = index_of(full)
    return Crossing(lambda t, y: level(t, y) - index, direction=-1, name="collapsed")


def window_closed(full: FullFlow) -> Fallen:
    """Stop where the semantic index has fallen to half its largest value: the end of the semantic window."""
    return Fallen(index_of(full), share=0.5, least=LEAST, name="window closed")
