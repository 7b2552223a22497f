"""The verb that trains and records a network."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..theory.errors import InputError
from .interrupts import resumable
from .options import DryRun, Json, Quiet, Setting, choice, numbers, pairs, ranges
from .output import Screen

# What `train` takes and `ufmflow.train` does not: all else are options of the training.
OF_THE_COMMAND = {"setting", "out", "config", "seeds", "dry_run", "as_json", "quiet"}


def train(
    context: typer.Context,
    setting: Setting,
    out: Annotated[Path | None, typer.Option(help="Where to record the run: NAME or NAME.npz.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file whose [train] table has options; the command line goes first.")
    ] = None,
    formula: Annotated[str | None, typer.Option(help="In place of the setting's.")] = None,
    labels: Annotated[str | None, typer.Option(help="Part of the formula that the label keeps.")] = None,
    arch: Annotated[str, choice("arch")] = "mlp",
    layers: Annotated[int | None, typer.Option(help="Layers of the body.")] = None,
    width: Annotated[int, typer.Option(help="Units of a hidden layer.")] = 256,
    features: Annotated[int, typer.Option(help="Width d of the features.")] = 64,
    norm: Annotated[str, choice("norm")] = "layernorm",
    final_affine: Annotated[bool, typer.Option("--final-affine", help="Give the final norm an affine part.")] = False,
    optimizer: Annotated[str, choice("optimizer")] = "sgd",
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    momentum: Annotated[float | None, typer.Option(help="Of momentum (0.9), sign (0) and muon (0.95).")] = None,
    nesterov: Annotated[bool | None, typer.Option(help="Of momentum (no) and muon (yes).")] = None,
    betas: Annotated[str | None, typer.Option(help="Of adamw: 0.9,0.999.")] = None,
    schedule: Annotated[str, choice("schedule")] = "constant",
    warmup: Annotated[int, typer.Option(help="Steps of linear rise before it.")] = 0,
    final_lr: Annotated[float | None, typer.Option(help="Where cosine, linear and exponential end.")] = None,
    drop_every: Annotated[int | None, typer.Option(help="Steps between drops of the step schedule.")] = None,
    drop_factor: Annotated[
        float | None, typer.Option(help="What a drop multiplies the learning rate by (0.1).")
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="On all parameters.")] = 0.0,
    weight_decay_head: Annotated[float | None, typer.Option(help="In its place, on the head.")] = None,
    weight_decay_body: Annotated[float | None, typer.Option(help="In its place, on all but the head.")] = None,
    final_norm: Annotated[bool, typer.Option("--final-norm/--no-final-norm", help="End the body in a norm.")] = True,
    embedding_scale: Annotated[float, typer.Option(help="Multiplies the tokens' embeddings.")] = 1.0,
    head_scale: Annotated[float, typer.Option(help="Multiplies the head's start.")] = 1.0,
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
    seed: Annotated[int, typer.Option(help="Fixes the start and the batches.")] = 0,
    seeds: Annotated[str | None, typer.Option(help="One run for each: 0-4 or 0,3,7-9; NAME-seed0 and so on.")] = None,
    snapshots: Annotated[int, typer.Option(help="Log-spaced recordings.")] = 40,
    kernels: Annotated[int, typer.Option(help="Measure the kernel at so many of them.")] = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train and record a small network (extra: train).

    Its kernel at initialisation, of which forecasts are made, is recorded with it.  A run that is interrupted goes
    on where it was when the same command is given again.

    \b
    Examples:
      ufmflow train objects --out runs/objects
      ufmflow train objects --formula "color[3] * shape[4] * size[2]" --seeds 0-4 --out runs/three
      ufmflow train taxonomy --arch transformer --norm rmsnorm --kernels 8 --out runs/taxonomy
      ufmflow train frames --optimizer adamw --lr 1e-3 --schedule cosine --warmup 500 --batch 12 --out runs/frames
      ufmflow config --example train > train.toml && ufmflow train objects --config train.toml --out runs/objects
      ufmflow train objects --weight-decay-head 1e-3 --features 16 --dry-run
    """
    from ..numerics import train as training
    from ..numerics.config_lines import naming_lines

    screen = Screen(as_json, quiet)
    with naming_lines(config):
        options = _options(context, config)
        many = None if seeds is None else ranges(seeds, "--seeds")
        if many is not None:
            if _given(context, "seed"):
                raise InputError("--seed, --seeds: choose one of them.")
            options.pop("seed")
        if dry_run:
            cost = training.estimate(setting, **({"seed": many[0]} if many else {}), **options)
            screen.show(cost, _cost_lines(cost, len(many) if many else 1))
            return
        if out is None:
            raise InputError("--out: it is missing; give a name such as runs/objects.")
        state = f"{out}.partial keeps the run as it was"
        with (
            resumable(state if many is None else f"finished runs, and that in training, are kept as {out}-seed*"),
            screen.progress("train") as progress,
        ):
            if many is None:
                paths = [training.train(setting, out, progress=progress, **options)]
            else:
                paths = training.train_seeds(setting, out, many, progress=progress, **options)
    found = [{"out": str(path), **json.loads(path.with_name(path.stem + ".json").read_text())} for path in paths]
    screen.show(found[0] if many is None else found, [
        f"{run['out']}: {run['steps']} steps, final loss {run['final_loss']:.4g}" for run in found
    ])  # fmt: skip


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _options(context: typer.Context, config: Path | None) -> dict[str, Any]:
    """The training's options: as given, or else as the file's [train] table has them, or else the usual ones."""
    from ..numerics.config import read_toml, training_options

    options = {name: value for name, value in context.params.items() if name not in OF_THE_COMMAND}
    for name, parse in (("betas", numbers), ("smoothing_weights", pairs)):
        if options[name] is not None:
            options[name] = parse(options[name], f"--{name.replace('_', '-')}")
    if config is None:
        return options
    table = training_options(read_toml(config), str(config))
    return options | {name: value for name, value in table.items() if not _given(context, name)}


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
