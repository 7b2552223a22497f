"""The flow of the modes together with its derivatives by the model's parameters (the variational equations).

    dy/dt = f(y; p),      dS/dt = J S + df/dp,      S = dy/dp (n, P),  J = df/dy (n, n)

f is linear in each kernel eigenvalue, in each ridge and in the targets, each by itself, so that df/dp is a difference of
two values of the derived equations, exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from ..theory.errors import InputError
from ..theory.model import UFM
from .modes import Modes, compile_modes, compiled, stacked, template_of, values_of
from .simulate import start_on_strata
from .smoothing import Smoothing


@dataclass(frozen=True)
class Variation:
    """The flow of n modes and its derivatives by P parameters.

    Parameters that are rates or sizes count in their logarithm: `head rate` (KW), `body rate` (KH), `kernel of STRATUM`
    (one eigenvalue of KH), `kernel ratio` (those of all main effects at once), `feature scale` (the features' size at the
    start).  `ridge on W`, `ridge on H` and `smoothing` (eps of the targets, equal weights) count in themselves.

    Attributes
    ----------
    model : UFM
    names : of the parameters
    start : array (n (1 + P),), y at the start and then dy/dp row by row
    modes : Modes, the flow itself
    """

    model: UFM
    names: tuple[str, ...]
    start: np.ndarray
    modes: Modes
    _raw: Callable[[np.ndarray, np.ndarray], np.ndarray]
    _values: np.ndarray
    _directions: np.ndarray
    _softer: Callable[[np.ndarray], np.ndarray]
    _downhill: Callable[[np.ndarray], tuple[float, np.ndarray]]

    @classmethod
    def of(cls, model: UFM, init: Any) -> "Variation":
        """Prepare the variational equations of a model with numbers from a start on the strata.

        Raises
        ------
        InputError
            For models with symbols, and for more strata than a Jacobian is generated for.
        """
        modes = compile_modes(model)
        if modes.jacobian is None:
            raise InputError(
                f"model: {model.attributes} has {len(model.attributes.names)} strata, more than a Jacobian is generated "
                "for; merge attributes."
            )
        w, h = start_on_strata(model, init)
        y = np.array([*(w[A] for A in modes.flow.w), *(h[A] for A in modes.flow.h)])
        names, directions = _directions(model)
        S = np.zeros((y.size, len(names)))
        S[len(w) :, names.index("feature scale")] = y[len(w) :]
        template = template_of(model)
        rates = compiled(template, "sgd")[1]

        def raw(y: np.ndarray, values: np.ndarray) -> np.ndarray:
            return stacked(rates(*y[:, None], *values), values.shape[1:])

        return cls(model, names, np.concatenate([y, S.ravel()]), modes, raw, np.array(values_of(model)), directions,
                   _softening(model), _descent(model))  # fmt: skip

    @property
    def count(self) -> int:
        """n."""
        return len(self.modes.flow.state)

    def split(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """y (n,) and S (n, P)."""
        return state[: self.count], state[self.count :].reshape(self.count, len(self.names))

    def by_parameter(self, y: np.ndarray) -> np.ndarray:
        """df/dp (n, P)."""
        R = len(self._directions)
        values = np.repeat(self._values[:, None], 2 * R, axis=1)
        values[range(R), range(R)], values[range(R), range(R, 2 * R)] = 1.0, 0.0
        both = self._raw(y, values)
        found = (both[:, :R] - both[:, R:]) @ self._directions
        found[:, self.names.index("smoothing")] = self._softer(y)
        return found

    def rates(self, state: np.ndarray) -> np.ndarray:
        """d(y, S)/dt."""
        y, S = self.split(state)
        return np.concatenate([self.modes.rhs(y), self.drift(y, S).ravel()])

    def jacobian(self, state: np.ndarray) -> np.ndarray:
        """d(dy/dt)/dy, and d(dS/dt)/dS: what an implicit step's Newton iteration needs, since S is driven by y alone."""
        y, _ = self.split(state)
        assert self.modes.jacobian is not None
        J = self.modes.jacobian(y)
        return block_diag(J, np.kron(J, np.eye(len(self.names))))

    def drift(self, y: np.ndarray, S: np.ndarray) -> np.ndarray:
        """dS/dt (n, P)."""
        assert self.modes.jacobian is not None
        return self.modes.jacobian(y) @ S + self.by_parameter(y)

    def loss(self, y: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss of the labels themselves and its gradient (n,), in directions in which the constraint lets y move."""
        return self._downhill(y)


def _directions(model: UFM) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the parameters, and how the numbers of `values_of`, the width left out, move with each: (R, P)."""
    kH, kW = (np.array([float(x) for x in kernel.values()]) for kernel in (model.feature_kernel, model.label_kernel))
    strata = list(model.feature_kernel)
    main = model.attributes.semantic_strata(model.labels)
    R = len(kH) + len(kW) + 2

    def move(values: np.ndarray, at: int) -> np.ndarray:
        column = np.zeros(R)
        column[at : at + len(values)] = values
        return column

    one = np.ones(1)
    columns = {
        "head rate": move(kW, len(kH)),
        "body rate": move(kH, 0),
        **{f"kernel of {A}": move(kH * (np.array(strata) == A), 0) for A in strata if A != "1"},
        "kernel ratio": move(kH * np.isin(strata, main), 0),
        "ridge on W": move(one, R - 2),
        **({"ridge on H": move(one, R - 1)} if model.constraint == "free" else {}),
        "smoothing": np.zeros(R),
        "feature scale": np.zeros(R),
    }
    return tuple(columns), np.stack(list(columns.values()), axis=1)


def _softening(model: UFM) -> Callable[[np.ndarray], np.ndarray]:
    """df/d eps of smoothed targets, in which f is linear."""
    smoothed = Smoothing.of(model.label_attributes, 0.5, None)
    assert smoothed is not None
    soft, hard = (compile_modes(with_targets(model, found)).rhs for found in (smoothed.eigenvalues(), None))
    return lambda y: 2.0 * (soft(y) - hard(y))


def _descent(model: UFM) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """The loss with one-hot targets, and its gradient from its own flow: dy_A/dt = -(k_A/m_A) dL/dy_A at k = 1."""
    plain = UFM(model.attributes, labels=model.labels, loss=model.loss, constraint=model.constraint, width=model.width,
                reduction=model.reduction)  # fmt: skip
    modes = compile_modes(plain)
    m = model.attributes.multiplicities
    weights = np.array([float(m[A]) for A in (*modes.flow.w, *modes.flow.h)])
    return lambda y: (float(modes.read(y)[3]), -weights * modes.rhs(y))


def with_targets(model: UFM, targets: Any) -> UFM:
    """The model with other targets; one-hot ones for None."""
    return UFM(
        model.attributes, labels=model.labels, loss=model.loss, targets=targets, feature_kernel=model.feature_kernel,
        label_kernel=model.label_kernel, ridge=model.ridge, constraint=model.constraint, width=model.width,
        reduction=model.reduction,
    )  # fmt: skip
