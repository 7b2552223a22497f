"""Label smoothing along attributes: the soft targets of a training run.

    T = (1 - eps) I + eps sum_k w_k (averaging over the labels that share attribute k),      sum_k w_k = 1,

an element of the labels' algebra with eigenvalues tau_A = 1 - eps + eps * sum of w_k over the k whose closure holds A.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from ..theory.exact import exact
from ..theory.kernels import cooccurrence_targets
from . import strata
from .options import number


@dataclass(frozen=True)
class Smoothing:
    """Checked smoothing of labels along their attributes.

    Attributes
    ----------
    labels : structure of the labels
    eps : in (0, 1)
    weights : (attribute, weight as exact text), which sum to one
    """

    labels: Attributes
    eps: float
    weights: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, labels: Attributes, eps: Any, weights: Mapping[str, Any] | None) -> "Smoothing | None":
        """Check the options of a run; None for eps = 0.

        Parameters
        ----------
        weights : None gives equal ones to all attributes but those that tell every label from every other

        Raises
        ------
        InputError
            For eps outside [0, 1), unknown attributes, weights that do not sum to one, and labels of one attribute.

        Examples
        --------
        >>> Smoothing.of(Attributes("color[4] * shape[6]"), 0.1, None).weights
        (('color', '1/2'), ('shape', '1/2'))
        """
        strength = number("smoothing", eps, zero=True, below=1.0)
        if not strength:
            if weights is not None:
                raise InputError(f"smoothing_weights: {dict(weights)}, but smoothing is 0; give it, or leave them out.")
            return None
        if weights is None:
            shared = [k for k in labels.sizes if set(labels.closure(k)) != set(labels.sizes)]
            if not shared:
                raise InputError(f"smoothing: labels {labels} share no attribute; leave it out.")
            weights = dict.fromkeys(shared, sp.Rational(1, len(shared)))
        resolved = {k: exact(value, f"smoothing_weights[{k}]") for k, value in weights.items()}
        cooccurrence_targets(labels, exact(strength, "smoothing"), resolved)  # refuses what is no co-occurrence
        return cls(labels, strength, tuple((k, str(value)) for k, value in resolved.items()))

    def eigenvalues(self) -> dict[str, sp.Expr]:
        """tau_A on each stratum of the labels."""
        return cooccurrence_targets(self.labels, exact(self.eps, "smoothing"), dict(self.weights))

    def targets(self, label: np.ndarray) -> np.ndarray:
        """The target distribution of each context, float32 (m, V), from its label (m,)."""
        tau = {A: float(value) for A, value in self.eigenvalues().items()}
        return strata.apply(np.eye(int(self.labels.cardinality)), tau, self.labels)[label].astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """What a record tells."""
        return {"smoothing": self.eps, "smoothing_weights": dict(self.weights)}
