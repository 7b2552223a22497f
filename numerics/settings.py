"""What a small network is shown: settings as frozen data, and contexts coded as tokens.  Needs no torch.

A *setting* is an attribute structure, the part of it that the label keeps, and the factors that are shown.  Context j
has one token for each shown factor; the token names the factor's value together with all that it is nested in (the
species of one genus are no species of another), and no two factors share a token:

    token(k, j) = offset_k + mixed-radix number of j's values on closure(k),
    label(j)    = mixed-radix number of j's values on the label's factors.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError

MAX_CONTEXTS = 4096  # full-batch training records every context: 40 snapshots of 4096 x 64 numbers are 40 MiB


@dataclass(frozen=True)
class Setting:
    """A labelling task built from an attribute structure.

    Parameters
    ----------
    name : str
    formula : str
        The contexts, one for each combination of attributes.
    labels : str or None
        The part of the formula that the label keeps; all of it for None.
    shown : "all" or "leaves"
        A token for every factor, or only for factors that have none nested in them (words without their classes).

    Examples
    --------
    >>> SETTINGS["frames"].shown
    'leaves'
    """

    name: str
    formula: str
    labels: str | None = None
    shown: Literal["all", "leaves"] = "all"


SETTINGS = MappingProxyType(
    {
        setting.name: setting
        for setting in (
            Setting("objects", "color[4] * shape[6]"),
            Setting("taxonomy", "kingdom[3] / genus[3] / species[4]"),
            # Classes of words are never shown: they are latent, visible only in which words share labels.
            Setting("frames", "(size[2] / verb[3]) * (rigidity[3] / noun[2])", "size * rigidity", "leaves"),
            # Frames with a label for each context: verbs and nouns of one class go together and with no others, so a
            # class shows only in which words share contexts, never in a token or a label.
            Setting("collocations", "class[3] / (verb[3] * noun[4])", None, "leaves"),
        )
    }
)


@dataclass(frozen=True, eq=False)
class Contexts:
    """Coded contexts, in the formula's order (last factor fastest).

    Attributes
    ----------
    tokens : int64 array (m, positions)
    vocabulary : int
        How many different tokens there are.
    label : int64 array (m,)
        In 0 ... n_labels - 1, in the order of the label's factors.
    n_labels : int
    table : dict of str to list
        The attribute table: `label`, then a column for each factor whose values carry those of its ancestors
        (`genus_0_2`), so that crossing and nesting can be read off the table alone.
    """

    tokens: np.ndarray
    vocabulary: int
    label: np.ndarray
    n_labels: int
    table: dict[str, list]


def code(attributes: Attributes, labels: str | None = None, shown: str = "all") -> Contexts:
    """Code the contexts of an attribute structure as tokens and labels.

    Raises
    ------
    InputError
        For symbolic sizes, labels that are no ancestral part of the formula, more than 4096 contexts, or an unknown
        `shown`.

    Examples
    --------
    >>> contexts = code(Attributes("genus[2] / species[2]"), labels="genus")
    >>> contexts.tokens.tolist(), contexts.vocabulary, contexts.label.tolist()
    ([[0, 2], [0, 3], [1, 4], [1, 5]], 6, [0, 0, 1, 1])
    """
    shape = attributes.shape
    m = math.prod(shape)
    if m > MAX_CONTEXTS:
        raise InputError(f"formula: {attributes} has {m} contexts; the most is {MAX_CONTEXTS}, so lower a size.")
    if shown not in ("all", "leaves"):
        raise InputError(f"shown: {shown!r} is unknown; use 'all' or 'leaves'.")
    names = [factor.name for factor in attributes.factors]
    sizes = dict(zip(names, shape, strict=True))
    values = dict(zip(names, np.indices(shape).reshape(len(shape), m), strict=True))

    def number(factors: Iterable[str]) -> tuple[np.ndarray, int]:
        chosen = attributes.named(factors)
        radices = tuple(sizes[k] for k in chosen)
        return np.ravel_multi_index(tuple(values[k] for k in chosen), radices), math.prod(radices)

    covered = frozenset().union(*attributes.ancestors.values()) if shown == "leaves" else frozenset()
    tokens, vocabulary = [], 0
    for name in names:
        if name not in covered:
            ids, count = number(attributes.closure(name))
            tokens.append(vocabulary + ids)
            vocabulary += count
    label, n_labels = number(attributes.keep(labels).sizes)
    table: dict[str, list] = {"label": label.tolist()}
    for name in names:
        path = [values[k] for k in attributes.named(attributes.closure(name))]
        table[name] = ["_".join([name, *(str(v[j]) for v in path)]) for j in range(m)]
    return Contexts(np.stack(tokens, axis=1).astype(np.int64), vocabulary, label.astype(np.int64), n_labels, table)
