"""The model family: the unconstrained features model with attribute-structured targets and kernels.

W (V x d) holds label embeddings, H (d x m) context embeddings, Z = W H are the logits, T (V x m) the targets with
columns summing to one.  The loss is cross-entropy with softmax over labels, or 1/2 |Z - T|^2, as the mean or the sum
over contexts.  Gradient flow, with the kernels as preconditioners and G = dL/dZ:

    dW/dt = -KW (G H^T + lam_W W),      dH/dt = -(W^T G + lam_H H) KH.

The attribute-structured kernels, targets and the normalisation are ufmflow's own modification of the model; the plain
one (Mixon et al. 2020; Zhu et al. 2021) cannot show structure before collapse.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from .attributes import Attributes
from .errors import InputError, nearest
from .exact import exact, nonnegative, per_name
from .exchangeable import structure

LOSSES = ("cross_entropy", "mse")
CONSTRAINTS = ("free", "sphere", "normalized")
REDUCTIONS = ("mean", "sum")
ROUNDING = sp.Rational(1, 10**9)  # targets written as decimals may miss zero by their last digits


@dataclass(frozen=True, init=False)
class UFM:
    """A model, checked at construction and frozen.

    Parameters
    ----------
    attributes : Attributes or formula
        Structure of the m contexts; `attribute[3]^40` is forty exchangeable crossed attributes, merged by order.
    labels : str or iterable of factor names, optional
        The part of the formula that the label keeps; all of it if None.  V labels, r = m / V contexts each.
    loss : "cross_entropy" or "mse"
    targets : mapping from stratum of the labels to number, optional
        Eigenvalues of the label co-occurrence; None is one-hot (all 1).  The mean's is 1: columns of T sum to one.
    feature_kernel : number or mapping from stratum of the contexts to number >= 0
        Eigenvalues of KH (of the features' kernel for `normalized`); 1 is the plain model.
    label_kernel : number or mapping from stratum of the labels to number >= 0
        Eigenvalues of KW.
    ridge : (lam_W, lam_H), or one number for both
    constraint : "free", "sphere" (each context embedding keeps its norm) or "normalized" (features flow,
        h_j = sqrt(d) f_j / |f_j| enters the logits, as after a final norm without affine part)
    width : int, optional
        d.  None: wide enough for every stratum.  In the equations it sets the norm of `normalized` features alone;
        elsewhere it bounds the strata that can start from a symmetric start, whose multiplicities sum to d at most.
    reduction : "mean" or "sum" over the contexts

    Raises
    ------
    InputError
        Naming the argument, its value, and what is allowed.

    Examples
    --------
    >>> model = UFM(Attributes("color[4] * shape[6]"), ridge=1e-3)
    >>> model.ridge, model.contexts, model.label_count
    ((1/1000, 1/1000), 24, 24)
    """

    attributes: Attributes
    labels: tuple[str, ...] | None
    loss: str
    constraint: str
    reduction: str
    width: sp.Expr | None
    ridge: tuple[sp.Expr, sp.Expr]
    _targets: tuple[tuple[str, sp.Expr], ...]
    _feature_kernel: tuple[tuple[str, sp.Expr], ...]
    _label_kernel: tuple[tuple[str, sp.Expr], ...]

    def __init__(
        self,
        attributes: Attributes | str,
        labels: str | Iterable[str] | None = None,
        loss: str = "cross_entropy",
        targets: Mapping[str, Any] | None = None,
        feature_kernel: Mapping[str, Any] | Any = 1,
        label_kernel: Mapping[str, Any] | Any = 1,
        ridge: Any = (0, 0),
        constraint: str = "free",
        width: Any = None,
        reduction: str = "mean",
    ):
        attributes = structure(attributes) if isinstance(attributes, str) else attributes
        if not isinstance(attributes, Attributes):
            raise InputError(f"attributes: {attributes!r} is no formula; write for example 'color[4] * shape[6]'.")
        kept = attributes.keep(labels)
        fields = {
            "attributes": attributes,
            "labels": None if len(kept.sizes) == len(attributes.sizes) else tuple(kept.sizes),
            "loss": _one_of(loss, LOSSES, "loss"),
            "constraint": _one_of(constraint, CONSTRAINTS, "constraint"),
            "reduction": _one_of(reduction, REDUCTIONS, "reduction"),
            "width": _width(width),
            "ridge": _ridge(ridge),
            "_targets": tuple(_targets(targets, kept, loss).items()),
            "_feature_kernel": tuple(_kernel(feature_kernel, attributes, "feature_kernel").items()),
            "_label_kernel": tuple(_kernel(label_kernel, kept, "label_kernel").items()),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def targets(self) -> dict[str, sp.Expr]:
        """Eigenvalue of the label co-occurrence on each stratum of the labels; one-hot is all 1."""
        return dict(self._targets)

    @property
    def feature_kernel(self) -> dict[str, sp.Expr]:
        """Eigenvalue of KH on each stratum of the contexts."""
        return dict(self._feature_kernel)

    @property
    def label_kernel(self) -> dict[str, sp.Expr]:
        """Eigenvalue of KW on each stratum of the labels."""
        return dict(self._label_kernel)

    @cached_property
    def label_attributes(self) -> Attributes:
        """The structure of the labels."""
        return self.attributes.keep(self.labels)

    @property
    def contexts(self) -> sp.Expr:
        """m, the number of contexts."""
        return self.attributes.cardinality

    @property
    def label_count(self) -> sp.Expr:
        """V, the number of labels."""
        return self.label_attributes.cardinality

    @property
    def replication(self) -> sp.Expr:
        """r = m / V, the number of contexts of each label."""
        return sp.cancel(self.contexts / self.label_count)

    @property
    def tau(self) -> dict[str, sp.Expr]:
        """Singular value of T on each stratum of the contexts: sqrt(r) times the target; 0 where the label drops it."""
        return {A: sp.sqrt(self.replication) * self.targets.get(A, sp.S(0)) for A in self.attributes.names}

    @property
    def scale(self) -> sp.Expr:
        """Weight of each context in the loss: 1/m for the mean, 1 for the sum."""
        return 1 / self.contexts if self.reduction == "mean" else sp.S(1)

    @property
    def free_symbols(self) -> frozenset[sp.Symbol]:
        """The symbols that stand for sizes and parameters."""
        parts = [*self.attributes.sizes.values(), *self.ridge, *self.targets.values()]
        parts += [*self.feature_kernel.values(), *self.label_kernel.values()]
        parts += [self.width] if self.width is not None else []
        return frozenset().union(*(part.free_symbols for part in parts))

    def config(self) -> dict[str, Any]:
        """The resolved model as plain data (exact numbers as text), for files and provenance."""

        def text(values: Mapping[str, sp.Expr]) -> dict[str, str]:
            return {name: str(value) for name, value in values.items()}

        return {
            "attributes": str(self.attributes),
            "labels": " * ".join(self.labels) if self.labels else None,
            "loss": self.loss,
            "targets": text(self.targets),
            "feature_kernel": text(self.feature_kernel),
            "label_kernel": text(self.label_kernel),
            "ridge": [str(lam) for lam in self.ridge],
            "constraint": self.constraint,
            "width": None if self.width is None else str(self.width),
            "reduction": self.reduction,
        }


def _one_of(value: Any, allowed: tuple[str, ...], argument: str) -> str:
    if value not in allowed:
        raise InputError(f"{argument}: {value!r} is unknown{nearest(value, allowed)}; choose one of {', '.join(allowed)}.")
    return value


def _width(width: Any) -> sp.Expr | None:
    if width is None:
        return None
    number = exact(width, "width")
    if number.is_number and not (number.is_Integer and number >= 1):
        raise InputError(f"width: {width} is not a whole number of at least 1.")
    return number


def _ridge(ridge: Any) -> tuple[sp.Expr, sp.Expr]:
    pair = tuple(ridge) if isinstance(ridge, (tuple, list)) else (ridge, ridge)
    if len(pair) != 2:
        raise InputError(f"ridge: {ridge!r} has {len(pair)} numbers; give (lam_W, lam_H), or one number for both.")
    return nonnegative(pair[0], "ridge lam_W"), nonnegative(pair[1], "ridge lam_H")


def _kernel(values: Any, attributes: Attributes, argument: str) -> dict[str, sp.Expr]:
    kernel = per_name(values, attributes.names, argument, mean=1)
    for name, value in kernel.items():
        if value.is_negative:
            raise InputError(f"{argument}[{name}]: {value} is negative; a kernel's eigenvalues are at least 0.")
    return kernel


def _targets(values: Mapping[str, Any] | None, kept: Attributes, loss: str) -> dict[str, sp.Expr]:
    targets = per_name(1 if values is None else values, kept.names, "targets", mean=1)
    if sp.expand(targets["1"] - 1) != 0:
        raise InputError(
            f"targets[1]: {targets['1']} is not 1; the columns of T sum to one, so the mean's target is 1."
        )
    if loss == "cross_entropy" and values is not None:
        for relation, entry in kept.entries(targets).items():
            if entry.is_number and entry < -ROUNDING:
                raise InputError(
                    f"targets: they make the probability {entry} for labels that share {relation}; "
                    "cross-entropy needs probabilities of at least 0."
                )
    return targets
