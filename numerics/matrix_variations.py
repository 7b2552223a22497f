"""The flow of whole matrices together with its derivatives by the training's parameters (the variational equations).

With Q = -W^T G, q_j its part tangent to h_j for a network with a final norm, r_j = sqrt(d)/|f_j| (1 without a norm),

    dW/dt = kW (-G H^T - lam_W W),     dF/dt = (q r - lam_H F) Theta,     H = r F,   G = scale (softmax(W H) - T),

and for a change (W', F') of the state and p' of the parameters, each by the product rule,

    H' = r (F' - F (f.f')/|f|^2),   Z' = W' H + W H',   G' = scale (p o (Z' - sum of p o Z')) - scale T',   Q' = -W'^T G - W^T G',
    q' = Q' - H' (h.Q)/d - H (h'.Q + h.Q')/d,      r' = -r (f.f')/|f|^2.

Theta is that of the start and stays; all arrays of changes carry the parameters along their first axis.
"""

from dataclasses import dataclass

import numpy as np

from ..theory.errors import InputError
from . import strata
from .forecast import replace_targets
from .matrices import MatrixFlow
from .smoothing import Smoothing
from .start import Start

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class MatrixVariation:
    """The flow of W (V, d) and F (d, m) and its derivatives by P parameters.

    Parameters that are rates or sizes count in their logarithm: `head rate`, `body rate`, `kernel of STRATUM` and
    `kernel ratio` (Theta on a stratum, or on all main effects: S Theta S, as interventions have it), `head scale` and
    `feature scale` (W and F at the start); `ridge on W`, without a final norm `ridge on H`, and `smoothing` in themselves.

    Attributes
    ----------
    names : of the parameters
    flow : MatrixFlow, with the kernel of the start
    start : (W, F)
    kernels : dict from `body rate` and the kernels' parameters to the change of Theta (m, m)
    softer : array (V, m), change of T with the smoothing
    """

    names: tuple[str, ...]
    flow: MatrixFlow
    start: Pair
    kernel: np.ndarray
    kernels: dict[str, np.ndarray]
    softer: np.ndarray

    @classmethod
    def of(cls, start: Start) -> "MatrixVariation":
        """Prepare the equations of what a forecast starts from.

        Raises
        ------
        InputError
            For a body whose weights decay and optimisers other than gradient descent, which that flow does not cover.
        """
        if start.decay_body or start.optimizer != "sgd":
            what = "weight_decay_body" if start.decay_body else "optimizer"
            raise InputError(
                f"{what}: sensitivities are of the gradient flow under a frozen kernel; ask for them without it."
            )
        model, Theta = start.model, start.body_rate * start.kernel
        flow = MatrixFlow.of(model, lambda X, F: X @ Theta)
        names = [A for A in start.attributes.names if A != "1"]
        parts = {
            A: strata.apply(Theta, {B: float(A == B) for B in start.attributes.names}, start.attributes) for A in names
        }
        halves = {A: (part + part.T) / 2 for A, part in parts.items()}
        main = start.attributes.semantic_strata(start.labels)
        kernels = {"body rate": Theta, **{f"kernel of {A}": half for A, half in halves.items()},
                   "kernel ratio": sum(halves[A] for A in main)}  # fmt: skip
        smoothed = Smoothing.of(model.label_attributes, 0.5, None)
        assert smoothed is not None
        eps, hard = (
            {A: float(x) for A, x in smoothed.eigenvalues().items()},
            MatrixFlow.of(replace_targets(model)).targets,
        )
        softer = 2 * (strata.apply(hard, eps, model.label_attributes, axis=0) - hard)
        ridges = ("ridge on W",) if start.normalized else ("ridge on W", "ridge on H")
        every = ("head rate", *kernels, *ridges, "smoothing", "head scale", "feature scale")
        return cls(every, flow, (start.W, start.F), Theta, kernels, softer)

    @property
    def initial(self) -> np.ndarray:
        """(1 + P) V d + (1 + P) d m numbers: W, its changes, F, its changes."""
        (W, F), P = self.start, len(self.names)
        dW, dF = np.zeros((P, *W.shape)), np.zeros((P, *F.shape))
        dW[self.names.index("head scale")], dF[self.names.index("feature scale")] = W, F
        return self.joined(W, dW, F, dF)

    @staticmethod
    def joined(W: np.ndarray, dW: np.ndarray, F: np.ndarray, dF: np.ndarray) -> np.ndarray:
        """One vector of them."""
        return np.concatenate([part.ravel() for part in (W, dW, F, dF)])

    def split(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """W, its changes (P, V, d), F, its changes (P, d, m)."""
        (W, F), P = self.start, len(self.names)
        ends = np.cumsum([W.size, P * W.size, F.size])
        first, second, third, fourth = np.split(state, ends)
        return first.reshape(W.shape), second.reshape(P, *W.shape), third.reshape(F.shape), fourth.reshape(P, *F.shape)

    def rates(self, state: np.ndarray) -> np.ndarray:
        """Time derivative of the vector."""
        W, dW, F, dF = self.split(state)
        flow, (lam_W, lam_H) = self.flow, self.flow.ridge
        H, dH, r, dr = self._embedded(F, dF)
        G, dG = self._residual(W, dW, H, dH)
        dG[self.names.index("smoothing")] -= flow.scale * self.softer
        Q, dQ = -(W.T @ G), -(dW.mT @ G) - W.T @ dG
        if flow.model.constraint == "normalized":
            d = len(F)
            along = (H * Q).sum(axis=0) / d
            turned = ((dH * Q).sum(axis=1) + (H * dQ).sum(axis=1)) / d
            dQ = dQ - dH * along - H * turned[:, None, :]
            Q = Q - H * along
        pull, dpull = Q * r, dQ * r + Q * dr
        if flow.model.constraint == "free":
            pull, dpull = pull - lam_H * F, dpull - lam_H * dF
        grow, dgrow = -(G @ H.T) - lam_W * W, -(dG @ H.T) - G @ dH.mT - lam_W * dW
        change, dchange = pull @ self.kernel, dpull @ self.kernel
        head = flow.label_kernel.along
        found, dfound = head(grow, axis=0), head(dgrow, axis=1)
        for i, name in enumerate(self.names):
            if name in self.kernels:
                dchange[i] += pull @ self.kernels[name]
            elif name == "head rate":
                dfound[i] += found
            elif name == "ridge on W":
                dfound[i] -= head(W, axis=0)
            elif name == "ridge on H":
                dchange[i] -= F @ self.kernel
        return self.joined(found, dfound, change, dchange)

    def observed(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
        """Energies e_A = tr(P_A H^T H)/m_A (strata,) with changes (P, strata), and the labels' own loss with its changes (P,)."""
        W, dW, F, dF = self.split(state)
        H, dH, _, _ = self._embedded(F, dF)
        attributes = self.flow.model.attributes
        energies = strata.energies(H.T, attributes)
        moved = 2 * strata.inner_products(np.broadcast_to(H.T, dH.mT.shape), dH.mT, attributes)
        hard = MatrixFlow.of(replace_targets(self.flow.model))
        G = hard.gradient(W @ H)
        return energies, moved, hard.loss(W, F), (G * (dW @ H + W @ dH)).sum(axis=(1, 2))

    def _embedded(self, F: np.ndarray, dF: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """H, its changes, r and its changes (P, 1, m)."""
        if self.flow.model.constraint != "normalized":
            return F, dF, np.ones(F.shape[1]), np.zeros((len(dF), 1, F.shape[1]))
        squares = (F * F).sum(axis=0)
        r = np.sqrt(len(F) / squares)
        share = (F * dF).sum(axis=1, keepdims=True) / squares
        return r * F, r * (dF - F * share), r, -r * share

    def _residual(self, W: np.ndarray, dW: np.ndarray, H: np.ndarray, dH: np.ndarray) -> Pair:
        """G and its changes at fixed targets."""
        flow = self.flow
        G, dZ = flow.gradient(W @ H), dW @ H + W @ dH
        if flow.model.loss == "mse":
            return G, flow.scale * dZ
        p = G / flow.scale + flow.targets
        weighted = p * dZ
        return G, flow.scale * (weighted - p * weighted.sum(axis=1, keepdims=True))
