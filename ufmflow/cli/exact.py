"""Verbs of exact mathematics: derive and prove."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..theory.errors import InputError
from .completion import attribute_weights, kept_labels
from .completion import theorems as theorem_names
from .options import Formula, Json, Quiet, choice, pairs
from .output import Screen


def derive(
    formula: Formula,
    labels: Annotated[
        str | None, typer.Option(help="Part of the formula that the label keeps.", autocompletion=kept_labels)
    ] = None,
    loss: Annotated[str, choice("loss")] = "cross-entropy",
    constraint: Annotated[str, choice("constraint")] = "free",
    kernel: Annotated[
        str | None,
        typer.Option(help="Embedding kernel of the contexts: color=1,residual=0.1.", autocompletion=attribute_weights),
    ] = None,
    ridge: Annotated[str, typer.Option(help="lam for both factors, or lam_W,lam_H.")] = "0",
    width: Annotated[int | None, typer.Option(help="Width d.")] = None,
    reduction: Annotated[str, choice("reduction", "mean or sum over contexts.")] = "mean",
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Derive the mode equations of a model and their consequences.

    \b
    Examples:
      ufmflow derive "color[4] * shape[6]" --kernel color=1,shape=1,residual=0.1 --ridge 1e-3
      ufmflow derive "color[n1] * shape[n2]" --loss mse --latex
    """
    from ..numerics.config import model_of
    from ..theory.system import derive as derive_model

    screen = Screen(as_json, quiet)
    if latex and as_json:
        raise InputError("--latex, --json: choose one of them.")
    table: dict[str, Any] = {
        "attributes": formula, "labels": labels, "loss": loss.replace("-", "_"), "constraint": constraint,
        "ridge": tuple(ridge.split(",")) if "," in ridge else ridge, "width": width, "reduction": reduction,
    }  # fmt: skip
    if kernel is not None:
        table["kernel"] = pairs(kernel, "--kernel")
    system = derive_model(model_of(table))
    screen.show(json.loads(system.to_json()), [system.latex() if latex else system.text()])


def prove(
    theorems: Annotated[
        list[str] | None, typer.Argument(help="Names of theorems; all if left out.", autocompletion=theorem_names)
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(help="Instead of checking, write all claims with their theorems to this Markdown file."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check theorems in exact arithmetic.

    Their wrong variants must be refuted, too; exit code 1 if any fails.

    \b
    Examples:
      ufmflow prove
      ufmflow prove balanced_mse_is_logistic
      ufmflow prove --index theorems.md
    """
    screen = Screen(as_json, quiet)
    if index is not None:
        from ..numerics.runs import write_whole
        from ..proofs.pages import index_page

        write_whole(index, index_page().encode())
        screen.show({"index": str(index)}, [f"index: {index.resolve()}"])
        return
    from ..proofs.certificates import prove as check

    with screen.progress("prove") as bar:
        certificates = check(theorems or None, bar and (lambda certificate, done, total: bar(done, total)))
    lines = [
        f"{c.status:>7}  {c.name}  ({len(c.steps)} steps, {c.mutations_rejected}/{c.mutations} wrong variants refuted, "
        f"{c.seconds:.1f} s){': ' + c.reason if c.reason else ''}"
        for c in certificates
    ]
    screen.show([c.to_dict() for c in certificates], lines)
    if any(c.status != "proved" for c in certificates):
        raise typer.Exit(1)
