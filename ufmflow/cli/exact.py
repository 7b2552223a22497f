"""Verbs of exact mathematics: derive and prove."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..theory.errors import InputError
from .options import Formula, Json, pairs
from .output import progress_bar, show


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
    from ..numerics.config import model_of
    from ..theory.system import derive as derive_model

    if latex and as_json:
        raise InputError("--latex, --json: choose one of them.")
    table: dict[str, Any] = {
        "attributes": formula, "labels": labels, "loss": loss.replace("-", "_"), "constraint": constraint,
        "ridge": tuple(ridge.split(",")) if "," in ridge else ridge, "width": width, "reduction": reduction,
    }  # fmt: skip
    if kernel is not None:
        table["kernel"] = pairs(kernel, "--kernel")
    system = derive_model(model_of(table))
    if latex or as_json:
        typer.echo(system.latex() if latex else system.to_json())
        return
    typer.echo(system.text())


def prove(
    theorems: Annotated[list[str] | None, typer.Argument(help="Names of theorems; all if left out.")] = None,
    index: Annotated[
        Path | None,
        typer.Option(help="Instead of checking, write all claims with their theorems to this Markdown file."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check theorems in exact arithmetic, and that their wrong variants are refuted; exit code 1 if any fails.

    Example: ufmflow prove balanced_mse_is_logistic
    """
    if index is not None:
        from ..numerics.runs import write_whole
        from ..proofs.pages import index_page

        write_whole(index, index_page().encode())
        show({"index": str(index)}, as_json, [f"index: {index.resolve()}"])
        return
    from ..proofs.certificates import prove as check

    with progress_bar("prove") as bar:
        certificates = check(theorems or None, bar and (lambda certificate, done, total: bar(done, total)))
    lines = [
        f"{c.status:>7}  {c.name}  ({len(c.steps)} steps, {c.mutations_rejected}/{c.mutations} wrong variants refuted, "
        f"{c.seconds:.1f} s){': ' + c.reason if c.reason else ''}"
        for c in certificates
    ]
    show([c.to_dict() for c in certificates], as_json, lines)
    if any(c.status != "proved" for c in certificates):
        raise typer.Exit(1)
