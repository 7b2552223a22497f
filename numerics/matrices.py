"""The flow of whole matrices: three matrix products and a softmax for each right-hand side.

    Z = W H,   G = scale (softmax(Z) - T)  or  scale (Z - T),
    dW/dt = -KW (G H^T + lam_W W),   dH/dt = -(W^T G + lam_H H) KH

on the sphere with the tangent part per context taken before and after KH; `normalized` with features F,
h_j = sqrt(d) f_j / |f_j| and dF/dt = q KF, q_j = -(tangent part of W^T G)_j sqrt(d) / |f_j|.
Kernels and structured targets act as averages over axes; no V x V or m x m matrix is formed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.model import UFM
from . import strata


def softmax_residual(Z: np.ndarray, T: np.ndarray) -> np.ndarray:
    """softmax(Z) - T by columns, for one-hot columns of T accurate even where softmax rounds to 1.

    Parameters
    ----------
    Z, T : arrays (V, m); columns of T sum to one

    Returns
    -------
    array (V, m) whose columns sum to zero
    """
    columns = np.arange(Z.shape[1])
    top = np.argmax(Z, axis=0)
    S = np.exp(Z - Z[top, columns])
    S /= S.sum(axis=0)
    S -= T
    # The largest entry's residual 1 - T - (sum of others) is taken from the others: columns sum to zero.
    S[top, columns] = 0.0
    S[top, columns] = -S.sum(axis=0)
    return S


def cross_entropy(Z: np.ndarray, T: np.ndarray) -> np.ndarray:
    """-sum_i T_ij log softmax(Z)_ij for each column; arrays (V, m) -> (m,).  Stable for margins of any size."""
    columns = np.arange(Z.shape[1])
    top = np.argmax(Z, axis=0)
    gaps = Z - Z[top, columns]
    others = np.exp(gaps)
    others[top, columns] = 0.0
    return np.log1p(others.sum(axis=0)) - (T * gaps).sum(axis=0)


def tangent(X: np.ndarray, H: np.ndarray) -> np.ndarray:
    """X less its part along H, column by column; arrays (d, m)."""
    return X - H * ((X * H).sum(axis=0) / (H * H).sum(axis=0))


@dataclass(frozen=True)
class StructuredKernel:
    """An element of the algebra, acting as averages over axes.

    Attributes
    ----------
    eigenvalues : one number for each stratum of `attributes`
    """

    eigenvalues: dict[str, float]
    attributes: Attributes

    @property
    def multiple(self) -> float | None:
        """The number of which the kernel is that multiple of the identity; None when it is none."""
        values = set(self.eigenvalues.values())
        return values.pop() if len(values) == 1 else None

    def along(self, X: Any, axis: int) -> Any:
        """The kernel acting on one axis of an array of any namespace; X itself for the identity."""
        if self.multiple is None:
            return strata.apply(X, self.eigenvalues, self.attributes, axis=axis)
        return X if self.multiple == 1.0 else self.multiple * X

    def __call__(self, X: np.ndarray, F: np.ndarray) -> np.ndarray:
        return self.along(X, axis=1)


@dataclass(frozen=True)
class MeasuredKernel:
    """A symmetric matrix Theta (m, m) in the place of the model's feature kernel, acting as a product."""

    matrix: Any

    def __call__(self, X: np.ndarray, F: np.ndarray) -> np.ndarray:
        return X @ self.matrix


@dataclass(frozen=True)
class MatrixFlow:
    """The right-hand side and the loss of a model on matrices W (V, d) and features F (d, m).

    Contexts and labels are in the formula's order.  F is H, except for `normalized`, where `embed(F)` is H.

    Attributes
    ----------
    kernel : callable (X, F) -> X KH, both (d, m): `StructuredKernel`, `MeasuredKernel` or any other
    decay : rate at which F shrinks by itself, as the features of a network do whose weights decay
    """

    model: UFM
    scale: float
    ridge: tuple[float, float]
    kernel: Callable[[np.ndarray, np.ndarray], np.ndarray]
    decay: float = 0.0

    @classmethod
    def of(cls, model: UFM, kernel: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None) -> "MatrixFlow":
        """Prepare the flow of a model with numbers, with its own feature kernel or a measured one in its place."""
        ridge = (float(model.ridge[0]), float(model.ridge[1]))
        kernel = kernel or StructuredKernel(_floats(model.feature_kernel), model.attributes)
        return cls(model, float(model.scale), ridge, kernel)

    @cached_property
    def targets(self) -> np.ndarray:
        """T (V, m)."""
        labels = self.model.label_attributes
        one_hot = np.zeros((int(self.model.label_count), int(self.model.contexts)))
        one_hot[label_of_context(self.model.attributes, labels), np.arange(one_hot.shape[1])] = 1.0
        return StructuredKernel(_floats(self.model.targets), labels).along(one_hot, axis=0)

    def embed(self, F: np.ndarray) -> np.ndarray:
        """H (d, m): what enters the logits."""
        if self.model.constraint != "normalized":
            return F
        return F * (np.sqrt(F.shape[0]) / np.linalg.norm(F, axis=0))

    def gradient(self, Z: np.ndarray) -> np.ndarray:
        """G = dL/dZ (V, m)."""
        residual = Z - self.targets if self.model.loss == "mse" else softmax_residual(Z, self.targets)
        return self.scale * residual

    def loss(self, W: np.ndarray, F: np.ndarray) -> float:
        """The loss without ridge."""
        Z = W @ self.embed(F)
        per_context = (
            ((Z - self.targets) ** 2).sum(axis=0) / 2 if self.model.loss == "mse" else cross_entropy(Z, self.targets)
        )
        return float(self.scale * per_context.sum())

    def rates(self, W: np.ndarray, F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dW/dt (V, d) and dF/dt (d, m)."""
        H = self.embed(F)
        G = self.gradient(W @ H)
        down = -(W.T @ G)
        lam_W, lam_H = self.ridge
        if self.model.constraint == "free":
            change = self.kernel(down - lam_H * F, F)
        elif self.model.constraint == "sphere":
            change = tangent(self.kernel(tangent(down, H), F), H)
        else:
            change = self.kernel(tangent(down, H) * (np.sqrt(F.shape[0]) / np.linalg.norm(F, axis=0)), F)
        if self.decay:
            change = change - self.decay * F
        grow = -(G @ H.T) - lam_W * W
        return self.label_kernel.along(grow, axis=0), change

    @cached_property
    def label_kernel(self) -> "StructuredKernel":
        """KW."""
        return StructuredKernel(_floats(self.model.label_kernel), self.model.label_attributes)


def label_of_context(attributes: Attributes, labels: Attributes) -> np.ndarray:
    """The label of each context (m,), both in the formula's order."""
    cells = np.indices(attributes.shape).reshape(len(attributes.shape), -1)
    kept = [i for i, factor in enumerate(attributes.factors) if factor.name in labels.sizes]
    return np.ravel_multi_index(tuple(cells[kept]), labels.shape)


def symmetric_start(
    model: UFM, w: dict[str, float], h: dict[str, float], width: int, seed: int
) -> tuple[np.ndarray, ...]:
    """W (V, d) and H (d, m) with the given singular values on the strata, on a random orthonormal frame.

    The frame has m orthonormal directions, one for each context (less the mean when d = m - 1 and its modes vanish).
    """
    m = int(model.contexts)
    labels = model.label_attributes
    frame = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, m)))[0]
    H = strata.apply(frame, h, model.attributes, axis=1)
    spread = np.zeros((int(model.label_count), m))
    spread[label_of_context(model.attributes, labels), np.arange(m)] = 1.0 / np.sqrt(float(model.replication))
    W = strata.apply(spread @ frame.T, w, labels, axis=0)
    return W, H


def _floats(values: dict) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}
