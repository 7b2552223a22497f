"""NAME.recording/, the steps so far of a run that is not finished: one file a step, each whole or not there."""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .loaders import read_arrays
from .runs import UNFINISHED, write_whole

SERIES = ("H", "W", "feature_norm", "final_gain", "final_bias", "loss", "time")
ONCE = ("rate", "kernel_init")


class RecordingFolder:
    """The folder beside NAME.npz, made, or found as it was begun with the same settings.

    Raises
    ------
    InputError
        When the run is there already, the folder cannot be written, or it was begun with other settings.
    """

    def __init__(self, stem: Path, steps: Iterable[int], settings: Mapping[str, Any]):
        self.path, self.steps = stem.with_name(stem.name + ".recording"), sorted(steps)
        self.settings = self.path / "settings.json"
        if stem.with_name(stem.name + ".npz").exists():
            raise InputError(f"path: {stem.name}.npz is there already; give another name, or delete it.")
        here = json.loads(json.dumps({**settings, "steps": self.steps}, default=str))
        mend = f"delete {self.path.name}, or give another name"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.settings.exists():
                write_whole(self.settings, json.dumps(here).encode())
            there = json.loads(self.settings.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"path: cannot write to {str(self.path)!r}: {error.strerror}; give another.") from None
        except ValueError:
            raise InputError(f"path: {self.path.name} is no recording that can be read; {mend}.") from None
        other = [name for name, value in here.items() if not isinstance(there, dict) or there.get(name) != value]
        if other:
            raise InputError(f"path: {self.path.name} was begun with another {other[0]}; {mend}.")

    def recorded(self) -> list[int]:
        """The steps that are there."""
        return [step for step in self.steps if self._file(step).exists()]

    def write(self, step: int, arrays: Mapping[str, Any]) -> None:
        """Record a step, whole or not at all."""
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        write_whole(self._file(step), packed.getvalue())

    def read(self, step: int) -> dict[str, np.ndarray]:
        """The arrays of a recorded step."""
        try:
            return read_arrays(self._file(step), (*SERIES, *ONCE), "a recorded step")
        except InputError as error:
            raise InputError(
                f"{str(error).removesuffix('.')}; delete it and go on from an earlier checkpoint, or delete "
                f"{self.path.name} and begin anew."
            ) from None

    def forget(self, steps: Iterable[int]) -> None:
        """Remove recorded steps."""
        for step in steps:
            self._file(step).unlink()

    def remove(self) -> None:
        """Remove the folder and what it holds of ours."""
        self.forget(self.recorded())
        for left in self.path.glob(f"{UNFINISHED}*"):
            left.unlink()  # of a process that was killed while it wrote
        self.settings.unlink()
        self.path.rmdir()

    def _file(self, step: int) -> Path:
        return self.path / f"step-{step:012d}.npz"
