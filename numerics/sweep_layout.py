"""What is in the Zarr store of a sweep: one dimension `run`, and one piece of each array for each chunk of the design.

    status (run)   pending 0, done 1, failed 2 (the integrator could not go on), refused 3 (there is no such model);
    problem (run)  says why
    window_onset, window_peak, window_end, window_height (run)          of the semantic window; NaN without one
    final_loss, final_semantic_index (run)     final_w, final_h, final_z, final_share_H, final_share_W (run, stratum)
    trajectory_*  (run, time[, stratum])       the same along the times that are kept

Coordinates along `run` are what each run has of its own.  Strata that a run's structure lacks are NaN.
"""

import datetime
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
import zarr

from ..theory.errors import InputError
from ..theory.exchangeable import structure
from .sweep_design import Design, parameters_of
from .trajectory import versions

KIND, SCHEMA = "sweep", 1
STATUS = ("pending", "done", "failed", "refused")
PROBLEM = 200  # characters of a problem that are kept
COMPRESSED = {"id": "zstd", "level": 3, "checksum": True}  # a damaged piece is told from a sound one
WINDOW = ("onset", "peak", "end", "height")
BY_STRATUM = ("w", "h", "z", "share_H", "share_W")
BY_RUN = ("loss", "semantic_index")


@dataclass(frozen=True)
class Variable:
    """An array of the store: its dimensions and lengths, its type, and its attributes."""

    shape: dict[str, int]
    dtype: str
    attrs: Mapping[str, Any]


def strata_of(design: Design) -> tuple[str, ...]:
    """The strata of all structures of a design, in order of appearance."""
    formulas: list[Any] = [design.model.get("attributes")]
    for axis in design.axes:
        for key, column in axis.columns.items():
            if "attributes" in parameters_of(key):
                formulas = list(dict.fromkeys(column))
    if formulas == [None]:
        raise InputError('config: [model] needs attributes, for example attributes = "color[4] * shape[6]".')
    return tuple(dict.fromkeys(name for formula in formulas for name in structure(formula).names))


def variables(design: Design, strata: int) -> dict[str, Variable]:
    """The arrays of a design's store, without coordinates; `status` last."""
    run, stratum, time = {"run": design.runs}, {"stratum": strata}, {"time": len(design.keep)}
    found = {f"window_{name}": Variable(run, "<f8", {}) for name in WINDOW}
    found |= {f"final_{name}": Variable(run, "<f8", {}) for name in BY_RUN}
    found |= {f"final_{name}": Variable(run | stratum, "<f8", {}) for name in BY_STRATUM}
    if design.keep:
        found |= {f"trajectory_{name}": Variable(run | time, "<f8", {}) for name in BY_RUN}
        found |= {f"trajectory_{name}": Variable(run | time | stratum, "<f8", {}) for name in BY_STRATUM}
    found["problem"] = Variable(run, f"<U{PROBLEM}", {})
    flags = {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)}
    return found | {"status": Variable(run, "|i1", flags)}


def blank(design: Design, strata: int, runs: int) -> dict[str, np.ndarray]:
    """Arrays for so many runs, in which nothing is known."""
    unknown = {"<f8": np.nan, "|i1": 0}
    return {
        name: np.full((runs, *list(v.shape.values())[1:]), unknown.get(v.dtype, ""), v.dtype)
        for name, v in variables(design, strata).items()
    }


def size(design: Design, strata: int) -> int:
    """Bytes of the store, about: numbers uncompressed, text as if it were mostly empty, and the files' own blocks."""
    found, coordinates = variables(design, strata), 2 + sum(len(axis.columns) for axis in design.axes)
    per_run = sum(
        32 if variable.dtype.startswith("<U") else np.dtype(variable.dtype).itemsize
        * int(np.prod(list(variable.shape.values())[1:], dtype=float))
        for variable in found.values()
    )  # fmt: skip
    files = len(found) * (design.chunks + 2) + 3 * coordinates
    return design.runs * (per_run + 16 * coordinates) + 4096 * files


def lay_out(path: str, design: Design, strata: tuple[str, ...], device: str) -> None:
    """An empty store: coordinates, arrays without values, attributes."""
    attrs = {
        "kind": KIND, "schema": SCHEMA, "id": uuid.uuid4().hex, "design": design.digest, "shape": json.dumps(design.shape),
        "configuration": json.dumps(design.config()), "versions": json.dumps(versions()), "device": device,
        "seed": json.dumps((design.random or {}).get("seed")),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    coordinates: dict[str, Any] = {"stratum": list(strata)}
    if design.keep:
        units = {"long_name": "time", "units": "learning rate x steps"}
        coordinates["time"] = ("time", np.array(design.keep), units)
    coordinates |= {key: ("run", column) for key, column in columns(design).items()}
    xr.Dataset({}, coordinates, attrs).to_zarr(path, zarr_format=2, consolidated=False)
    group: Any = zarr.open_group(path, mode="r+", zarr_format=2)
    for name, variable in variables(design, len(strata)).items():
        shape = tuple(variable.shape.values())
        array = group.create_array(
            name, shape=shape, chunks=(design.chunk, *(n or 1 for n in shape[1:])), dtype=variable.dtype,
            fill_value=np.nan if variable.dtype == "<f8" else None, compressors=None if name == "status" else COMPRESSED,
        )  # fmt: skip
        array.attrs.update({"_ARRAY_DIMENSIONS": list(variable.shape), **variable.attrs})
    zarr.consolidate_metadata(path, zarr_format=2)
    os.makedirs(os.path.join(path, ".ufmflow", "log"))


def columns(design: Design) -> dict[str, np.ndarray]:
    """What each run has of its own: key -> values (runs,)."""
    places = np.unravel_index(np.arange(design.runs), tuple(design.shape.values()))
    return {
        key: array_of(column)[place]
        for axis, place in zip(design.axes, places, strict=True)
        for key, column in axis.columns.items()
    }


def array_of(column: tuple) -> np.ndarray:
    """Values as an array: of truth values, whole numbers, numbers, or else text."""
    kinds = {type(value) for value in column}
    if kinds == {bool} or (kinds <= {int, float} and kinds):
        return np.array(column)
    return np.array([value if isinstance(value, str) else json.dumps(value) for value in column])
