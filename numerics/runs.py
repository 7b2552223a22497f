"""Recorded training runs: NAME.npz (or .zarr, .safetensors, .pt, .h5) beside NAME.attributes.csv and NAME.json.

Arrays `step (T,)`, `H (T, m, d)` after the final norm, `W (T, V, d)`, `loss (T,)`, `label (m,)`, and where known
`feature_norm (T, m)` (norms of the features before the final norm, mean-centred where the norm centres them),
`kernel_init (m, m)`, `time (T,)` (the sum of the learning rates so far; learning rate x step where it is missing),
`kernel (Tk, m, m)` measured at `kernel_step (Tk,)`, and `final_gain (T, d)`, `final_bias (T, d)` of a final norm with
affine part, which H includes.
"""

import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .embeddings import read_table
from .loaders import ENDINGS, LISTS, as_run, read_arrays
from .observe import observe
from .trajectory import Trajectory, in_formula_order

REQUIRED = ("step", "H", "W", "loss", "label")
UNFINISHED = ".ufmflow-"  # begins the name of a file that is being written
OPTIONAL = ("feature_norm", "kernel_init", "time", "kernel", "kernel_step", "final_gain", "final_bias")


@dataclass(frozen=True)
class Run(Trajectory):
    """A recorded run read into the trajectory's schema, contexts and labels in the formula's order.

    Beside a trajectory's variables its data has `H`, `W`, and where recorded `feature_norm` (time, context) and
    `kernel_init` (context, other_context), `kernel` (kernel_step, context, other_context), `final_gain` and
    `final_bias` (time, feature); time is the sum of the learning rates of the steps so far.
    """

    kind: ClassVar[str] = "run"

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What NAME.json tells: optimizer, lr, seed, arch, body_depth and the rest."""
        return json.loads(self.data.attrs["meta"])

    @property
    def name(self) -> str:
        """The run's name, from its file."""
        return self.data.attrs["name"]

    @property
    def lr(self) -> float:
        """Learning rate."""
        return float(self.meta["lr"])

    @property
    def body_depth(self) -> int | None:
        """Number of linear layers of the body; None when unknown."""
        return self.meta.get("body_depth")

    def step_at(self, time: float) -> float:
        """The step at a flow time within the recorded ones, interpolated: learning rates may follow a schedule.

        Examples
        --------
        >>> round(example_run().step_at(1.0), 6)
        200.0
        """
        return float(np.interp(time, self.time, self.data["step"].values))

    def checkpoints(self) -> tuple[int, ...]:
        """The recorded steps at which the kernel was measured, from which `since` can start; the last step is none."""
        measured = self.data["kernel_step"].values.tolist() if "kernel" in self.data else []
        steps = self.data["step"].values
        # kernel_init is the kernel of step 0, or of the step that `since` took.
        start = [int(steps[0])] if "kernel_init" in self.data and steps[0] == self.meta.get("from_step", 0) else []
        return tuple(sorted(step for step in {*start, *measured} if steps[0] <= step < steps[-1]))

    def since(self, step: int) -> "Run":
        """The run from a recorded step on: its time starts at 0 there, its `kernel_init` is the kernel of that step.

        Parameters
        ----------
        step : one of `checkpoints()`

        Returns
        -------
        Run; `step` goes on counting from the start of training, `meta["from_step"]` tells where it begins

        Raises
        ------
        InputError
            When no kernel was measured at that step, or nothing was recorded after it.

        Examples
        --------
        >>> run = example_run().since(0)
        >>> run.meta["from_step"], float(run.time[0])
        (0, 0.0)
        """
        known = self.checkpoints()
        if step not in known:
            mend = (
                f"choose one of {', '.join(map(str, known))}"
                if known
                else "train with --kernels to measure it on the way"
            )
            raise InputError(
                f"step: the run {self.name} has no kernel at step {step} with more recorded after it; {mend}."
            )
        first = int(np.flatnonzero(self.data["step"].values == step)[0])
        data = self.data.isel(time=slice(first, None))
        data = data.assign_coords(time=("time", self.time[first:] - self.time[first], self.data["time"].attrs))
        if "kernel" in data:
            data = data.sel(kernel_step=data["kernel_step"] >= step)
            if step in data["kernel_step"].values:
                kernel = data["kernel"].sel(kernel_step=step).values
                data["kernel_init"] = (("context", "other_context"), kernel)
        return Run(data.assign_attrs(meta=json.dumps(self.meta | {"from_step": int(step)})))


def example_run(name: str = "crossed_4x6_mlp_flow") -> Run:
    """A recorded run that ships with ufmflow: `crossed_4x6_mlp_flow` or `crossed_4x6_mlp_large_step`.

    Examples
    --------
    >>> example_run().attributes
    Attributes('a0[4] * a1[6]')
    """
    folder = Path(__file__).parent / "data"
    known = sorted(path.stem for path in folder.glob("*.npz"))
    if name not in known:
        raise InputError(f"name: {name!r} is no shipped run; choose one of {', '.join(known)}.")
    return load_run(folder / name)


def load_run(path: str | os.PathLike) -> Run:
    """Read a recorded run.

    Parameters
    ----------
    path : NAME.npz, .zarr, .safetensors, .pt, .pth, .h5 or .hdf5, or NAME alone; the CSV and JSON lie beside it.
        Lists `W_list`, `H_list` and `losses` are read too; their steps are `step` or multiples of the JSON's
        `record_every`, their labels `label` or the table's column

    Raises
    ------
    InputError
        For missing or damaged files, arrays of wrong shapes, NaN or infinity, labels that do not fit W or the
        attributes, and an incomplete or unbalanced attribute table.
    """
    file = _find(Path(path))
    stem = file.with_suffix("")
    meta = _read_json(stem.with_name(stem.name + ".json"))
    attributes, label = read_table(stem.with_name(stem.name + ".attributes.csv"), meta.get("formula"))
    found = read_arrays(file, (*REQUIRED, *OPTIONAL, *LISTS))
    arrays = as_run(found, meta, label, int(np.prod(attributes.shape)), file)
    return make_run(arrays, attributes, meta, file.name)


def make_run(arrays: Mapping[str, np.ndarray], attributes: Attributes, meta: Mapping[str, Any], file: str) -> Run:
    """A run from its arrays, contexts in the order of the attributes' table; see `load_run` and the module's text.

    Parameters
    ----------
    arrays : see the module's text
    attributes : structure of the contexts
    meta : what NAME.json tells, `lr` and `labels` among it
    file : name of the run, with an ending, for the run's `name` and for errors

    Raises
    ------
    InputError
        As `load_run`, but for what concerns files.
    """
    stem = Path(file).stem
    lr = meta.get("lr")
    if isinstance(lr, bool) or not isinstance(lr, (int, float)) or not 0 < lr < sys.float_info.max:
        raise InputError(f"lr: {lr!r} in {stem}.json is no learning rate; time is learning rate x step.")
    _check(arrays, attributes, file)
    time = arrays["time"].astype(float) if "time" in arrays else arrays["step"].astype(float) * lr
    observed = observe(arrays["H"], arrays["W"], arrays["label"], attributes, time, arrays["loss"])
    stated, kept = attributes.keep(meta.get("labels")), attributes.keep(observed.labels)
    if stated != kept:
        raise InputError(f"labels: {stem}.json states {stated}, but the recorded labels keep {kept}; mend one of them.")
    data = observed.data.assign_coords(step=("time", arrays["step"]))
    if "feature_norm" in arrays:
        data["feature_norm"] = (
            ("time", "context"),
            in_formula_order(arrays["feature_norm"], attributes, axis=1).astype(float),
        )
    if "kernel_init" in arrays:
        kernel = in_formula_order(in_formula_order(arrays["kernel_init"], attributes), attributes, axis=1)
        data["kernel_init"] = (("context", "other_context"), kernel.astype(float))
    if "kernel" in arrays:
        kernel = in_formula_order(in_formula_order(arrays["kernel"], attributes, axis=1), attributes, axis=2)
        data = data.assign_coords(kernel_step=arrays["kernel_step"])
        data["kernel"] = (("kernel_step", "context", "other_context"), kernel.astype(float))
    for name in ("final_gain", "final_bias"):
        if name in arrays:
            data[name] = (("time", "feature"), arrays[name].astype(float))
    return Run(data.assign_attrs(source="recorded run", name=stem, meta=json.dumps(dict(meta))))


def save_run(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], rows: Mapping[str, Sequence], meta: Mapping[str, Any]
) -> Path:
    """Write a run as NAME.npz, NAME.attributes.csv and NAME.json; the npz last, each file whole or not at all.

    Parameters
    ----------
    path : NAME or NAME.npz
    arrays : see the module's text
    rows : columns of the attribute table, `label` first
    meta : what NAME.json tells, `formula` and `lr` among it

    Returns
    -------
    Path of the .npz

    Raises
    ------
    InputError
        When an array is missing or the folder cannot be made.
    """
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise InputError(f"arrays: {missing[0]!r} is missing; a run has {', '.join(REQUIRED)}.")
    target = Path(path)
    target = target if target.suffix == ".npz" else target.with_name(target.name + ".npz")
    stem = target.with_suffix("")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"path: the folder {str(target.parent)!r} cannot be made: {error.strerror}.") from None
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(rows)
    writer.writerows(zip(*rows.values(), strict=True))
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]  # numpy types every keyword as its flag allow_pickle
    write_whole(stem.with_name(stem.name + ".attributes.csv"), table.getvalue().encode())
    write_whole(stem.with_name(stem.name + ".json"), (json.dumps(dict(meta), indent=1) + "\n").encode())
    write_whole(target, packed.getvalue())
    return target


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or as it was before."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _find(path: Path) -> Path:
    candidates = [path] if path.suffix in ENDINGS else [path.with_name(path.name + ending) for ending in ENDINGS]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise InputError(f"path: no recorded run at {str(path)!r}; it is NAME with one of {', '.join(ENDINGS)}.")


def _read_json(path: Path) -> dict:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"path: cannot read {str(path)!r}: {error.strerror}; a run has it beside its arrays."
        ) from None
    except RecursionError:
        raise InputError(f"path: {str(path)!r} has objects or lists too deep in each other.") from None
    except ValueError as error:
        raise InputError(f"path: {str(path)!r} is no JSON ({error}).") from None
    if not isinstance(meta, dict):
        raise InputError(f"path: {str(path)!r} holds {type(meta).__name__}, not an object with formula and lr.")
    return meta


def _check(arrays: Mapping[str, np.ndarray], attributes: Attributes, file: str) -> None:
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise InputError(f"{missing[0]}: {file} has no such array; a run has {', '.join(REQUIRED)}.")
    m = int(np.prod(attributes.shape))
    T = len(arrays["step"]) if arrays["step"].ndim == 1 else 0
    d = arrays["H"].shape[-1] if arrays["H"].ndim else 0
    if ("kernel" in arrays) != ("kernel_step" in arrays):
        raise InputError(f"kernel: {file} has only one of kernel and kernel_step; a run has both or neither.")
    shapes = {
        "step": (T,),
        "loss": (T,),
        "label": (m,),
        "feature_norm": (T, m),
        "kernel_init": (m, m),
        "time": (T,),
        "kernel": (arrays["kernel_step"].size if "kernel_step" in arrays else None, m, m),
        "kernel_step": (None,),
        "final_gain": (T, d),
        "final_bias": (T, d),
        "H": (T, m, None),
        "W": (T, None, None),
    }
    for name, array in arrays.items():
        wanted = shapes[name]
        fits = array.ndim == len(wanted) and all(w is None or w == n for w, n in zip(wanted, array.shape, strict=True))
        if T == 0 or not fits or 0 in array.shape:
            readable = ", ".join("any" if n is None else str(n) for n in wanted)
            raise InputError(f"{name}: shape {array.shape} in {file}; it must be ({readable}).")
        if array.dtype.kind not in "iuf":
            raise InputError(f"{name}: type {array.dtype} in {file}; it must hold numbers.")
        if not np.all(np.isfinite(array)):
            where = np.argwhere(~np.isfinite(array))[0].tolist()
            raise InputError(f"{name}: NaN or infinity at index {where} in {file}; a run holds finite numbers.")
    if np.any(np.diff(arrays["step"]) <= 0) or arrays["step"][0] < 0:
        raise InputError(f"step: the steps in {file} must be increasing and at least 0.")
    if "time" in arrays and (np.any(np.diff(arrays["time"]) <= 0) or arrays["time"][0] < 0):
        raise InputError(f"time: the times in {file} must be increasing and at least 0.")
    if "kernel_step" in arrays:
        measured = arrays["kernel_step"]
        if np.any(np.diff(measured) <= 0) or not np.all(np.isin(measured, arrays["step"])):
            raise InputError(f"kernel_step: the steps in {file} must be increasing, and recorded ones.")
