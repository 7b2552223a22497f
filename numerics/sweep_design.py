"""The design of a sweep: which runs it has, as a pure function of its configuration.

    [model] and [simulate]                                      what all runs share, as for one simulation
    [sweep.grid]                                                each key is a dimension, runs are all combinations
    ridge = [1e-4, 1e-3, 1e-2]                                  its values, or a range:
    "kernel.color, kernel.shape" = { from = 0.1, to = 10, count = 9, scale = "log" }
    [sweep.random]                                              one dimension `sample`, crossed with the grid's
    method = "sobol"                                            or "latin_hypercube" or "uniform"
    count = 256
    seed = 0
    [sweep.random.values]
    width = { from = 4, to = 64 }                               ends included for whole numbers; a list is chosen from

A key names one parameter, or several that take the same value.  Dots reach into tables: `kernel.color`,
`feature_kernel.color:shape`, `init.color`, and `ridge.W`, `ridge.H`.  Runs are numbered with the last dimension fastest,
dimensions that change the equations (structure, loss, constraint, ...) first, so that neighbours share compiled code.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..theory.errors import InputError, nearest
from ..theory.exchangeable import structure
from ..theory.model import UFM
from .config import MODEL_KEYS, SWEEP_KEYS, TABLES, checked_tables, model_of, simulate_arguments
from .integrate import output_times
from .sweep_axes import Axis, grid_axis, plain, random_axis

WHOLE_TABLES = ("targets", "cooccurrence", "kernel", "feature_kernel", "label_kernel", "init", "ridge")
SIMULATE_PARAMETERS = ("init", "gaussian", "full", "seed", "optimizer")
PARAMETERS = (*MODEL_KEYS, *SIMULATE_PARAMETERS)
# A change in one of these changes the equations or the integrator, not only their numbers.
STRUCTURAL = {"attributes", "labels", "loss", "targets", "cooccurrence", "constraint", "reduction", "full", "optimizer"}
MOST_RUNS = 10**8
CHUNKS = 64  # of a sweep, about, with from 64 to 4096 runs each, which go together, or 1 to 16 of whole matrices
SIZES, SIZES_FULL = (64, 4096), (1, 16)


@dataclass(frozen=True)
class Design:
    """The runs of a sweep.

    Attributes
    ----------
    model, simulate : what all runs share, as plain tables
    axes : dimensions, the last one fastest
    keep : times at which whole trajectories are kept; empty for summaries alone
    chunk : runs that are computed and written together
    random : the plain [sweep.random] table; None without
    """

    model: dict[str, Any]
    simulate: dict[str, Any]
    axes: tuple[Axis, ...]
    keep: tuple[float, ...]
    chunk: int
    random: dict[str, Any] | None

    @classmethod
    def of(cls, config: Mapping[str, Any], name: str = "config") -> "Design":
        """The design that a configuration describes.

        Parameters
        ----------
        config : mapping with the tables `model` (or a UFM), `simulate` and `sweep`; see the module's text
        name : of the file, for messages

        Raises
        ------
        InputError
            For unknown keys, parameters and methods, repeated values, and ranges that hold none.

        Examples
        --------
        >>> design = Design.of({
        ...     "model": {"attributes": "color[4] * shape[6]"}, "simulate": {"t": 1e4},
        ...     "sweep": {"grid": {"ridge": [0, 1e-3], "init": {"from": 1e-4, "to": 1e-2, "count": 3, "scale": "log"}}},
        ... })
        >>> design.runs, design.shape, design.values(4)
        (6, {'ridge': 2, 'init': 3}, {'ridge': 0.001, 'init': 0.001})
        """
        if not isinstance(config, Mapping):
            raise InputError(f"config: {type(config).__name__}; give a mapping with model, simulate and sweep.")
        if isinstance(model := config.get("model"), UFM):
            config = {**config, "model": {k: v for k, v in model.config().items() if v is not None}}
        tables = checked_tables(config, {**TABLES, "sweep": SWEEP_KEYS}, name)
        model, simulate, sweep = (plain(tables[table]) for table in ("model", "simulate", "sweep"))
        if simulate.get("certify"):
            raise InputError("config: [simulate] certify has no sweep; certify single runs with ufmflow simulate.")
        axes = _axes(sweep)
        design = cls(model, simulate, axes, _keep(sweep, simulate), 1, sweep.get("random"))
        if design.runs > MOST_RUNS:
            raise InputError(f"sweep: {design.runs} runs; a sweep has at most {MOST_RUNS}; give shorter axes.")
        return cls(model, simulate, axes, design.keep, _chunk(sweep, design), design.random)

    @property
    def shape(self) -> dict[str, int]:
        """The dimensions and their lengths, the last one fastest."""
        return {axis.name: axis.length for axis in self.axes}

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return math.prod(axis.length for axis in self.axes)

    @property
    def chunks(self) -> int:
        """How many chunks they are computed in."""
        return -(-self.runs // self.chunk)

    def of_chunk(self, index: int) -> range:
        """The runs of a chunk."""
        return range(index * self.chunk, min((index + 1) * self.chunk, self.runs))

    def values(self, run: int) -> dict[str, Any]:
        """What a run has of its own: key of the design -> value."""
        places = np.unravel_index(run, tuple(self.shape.values()))
        return {
            key: column[place] for axis, place in zip(self.axes, places, strict=True)
            for key, column in axis.columns.items()
        }  # fmt: skip

    def member(self, values: Mapping[str, Any], device: str = "cpu") -> tuple[UFM, dict[str, Any]]:
        """The model and the arguments of `simulate` of a run with the given values, whole matrices on a device."""
        model, simulate = dict(self.model), dict(self.simulate)
        named = [(name, value) for key, value in values.items() for name in parameters_of(key)]
        # Whole parameters first: parts of a table are set in what they leave.
        for name, value in sorted(named, key=lambda pair: "." in pair[0]):
            head, dot, part = name.partition(".")
            table = model if head in MODEL_KEYS else simulate
            table[head] = _with_part(model, table.get(head), head, part, value) if dot else value
        arguments = simulate_arguments(simulate) | {"t": self.times}
        return model_of(model), arguments | ({"device": device} if arguments.get("full") else {})

    @cached_property
    def times(self) -> np.ndarray:
        """The output times of each run (T,), those that are kept among them; learning rate x steps."""
        return np.union1d(output_times(self.simulate["t"]), np.array(self.keep))

    def config(self) -> dict[str, Any]:
        """The configuration with every default resolved; `Design.of` of it is this design."""
        grid = {axis.name: list(axis.columns[axis.name]) for axis in self.axes if axis.name in axis.columns}
        sweep = {"chunk": self.chunk, "keep": list(self.keep), "grid": grid}
        if self.random is not None:
            sweep["random"] = self.random
        return {"model": self.model, "simulate": self.simulate, "sweep": sweep}

    @cached_property
    def digest(self) -> str:
        """A hash of the configuration: equal for equal designs, whatever file they were read from."""
        config = self.config()
        shared = json.dumps([config["model"], config["simulate"]], sort_keys=True)
        return hashlib.sha256((shared + json.dumps(config["sweep"])).encode()).hexdigest()


def parameters_of(key: str) -> tuple[str, ...]:
    """The parameters that a key of a design names, separated by commas."""
    return tuple(name.strip() for name in key.split(","))


def _axes(sweep: dict[str, Any]) -> tuple[Axis, ...]:
    axes = []
    for key, spec in _flat(_table(sweep.get("grid", {}), "grid")).items():
        axes.append(grid_axis(_key(key, "grid"), spec))
    if "random" in sweep:
        random = _table(sweep["random"], "random")
        columns = _flat(_table(random.get("values"), "random.values"))
        axes.append(random_axis({**random, "values": {_key(k, "random.values"): v for k, v in columns.items()}}))
    if not axes:
        raise InputError(
            "config: [sweep] has neither grid nor random; give one, for example grid = { ridge = [0, 1] }."
        )
    seen: set[str] = set()
    for name in (name for axis in axes for key in axis.columns for name in parameters_of(key)):
        if name in seen:
            raise InputError(f"config: [sweep] varies {name!r} twice; give it once.")
        seen.add(name)
    return tuple(sorted(axes, key=lambda axis: not _structural(axis)))


def _structural(axis: Axis) -> bool:
    names = {name.partition(".")[0] for key in axis.columns for name in parameters_of(key)}
    return axis.name in axis.columns and bool(names & STRUCTURAL)


def _table(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"config: [sweep.{name}] is {value!r}; it must be a table.")
    return dict(value)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables within tables by dotted names, ranges left as they are."""
    found = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and not {"from", "to"} & set(value):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


def _key(key: str, table: str) -> str:
    names = parameters_of(key)
    for name in names:
        head, dot, part = name.partition(".")
        if head not in PARAMETERS or (dot and (head not in WHOLE_TABLES or not part)):
            raise InputError(
                f"config: [sweep.{table}] has no parameter {name!r}{nearest(head, PARAMETERS)}; a sweep varies {', '.join(PARAMETERS)}, and parts "
                "such as kernel.color or ridge.W."
            )
        if head == "ridge" and dot and part not in ("W", "H"):
            raise InputError(f"config: [sweep.{table}] {name!r} is no ridge; its parts are ridge.W and ridge.H.")
    return ",".join(names)  # xarray keeps no coordinate whose name has a space


def _with_part(model: Mapping[str, Any], table: Any, head: str, part: str, value: Any) -> Any:
    """A table, or what stands for one, with one part replaced."""
    if head == "ridge":
        pair = list(table) if isinstance(table, list) else [table or 0] * 2
        return [value, *pair[1:]] if part == "W" else [*pair[:1], value]
    if isinstance(table, Mapping):
        return {**table, part: value}
    if head in ("kernel", "cooccurrence"):
        if table is not None:
            raise InputError(f"config: {head} is {table!r}; give a table, for example {{ color = 1.0, shape = 1.0 }}.")
        return {part: value}
    attributes = structure(model.get("attributes"))  # type: ignore[arg-type]
    names = (attributes if head in ("feature_kernel", "init") else attributes.keep(model.get("labels"))).names
    default = 1e-3 if head == "init" else 1
    return {**dict.fromkeys(names, default if table is None else table), part: value}


def _keep(sweep: dict[str, Any], simulate: dict[str, Any]) -> tuple[float, ...]:
    times = output_times(simulate.get("t"))  # type: ignore[arg-type]
    if not (keep := sweep.get("keep", [])):
        return ()
    if not isinstance(keep, list):
        raise InputError(f"keep: {keep!r} is no list of times; give for example keep = [1.0, 10.0].")
    kept = output_times(keep)
    if kept[-1] > times[-1]:
        raise InputError(f"keep: {kept[-1]} is after the end {times[-1]}; keep times up to it, or raise t.")
    return tuple(kept.tolist())


def _chunk(sweep: dict[str, Any], design: Design) -> int:
    chunk = sweep.get("chunk")
    if chunk is None:
        full = any(
            True in column for axis in design.axes for key, column in axis.columns.items() if key == "full"
        ) or design.simulate.get("full")
        return int(np.clip(design.runs // CHUNKS, *(SIZES_FULL if full else SIZES)))
    if isinstance(chunk, bool) or not isinstance(chunk, int) or not 1 <= chunk <= 2**20:
        raise InputError(f"chunk: {chunk!r} is no whole number from 1 to {2**20}; it is how many runs go together.")
    return chunk
