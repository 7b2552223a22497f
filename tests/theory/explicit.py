"""A model's explicit matrices and their gradient flow, which know neither strata nor softmax gradients.

The loss of W (V x d) and H (d x m) is written out, differentiated by complex steps, and preconditioned by the V x V and
m x m kernels.  Complex steps have no cancellation: Im L(x + i h) / h = L'(x) up to h^2, here 1e-60, and rounding.
"""

from itertools import product

import numpy as np

from ufmflow.theory.model import UFM

STEP = 1e-30


class ExplicitModel:
    """Matrices of a model with numbers.

    Attributes
    ----------
    P : dict from stratum to its m x m projector
    B : V x m, with 1/sqrt(r) where a context has a label, so that B B' = I
    T : V x m targets;  KW (V x V), KH (m x m) kernels
    """

    def __init__(self, model: UFM):
        attributes, labels = model.attributes, model.label_attributes
        self.model = model
        self.m, self.V = int(model.contexts), int(model.label_count)
        self.scale = float(model.scale)
        self.lam_W, self.lam_H = (float(lam) for lam in model.ridge)
        self.P = {A: np.array(attributes.projector(A).tolist(), dtype=float) for A in attributes.names}
        own = {A: np.array(labels.projector(A).tolist(), dtype=float) for A in labels.names}
        axes = [i for i, k in enumerate(attributes.sizes) if k in labels.sizes]
        contexts = product(*(range(n) for n in attributes.shape))
        label = [np.ravel_multi_index([cell[i] for i in axes], labels.shape) for cell in contexts]
        self.T = sum(float(model.targets[A]) * P for A, P in own.items())[:, label]
        self.B = np.eye(self.V)[:, label] / np.sqrt(self.m / self.V)
        self.KW = sum(float(model.label_kernel[A]) * P for A, P in own.items())
        self.KH = sum(float(model.feature_kernel[A]) * P for A, P in self.P.items())
        self.radius = np.sqrt(float(model.width)) if model.width is not None else None

    def matrices(self, w: dict, h: dict, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """W = sum_A w_A B P_A Q' and H = Q sum_A h_A P_A, Q (d x m) with orthonormal columns."""
        W = sum(value * self.B @ self.P[A] for A, value in w.items()) @ Q.T
        return W, Q @ sum(value * self.P[A] for A, value in h.items())

    def embeddings(self, F: np.ndarray) -> np.ndarray:
        """H from what flows: F itself, or R f_j / |f_j| in every column when the model is normalized."""
        if self.model.constraint != "normalized":
            return F
        return self.radius * F / np.sqrt((F**2).sum(axis=-2, keepdims=True))

    def loss(self, W: np.ndarray, F: np.ndarray) -> np.ndarray:
        """The loss with ridge, for stacks of matrices; H's ridge is left out where its norm is held."""
        Z = W @ self.embeddings(F)
        if self.model.loss == "mse":
            data = ((Z - self.T) ** 2).sum(axis=(-2, -1)) / 2
        else:
            shift = Z.real.max(axis=-2, keepdims=True)
            partition = shift[..., 0, :] + np.log(np.exp(Z - shift).sum(axis=-2))
            data = (partition - (self.T * Z).sum(axis=-2)).sum(axis=-1)
        ridge_H = self.lam_H if self.model.constraint == "free" else 0
        squares = self.lam_W * (W**2).sum(axis=(-2, -1)) + ridge_H * (F**2).sum(axis=(-2, -1))
        return self.scale * data + squares / 2

    def gradient(self, W: np.ndarray, F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dL/dW and dL/dF, one complex step per entry."""

        def steps(X: np.ndarray) -> np.ndarray:
            return X + 1j * STEP * np.eye(X.size).reshape(X.size, *X.shape)

        return self.loss(steps(W), F).imag.reshape(W.shape) / STEP, self.loss(W, steps(F)).imag.reshape(F.shape) / STEP

    def velocity(
        self, W: np.ndarray, F: np.ndarray, first_projection: bool = True, second_projection: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """dW/dt and dF/dt; on the sphere made tangent per context before the kernel acts, and again after."""
        gradient_W, gradient_F = self.gradient(W, F)

        def tangent(X: np.ndarray) -> np.ndarray:
            return X - F * (F * X).sum(axis=0) / (F**2).sum(axis=0)

        q = -gradient_F
        if self.model.constraint == "sphere" and first_projection:
            q = tangent(q)
        q = q @ self.KH
        if self.model.constraint == "sphere" and second_projection:
            q = tangent(q)
        return -self.KW @ gradient_W, q


def random_frame(d: int, m: int, seed: int) -> np.ndarray:
    """d x m with orthonormal columns."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, m)))[0]
