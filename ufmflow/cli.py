"""The command line: a thin layer over the public names.

Exit codes: 0 success; 1 a forecast that its run does not confirm, or an integration that fails; 2 bad input.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from .theory.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Derive, simulate and check gradient-flow dynamics of representations before neural collapse.",
)

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


def main() -> NoReturn:
    """Run the command line; bad input becomes one sentence on stderr and exit code 2."""
    try:
        app(standalone_mode=True)
    except InputError as error:
        typer.echo(f"ufmflow: {error}", err=True)
        sys.exit(2)
    except RuntimeError as error:
        from .numerics.integrate import IntegrationError
        from .numerics.sweep_errors import SweepError

        if not isinstance(error, (IntegrationError, SweepError)):
            raise
        typer.echo(f"ufmflow: {error}", err=True)
        sys.exit(1)
    sys.exit(0)


@app.command()
def derive(
    formula: Formula,
    labels: Annotated[str | None, typer.Option(help="Part of the formula that the label keeps.")] = None,
    loss: Annotated[str, typer.Option(help="cross-entropy or mse.")] = "cross-entropy",
    constraint: Annotated[str, typer.Option(help="free, sphere or normalized.")] = "free",
    kernel: Annotated[str | None, typer.Option(help="Embedding kernel of the contexts: color=1,residual=0.1.")] = None,
    ridge: Annotated[str, typer.Option(help="lam for both factors, or lam_W,lam_H.")] = "0",
    width: Annotated[int | None, typer.Option(help="Width d.")] = None,
    reduction: Annotated[str, typer.Option(help="mean or sum over contexts.")] = "mean",
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX.")] = False,
    as_json: Json = False,
) -> None:
    """Derive the mode equations of a model and what follows from them.

    Example: ufmflow derive "color[4] * shape[6]" --kernel color=1,shape=1,residual=0.1 --ridge 1e-3
    """
    from .numerics.config import model_of
    from .theory.system import derive as derive_model

    if latex and as_json:
        raise InputError("--latex, --json: choose one of them.")
    table: dict[str, Any] = {
        "attributes": formula, "labels": labels, "loss": loss.replace("-", "_"), "constraint": constraint,
        "ridge": tuple(ridge.split(",")) if "," in ridge else ridge, "width": width, "reduction": reduction,
    }  # fmt: skip
    if kernel is not None:
        table["kernel"] = _pairs(kernel, "--kernel")
    system = derive_model(model_of(table))
    if latex or as_json:
        typer.echo(system.latex() if latex else system.to_json())
        return
    typer.echo(system.text())


@app.command()
def simulate(
    config: Annotated[Path, typer.Argument(help="TOML file with a [model] and a [simulate] table.")],
    out: Annotated[Path, typer.Option(help="Where to save the trajectory (zarr).")],
    device: Annotated[str, typer.Option(help="cpu, or cuda for whole matrices (--full).")] = "cpu",
    full: Annotated[bool | None, typer.Option("--full/--reduced", help="Whole matrices, or modes.")] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the file's seed.")] = None,
    certify: Annotated[
        bool | None, typer.Option("--certify/--no-certify", help="Prove bounds of the exact solution (extra: certify).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Integrate the model of a TOML file and save the trajectory.

    Example: ufmflow simulate config.toml --out run.zarr
    """
    from .numerics.config import read_config
    from .numerics.simulate import simulate as run

    model, arguments = read_config(config)
    options = {"full": full, "seed": seed, "certify": certify}
    chosen = {name: value for name, value in options.items() if value is not None}
    with _progress("simulate") as progress:
        trajectory = run(model, device=device, out=out, progress=progress, **(arguments | chosen))
    last = trajectory.data.isel(time=-1)
    summary: dict[str, Any] = {
        "out": str(out), "t": float(last["time"]), "loss": float(last["loss"]),
        "semantic_index": float(last["semantic_index"]), "window": _window(trajectory),
        "z": {A: float(last["z"].sel(stratum=A)) for A in trajectory.attributes.names},
    }  # fmt: skip
    _print(summary, as_json, [
        f"{out}: t = {summary['t']:g}, loss {summary['loss']:.6g}, semantic index {summary['semantic_index']:.3f}",
        _window_line(summary["window"]),
    ])  # fmt: skip


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(help="TOML file with [model], [simulate] and [sweep] tables.")],
    out: Annotated[Path, typer.Option(help="The store (zarr): new, or begun by the same sweep.")],
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler (extra: cluster).")] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda for whole matrices, one GPU a worker.")] = "cpu",
    workers: Annotated[
        int | None, typer.Option(help="Processes on this machine; 1 needs no Dask; by need if left out.")
    ] = None,
    memory: Annotated[float | None, typer.Option(help="GiB that a worker may take; what is free if left out.")] = None,
    space: Annotated[float | None, typer.Option(help="GiB that the store may take; what is free if left out.")] = None,
    hours: Annotated[float | None, typer.Option(help="Refuse a sweep that takes longer.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Run nothing; print size and cost.")] = False,
    as_json: Json = False,
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
    from .numerics.sweep import fill_store, plan_sweep

    options: dict[str, Any] = {
        "scheduler": scheduler, "device": device, "workers": workers, "memory": memory, "space": space, "hours": hours,
    }  # fmt: skip
    if dry_run:
        cost = plan_sweep(config, out, **options).estimate
        _print(cost.to_dict(), as_json, cost.lines())
        return
    costs: list[Any] = []

    def announce(cost: Any) -> None:
        costs.append(cost)
        if not as_json:
            typer.echo("\n".join(cost.lines()))

    with _progress("sweep") as progress:
        store = fill_store(config, out, progress=progress, announce=announce, **options)
    status, problems = store.counts(), store.problems(3)
    summary = {"out": str(out), "estimate": costs[0].to_dict(), "runs": status, "problems": dict(problems)}
    line = f"{out}: " + ", ".join(f"{count} {name}" for name, count in status.items() if count)
    _print(summary, as_json, [line, *(f"run {run}: {problem}" for run, problem in problems)])
    if status["failed"]:
        raise typer.Exit(1)


@app.command()
def phase(
    diagram: Annotated[str, typer.Argument(help="emergence, persistence, survival or capacity.")],
    out: Annotated[Path, typer.Option(help="The figure: .png, .pdf or .svg.")],
    store: Annotated[Path | None, typer.Option(help="Keep the sweep there (zarr); begun ones go on.")] = None,
    formula: Annotated[str | None, typer.Option(help="Crossed attributes, for example 'a[4] * b[4]'.")] = None,
    points: Annotated[int | None, typer.Option(help="Of each axis of the field.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler (extra: cluster).")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes on this machine; by need if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Draw a phase diagram: a simulated field with the theory's borders, and how far the two part.

    \b
    Examples:
      ufmflow phase emergence --out emergence.pdf
      ufmflow phase persistence --formula 'a[3] * b[3] * c[3]' --points 40 --store persistence.zarr --out persistence.pdf
    """
    from .numerics.figure_files import check_figure, write_figure
    from .numerics.phase_plots import phase_figure
    from .numerics.phases import phase_diagram

    check_figure(out)
    with _progress("phase") as progress:
        found = phase_diagram(diagram, store, formula, points, scheduler=scheduler, workers=workers, progress=progress)
    target = write_figure(phase_figure(found)[0], out)
    lines = [f"{name}: {share:.1%} of the field" for name, share in found.to_dict()["phases"].items()]
    lines += [f"disagreement, {name}: {value:.3g}" for name, value in found.disagreement().items()]
    _print(found.to_dict() | {"figure": str(target)}, as_json, [*lines, f"figure: {target.resolve()}"])


@app.command()
def train(
    setting: Annotated[str, typer.Argument(help="objects, taxonomy, frames or collocations.")],
    out: Annotated[Path | None, typer.Option(help="Where to record the run: NAME or NAME.npz.")] = None,
    formula: Annotated[str | None, typer.Option(help="In place of the setting's.")] = None,
    labels: Annotated[str | None, typer.Option(help="Part of the formula that the label keeps.")] = None,
    arch: Annotated[str, typer.Option(help="mlp or transformer.")] = "mlp",
    layers: Annotated[int | None, typer.Option(help="Layers of the body.")] = None,
    width: Annotated[int, typer.Option(help="Units of a hidden layer.")] = 256,
    features: Annotated[int, typer.Option(help="Width d of the features.")] = 64,
    norm: Annotated[str, typer.Option(help="layernorm or rmsnorm.")] = "layernorm",
    final_affine: Annotated[bool, typer.Option("--final-affine", help="Give the final norm an affine part.")] = False,
    optimizer: Annotated[str, typer.Option(help="sgd, momentum, adamw, sign or muon.")] = "sgd",
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    momentum: Annotated[float | None, typer.Option(help="Of momentum (0.9), sign (0) and muon (0.95).")] = None,
    nesterov: Annotated[bool | None, typer.Option(help="Of momentum (no) and muon (yes).")] = None,
    betas: Annotated[str | None, typer.Option(help="Of adamw: 0.9,0.999.")] = None,
    schedule: Annotated[str, typer.Option(help="constant, cosine, linear, exponential or step.")] = "constant",
    warmup: Annotated[int, typer.Option(help="Steps of linear rise before it.")] = 0,
    final_lr: Annotated[float | None, typer.Option(help="Where cosine, linear and exponential end.")] = None,
    drop_every: Annotated[int | None, typer.Option(help="Steps between drops of the step schedule.")] = None,
    drop_factor: Annotated[float | None, typer.Option(help="What a drop multiplies the learning rate by (0.1).")] = None,
    weight_decay: Annotated[float, typer.Option(help="On all parameters.")] = 0.0,
    weight_decay_head: Annotated[float | None, typer.Option(help="In its place, on the head.")] = None,
    weight_decay_body: Annotated[float | None, typer.Option(help="In its place, on all but the head.")] = None,
    final_norm: Annotated[bool, typer.Option("--final-norm/--no-final-norm", help="End the body in a norm.")] = True,
    embedding_scale: Annotated[float, typer.Option(help="Multiplies the tokens' embeddings.")] = 1.0,
    head_rate: Annotated[float, typer.Option(help="Multiplies the head's learning rate; 0 freezes it.")] = 1.0,
    body_rate: Annotated[float, typer.Option(help="Multiplies the learning rate of all but the head.")] = 1.0,
    smoothing: Annotated[float, typer.Option(help="Part of each label spread over those that share attributes.")] = 0.0,
    smoothing_weights: Annotated[str | None, typer.Option(help="How, for example color=1/3,shape=2/3.")] = None,
    average_from: Annotated[
        int | None, typer.Option(help="Record the mean of the parameters from this step on.")
    ] = None,
    ridge_features: Annotated[float, typer.Option(help="Ridge on H, for a network without a final norm.")] = 0.0,
    hold_out: Annotated[int | None, typer.Option(help="How many labels no step sees, for `ufmflow value`.")] = None,
    batch: Annotated[int | None, typer.Option(help="Contexts in a step; all of them if left out.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes the start and the batches; 0 if left out.")] = None,
    seeds: Annotated[str | None, typer.Option(help="One run for each: 0-4 or 0,3,7-9; NAME-seed0 and so on.")] = None,
    snapshots: Annotated[int, typer.Option(help="Log-spaced recordings.")] = 40,
    kernels: Annotated[int, typer.Option(help="Measure the kernel at so many of them.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Train nothing; print settings, size and cost.")] = False,
    as_json: Json = False,
) -> None:
    """Train a small network and record it with its kernel at initialisation (extra: train).

    A run that is interrupted goes on where it was when the same command is given again.

    \b
    Examples:
      ufmflow train objects --out runs/objects
      ufmflow train objects --formula "color[3] * shape[4] * size[2]" --seeds 0-4 --out runs/three
      ufmflow train taxonomy --arch transformer --norm rmsnorm --kernels 8 --out runs/taxonomy
      ufmflow train frames --optimizer adamw --lr 1e-3 --schedule cosine --warmup 500 --batch 12 --out runs/frames
      ufmflow train objects --weight-decay-head 1e-3 --features 16 --dry-run
    """
    from .numerics import train as training

    options: dict[str, Any] = {
        "formula": formula, "labels": labels, "arch": arch, "layers": layers, "width": width, "features": features,
        "norm": norm, "final_affine": final_affine, "optimizer": optimizer, "lr": lr, "momentum": momentum,
        "nesterov": nesterov, "betas": None if betas is None else _numbers(betas, "--betas"), "schedule": schedule,
        "warmup": warmup, "final_lr": final_lr, "drop_every": drop_every, "drop_factor": drop_factor,
        "weight_decay": weight_decay, "weight_decay_head": weight_decay_head, "weight_decay_body": weight_decay_body,
        "batch": batch, "steps": steps, "snapshots": snapshots, "kernels": kernels, "final_norm": final_norm,
        "embedding_scale": embedding_scale, "head_rate": head_rate, "body_rate": body_rate, "smoothing": smoothing,
        "smoothing_weights": None if smoothing_weights is None else _pairs(smoothing_weights, "--smoothing-weights"),
        "average_from": average_from, "ridge_features": ridge_features, "hold_out": hold_out,
    }  # fmt: skip
    if seed is not None and seeds is not None:
        raise InputError("--seed, --seeds: choose one of them.")
    many = None if seeds is None else _ranges(seeds, "--seeds")
    if dry_run:
        cost = training.estimate(setting, seed=many[0] if many else seed or 0, **options)
        _print(cost, as_json, _cost_lines(cost, len(many) if many else 1))
        return
    if out is None:
        raise InputError("--out: it is missing; give a name such as runs/objects.")
    with _progress("train") as progress:
        if many is None:
            paths = [training.train(setting, out, seed=seed or 0, progress=progress, **options)]
        else:
            paths = training.train_seeds(setting, out, many, progress=progress, **options)
    found = [{"out": str(path), **json.loads(path.with_name(path.stem + ".json").read_text())} for path in paths]
    _print(found[0] if many is None else found, as_json, [
        f"{run['out']}: {run['steps']} steps, final loss {run['final_loss']:.4g}" for run in found
    ])  # fmt: skip


@app.command()
def forecast(
    run: RunPath,
    level: Annotated[
        str | None,
        typer.Option(help="modes, flow, map, flow_deep, map_deep, gated_linear, gated, gated_doubling; by rule if none."),
    ] = None,
    from_step: FromStep = None,
    out: Annotated[Path | None, typer.Option(help="Where to save the trajectory (zarr).")] = None,
    as_json: Json = False,
) -> None:
    """Forecast a run's timeline from its start alone.

    \b
    Examples:
      ufmflow forecast runs/objects
      ufmflow forecast runs/objects --level modes --from-step 204
    """
    from .numerics.forecast import forecast as run_forecast
    from .numerics.runs import load_run

    recorded = load_run(run)
    if from_step is not None:
        recorded = recorded.since(from_step)
    with _progress("forecast") as progress:
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
        "window": _window(trajectory),
        "timeline": rows,
    }
    header = f"{'step':>8} {'time':>10} {'loss':>10} {'index':>7}  " + "  ".join(f"{name:>8}" for name in names)
    lines = [f"{recorded.name}: {source}, no fitted parameter", header]
    lines += [
        f"{row['step']:>8} {row['time']:>10.4g} {row['loss']:>10.4g} {row['semantic_index']:>7.3f}  "
        + "  ".join(f"{row['share_H'][name]:>{max(8, len(name))}.3f}" for name in names)
        for row in rows[:: max(1, len(rows) // 20)]
    ]
    _print(summary, as_json, [*lines, _window_line(summary["window"], recorded)])


@app.command()
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
) -> None:
    """Hold every forecast to a recorded run; exit code 1 when the designated one is not confirmed.

    Several runs, such as the seeds of one setting, are held to their mean errors.

    \b
    Examples:
      ufmflow crosscheck runs/objects --out report/
      ufmflow crosscheck runs/objects-seed0 runs/objects-seed1 --out report/
      ufmflow crosscheck runs/objects --from-step 204
      ufmflow crosscheck runs/objects --horizon --out report/
    """
    from .numerics.runs import load_run

    recorded = [load_run(run) for run in runs]
    if horizon:
        if len(recorded) > 1 or from_step is not None:
            raise InputError("--horizon: it takes one run and every step of it; leave out --from-step and other runs.")
        _horizon(recorded[0], gates, out, as_json)
        return
    if from_step is not None:
        recorded = [run.since(from_step) for run in recorded]
    remeasure = gates is not False if remeasure is None else remeasure
    if len(recorded) > 1:
        _crosscheck_many(recorded, gates, remeasure, out, as_json)
        return
    from .numerics.crosscheck import crosscheck as check_run
    from .numerics.report import write_report

    with _progress("crosscheck") as progress:
        check = check_run(recorded[0], progress=progress, gates=gates, remeasure=remeasure)
        page = write_report(check, out) if out is not None else None
    _print(check.to_dict(), as_json, _check_lines(check, page))
    if not check.confirmed:
        raise typer.Exit(1)


def _crosscheck_many(
    recorded: list[Any], gates: bool | None, remeasure: bool, out: Path | None, as_json: bool
) -> None:
    from .numerics.bands import crosscheck_many
    from .numerics.bands_report import write_bands

    with _progress("crosscheck") as progress:
        bands = crosscheck_many(recorded, progress=progress, gates=gates, remeasure=remeasure)
        page = write_bands(bands, out) if out is not None else None
    _print(bands.to_dict(), as_json, _bands_lines(bands, page))
    if not bands.confirmed:
        raise typer.Exit(1)


def _horizon(recorded: Any, gates: bool | None, out: Path | None, as_json: bool) -> None:
    from .numerics.bands_report import write_horizon
    from .numerics.horizon import horizon

    with _progress("horizon") as progress:
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
    _print(found.to_dict(), as_json, lines if page is None else [*lines, f"report: {page.resolve()}"])


@app.command()
def value(
    run: RunPath,
    out: Annotated[Path | None, typer.Option(help="Where to save the figure: .png, .pdf or .svg.")] = None,
    ridge: Annotated[float, typer.Option(help="Penalty of the probes over the features' mean energy.")] = 0.1,
    as_json: Json = False,
) -> None:
    """What the semantic window is worth: decoding, analogies and transfer along a run, beside the semantic index.

    \b
    Examples:
      ufmflow value runs/objects --out value.png
      ufmflow train objects --hold-out 6 --out runs/partial && ufmflow value runs/partial
    """
    from .numerics.downstream import agreement, downstream, series
    from .numerics.runs import load_run

    recorded = load_run(run)
    found = downstream(recorded, ridge=ridge)
    agreements, curves = agreement(found), series(found)
    index = found["semantic_index"].values
    timeline = [
        {"step": int(step), "time": float(t), "semantic_index": float(index[i]),
         **{name: float(curve[i]) for name, curve in curves.items()}}
        for i, (step, t) in enumerate(zip(recorded.data["step"].values, recorded.time, strict=True))
    ]  # fmt: skip
    if out is not None:
        from .numerics.figure_files import write_figure
        from .numerics.value_plots import value_figure

        write_figure(value_figure(found)[0], out)
    summary = {"run": recorded.name, "held_out": found.attrs["held_out"], "timeline": timeline,
               "agreement": [row.to_dict() for row in agreements]}  # fmt: skip
    lines = [f"{'step':>8} {'index':>7} " + " ".join(f"{name:>17}" for name in curves)]
    shown = sorted({round(i * (len(timeline) - 1) / 11) for i in range(12)})
    lines += [
        f"{row['step']:>8} {row['semantic_index']:>7.3f} " + " ".join(f"{row[name]:>17.3f}" for name in curves)
        for row in (timeline[i] for i in shown)
    ]
    lines += [row.statement for row in agreements]
    _print(summary, as_json, lines if out is None else [*lines, f"figure: {out.resolve()}"])


@app.command()
def targets(
    counts: Annotated[Path, typer.Argument(help="Next tokens: CSV context,token,count, or a matrix as .npy or .npz.")],
    contexts: Annotated[Path, typer.Option(help="CSV: the attributes of each context (and its name, `context`).")],
    tokens: Annotated[
        Path | None, typer.Option(help="CSV: the attributes of each next token (and its name, `token`).")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option(help="Counts of the tokens that contexts are made of, for the feature kernel.")
    ] = None,
    residual: Annotated[float, typer.Option(help="Each context's own part of the kernel.")] = 0.0,
    smoothing: Annotated[float, typer.Option(help="Added to every count of next tokens.")] = 0.0,
    formula: Annotated[str | None, typer.Option(help="How the attributes cross and nest, where tables cannot tell.")] = None,
    init: Annotated[float, typer.Option(help="Start w = h of every stratum, for the diagram.")] = 1e-3,
    out: Annotated[Path | None, typer.Option(help="Where to save the crossover diagram: .png, .pdf or .svg.")] = None,
    as_json: Json = False,
) -> None:
    """Targets and feature kernel of the model from counts: how soft labels are along attributes, and whose structure lasts.

    \b
    Examples:
      ufmflow targets counts.csv --contexts contexts.csv --tokens tokens.csv
      ufmflow targets counts.csv --contexts contexts.csv --tokens tokens.csv --inputs inputs.csv --out crossover.pdf
    """
    from .numerics.cooccurrence import kernel_from_counts, targets_from_counts

    if out is not None and inputs is None:
        raise InputError("--out: the diagram needs a kernel; give --inputs, the counts of the contexts' own tokens.")
    found = targets_from_counts(counts, contexts, tokens, smoothing, formula)
    kept = found.attributes.keep(found.labels)
    eps, weights, misfit = found.family()
    summary: dict[str, Any] = found.to_dict()
    lines = [f"{kept}: {'stratum':>24} {'dimensions':>11} {'target':>9} {'+-':>9}"]
    lines += [
        f"{A:>{len(str(kept)) + 26}} {kept.multiplicities[A]!s:>11} {tau:>9.5f} "
        + (f"{found.standard_error[A]:>9.5f}" if found.standard_error else f"{'':>9}")
        for A, tau in found.targets.items()
    ]
    lines += [
        f"softness {eps:.4f}, along " + ", ".join(f"{k} {w:.3f}" for k, w in weights.items()) + f"; misfit {misfit:.5f}",
        f"outside the algebra {found.residual:.4f} of the targets, {found.noise:.4f} expected from sampling alone",
    ]
    if found.counted < 1:
        lines.append(f"{1 - found.counted:.1%} of the counts are on tokens that the table leaves out")
    if inputs is not None:
        from .numerics.crossover import crossover as field
        from .numerics.crossover import look_up, place

        if found.labels is not None:
            raise InputError("--inputs: the diagram is of one label a context; tokens that drop attributes have no place.")
        kernel, outside = kernel_from_counts(inputs, contexts, residual, formula)
        summary |= {"feature_kernel": kernel, "kernel_outside": outside}
        lines.append("feature kernel " + ", ".join(f"{A} {k:.4g}" for A, k in kernel.items()) + f"; outside {outside:.4f}")
        at = place(found.targets, kernel, kept)
        summary["place"] = look_up(kept, *at, init)
        lines.append(_place_line(summary["place"]))
        if out is not None:
            from .numerics.crossover_plots import crossover_figure
            from .numerics.figure_files import write_figure

            write_figure(crossover_figure(field(kept, init=init), [at])[0], out)
            lines.append(f"figure: {out.resolve()}")
    _print(summary, as_json, lines)


@app.command()
def crossover(
    formula: Formula,
    init: Annotated[float, typer.Option(help="Start w = h of every stratum.")] = 1e-3,
    shrink: Annotated[float, typer.Option(help="m times a ridge on both factors.")] = 0.0,
    mark: Annotated[list[str] | None, typer.Option(help="A place EPS,RATIO to read off and mark; repeat it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to save the diagram: .png, .pdf or .svg.")] = None,
    as_json: Json = False,
) -> None:
    """Whose structure it is, the labels' (it stays) or the kernel's (it passes): softness against kernel ratio.

    The diagram is of squared error; under cross-entropy soft labels end in equal shares of all strata.

    \b
    Examples:
      ufmflow crossover "color[4] * shape[6]" --out crossover.pdf
      ufmflow crossover "color[4] * shape[6]" --mark 0.3,2 --mark 0.9,2
    """
    from .numerics.crossover import borders, look_up
    from .numerics.crossover import crossover as field

    places = [_numbers(text, "--mark") for text in mark or []]
    if any(len(at) != 2 for at in places):
        raise InputError(f"--mark: {', '.join(mark or [])}; write softness and kernel ratio, for example 0.3,2.")
    found = field(formula, init=init, shrink=shrink)
    rows = borders(found)
    marked = [look_up(formula, eps, ratio, init, shrink) for eps, ratio in places]
    lines = [f"{'eps':>6} {'index left':>11} {'overshoots from':>16} {'lasts up to':>12} {'equal causes':>13}"]
    lines += [
        f"{row['eps']:>6.3f} {row['limit_index']:>11.3f} {row['overshoot_ratio']:>16.3f} "
        + (f"{'any':>12} " if row["lasting_ratio"] is None else f"{row['lasting_ratio']:>12.3f} ")
        + f"{row['cause_ratio']:>13.3f}"
        for row in rows[::4]
    ]
    lines += [
        f"from softness {found.attrs['lasting_softness']:.4f} on half of the peak stays, whatever the kernel and the start",
        f"phases of the field and closed borders differ on {found.attrs['disagreement']:.2%} of the grid",
        f"under cross-entropy all softness above 0 ends at index {found.attrs['cross_entropy_index']:.4f}",
        *map(_place_line, marked),
    ]
    if out is not None:
        from .numerics.crossover_plots import crossover_figure
        from .numerics.figure_files import write_figure

        write_figure(crossover_figure(found, [(eps, ratio) for eps, ratio in places])[0], out)
        lines.append(f"figure: {out.resolve()}")
    _print({**found.attrs, "borders": rows, "marked": marked}, as_json, lines)


def _place_line(at: dict[str, Any]) -> str:
    return (
        f"softness {at['eps']:.3f}, kernel ratio {at['ratio']:.3f}: index {at['peak_index']:.3f} at the peak, "
        f"{at['limit_index']:.3f} at the end: {at['phase']}"
    )


@app.command()
def plan(
    network: Annotated[str, typer.Argument(help="objects, taxonomy, frames or collocations, or a recorded run.")],
    goal: Annotated[str, typer.Option(help="What is wanted.")] = "widest window",
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
) -> None:
    """What to change about a training, and when to stop, so that its structure lasts: predicted before training.

    Goals: 'semantic index >= 0.8 at loss <= 0.05 for color', 'widest window', 'permanent'; 'at loss <= ...' and
    'for ATTRIBUTE' go with each and may be left out.  Exit code 1 when no intervention is predicted to reach the goal,
    and with --verify when advice failed on trained networks.

    \b
    Examples:
      ufmflow plan objects --goal "semantic index >= 0.8 at loss <= 0.05 for color"
      ufmflow plan taxonomy --option arch=transformer --option steps=4000 --goal permanent --precise
      ufmflow plan runs/objects --only "body rate 0.1" --only "smoothing 0.1"
      ufmflow plan objects --option steps=4000 --only "body rate 0.1" --verify --seeds 0-4 --out runs/advice
    """
    from .numerics.advice import plan as advise
    from .numerics.advice_text import advice_lines
    from .numerics.runs import load_run
    from .numerics.settings import SETTINGS

    if not verify and (unused := [name for name, value in (("seeds", seeds), ("top", top), ("out", out)) if value is not None]):
        raise InputError(f"--{unused[0]}: it goes with --verify; add that, or leave it out.")
    source = network if network in SETTINGS else load_run(Path(network))
    with _progress("plan") as progress:
        found = advise(source, goal, only=only, precise=precise, slopes=slopes, progress=progress,
                       **_options(option or [], "--option"))  # fmt: skip
    if not verify:
        _print(found.to_dict(), as_json, advice_lines(found))
        if not found.reached:
            raise typer.Exit(1)
        return
    from .numerics.verify import verify as hold
    from .numerics.verify_text import verification_lines

    with _progress("verify") as progress:
        held = hold(found, _ranges(seeds or "0-4", "--seeds"), top=top or 3, precise=precise, out=out, progress=progress)
    _print(found.to_dict() | {"verification": held.to_dict()}, as_json, [*advice_lines(found), *verification_lines(held)])
    if not (found.reached and held.holds):
        raise typer.Exit(1)


@app.command()
def gram(
    file: Annotated[Path, typer.Argument(help=".npy or .npz with one 2-d array or H (and W), one row per context.")],
    attributes: Annotated[
        Path, typer.Option(help="CSV with one row per context, one column per attribute, and label.")
    ],
    formula: Annotated[
        str | None, typer.Option(help="Structure to read the table by, where it cannot be inferred.")
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Resamples of features, for standard errors and 90% intervals of the strata.")
    ] = 0,
    permutations: Annotated[int, typer.Option(min=0, help="Permutations of attributes, for p of each stratum.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the resamples and permutations.")] = 0,
    memory: Annotated[float, typer.Option(help="GiB to work in; larger Gram matrices are streamed.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Stratum analysis and neural-collapse measures of any embeddings.

    \b
    Examples:
      ufmflow gram embeddings.npz --attributes attributes.csv
      ufmflow gram embeddings.npy --attributes attributes.csv --bootstrap 1000 --permutations 999 --seed 1
    """
    from dataclasses import asdict

    from .numerics.embeddings import read_embeddings, read_table
    from .numerics.measures import analyse
    from .numerics.uncertainty import annotate

    if not 0 < memory < float("inf"):
        raise InputError(f"--memory: {memory} GiB; give a positive number, for example 1.")
    room = int(memory * 2**30)
    structure, labels = read_table(attributes, formula)
    H, W = read_embeddings(file)
    result = asdict(analyse(H, structure, labels, W, memory=room))
    if bootstrap or permutations:
        result = annotate(result, H, structure, labels, bootstrap, permutations, seed, room)
    _print({"attributes": str(structure), **result}, as_json, [f"{file}: {structure}", *_gram_lines(result)])


@app.command()
def prove(
    theorems: Annotated[list[str] | None, typer.Argument(help="Names of theorems; all if left out.")] = None,
    index: Annotated[
        Path | None, typer.Option(help="Instead of checking, write all claims with their theorems to this Markdown file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check theorems in exact arithmetic, and that their wrong variants are refuted; exit code 1 if any fails.

    Example: ufmflow prove balanced_mse_is_logistic
    """
    if index is not None:
        from .numerics.runs import write_whole
        from .proofs.pages import index_page

        write_whole(index, index_page().encode())
        _print({"index": str(index)}, as_json, [f"index: {index.resolve()}"])
        return
    from .proofs.certificates import prove as check

    with _progress("prove") as bar:
        certificates = check(theorems or None, bar and (lambda certificate, done, total: bar(done, total)))
    lines = [
        f"{c.status:>7}  {c.name}  ({len(c.steps)} steps, {c.mutations_rejected}/{c.mutations} wrong variants refuted, "
        f"{c.seconds:.1f} s){': ' + c.reason if c.reason else ''}"
        for c in certificates
    ]
    _print([c.to_dict() for c in certificates], as_json, lines)
    if any(c.status != "proved" for c in certificates):
        raise typer.Exit(1)


@app.command()
def reproduce(
    quick: Annotated[bool, typer.Option("--quick", help="Use the shipped run; no training, no torch.")] = False,
    seeds: Annotated[str | None, typer.Option(help="Of each setting: 0-4 or 0,3; 0 if left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
    as_json: Json = False,
) -> None:
    """From formula to verdict in one report: derive, forecast, hold to trained networks.

    Forecasts of all three settings are written to files before their networks are trained (extra: train). What the
    kernel measured anew would leave of the errors is diagnosed for the first seed of each.

    \b
    Examples:
      ufmflow reproduce --quick
      ufmflow reproduce --seeds 0-4
    """
    from .numerics import reproduce as reproduction

    if quick:
        if seeds is not None:
            raise InputError("--quick, --seeds: the shipped run has its own seed; choose one of them.")
        with _progress("reproduce") as progress:
            page, check = reproduction.quick(out, progress)
        _print(check.to_dict() | {"report": str(page)}, as_json, _check_lines(check, page))
        if not check.confirmed:
            raise typer.Exit(1)
        return
    with _progress("reproduce") as progress:
        page, found = reproduction.reproduce(out, _ranges(seeds or "0", "--seeds"), progress=progress)
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
    _print(found.to_dict() | {"report": str(page)}, as_json, [*lines, found.verdict, f"report: {page.resolve()}"])
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


def _gram_lines(result: dict[str, Any]) -> list[str]:
    """What `gram` prints below the structure."""
    rows = result["strata"]
    spread, tested = "share_interval" in rows[0], "p_value" in rows[-1]
    header = f"{'stratum':>24} {'dimension':>9} {'energy':>12} {'share':>7}"
    lines = [header + (f" {'90% interval':>16}" if spread else "") + (f" {'p':>7}" if tested else "")]
    for row in rows:
        line = f"{row['name']:>24} {row['multiplicity']:>9} {row['energy']:>12.5g} {row['share']:>7.4f}"
        if spread:
            line += f" {row['share_interval'][0]:>7.4f}, {row['share_interval'][1]:.4f}"
        lines.append(line + (f" {row['p_value']:>7.3g}" if "p_value" in row else ""))
    for name, value in result.items():
        if not name.endswith("_standard_error") and (value is None or isinstance(value, float)):
            shown = "unknown" if value is None else f"{value:.4f}"
            ends = result.get(f"{name}_interval")
            lines.append(f"{name:>24} {shown}" + (f"  ({ends[0]:.4f}, {ends[1]:.4f})" if ends else ""))
    return lines


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


def _window(trajectory: Any) -> dict[str, float] | None:
    from dataclasses import asdict

    found = trajectory.window()
    return None if found is None else asdict(found)


def _window_line(window: dict[str, float] | None, run: Any = None) -> str:
    """In steps of a run, or else in time."""
    if window is None:
        return "no semantic window"
    at = {name: window[name] if run is None else run.step_at(window[name]) for name in ("onset", "peak", "end")}
    times = ", ".join(f"{name} {value:.4g}" for name, value in at.items())
    open_end = run is not None and window["end"] >= run.time[-1]
    return (
        f"semantic window ({'t' if run is None else 'step'}): {times}; height {window['height']:.3f}"
        f"{'; still open at the last step, so its end is not seen' if open_end else ''}"
    )


def _options(texts: list[str], option: str) -> dict[str, Any]:
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


def _pairs(text: str, option: str) -> dict[str, str]:
    pairs = dict(part.partition("=")[::2] for part in text.split(","))
    for name, value in pairs.items():
        if not name.strip() or not value.strip():
            raise InputError(f"{option}: {text!r} is no list of name=number; write for example color=1,residual=0.1.")
    return {name.strip(): value.strip() for name, value in pairs.items()}


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option}: {text!r} is no list of numbers; write for example 0.9,0.999.") from None


def _ranges(text: str, option: str) -> list[int]:
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


def _cost_lines(cost: dict[str, Any], runs: int) -> list[str]:
    """What `train --dry-run` prints."""
    lines = [f"{name:>18} {value}" for name, value in cost["settings"].items() if value is not None]
    minutes, kernels = cost["seconds"] / 60, cost["seconds_kernels"]
    lines += [
        f"{cost['contexts']} contexts, {cost['labels']} labels, {cost['parameters']} parameters",
        f"about {cost['memory_bytes'] / 2**20:.0f} MiB beyond PyTorch itself",
        f"about {minutes:.1f} min a run on this machine, {kernels:.1f} s of it for kernels",
    ]
    return lines if runs == 1 else [*lines, f"{runs} runs: about {runs * minutes:.1f} min"]


def _print(summary: dict[str, Any] | list, as_json: bool, lines: list[str]) -> None:
    typer.echo(json.dumps(summary, indent=1) if as_json else "\n".join(lines))


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float, float], None] | None]:
    """A progress bar on stderr when that is a terminal; None otherwise."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0)

        def update(done: float, total: float) -> None:
            bar.update(task, completed=done / total if total else 1.0)

        yield update
