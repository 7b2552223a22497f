"""What a user wants of a network's representations, read from a sentence, and how far a trajectory reaches it.

    semantic index >= 0.8 [at loss <= 0.05] [for ATTRIBUTE]
    widest window [at loss <= 0.05] [for ATTRIBUTE]
    permanent [at loss <= 0.05] [for ATTRIBUTE]

The index of one attribute leaves the other attributes out:  with S the share of its stratum in all strata but the other
main effects, (S - S_ETF) / (1 - S_ETF); 1: nothing beside it but other attributes, 0: the collapsed geometry.
"""

import math
import re
from dataclasses import dataclass

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .trajectory import Trajectory

KINDS = ("index", "widest", "permanent")
FORMS = "'semantic index >= 0.8 at loss <= 0.05 for color', 'widest window', or 'permanent'"
HEAD = re.compile(
    r"\s*(?:(?P<index>(?:semantic\s+)?index\s*(?:>=|≥)\s*(?P<level>\S+))|(?P<widest>widest(?:\s+window)?)|"
    r"(?P<permanent>permanent))(?P<rest>(?:\s.*)?)$",
    re.IGNORECASE | re.DOTALL,
)
LOSS = re.compile(r"\s+at\s+loss\s*(?:<=|≤)\s*(?P<loss>\S+)(?P<rest>(?:\s.*)?)$", re.IGNORECASE | re.DOTALL)
FOR = re.compile(r"\s+for\s+(?P<attribute>\S+)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Goal:
    """A goal, checked.

    Attributes
    ----------
    kind : "index", "widest" or "permanent"
    index : least semantic index, for `index`
    loss : largest loss; None for any
    attribute : the one that counts; None for all main effects
    """

    kind: str
    index: float | None = None
    loss: float | None = None
    attribute: str | None = None

    @classmethod
    def parse(cls, text: "str | Goal") -> "Goal":
        """Read a goal; a goal stays as it is.

        Raises
        ------
        InputError
            Naming the part that cannot be read, and what can be.

        Examples
        --------
        >>> Goal.parse("semantic index >= 0.8 at loss <= 0.05 for color")
        Goal(kind='index', index=0.8, loss=0.05, attribute='color')
        >>> Goal.parse("widest window").kind
        'widest'
        """
        if isinstance(text, Goal):
            return text
        found = HEAD.match(text) if isinstance(text, str) else None
        if found is None:
            raise InputError(f"goal: {text!r} is no goal; write {FORMS}.")
        kind = next(kind for kind in KINDS if found[kind])
        index = _number(text, found["level"], "semantic index", 1.0) if kind == "index" else None
        rest, loss, attribute = found["rest"], None, None
        if (part := LOSS.match(rest)) is not None:
            loss, rest = _number(text, part["loss"], "loss", math.inf), part["rest"]
        if (part := FOR.match(rest)) is not None:
            attribute, rest = part["attribute"], ""
        if rest.strip():
            raise InputError(f"goal: {rest.strip()!r} in {text!r} cannot be read; write {FORMS}.")
        return cls(kind, index, loss, attribute)

    def __str__(self) -> str:
        head = {"index": f"semantic index >= {self.index:g}" if self.index is not None else "",
                "widest": "widest window", "permanent": "permanent"}[self.kind]  # fmt: skip
        at = "" if self.loss is None else f" at loss <= {self.loss:g}"
        return head + at + ("" if self.attribute is None else f" for {self.attribute}")

    def check(self, attributes: Attributes, labels: tuple[str, ...] | None) -> None:
        """Refuse a goal that the structure leaves without a meaning.

        Raises
        ------
        InputError
            For labels without shared attributes, and an attribute that is unknown or that no two labels share.
        """
        semantic = attributes.semantic_strata(labels)
        kept = attributes.keep(labels)
        if not semantic:
            raise InputError(
                f"goal: labels {kept} share no attribute, so there is no semantic index; give a structure with two or more."
            )
        if self.attribute is not None and _stratum(self.attribute, kept) not in semantic:
            known = ", ".join(k for k in kept.sizes if _stratum(k, kept) in semantic)
            raise InputError(f"goal: {self.attribute!r} is no attribute that labels share; choose one of {known}.")

    def strata(self, attributes: Attributes, labels: tuple[str, ...] | None) -> tuple[list[str], list[str], float]:
        """Strata whose share in which others the index is made of, and that share in the collapsed geometry.

        Examples
        --------
        >>> Goal.parse("permanent for color").strata(Attributes("color[4] * shape[6]"), None)
        (['color'], ['color', 'color:shape'], 0.16666666666666666)
        """
        kept, semantic = attributes.keep(labels), list(attributes.semantic_strata(labels))
        mine = semantic if self.attribute is None else [_stratum(self.attribute, kept)]
        m = kept.multiplicities
        others = sum(m[A] for A in semantic if A not in mine)
        of = [A for A in attributes.names[1:] if A in mine or A not in semantic]
        return mine, of, float(sum(m[A] for A in mine) / (kept.cardinality - 1 - others))

    def index_of(self, trajectory: Trajectory) -> np.ndarray:
        """The semantic index (T,) that the goal speaks of."""
        if self.attribute is None:
            return trajectory.data["semantic_index"].values
        held, of, etf = self.strata(trajectory.attributes, trajectory.labels)
        share = trajectory.data["share_H"]
        rest = share.sel(stratum=of).sum("stratum").values
        inside = share.sel(stratum=held).sum("stratum").values
        part = np.divide(inside, rest, out=np.full(len(rest), etf), where=rest > 0)
        return (part - etf) / (1.0 - etf)


def _stratum(attribute: str, kept: Attributes) -> str:
    """The stratum of an attribute's main effect; no stratum's name where it is unknown."""
    return kept.term(kept.closure(attribute)) if attribute in kept.sizes else ""


def _number(text: str, word: str, what: str, most: float) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not (0 < value <= most and math.isfinite(value)):
        bound = " of at most 1" if most == 1 else ""
        raise InputError(f"goal: {word!r} in {text!r} is no {what}; give a positive number{bound}.")
    return value
