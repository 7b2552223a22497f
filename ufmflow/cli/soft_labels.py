"""Verbs of soft labels: the model from counts, and the diagram of whose structure lasts."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..theory.errors import InputError
from .options import Figure, Formula, Init, Json, Quiet, numbers
from .output import Screen


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
    formula: Annotated[
        str | None, typer.Option(help="How the attributes cross and nest, where tables cannot tell.")
    ] = None,
    init: Init = 1e-3,
    out: Figure = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make the model's targets and kernel from counts.

    How soft labels are along attributes, and with --inputs whose structure lasts.

    \b
    Examples:
      ufmflow targets counts.csv --contexts contexts.csv --tokens tokens.csv
      ufmflow targets counts.csv --contexts contexts.csv --tokens tokens.csv --inputs inputs.csv --out crossover.pdf
    """
    from ..numerics.cooccurrence import kernel_from_counts, targets_from_counts

    screen = Screen(as_json, quiet)
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
        f"softness {eps:.4f}, along "
        + ", ".join(f"{k} {w:.3f}" for k, w in weights.items())
        + f"; misfit {misfit:.5f}",
        f"outside the algebra {found.residual:.4f} of the targets, {found.noise:.4f} expected from sampling alone",
    ]
    if found.counted < 1:
        lines.append(f"{1 - found.counted:.1%} of the counts are on tokens that the table leaves out")
    if inputs is not None:
        from ..numerics.crossover import crossover as field
        from ..numerics.crossover import look_up, place

        if found.labels is not None:
            raise InputError(
                "--inputs: the diagram is of one label a context; tokens that drop attributes have no place."
            )
        kernel, outside = kernel_from_counts(inputs, contexts, residual, formula)
        summary |= {"feature_kernel": kernel, "kernel_outside": outside}
        lines.append(
            "feature kernel " + ", ".join(f"{A} {k:.4g}" for A, k in kernel.items()) + f"; outside {outside:.4f}"
        )
        at = place(found.targets, kernel, kept)
        summary["place"] = look_up(kept, *at, init)
        lines.append(_place_line(summary["place"]))
        if out is not None:
            from ..numerics.crossover_plots import crossover_figure
            from ..numerics.figure_files import write_figure

            write_figure(crossover_figure(field(kept, init=init), [at])[0], out)
            lines.append(f"figure: {out.resolve()}")
    screen.show(summary, lines)


def crossover(
    formula: Formula,
    init: Init = 1e-3,
    shrink: Annotated[float, typer.Option(help="m times a ridge on both factors.")] = 0.0,
    mark: Annotated[list[str] | None, typer.Option(help="A place EPS,RATIO to read off and mark; repeat it.")] = None,
    out: Figure = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell whether structure is the labels' or the kernel's.

    The labels' structure stays, the kernel's passes: softness against kernel ratio.  The diagram is of squared
    error; under cross-entropy soft labels end in equal shares of all strata.

    \b
    Examples:
      ufmflow crossover "color[4] * shape[6]" --out crossover.pdf
      ufmflow crossover "color[4] * shape[6]" --mark 0.3,2 --mark 0.9,2
    """
    from ..numerics.crossover import borders, look_up
    from ..numerics.crossover import crossover as field

    screen = Screen(as_json, quiet)
    places = [numbers(text, "--mark") for text in mark or []]
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
        from ..numerics.crossover_plots import crossover_figure
        from ..numerics.figure_files import write_figure

        write_figure(crossover_figure(found, [(eps, ratio) for eps, ratio in places])[0], out)
        lines.append(f"figure: {out.resolve()}")
    screen.show({**found.attrs, "borders": rows, "marked": marked}, lines)


def _place_line(at: dict[str, Any]) -> str:
    return (
        f"softness {at['eps']:.3f}, kernel ratio {at['ratio']:.3f}: index {at['peak_index']:.3f} at the peak, "
        f"{at['limit_index']:.3f} at the end: {at['phase']}"
    )
