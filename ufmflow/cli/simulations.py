"""Verbs that integrate the model: one simulation, a sweep, a phase diagram."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .interrupts import resumable
from .options import Device, DryRun, Json, Quiet, Scheduler, Workers, choice
from .output import Screen, window_line, window_of


def simulate(
    config: Annotated[Path, typer.Argument(help="TOML file with a [model] and a [simulate] table.")],
    out: Annotated[Path, typer.Option(help="Where to save the trajectory (zarr).")],
    device: Device = "cpu",
    full: Annotated[bool | None, typer.Option("--full/--reduced", help="Whole matrices, or modes.")] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the file's seed.")] = None,
    certify: Annotated[
        bool | None, typer.Option("--certify/--no-certify", help="Prove bounds of the exact solution.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Integrate the model of a TOML file and save the trajectory.

    \b
    Examples:
      ufmflow config --example simulate > config.toml
      ufmflow simulate config.toml --out run.zarr
      ufmflow simulate config.toml --full --seed 3 --out whole.zarr
    """
    from ..numerics.config import read_config
    from ..numerics.config_lines import naming_lines
    from ..numerics.simulate import simulate as run

    screen = Screen(as_json, quiet)
    with naming_lines(config):
        model, arguments = read_config(config)
    options = {"full": full, "seed": seed, "certify": certify}
    chosen = {name: value for name, value in options.items() if value is not None}
    with naming_lines(config), screen.progress("simulate") as progress:
        trajectory = run(model, device=device, out=out, progress=progress, **(arguments | chosen))
    last = trajectory.data.isel(time=-1)
    summary: dict[str, Any] = {
        "out": str(out), "t": float(last["time"]), "loss": float(last["loss"]),
        "semantic_index": float(last["semantic_index"]), "window": window_of(trajectory),
        "z": {A: float(last["z"].sel(stratum=A)) for A in trajectory.attributes.names},
    }  # fmt: skip
    screen.show(summary, [
        f"{out}: t = {summary['t']:g}, loss {summary['loss']:.6g}, semantic index {summary['semantic_index']:.3f}",
        window_line(summary["window"]),
    ])  # fmt: skip


def sweep(
    config: Annotated[Path, typer.Argument(help="TOML file with [model], [simulate] and [sweep] tables.")],
    out: Annotated[Path, typer.Option(help="The store (zarr): new, or begun by the same sweep.")],
    scheduler: Scheduler = None,
    device: Device = "cpu",
    workers: Workers = None,
    memory: Annotated[float | None, typer.Option(help="GiB that a worker may take; what is free if left out.")] = None,
    space: Annotated[float | None, typer.Option(help="GiB that the store may take; what is free if left out.")] = None,
    hours: Annotated[float | None, typer.Option(help="Refuse a sweep that takes longer.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate all runs of a grid or a random design into one store.

    A sweep that is interrupted, however, goes on where it was when the same command is given again.  Exit code 1 when
    a run fails; runs whose model cannot be, such as a width too small for its structure, are refused one by one.

    \b
    Examples:
      ufmflow sweep config.toml --out sweep.zarr --dry-run
      ufmflow sweep config.toml --out sweep.zarr --workers 8 --hours 12
      ufmflow sweep config.toml --out sweep.zarr --scheduler tcp://node1:8786
    """
    from ..numerics.config_lines import naming_lines
    from ..numerics.sweep import fill_store, plan_sweep

    screen = Screen(as_json, quiet)
    options: dict[str, Any] = {
        "scheduler": scheduler, "device": device, "workers": workers, "memory": memory, "space": space, "hours": hours,
    }  # fmt: skip
    if dry_run:
        with naming_lines(config):
            cost = plan_sweep(config, out, **options).estimate
        screen.show(cost.to_dict(), cost.lines())
        return
    costs: list[Any] = []

    def announce(cost: Any) -> None:
        costs.append(cost)
        screen.note(cost.lines())

    with resumable(f"finished runs are kept in {out}"), naming_lines(config), screen.progress("sweep") as progress:
        store = fill_store(config, out, progress=progress, announce=announce, **options)
    status, problems = store.counts(), store.problems(3)
    summary = {"out": str(out), "estimate": costs[0].to_dict(), "runs": status, "problems": dict(problems)}
    line = f"{out}: " + ", ".join(f"{count} {name}" for name, count in status.items() if count)
    screen.show(summary, [line, *(f"run {run}: {problem}" for run, problem in problems)])
    if status["failed"]:
        raise typer.Exit(1)


def phase(
    diagram: Annotated[str, choice("diagram", of=typer.Argument)],
    out: Annotated[Path, typer.Option(help="The figure: .png, .pdf or .svg.")],
    store: Annotated[Path | None, typer.Option(help="Keep the sweep there (zarr); begun ones go on.")] = None,
    formula: Annotated[str | None, typer.Option(help="Crossed attributes, for example 'a[4] * b[4]'.")] = None,
    points: Annotated[int | None, typer.Option(help="Of each axis of the field.")] = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw a phase diagram: simulated, with the theory's borders.

    How far the two part is printed.

    \b
    Examples:
      ufmflow phase emergence --out emergence.pdf
      ufmflow phase persistence --formula 'a[3] * b[3] * c[3]' --points 40 --store persistence.zarr --out persistence.pdf
    """
    from ..numerics.figure_files import check_figure, write_figure
    from ..numerics.phase_plots import phase_figure
    from ..numerics.phases import phase_diagram

    screen = Screen(as_json, quiet)
    check_figure(out)
    kept = None if store is None else f"finished runs are kept in {store}"
    with resumable(kept), screen.progress("phase") as progress:
        found = phase_diagram(diagram, store, formula, points, scheduler=scheduler, workers=workers, progress=progress)
    target = write_figure(phase_figure(found)[0], out)
    lines = [f"{name}: {share:.1%} of the field" for name, share in found.to_dict()["phases"].items()]
    lines += [f"disagreement, {name}: {value:.3g}" for name, value in found.disagreement().items()]
    screen.show(found.to_dict() | {"figure": str(target)}, [*lines, f"figure: {target.resolve()}"])
