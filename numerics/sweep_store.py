"""The store of a sweep on disk: made whole, opened only for its own design, filled chunk by chunk.

A chunk is committed by its piece of `status`, which comes last and at once (a link to a finished file, refused where
there is one already): until then its runs are pending and readers take none of its numbers, from then on it is never
computed or written again.  Everything else that a killed process may leave behind is written over.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..theory.errors import InputError
from .sweep_design import Design
from .sweep_errors import SweepError
from .sweep_layout import KIND, SCHEMA, STATUS, Variable, lay_out, strata_of, variables
from .sweep_lock import read_log
from .trajectory import new_path, versions
from .zarr_guard import check_store

COMPUTING = ("ufmflow", "numpy", "scipy", "sympy")  # one store holds what one version of each computed


class Store:
    """A store on disk that belongs to a design.

    Parameters
    ----------
    path : of the store
    design : that it must have been made for; the store's own if None
    device : that it must have been begun on, when a design is given

    Raises
    ------
    InputError
        When it is missing, no sweep, damaged, of another design, or begun with other versions or on another device.
    """

    def __init__(self, path: str | os.PathLike, design: Design | None = None, device: str = "cpu"):
        self.path = Path(os.path.abspath(path))
        self.attrs = _attributes(self.path)
        config = json.loads(self.attrs["configuration"])
        if design is not None and design.digest != self.attrs["design"]:
            raise InputError(
                f"out: {str(path)!r} holds a sweep of another design ({_difference(config, design.config())}); name "
                "another, or delete it."
            )
        self.design = Design.of(config) if design is None else design
        if design is not None:
            self.require_versions()
            if device != self.attrs["device"]:
                raise InputError(
                    f"device: {str(path)!r} was begun on {self.attrs['device']!r}, not {device!r}; finish it there, or "
                    "name another store."
                )
        self._check()

    @classmethod
    def create(cls, path: str | os.PathLike, design: Design, device: str) -> "Store":
        """Make the store, whole or not at all, with nothing computed.

        Raises
        ------
        InputError
            When the path exists, or cannot be written.
        """
        target, strata = new_path(path), strata_of(design)
        try:
            temporary = tempfile.mkdtemp(prefix=".ufmflow-", dir=os.path.dirname(target))
            try:
                lay_out(os.path.join(temporary, "store"), design, strata, device)
                os.replace(os.path.join(temporary, "store"), target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            raise InputError(f"out: {os.fspath(path)!r} cannot be written: {error.strerror}; name another.") from None
        return cls(target, design, device)

    def require_versions(self) -> None:
        """Refuse to go on with other versions than those that the store was begun with."""
        here, there = versions(), json.loads(self.attrs["versions"])
        other = [f"{name} {there.get(name)}, not {here[name]}" for name in COMPUTING if there.get(name) != here[name]]
        if other:
            raise InputError(
                f"out: {str(self.path)!r} was begun with {other[0]}; finish it with that, or name another."
            )

    @cached_property
    def strata(self) -> tuple[str, ...]:
        """The names along `stratum`."""
        return strata_of(self.design)

    @cached_property
    def _variables(self) -> dict[str, Variable]:
        return variables(self.design, len(self.strata))

    def committed(self) -> set[int]:
        """The chunks that are finished."""
        return {int(name) for name in os.listdir(self.path / "status") if name.isdecimal()}

    def pending(self) -> list[int]:
        """The chunks that are not."""
        done = self.committed()
        return [index for index in range(self.design.chunks) if index not in done]

    def is_committed(self, index: int) -> bool:
        """Whether one chunk is finished."""
        return (self.path / "status" / str(index)).exists()

    def commit(self, index: int, arrays: Mapping[str, np.ndarray]) -> bool:
        """Write a chunk; False when another process has committed it already, which changes nothing.

        Raises
        ------
        SweepError
            When the disk is full or the store cannot be written; no chunk is half committed.
        """
        if self.is_committed(index):
            return False
        rows = self.design.of_chunk(index)
        try:
            group = zarr.open_group(str(self.path), mode="r+", zarr_format=2, use_consolidated=False)
            with zarr.config.set({"array.write_empty_chunks": True}):
                for name in self._variables:
                    if name != "status":
                        group[name][rows.start : rows.stop] = arrays[name]  # type: ignore[index]
                        _to_disk(self._piece(name, index))
            status = np.zeros(self.design.chunk, "|i1")
            status[: len(rows)] = arrays["status"]
            return self._publish(index, status.tobytes())
        except OSError as error:
            raise SweepError(
                f"{str(self.path)!r} cannot be written: {error.strerror or error}; what is finished is kept, so mend that "
                "and give the same command again"
            ) from None

    def piece_sizes(self, index: int) -> dict[str, int]:
        """The bytes of a chunk of each array, by which a cut one is known."""
        return {name: self._piece(name, index).stat().st_size for name in self._variables}

    def tidy(self) -> None:
        """Remove what killed processes left beside a finished sweep."""
        for file in [*self.path.rglob("*.partial"), *(self.path / ".ufmflow").glob("tmp*")]:
            file.unlink(missing_ok=True)

    def status(self) -> np.ndarray:
        """The status of each run (runs,)."""
        return zarr.open_group(str(self.path), mode="r", zarr_format=2)["status"][:]  # type: ignore[index,return-value]

    def counts(self) -> dict[str, int]:
        """How many runs have each status."""
        status = self.status()
        return {name: int(np.sum(status == code)) for code, name in enumerate(STATUS)}

    def problems(self, most: int) -> list[tuple[int, str]]:
        """The first runs that failed or were refused, and why."""
        runs = np.flatnonzero(self.status() > STATUS.index("done"))[:most]
        column = zarr.open_group(str(self.path), mode="r", zarr_format=2)["problem"]
        return [(int(run), str(column[int(run)])) for run in runs]  # type: ignore[index]

    def _publish(self, index: int, status: bytes) -> bool:
        handle, temporary = tempfile.mkstemp(dir=self.path / ".ufmflow")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(status)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.link(temporary, self._piece("status", index))
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return True

    def _piece(self, name: str, index: int) -> Path:
        """The file of a chunk of an array; further dimensions are never divided."""
        return self.path / name / ".".join([str(index), *["0"] * (len(self._variables[name].shape) - 1)])

    def _check(self) -> None:
        """Refuse a store whose arrays are not those of its design, or whose committed chunks lack a piece."""
        damaged = f"out: {str(self.path)!r} is damaged ({{}}); delete it, or name another."
        try:
            check_store(self.path, unfolds=False)
            group = zarr.open_group(str(self.path), mode="r", zarr_format=2, use_consolidated=False)
            for name, variable in self._variables.items():
                found, shape = group[name], tuple(variable.shape.values())
                if found.shape != shape or found.chunks != (self.design.chunk, *(n or 1 for n in shape[1:])):  # type: ignore[union-attr]
                    raise InputError(damaged.format(f"{name} has another shape"))
            done = self.committed()
        except InputError:
            raise
        except Exception as error:  # zarr raises its own kinds for missing and malformed arrays
            raise InputError(damaged.format(" ".join(str(error).split()) or type(error).__name__)) from None
        commits = [entry for entry in read_log(self.path) if entry["event"] == "commit"]
        known = {str(entry["chunk"]): entry["sizes"] for entry in commits if isinstance(entry.get("sizes"), dict)}
        for name in self._variables:
            there = {file.name: file.stat().st_size for file in os.scandir(self.path / name)}
            for index in done:
                piece = self._piece(name, index).name
                wanted = known.get(str(index), {}).get(name, there.get(piece))
                wanted = self.design.chunk if name == "status" else wanted
                if not there.get(piece) or there[piece] != wanted:
                    raise InputError(damaged.format(f"chunk {index} of {name} is missing or cut"))


def _attributes(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputError(f"out: there is no store at {str(path)!r}.")
    try:
        attrs = json.loads((path / ".zattrs").read_text(encoding="utf-8"))
        foreign = attrs.get("kind") != KIND
        if not foreign and attrs["schema"] != SCHEMA:
            raise InputError(f"out: {str(path)!r} was written by another version of ufmflow; name another.")
        for key in ("configuration", "versions"):
            foreign = foreign or not isinstance(json.loads(attrs[key]), dict)
        foreign = foreign or not {"id", "design", "device"} <= set(attrs)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        foreign = True
    if foreign:
        raise InputError(f"out: {str(path)!r} is no store of a sweep; name another, or delete it.")
    return attrs


def _difference(there: Any, here: Any, name: str = "") -> str:
    """The first thing in which two configurations differ."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*there, *here]):
            if there.get(key) != here.get(key):
                return _difference(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))
        return f"{name or 'its axes'} in another order"

    def short(value: Any) -> str:
        text = "nothing" if value is None else json.dumps(value)
        return text if len(text) <= 40 else text[:37] + "..."

    return f"{name} is {short(there)} there and {short(here)} here"


def _to_disk(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
