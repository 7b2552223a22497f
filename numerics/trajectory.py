"""Trajectories: one xarray schema for what was simulated, forecast or observed.

Dimensions `time` and `stratum` (plus `context`, `label`, `feature` where whole matrices are kept); variables

    w, h, z          (time, stratum)   singular values of W, H and Z = W H on the strata; reduced flows keep the
                                       sign with which w and h cross zero, whole matrices give magnitudes
    share_H, share_W (time, stratum)   m_A e_A / sum over B != mean of m_B e_B, e_A = h_A^2 or w_A^2; the mean's is 0
    loss             (time,)           without ridge
    semantic_index   (time,)           (share of main effects - its ETF value) / (1 - its ETF value)

Time is learning rate x steps.
"""

import json
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from ..theory.exchangeable import structure
from . import strata
from .content import content_digest
from .proven_bounds import decide
from .zarr_guard import check_store

if TYPE_CHECKING:
    from .plots import Plots


VARIABLES = {"time", "stratum", "w", "h", "z", "share_H", "share_W", "loss", "semantic_index"}


@dataclass(frozen=True)
class Window:
    """The semantic window: when the index first reaches half its maximum, is largest, and last has half of it."""

    onset: float
    peak: float
    end: float
    height: float


@dataclass(frozen=True)
class Trajectory:
    """The strata of W and H along time, with its plots.

    Attributes
    ----------
    data : xarray.Dataset
        See the module's text.  `data.attrs` has the formula, labels, configuration, versions, seed and device.
    """

    data: xr.Dataset
    kind: ClassVar[str] = "trajectory"

    @cached_property
    def attributes(self) -> Attributes:
        """The structure of the contexts; every array of the data is in its formula's order."""
        return structure(self.data.attrs["formula"])

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The factors that the label keeps; None for all."""
        return _names(self.data.attrs.get("labels"))

    @property
    def time(self) -> np.ndarray:
        """Times (T,), learning rate x steps."""
        return self.data["time"].values

    def shares(self) -> np.ndarray:
        """Shares of H (T, strata without the mean)."""
        return self.data["share_H"].values[:, 1:]

    def gram(self, time: float) -> np.ndarray:
        """Gram matrix H^T H (m, m) at the recorded time nearest to `time`, contexts in the formula's order.

        A reduced trajectory gives sum_A h_A^2 P_A.
        """
        if not np.isfinite(time):
            raise InputError(f"time: {time} is not finite; give one between {self.time[0]} and {self.time[-1]}.")
        row = self.data.sel(time=time, method="nearest")
        if "H" in self.data:
            H = row["H"].values
            return H @ H.T
        squares = {A: float(row["h"].sel(stratum=A)) ** 2 for A in self.attributes.names}
        return strata.apply(np.eye(int(self.attributes.cardinality)), squares, self.attributes)

    def window(self) -> Window | None:
        """The semantic window; None when the index never exceeds 0.01, as in the plain model.

        Onset and end are interpolated between recorded times; a window that is open at the first or last time has
        that time as its border.
        """
        index, time = self.data["semantic_index"].values, self.time
        peak = int(np.nanargmax(index)) if np.any(np.isfinite(index)) else 0
        height = float(index[peak])
        if not height > 0.01:
            return None
        above = np.flatnonzero(index >= height / 2)
        first, last = int(above[0]), int(above[-1])
        onset = (
            time[0] if first == 0 else np.interp(height / 2, index[first - 1 : first + 1], time[first - 1 : first + 1])
        )
        end = (
            time[-1]
            if last == len(time) - 1
            else np.interp(-height / 2, -index[last : last + 2], time[last : last + 2])
        )
        return Window(float(onset), float(time[peak]), float(end), height)

    def certify(
        self, quantity: str, *, at: float, stratum: str | None = None, above: Any = None, below: Any = None
    ) -> bool:
        """Whether a quantity of the exact solution is proved to lie above, below, or between given numbers.

        Parameters
        ----------
        quantity : "w", "h", "z", "share_H", "share_W" (with `stratum`), "semantic_index" or "loss"
        at : one of the recorded times
        above, below : exact numbers; a float is the decimal that it writes

        Returns
        -------
        bool
            True: proved.  False: disproved.

        Raises
        ------
        InputError
            When the bounds decide neither, for a trajectory that has none, and for unknown names and times.

        Examples
        --------
        >>> from ufmflow.numerics.simulate import simulate
        >>> from ufmflow.theory.model import UFM
        >>> trajectory = simulate(UFM("a[2]", loss="mse"), [10.0], init=0.1, certify=True)
        >>> trajectory.certify("z", stratum="a", at=10.0, above=0.99), trajectory.certify("loss", at=10.0, above=0.5)
        (True, False)
        """
        return decide(self.data, quantity, at, stratum, above, below)

    @property
    def plot(self) -> "Plots":
        """Figures of this trajectory; each method returns (fig, ax)."""
        from .plots import Plots

        return Plots(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write a zarr store, whole or not at all.

        Raises
        ------
        InputError
            When the path exists or its folder does not.
        """
        target = new_path(path)
        temporary = tempfile.mkdtemp(prefix=".ufmflow-", dir=os.path.dirname(target))
        try:
            told = {"kind": self.kind, "digest": content_digest(self.data)}
            # Format 2: the third has no stable type for the strata's names yet.
            self.data.assign_attrs(told).to_zarr(os.path.join(temporary, "store"), zarr_format=2)
            os.replace(os.path.join(temporary, "store"), target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Trajectory":
        """Read a zarr store that `save` wrote.

        Raises
        ------
        InputError
            When it is missing, damaged, or another program's.
        """
        if not os.path.isdir(path):
            raise InputError(f"path: {os.fspath(path)!r} is no zarr store; give a folder that save() wrote.")
        try:
            check_store(path)
            data = xr.open_zarr(path).load()
        except Exception as error:  # zarr, codecs and xarray each raise their own kinds for a damaged store
            raise InputError(f"path: {os.fspath(path)!r} cannot be read as a zarr store ({error}).") from None
        if data.attrs.get("kind") != cls.kind or not VARIABLES <= set(data.variables) or "formula" not in data.attrs:
            raise InputError(f"path: {os.fspath(path)!r} is no ufmflow {cls.kind}.")
        if data.attrs.pop("digest", None) not in (None, content_digest(data)):
            raise InputError(f"path: {os.fspath(path)!r} is damaged: its numbers are not those that were saved.")
        made = cls(data)
        if made.attributes.names != tuple(data["stratum"].values):
            raise InputError(f"path: the strata in {os.fspath(path)!r} are not those of its formula {made.attributes}.")
        return made


def new_path(path: str | os.PathLike) -> str:
    """The absolute path, refused when it exists or its folder does not."""
    target = os.path.abspath(os.fspath(path))
    if os.path.exists(target):
        raise InputError(f"path: {os.fspath(path)!r} exists; remove it, or name another.")
    if not os.path.isdir(os.path.dirname(target)):
        raise InputError(f"path: the folder {os.path.dirname(target)!r} does not exist; make it first.")
    return target


def in_formula_order(rows: np.ndarray, attributes: Attributes, axis: int = 0) -> np.ndarray:
    """Rows of a table's order put into the formula's order along an axis."""
    if attributes.order is None:
        return rows
    return np.take(rows, np.argsort(attributes.order), axis=axis)


def dataset(
    attributes: Attributes,
    labels: tuple[str, ...] | None,
    time: np.ndarray,
    w: np.ndarray,
    h: np.ndarray,
    z: np.ndarray,
    loss: np.ndarray,
    **attrs: Any,
) -> xr.Dataset:
    """The schema's Dataset from singular values (T, strata) and the loss (T,)."""
    m = np.array([float(stratum.multiplicity) for stratum in attributes.strata])
    share_H, share_W = shares(h, m), shares(w, m)
    two = ("time", "stratum")
    variables = {
        "w": (two, w, {"long_name": "singular value of W"}),
        "h": (two, h, {"long_name": "singular value of H"}),
        "z": (two, z, {"long_name": "singular value of Z = W H"}),
        "share_H": (two, share_H, {"long_name": "share of the Gram matrix of H"}),
        "share_W": (two, share_W, {"long_name": "share of the Gram matrix of W"}),
        "loss": ("time", loss, {"long_name": "loss without ridge"}),
        "semantic_index": ("time", semantic_index(share_H, attributes, labels), {"long_name": "semantic index"}),
    }
    record = {
        "formula": str(attributes),
        "labels": " * ".join(labels) if labels else "",
        "versions": json.dumps(versions()),
        **attrs,
    }
    coordinates = {
        "time": ("time", time, {"long_name": "time", "units": "learning rate x steps"}),
        "stratum": list(attributes.names),
        "multiplicity": ("stratum", m),
    }
    return xr.Dataset(variables, coordinates, record)


def shares(singular_values: np.ndarray, multiplicities: np.ndarray) -> np.ndarray:
    """m_A s_A^2 / sum over B != mean of m_B s_B^2, for singular values (..., strata); 0 for the mean and for no energy."""
    energy = multiplicities * singular_values**2
    energy[..., 0] = 0.0
    total = energy.sum(axis=-1, keepdims=True)
    return np.divide(energy, total, out=np.zeros_like(energy), where=total > 0)


def semantic_index(share: np.ndarray, attributes: Attributes, labels: tuple[str, ...] | None) -> np.ndarray:
    """(share of the label's main effects - its ETF value) / (1 - its ETF value), from shares (..., strata).

    1: attributes only; 0: the ETF, where strata of the label share by multiplicity.  0 throughout when the label has
    a single attribute, which leaves no main effect apart from the labels themselves.
    """
    semantic = attributes.semantic_strata(labels)
    if not semantic:
        return np.zeros(share.shape[:-1])
    kept = attributes.keep(labels)
    etf = float(sum(kept.multiplicities[A] for A in semantic) / (kept.cardinality - 1))
    columns = [attributes.names.index(A) for A in semantic]
    return (share[..., columns].sum(axis=-1) - etf) / (1.0 - etf)


def versions() -> dict[str, str]:
    """Versions of what computed a result, for its provenance."""
    packages = ("ufmflow", "numpy", "scipy", "sympy", "xarray")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


@cache
def _version(package: str) -> str:
    return version(package)  # reads files, 6 ms


def _names(labels: str | None) -> tuple[str, ...] | None:
    return tuple(labels.split(" * ")) if labels else None
