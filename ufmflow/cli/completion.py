"""What the shell offers for an option or argument.

Names are written here once more, since what checks them takes a second to load, longer than a shell should wait; a test
holds them to it.
"""

import pkgutil
from collections.abc import Callable, Iterable

import typer

NAMES = {
    "arch": ("mlp", "transformer"),
    "constraint": ("free", "sphere", "normalized"),
    "device": ("cpu", "cuda"),
    "diagram": ("emergence", "persistence", "survival", "capacity"),
    "goal": ("widest window", "permanent", "semantic index >= 0.8 at loss <= 0.05"),
    "level": ("modes", "flow", "map", "flow_deep", "map_deep", "gated_linear", "gated", "gated_doubling"),
    "loss": ("cross-entropy", "mse"),
    "norm": ("layernorm", "rmsnorm"),
    "optimizer": ("sgd", "momentum", "adamw", "sign", "muon"),
    "reduction": ("mean", "sum"),
    "schedule": ("constant", "cosine", "linear", "exponential", "step"),
    "setting": ("objects", "taxonomy", "frames", "collocations"),
}

CONFIGURED = ("simulate", "sweep", "train")  # verbs that read a TOML file


def among(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Offer those of the names that begin as typed."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def theorems(incomplete: str) -> list[str]:
    """Theorems that `prove` checks."""
    from ..proofs import theorems as folder

    return [found.name for found in pkgutil.iter_modules(folder.__path__) if found.name.startswith(incomplete)]


def attribute_weights(ctx: typer.Context, incomplete: str) -> list[str]:
    """NAME= for each attribute of the formula that was typed before, and the residual; commas separate them."""
    begun, comma, last = incomplete.rpartition(",")
    given = {part.partition("=")[0] for part in begun.split(",")}
    names = [*_attributes(ctx.params.get("formula")), "residual"]
    return [f"{begun}{comma}{name}=" for name in names if name.startswith(last) and name not in given]


def kept_labels(ctx: typer.Context, incomplete: str) -> list[str]:
    """The attributes of the formula that was typed before: a label may keep one of them."""
    return [name for name in _attributes(ctx.params.get("formula")) if name.startswith(incomplete)]


def goals(ctx: typer.Context, incomplete: str) -> list[str]:
    """Goals of `plan`; after `for`, the attributes of its setting."""
    asked, word, last = incomplete.rpartition(" for ")
    if not word:
        return among(NAMES["goal"])(incomplete)
    from ..numerics.settings import SETTINGS

    setting = SETTINGS.get(ctx.params.get("network") or "")
    names = _attributes(setting.formula) if setting else []
    return [f"{asked}{word}{name}" for name in names if name.startswith(last)]


def _attributes(formula: str | None) -> list[str]:
    from ..theory.attributes import Attributes
    from ..theory.errors import InputError

    try:
        return list(Attributes(formula or "").sizes)
    except InputError:
        return []
