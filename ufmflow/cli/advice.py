"""The verb that says what to change about a training."""

from pathlib import Path
from typing import Annotated

import typer

from ..theory.errors import InputError
from .completion import goals
from .interrupts import resumable
from .options import Json, Quiet, assignments, choice, ranges
from .output import Screen


def plan(
    network: Annotated[
        str, choice("setting", "objects, taxonomy, frames or collocations, or a recorded run.", of=typer.Argument)
    ],
    goal: Annotated[str, typer.Option(help="What is wanted.", autocompletion=goals)] = "widest window",
    option: Annotated[
        list[str] | None, typer.Option(help="Training option of a setting, NAME=VALUE, as train has it; repeat it.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Look at this intervention alone; repeat it.")] = None,
    precise: Annotated[
        bool, typer.Option("--precise", help="Follow the network itself: slower, closer, any optimiser.")
    ] = False,
    slopes: Annotated[bool, typer.Option("--slopes", help="Also the window's derivatives by each parameter.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Train with and without the first interventions.")] = False,
    seeds: Annotated[str | None, typer.Option(help="Of --verify: 0-4 or 0,3,7; 0-4 if left out.")] = None,
    top: Annotated[int | None, typer.Option(help="How many interventions --verify trains; 3 if left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder in which --verify keeps its runs.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Advise what to change so that structure lasts.

    Interventions and when to stop, predicted before training.  Goals: 'semantic index >= 0.8 at loss <= 0.05 for
    color', 'widest window', 'permanent'; 'at loss <= ...' and 'for ATTRIBUTE' go with each and may be left out.
    Exit code 1 when no intervention is predicted to reach the goal, and with --verify when advice failed on trained
    networks.

    \b
    Examples:
      ufmflow plan objects --goal "semantic index >= 0.8 at loss <= 0.05 for color"
      ufmflow plan taxonomy --option arch=transformer --option steps=4000 --goal permanent --precise
      ufmflow plan runs/objects --only "body rate 0.1" --only "smoothing 0.1"
      ufmflow plan objects --option steps=4000 --only "body rate 0.1" --verify --seeds 0-4 --out runs/advice
    """
    from ..numerics.advice import plan as advise
    from ..numerics.advice_text import advice_lines
    from ..numerics.runs import load_run
    from ..numerics.settings import SETTINGS

    screen = Screen(as_json, quiet)
    if not verify and (
        unused := [name for name, value in (("seeds", seeds), ("top", top), ("out", out)) if value is not None]
    ):
        raise InputError(f"--{unused[0]}: it goes with --verify; add that, or leave it out.")
    trained = ranges(seeds or "0-4", "--seeds")
    source = network if network in SETTINGS else load_run(Path(network))
    with screen.progress("plan") as progress:
        found = advise(source, goal, only=only, precise=precise, slopes=slopes, progress=progress,
                       **assignments(option or [], "--option"))  # fmt: skip
    if not verify:
        screen.show(found.to_dict(), advice_lines(found))
        if not found.reached:
            raise typer.Exit(1)
        return
    from ..numerics.verify import verify as hold
    from ..numerics.verify_text import verification_lines

    kept = None if out is None else f"trained networks are kept in {out}"
    with resumable(kept), screen.progress("verify") as progress:
        held = hold(found, trained, top=top or 3, precise=precise, out=out, progress=progress)
    screen.show(found.to_dict() | {"verification": held.to_dict()}, [*advice_lines(found), *verification_lines(held)])
    if not (found.reached and held.holds):
        raise typer.Exit(1)
