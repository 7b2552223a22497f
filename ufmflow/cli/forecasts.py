"""Verbs that forecast recorded runs, hold forecasts to them, and do both anew in one report."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..theory.errors import InputError
from .interrupts import resumable
from .options import FromStep, Gates, Json, Quiet, RunPath, choice, ranges
from .output import Screen, window_line, window_of


def forecast(
    run: RunPath,
    level: Annotated[
        str | None,
        choice(
            "level",
            "modes, flow, map, flow_deep, map_deep, gated_linear, gated or gated_doubling; by rule if left out.",
        ),
    ] = None,
    from_step: FromStep = None,
    out: Annotated[Path | None, typer.Option(help="Where to save the trajectory (zarr).")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Forecast a run's timeline from its start alone.

    \b
    Examples:
      ufmflow forecast runs/objects
      ufmflow forecast runs/objects --level modes --from-step 204
    """
    from ..numerics.forecast import forecast as run_forecast
    from ..numerics.runs import load_run

    screen = Screen(as_json, quiet)
    recorded = load_run(run)
    if from_step is not None:
        recorded = recorded.since(from_step)
    with screen.progress("forecast") as progress:
        trajectory = run_forecast(recorded, level=level, progress=progress)
    if out is not None:
        trajectory.save(out)
    data = trajectory.data
    names = trajectory.attributes.names[1:]
    rows: list[dict[str, Any]] = [
        {"step": int(step), "time": float(time), "loss": float(loss), "semantic_index": float(index),
         "share_H": dict(zip(names, map(float, share), strict=True))}
        for step, time, loss, index, share in zip(
            recorded.data["step"].values, trajectory.time, data["loss"].values, data["semantic_index"].values,
            trajectory.shares(), strict=True,
        )
    ]  # fmt: skip
    source = data.attrs["source"]
    summary: dict[str, Any] = {
        "run": recorded.name,
        "forecast": source.removeprefix("forecast "),
        "window": window_of(trajectory),
        "timeline": rows,
    }
    header = f"{'step':>8} {'time':>10} {'loss':>10} {'index':>7}  " + "  ".join(f"{name:>8}" for name in names)
    lines = [f"{recorded.name}: {source}, no fitted parameter", header]
    lines += [
        f"{row['step']:>8} {row['time']:>10.4g} {row['loss']:>10.4g} {row['semantic_index']:>7.3f}  "
        + "  ".join(f"{row['share_H'][name]:>{max(8, len(name))}.3f}" for name in names)
        for row in rows[:: max(1, len(rows) // 20)]
    ]
    screen.show(summary, [*lines, window_line(summary["window"], recorded)])


def crosscheck(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Recorded runs: NAME or NAME.npz; several of one structure.")
    ],
    from_step: FromStep = None,
    horizon: Annotated[
        bool, typer.Option("--horizon", help="Forecast the rest of the run from every step with a measured kernel.")
    ] = False,
    gates: Gates = None,
    remeasure: Annotated[
        bool | None,
        typer.Option(
            "--remeasure/--no-remeasure",
            help="Tell what the kernel's growth and direction cost; if left out, where the network is known.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the HTML report, figures and JSON.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hold every forecast to a recorded run.

    Exit code 1 when the designated one is not confirmed.  Several runs, such as the seeds of one setting, are held
    to their mean errors.

    \b
    Examples:
      ufmflow crosscheck runs/objects --out report/
      ufmflow crosscheck runs/objects-seed0 runs/objects-seed1 --out report/
      ufmflow crosscheck runs/objects --from-step 204
      ufmflow crosscheck runs/objects --horizon --out report/
    """
    from ..numerics.runs import load_run

    screen = Screen(as_json, quiet)
    recorded = [load_run(run) for run in runs]
    if horizon:
        if len(recorded) > 1 or from_step is not None:
            raise InputError("--horizon: it takes one run and every step of it; leave out --from-step and other runs.")
        _horizon(recorded[0], gates, out, screen)
        return
    if from_step is not None:
        recorded = [run.since(from_step) for run in recorded]
    remeasure = gates is not False if remeasure is None else remeasure
    if len(recorded) > 1:
        _crosscheck_many(recorded, gates, remeasure, out, screen)
        return
    from ..numerics.crosscheck import crosscheck as check_run
    from ..numerics.report import write_report

    with screen.progress("crosscheck") as progress:
        check = check_run(recorded[0], progress=progress, gates=gates, remeasure=remeasure)
        page = write_report(check, out) if out is not None else None
    screen.show(check.to_dict(), _check_lines(check, page))
    if not check.confirmed:
        raise typer.Exit(1)


def _crosscheck_many(
    recorded: list[Any], gates: bool | None, remeasure: bool, out: Path | None, screen: Screen
) -> None:
    from ..numerics.bands import crosscheck_many
    from ..numerics.bands_report import write_bands

    with screen.progress("crosscheck") as progress:
        bands = crosscheck_many(recorded, progress=progress, gates=gates, remeasure=remeasure)
        page = write_bands(bands, out) if out is not None else None
    screen.show(bands.to_dict(), _bands_lines(bands, page))
    if not bands.confirmed:
        raise typer.Exit(1)


def _horizon(recorded: Any, gates: bool | None, out: Path | None, screen: Screen) -> None:
    from ..numerics.bands_report import write_horizon
    from ..numerics.horizon import horizon

    with screen.progress("horizon") as progress:
        found = horizon(recorded, progress=progress, gates=gates)
        page = write_horizon(found, out) if out is not None else None
    header = (
        f"{'from step':>10} {'loss':>10} {'times':>6} {'forecast':>12} {'share RMSE':>10} {'|ln loss ratio|':>15} "
        f"{'frozen':>8}"
    )
    lines = [header]
    lines += [
        f"{row['from_step']:>10} {row['loss']:>10.4g} {row['times']:>6} {row['designated']:>12} "
        f"{row['share_rmse_mean']:>10.4f} {row['loss_log_ratio_median']:>15.4f} "
        f"{row['baseline_frozen_share_rmse_mean']:>8.4f}"
        for row in found.rows()
    ]
    screen.show(found.to_dict(), lines if page is None else [*lines, f"report: {page.resolve()}"])


def reproduce(
    quick: Annotated[bool, typer.Option("--quick", help="Use the shipped run; no training, no torch.")] = False,
    seeds: Annotated[str | None, typer.Option(help="Of each setting: 0-4 or 0,3; 0 if left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Forecast, train and compare the settings, in one report.

    Forecasts of all three settings are written to files before their networks are trained (extra: train). What the
    kernel measured anew would leave of the errors is diagnosed for the first seed of each.

    \b
    Examples:
      ufmflow reproduce --quick
      ufmflow reproduce --seeds 0-4
    """
    from ..numerics import reproduce as reproduction

    screen = Screen(as_json, quiet)
    if quick:
        if seeds is not None:
            raise InputError("--quick, --seeds: the shipped run has its own seed; choose one of them.")
        with screen.progress("reproduce") as progress:
            page, check = reproduction.quick(out, progress)
        screen.show(check.to_dict() | {"report": str(page)}, _check_lines(check, page))
        if not check.confirmed:
            raise typer.Exit(1)
        return
    kept = f"forecasts and trained networks are kept in {out / 'runs'}"
    with resumable(kept), screen.progress("reproduce") as progress:
        page, found = reproduction.reproduce(out, ranges(seeds or "0", "--seeds"), progress=progress)
    header = (
        f"{'setting':>12} {'seeds':>5} {'share RMSE':>10} {'target':>7} {'loss factor':>11} {'target':>7} "
        f"{'baseline':>8}"
    )
    lines = [header]
    lines += [
        f"{row['setting']:>12} {row['seeds']:>5} {row['share_rmse_mean']:>10.4f} {row['share_target']:>7.3f} "
        f"{row['loss_factor']:>11.3f} {row['loss_factor_target']:>7.3f} {row['best_baseline']:>8.3f}"
        for row in found.rows()
    ]
    screen.show(found.to_dict() | {"report": str(page)}, [*lines, found.verdict, f"report: {page.resolve()}"])
    if not found.confirmed:
        raise typer.Exit(1)


def _bands_lines(bands: Any, page: Path | None) -> list[str]:
    """What `crosscheck` prints of several runs."""

    def of(band: Any) -> str:
        return "-" if band is None else f"{band.mean:.4f} ({band.min:.4f}-{band.max:.4f})"

    errors = ("share_rmse_mean", "share_rmse_max", "loss_log_ratio_median")
    lines = [f"{len(bands.checks)} runs: {bands.attributes}; mean (least-largest) over runs"]
    lines += [f"{'forecast':>20} {'share RMSE':>24} {'max':>24} {'|ln loss ratio|':>24}"]
    for name, found in (("designated", bands.bands()), *((level, bands.bands(level)) for level in bands.levels)):
        lines.append(f"{name:>20} " + " ".join(f"{of(found[error]):>24}" for error in errors))
    for name, found in bands.diagnoses.items():
        lines.append(f"{f'kernel anew, {name}':>24} {of(found['share_rmse_mean'])}")
    for name, baseline in (("always ETF", "etf"), ("frozen at start", "frozen")):
        lines.append(f"{name:>20} {of(bands.baselines[baseline]):>24}")
    for check in bands.checks:
        held = check.forecasts[check.designated]
        lines.append(
            f"{check.run.name:>20} {check.designated}: {held.share_rmse_mean:.4f}, loss factor {held.loss_ratio:.3f}"
            f"{'' if check.confirmed else ' (not confirmed)'}"
        )
    lines += [f"{failure.run.name:>20} not forecast: {failure.reason}" for failure in bands.failures]
    if bands.differences:
        lines.append(f"the runs differ in {', '.join(bands.differences)}")
    lines.append(bands.verdict)
    return lines if page is None else [*lines, f"report: {page.resolve()}"]


def _check_lines(check: Any, page: Path | None) -> list[str]:
    lines = [
        f"{check.run.name}: {check.run.attributes}",
        f"{'forecast':>20} {'share RMSE':>10} {'max':>7} {'|ln loss ratio|':>15}",
    ]
    for level, found in check.forecasts.items():
        mark = " (designated)" if level == check.designated else ""
        lines.append(
            f"{level:>20} {found.share_rmse_mean:>10.4f} {found.share_rmse_max:>7.4f} {found.loss_log_ratio_median:>15.4f}{mark}"
        )
    lines += [
        f"{'always ETF':>20} {check.baseline_etf:>10.4f}",
        f"{'frozen at start':>20} {check.baseline_frozen:>10.4f}",
    ]
    lines += [
        f"{f'kernel anew, {name}':>24} " + ("  diverged" if found is None else f"{found.share_rmse_mean:>6.4f}")
        for name, found in check.diagnoses.items()
    ]
    lines += [check.verdict]
    return lines if page is None else [*lines, f"report: {page.resolve()}"]
