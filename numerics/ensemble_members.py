"""The members of an ensemble: numbers for each parameter of the equations and each part of the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..theory.errors import InputError
from ..theory.model import UFM
from .modes import values_of
from .simulate import start_on_strata

EXAMPLE = "give numbers in one dimension, for example {'ridge': [1e-4, 1e-3]}"


@dataclass(frozen=True)
class Members:
    """Columns of parameters and starts, in the order of the equations.

    Attributes
    ----------
    parameters : array (P, N), as `modes.parameters_of` orders them
    start : array (n, N): w on the strata of the labels, then h (phi) on those of the contexts
    varied : for each parameter that varies its N values
    shape : for each parameter of a grid its own values; None for rows
    """

    parameters: np.ndarray
    start: np.ndarray
    varied: dict[str, np.ndarray]
    shape: dict[str, np.ndarray] | None

    @classmethod
    def of(cls, model: UFM, vary: Mapping[str, Any], init: Any, grid: bool) -> "Members":
        """Put varied values in place of the model's; see `simulate_ensemble` for their names.

        Raises
        ------
        InputError
            For unknown names, values that are no numbers or that no model has, and lengths that differ.
        """
        if not isinstance(vary, Mapping) or not vary:
            raise InputError(f"vary: {vary!r} holds no parameter; {EXAMPLE}.")
        given = {str(name): _numbers(name, values) for name, values in vary.items()}
        varied = _crossed(given) if grid else _alike(given)
        N = len(next(iter(varied.values())))
        labels, contexts = tuple(model.targets), model.attributes.names
        w, h = start_on_strata(model, init)
        where, rows = _places(labels, contexts), np.array([*values_of(model), *w.values(), *h.values()])
        table = np.repeat(rows[:, None], N, axis=1)
        for name, values in sorted(varied.items(), key=lambda pair: "." in pair[0]):  # `init` before `init.color`
            if name not in where:
                raise InputError(f"vary: {name!r} is unknown; choose from {', '.join(where)}.")
            _check(name, values, model)
            table[where[name]] = values
        parameters = len(rows) - len(w) - len(h)
        found = cls(table[:parameters], table[parameters:], varied, given if grid else None)
        found._check_capacity(model)
        return found

    def _check_capacity(self, model: UFM) -> None:
        """A symmetric start needs a direction of its own for every context that moves."""
        if model.width is None:
            return
        m = np.array([float(s.multiplicity) for s in model.attributes.strata])
        needed = m @ (self.start[-len(m) :] != 0)
        small = np.flatnonzero(self.parameters[-1] < needed)
        if small.size:
            raise InputError(
                f"width: {self.parameters[-1][small[0]]:g} of member {small[0]} is too small for its start on the "
                f"strata, which needs {needed[small[0]]:g} directions; raise it, or start fewer strata."
            )

    def unfold(self, data: xr.Dataset) -> xr.Dataset:
        """The result with what varied as coordinates, or as dimensions of a grid."""
        if self.shape is None:
            return data.assign_coords({name: ("run", values) for name, values in self.varied.items()})
        lengths = tuple(map(len, self.shape.values()))
        variables = {
            name: ((*self.shape, *found.dims[1:]), found.values.reshape(*lengths, *found.shape[1:]), found.attrs)
            for name, found in data.data_vars.items()
        }
        return xr.Dataset(variables, {**self.shape, **dict(data.coords)}, data.attrs)


def _numbers(name: Any, values: Any) -> np.ndarray:
    try:
        array = np.atleast_1d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        raise InputError(f"vary[{name}]: it holds what is no number; {EXAMPLE}.") from None
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"vary[{name}]: shape {array.shape}; {EXAMPLE}.")
    if not np.all(np.isfinite(array)):
        raise InputError(f"vary[{name}]: it holds NaN or infinity; give finite numbers.")
    return array


def _alike(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    lengths = {len(values) for values in given.values()} - {1}
    if len(lengths) > 1:
        name = next(name for name, values in given.items() if len(values) == max(lengths))
        raise InputError(
            f"vary[{name}]: {max(lengths)} values where another parameter has {min(lengths)}; give all of them one "
            "value for each member, or grid=True for all combinations."
        )
    N = max(lengths, default=1)
    return {name: np.broadcast_to(values, (N,)).copy() for name, values in given.items()}


def _crossed(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    crossed = np.meshgrid(*given.values(), indexing="ij")
    return {name: values.ravel() for name, values in zip(given, crossed, strict=True)}


def _places(labels: tuple[str, ...], contexts: tuple[str, ...]) -> dict[str, list[int]]:
    """The rows that each name of a parameter stands for."""
    H, W = len(contexts), len(labels)
    ridge, width, w, h = H + W, H + W + 2, H + W + 3, H + W + 3 + W
    places = {"feature_kernel." + A: [i] for i, A in enumerate(contexts)}
    places |= {"label_kernel." + A: [H + i] for i, A in enumerate(labels)}
    places |= {"ridge": [ridge, ridge + 1], "ridge.W": [ridge], "ridge.H": [ridge + 1], "width": [width]}
    places["init"] = [*range(w, h + H)]
    for i, A in enumerate(contexts):
        places["init." + A] = [*([w + labels.index(A)] if A in labels else []), h + i]
    places |= {"w." + A: [w + i] for i, A in enumerate(labels)}
    return places | {"h." + A: [h + i] for i, A in enumerate(contexts)}


def _check(name: str, values: np.ndarray, model: UFM) -> None:
    kind = name.split(".")[0]
    low = values.min()
    if kind in ("feature_kernel", "label_kernel", "ridge") and low < 0:
        raise InputError(f"vary[{name}]: {low} is negative; kernels and ridges are at least 0.")
    if kind == "width" and (low < 1 or np.any(values != np.rint(values))):
        raise InputError(f"vary[{name}]: it holds what is no whole number of at least 1.")
    if kind == "width" and model.width is None:
        raise InputError("vary[width]: the model has no width; give it one, width=d.")
