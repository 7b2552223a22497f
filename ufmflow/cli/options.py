"""Options that several verbs share, and what their texts mean."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..theory.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Formula = Annotated[str, typer.Argument(help="Attribute formula, for example 'color[4] * shape[6]'.")]
MOST_SEEDS = 10_000
FromStep = Annotated[
    int | None, typer.Option(help="Forecast the rest of the run from this step, at which its kernel was measured.")
]
Gates = Annotated[
    bool | None,
    typer.Option("--gates/--no-gates", help="Forecast the network with its gates expanded, too; by rule if left out."),
]
RunPath = Annotated[Path, typer.Argument(help="A recorded run: NAME or NAME.npz beside its .attributes.csv and .json.")]


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
    found = dict(part.partition("=")[::2] for part in text.split(","))
    for name, value in found.items():
        if not name.strip() or not value.strip():
            raise InputError(f"{option}: {text!r} is no list of name=number; write for example color=1,residual=0.1.")
    return {name.strip(): value.strip() for name, value in found.items()}


def numbers(text: str, option: str) -> list[float]:
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
