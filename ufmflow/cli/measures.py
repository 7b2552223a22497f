"""Verbs that measure representations: any embeddings, and what a recorded run's window is worth."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..theory.errors import InputError
from .options import Figure, Json, Quiet, RunPath
from .output import Screen


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
    quiet: Quiet = False,
) -> None:
    """Analyse any embeddings: strata, neural collapse.

    \b
    Examples:
      ufmflow gram embeddings.npz --attributes attributes.csv
      ufmflow gram embeddings.npy --attributes attributes.csv --bootstrap 1000 --permutations 999 --seed 1
    """
    from dataclasses import asdict

    screen = Screen(as_json, quiet)
    from ..numerics.embeddings import read_embeddings, read_table
    from ..numerics.measures import analyse
    from ..numerics.uncertainty import annotate

    if not 0 < memory < float("inf"):
        raise InputError(f"--memory: {memory} GiB; give a positive number, for example 1.")
    room = int(memory * 2**30)
    structure, labels = read_table(attributes, formula)
    H, W = read_embeddings(file)
    result = asdict(analyse(H, structure, labels, W, memory=room))
    if bootstrap or permutations:
        result = annotate(result, H, structure, labels, bootstrap, permutations, seed, room)
    screen.show({"attributes": str(structure), **result}, [f"{file}: {structure}", *_gram_lines(result)])


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


def value(
    run: RunPath,
    out: Figure = None,
    ridge: Annotated[float, typer.Option(help="Penalty of the probes over the features' mean energy.")] = 0.1,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure what a run's semantic window is worth.

    Decoding, analogies and transfer along the run, beside the semantic index.

    \b
    Examples:
      ufmflow value runs/objects --out value.png
      ufmflow train objects --hold-out 6 --out runs/partial && ufmflow value runs/partial
    """
    from ..numerics.downstream import agreement, downstream, series
    from ..numerics.runs import load_run

    screen = Screen(as_json, quiet)
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
        from ..numerics.figure_files import write_figure
        from ..numerics.value_plots import value_figure

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
    screen.show(summary, lines if out is None else [*lines, f"figure: {out.resolve()}"])
