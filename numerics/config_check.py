"""Examples of the TOML files that ufmflow reads, and what is wrong with one: nothing is integrated or trained."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .config import TABLES, checked_tables, model_of, read_toml, simulate_arguments, training_options
from .config_lines import naming_lines
from .integrate import output_times
from .options import one_of
from .settings import SETTINGS
from .simulate import simulate
from .sweep_design import Design
from .sweep_estimate import check_members

KINDS = ("simulate", "sweep", "train")


def example_config(kind: str) -> str:
    """A commented file with every key that a verb knows.

    Examples
    --------
    >>> example_config("simulate").splitlines()[2]
    '[model]'
    """
    name = one_of("verb", kind, KINDS)
    return (Path(__file__).parent / "data" / f"{name}.toml").read_text(encoding="utf-8")


def check_config(path: str | os.PathLike) -> tuple[str, dict[str, Any]]:
    """What a file is for, and how much it asks for.

    Parameters
    ----------
    path : of a TOML file with a [train] table, or [model] and [simulate], and [sweep]

    Returns
    -------
    The verb that reads it ("simulate", "sweep" or "train"), and what it describes, as plain data

    Raises
    ------
    InputError
        For what the verb would refuse; the file's line stands before it where the message is about a key.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "sweep.toml")
    ...     _ = file.write_text(example_config("sweep"))
    ...     check_config(file)
    ('sweep', {'runs': 36, 'dimensions': {'ridge': 3, 'init': 3, 'sample': 4}})
    """
    config, name = read_toml(path), os.fspath(path)
    with naming_lines(path):
        if "train" in config:
            return "train", _training(training_options(config, name))
        if "sweep" in config:
            design = Design.of(config, name)
            check_members(design, "cpu")
            return "sweep", {"runs": design.runs, "dimensions": design.shape}
        return "simulate", _simulation(checked_tables(config, TABLES, name))


def _training(table: dict[str, Any]) -> dict[str, Any]:
    from .train import Plan

    # Which setting it is for stands on the command line: one of them must take the options.
    errors = []
    for setting in SETTINGS:
        try:
            return {"steps": Plan(setting, **table).steps}
        except InputError as error:
            errors.append(error)
    raise errors[0]


def _simulation(tables: dict[str, dict]) -> dict[str, Any]:
    model, arguments = model_of(tables["model"]), simulate_arguments(tables["simulate"])
    times = output_times(arguments["t"])
    simulate(model, **(arguments | {"t": np.zeros(1)}))
    return {"strata": len(model.attributes.names), "times": len(times), "end": float(times[-1])}
