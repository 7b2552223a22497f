"""Options that several verbs share, under one name each, and what their texts mean."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..theory.errors import InputError
from .completion import NAMES, among

MOST_SEEDS = 10_000


def choice(kind: str, help: str = "", of: Callable[..., Any] = typer.Option) -> Any:
    """An option or argument with some names as its values, which the shell completes."""
    *names, last = NAMES[kind]
    return of(help=help or f"{', '.join(names)} or {last}.", autocompletion=among(NAMES[kind]))


Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print neither text nor progress; --json still prints.")]
Formula = Annotated[str, typer.Argument(help="Attribute formula, for example 'color[4] * shape[6]'.")]
RunPath = Annotated[Path, typer.Argument(help="A recorded run: NAME or NAME.npz beside its .attributes.csv and .json.")]
Figure = Annotated[Path | None, typer.Option(help="Where to save the figure: .png, .pdf or .svg.")]
Setting = Annotated[str, choice("setting", of=typer.Argument)]
Device = Annotated[str, choice("device", "cpu, or cuda for whole matrices; in a sweep, one GPU a worker.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a Dask scheduler (extra: cluster).")]
Workers = Annotated[int | None, typer.Option(help="Processes on this machine; 1 needs no Dask; by need if left out.")]
FromStep = Annotated[
    int | None, typer.Option(help="Forecast the rest of the run from this step, at which its kernel was measured.")
]
Gates = Annotated[
    bool | None,
    typer.Option("--gates/--no-gates", help="Forecast the network with its gates expanded, too; by rule if left out."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Run nothing; print what it would be, its size and cost.")]
Init = Annotated[float, typer.Option(help="Start w = h of every stratum.")]


def assignments(texts: list[str], option: str) -> dict[str, Any]:
    """NAME=VALUE, a value being what JSON makes of it, or else the text itself."""
    found: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name.strip() or not value.strip():
            raise InputError(f"{option}: {text!r} is no NAME=VALUE; write for example arch=transformer.")
        try:
            found[name.strip().replace("-", "_")] = json.loads(value)
        except ValueError:
            found[name.strip().replace("-", "_")] = value.strip()
    return found


def pairs(text: str, option: str) -> dict[str, str]:
    """color=1,residual=0.1 -> {"color": "1", "residual": "0.1"}."""
    found = dict(part.partition("=")[::2] for part in text.split(","))
    for name, value in found.items():
        if not name.strip() or not value.strip():
            raise InputError(f"{option}: {text!r} is no list of name=number; write for example color=1,residual=0.1.")
    return {name.strip(): value.strip() for name, value in found.items()}


def numbers(text: str, option: str) -> list[float]:
    """0.9,0.999 -> [0.9, 0.999]."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option}: {text!r} is no list of numbers; write for example 0.9,0.999.") from None


def ranges(text: str, option: str) -> list[int]:
    """0-2,7 -> [0, 1, 2, 7]."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash) and int(first) <= int(last or first)):
            raise InputError(f"{option}: {text!r} is no list of whole numbers; write for example 0-4 or 0,3,7-9.")
        if int(last or first) - int(first) >= MOST_SEEDS:
            raise InputError(f"{option}: {text!r} holds more than {MOST_SEEDS} numbers; give fewer.")
        found += range(int(first), int(last or first) + 1)
    return found
