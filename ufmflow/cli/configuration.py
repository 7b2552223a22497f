"""The verb about TOML files: an example of each kind, and what is wrong with one."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..theory.errors import InputError
from .completion import CONFIGURED, among
from .options import Json, Quiet
from .output import Screen


def config(
    kind: Annotated[
        str, typer.Argument(help="The verb that reads it: simulate, sweep or train.", autocompletion=among(CONFIGURED))
    ] = "simulate",
    example: Annotated[bool, typer.Option("--example", help="Print a commented example of all keys.")] = False,
    check: Annotated[
        Path | None, typer.Option(help="Check this file, whichever kind it is, without running anything.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print an example of a TOML file, or check one.

    Errors name the file's line, its key, what is allowed, and the closest match.

    \b
    Examples:
      ufmflow config --example > config.toml
      ufmflow config --example sweep > sweep.toml
      ufmflow config --check sweep.toml
    """
    from ..numerics.config_check import check_config, example_config

    screen = Screen(as_json, quiet)
    if example == (check is not None):
        raise InputError("--example, --check: choose one of them; --check takes the file's path.")
    if check is None:
        text = example_config(kind)
        screen.show({"verb": kind, "toml": text}, [text.rstrip()])
        return
    verb, about = check_config(check)
    summary: dict[str, Any] = {"file": str(check), "verb": verb, "valid": True} | about
    screen.show(summary, [f"{check}: a valid file for `ufmflow {verb}`", *(f"{k}: {v}" for k, v in about.items())])
