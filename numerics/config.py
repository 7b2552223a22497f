"""A simulation described in TOML: a [model] table and a [simulate] table, checked key by key.

[model]
attributes = "color[4] * shape[6]"
kernel = { color = 1.0, shape = 1.0, residual = 0.1 }    # embedding kernel; or feature_kernel = { stratum = number }
ridge = 1e-3

[simulate]
t = 1e5
init = 1e-3

A sweep has a [sweep] table beside them, which `sweep_design` reads; a training has a [train] table alone.
"""

import os
import tomllib
from collections.abc import Mapping
from inspect import signature
from typing import Any

from ..theory.errors import InputError, nearest
from ..theory.exchangeable import structure
from ..theory.kernels import cooccurrence_targets, embedding_kernel
from ..theory.model import UFM
from .simulate import gaussian

MODEL_KEYS = (
    "attributes", "labels", "loss", "targets", "cooccurrence", "kernel", "feature_kernel", "label_kernel", "ridge",
    "constraint", "width", "reduction",
)  # fmt: skip
SIMULATE_KEYS = (
    "t", "init", "gaussian", "full", "rtol", "atol", "seed", "certify", "optimizer", "dtype", "method",
)  # fmt: skip
SWEEP_KEYS = ("chunk", "keep", "grid", "random")
TABLES = {"model": MODEL_KEYS, "simulate": SIMULATE_KEYS}


def read_config(path: str | os.PathLike) -> tuple[UFM, dict[str, Any]]:
    """The model and the arguments of `simulate` that a TOML file describes.

    Raises
    ------
    InputError
        For files that cannot be read, malformed TOML (with its line), unknown or missing keys, and bad values.
    """
    tables = checked_tables(read_toml(path), TABLES, os.fspath(path))
    return model_of(tables["model"]), simulate_arguments(tables["simulate"])


def read_toml(path: str | os.PathLike) -> dict[str, Any]:
    """What a TOML file holds; `InputError` where it cannot be read or is malformed."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputError(f"config: cannot read {os.fspath(path)!r}: {error.strerror}.") from None
    except RecursionError:
        raise InputError(f"config: {os.fspath(path)!r} has tables or lists too deep in each other.") from None
    except ValueError as error:  # malformed, no UTF-8, or whole numbers of thousands of digits
        raise InputError(f"config: {os.fspath(path)!r} is no valid TOML: {error}.") from None


def checked_tables(config: Mapping[str, Any], expected: Mapping[str, tuple[str, ...]], name: str) -> dict[str, dict]:
    """The tables of a configuration; `InputError` where one or a key is unknown, or a table is missing."""
    tables = {}
    for table, keys in expected.items():
        found = config.get(table)
        if not isinstance(found, Mapping):
            raise InputError(f"config: {name!r} has no [{table}] table.")
        unknown = [key for key in found if key not in keys]
        if unknown:
            raise InputError(
                f"config: [{table}] has no key {unknown[0]!r}{nearest(unknown[0], keys)}; its keys are {', '.join(keys)}."
            )
        tables[table] = dict(found)
    unknown = [key for key in config if key not in expected]
    if unknown:
        listed = " and ".join(f"[{table}]" for table in expected)
        raise InputError(
            f"config: unknown table or key {unknown[0]!r}{nearest(unknown[0], expected)}; a file has {listed}."
        )
    return tables


def model_of(table: Mapping[str, Any]) -> UFM:
    """The model of a [model] table.

    Examples
    --------
    >>> model_of({"attributes": "a[2] * b[2]", "kernel": {"a": 1, "residual": 0.5}}).feature_kernel["a"]
    5/2
    """
    arguments = dict(table)
    if "attributes" not in arguments:
        raise InputError('config: [model] needs attributes, for example attributes = "color[4] * shape[6]".')
    attributes = structure(arguments.pop("attributes"))
    if "kernel" in arguments:
        if "feature_kernel" in arguments:
            raise InputError("config: [model] has both kernel and feature_kernel; give one of them.")
        weights = _table(arguments.pop("kernel"), "kernel")
        residual = weights.pop("residual", 0)
        arguments["feature_kernel"] = embedding_kernel(attributes, weights, residual)
    if "cooccurrence" in arguments:
        if "targets" in arguments:
            raise InputError("config: [model] has both cooccurrence and targets; give one of them.")
        weights = _table(arguments.pop("cooccurrence"), "cooccurrence")
        eps = weights.pop("eps", 0)
        arguments["targets"] = cooccurrence_targets(attributes.keep(arguments.get("labels")), eps, weights)
    return UFM(attributes, **arguments)


def _table(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"config: {key} is {value!r}; give a table, for example {{ color = 1.0, shape = 1.0 }}.")
    return dict(value)


def simulate_arguments(table: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `simulate` that a [simulate] table names."""
    arguments = dict(table)
    if "t" not in arguments:
        raise InputError("config: [simulate] needs t, an end time or a list of output times.")
    if "gaussian" in arguments:
        if "init" in arguments:
            raise InputError("config: [simulate] has both init and gaussian; give one of them.")
        arguments["init"] = gaussian(arguments.pop("gaussian"))
    return arguments


def training_options(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The options of `train` that a [train] table names (extra `train`); `InputError` where one is unknown."""
    from .train import Plan

    _, _, *keys = signature(Plan.__init__).parameters
    return checked_tables(config, {"train": tuple(keys)}, name)["train"]
