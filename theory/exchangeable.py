"""K crossed attributes of n values each that nothing tells apart, merged by order: the Hamming scheme H(K, n).

Strata of equally many attributes merge, and so do relations: K + 1 modes in place of 2^K.  Order j, with i the number
of attributes on which two contexts differ:

    m_j = C(K, j) (n - 1)^j,      v_i = C(K, i) (n - 1)^i,      chi_j(i) = K_j(i) / m_j,
    K_j(i) = sum_s (-1)^s (n - 1)^(j - s) C(i, s) C(K - i, j - s)                          (Krawtchouk polynomial)

References: Delsarte 1973; Bailey, *Association Schemes*, 2004, chapter 1.
"""

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy as sp

from .attributes import Attributes, Relation, Stratum
from .errors import InputError
from .formula import Factor, parse

POWER = re.compile(r"\s*(?P<factor>[^^]*\])\s*\^\s*(?P<count>[^^]*?)\s*")
MAX_ORDERS = 200  # derivation takes of the order of (K + 1)^3 terms


@dataclass(frozen=True, init=False)
class Exchangeable(Attributes):
    """Exchangeable crossed attributes, written `attribute[3]^40`: forty attributes of three values each.

    Strata and relations are named by order: `1`, `order1`, ..., `orderK`; order 1 holds the main effects.  Relation
    `orderA` is agreement on A attributes, so that the last one is `same`, as in every structure.

    Parameters
    ----------
    formula : str
        One attribute with its size (a whole number >= 2 or a symbol), and its power K >= 2.

    Raises
    ------
    InputError
        For a malformed formula, and for what needs the attributes one by one (projectors, labels that drop some).

    Examples
    --------
    >>> forty = Exchangeable("attribute[3]^40")
    >>> len(forty.strata), forty.multiplicities["order2"], forty.cardinality == 3**40
    (41, 3120, True)
    >>> Exchangeable("a[n]^2").character_table()
    Matrix([
    [            1,                   1, 1],
    [   -1/(n - 1), (n - 2)/(2*(n - 1)), 1],
    [(n - 1)**(-2),          -1/(n - 1), 1]])
    """

    power: int = field(init=False)

    def __init__(self, formula: str):
        match = POWER.fullmatch(formula) if isinstance(formula, str) else None
        tree = parse(match["factor"]) if match else None
        if match is None or not isinstance(tree, Factor) or not re.fullmatch(r"\d{1,9}", match["count"]):
            raise InputError(f"formula {formula!r}: a power joins copies of one attribute, such as attribute[3]^40.")
        power = int(match["count"])
        if not 2 <= power <= MAX_ORDERS:
            raise InputError(f"formula {formula!r}: the power is {power}; it must lie between 2 and {MAX_ORDERS}.")
        object.__setattr__(self, "tree", tree)
        object.__setattr__(self, "order", None)
        object.__setattr__(self, "power", power)

    def __str__(self) -> str:
        return f"{self.tree}^{self.power}"

    def __repr__(self) -> str:
        return f"Exchangeable({str(self)!r})"

    @property
    def size(self) -> sp.Expr:
        """n, the number of values of each attribute."""
        return self.factors[0].size

    @property
    def cardinality(self) -> sp.Expr:
        """V = n^K."""
        return self.size**self.power

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the strata and of the relations."""
        return ("1", *(f"order{j}" for j in range(1, self.power + 1)))

    @cached_property
    def strata(self) -> tuple[Stratum, ...]:
        """The merged strata, the mean first."""
        copies = (self.factors[0].name,)
        return tuple(Stratum(name, copies * j, self._weight(j)) for j, name in enumerate(self.names))

    @cached_property
    def relations(self) -> tuple[Relation, ...]:
        """The merged relations, from nothing in common to identity."""
        copies = (self.factors[0].name,)
        return tuple(Relation(name, copies * a, self._weight(self.power - a)) for a, name in enumerate(self.names))

    def _weight(self, j: int) -> sp.Expr:
        return math.comb(self.power, j) * (self.size - 1) ** j

    def character(self, stratum: str, relation: str) -> sp.Expr:
        """chi_j(i) = K_j(i) / m_j, i the number of attributes on which the relation's contexts differ."""
        j, i = self._order(stratum, "stratum"), self.power - self._order(relation, "relation")
        K, step = self.power, -1 / (self.size - 1)
        total = sum((math.comb(i, s) * math.comb(K - i, j - s) * step**s for s in range(min(i, j) + 1)), sp.S(0))
        return sp.factor(total / math.comb(K, j))

    def sharing(self, factor: str, stratum: str) -> sp.Expr:
        """Eigenvalue of the sum over the attributes of 1 where two contexts agree on it: K n^(K-1), n^(K-1), 0, ..."""
        if factor not in self.sizes:
            raise InputError(f"factor: {factor!r} is unknown; {self} has {', '.join(self.sizes)}.")
        j = self._order(stratum, "stratum")
        return sp.S(0) if j > 1 else (self.power if j == 0 else 1) * self.size ** (self.power - 1)

    def keep(self, labels: Any) -> "Exchangeable":
        """The labels' structure: all of it; a label that drops some of the attributes tells them apart.

        Raises
        ------
        InputError
            For labels that name anything but the attribute itself.
        """
        if labels is not None and self._kept(labels) != frozenset(self.sizes):
            raise InputError(f"labels: {labels!r}; labels of {self} keep all of its attributes.")
        return self

    def semantic_strata(self, labels: Any = None) -> tuple[str, ...]:
        """Main effects: order 1."""
        self.keep(labels)
        return ("order1",)

    @property
    def shape(self) -> tuple[int, ...]:
        """Refused: merged attributes have no axes of their own."""
        raise InputError(f"attributes: {self} is merged by order, without contexts one by one; write it as a crossing.")

    def projector(self, name: str) -> sp.ImmutableMatrix:
        """Refused as `shape`: the V x V projectors are those of the crossing."""
        self._order(name, "stratum")
        raise InputError(f"projector: {self} is merged by order; write it as a crossing to form matrices.")

    def _order(self, name: str, what: str) -> int:
        if name not in self.names:
            raise InputError(f"{what}: {name!r} is unknown; {self} has {', '.join(self.names)}.")
        return self.names.index(name)


def structure(formula: str) -> Attributes:
    """The structure that a formula describes: crossings and nestings, or the power of one attribute.

    Examples
    --------
    >>> structure("a[2] * b[3]"), structure("a[2]^3")
    (Attributes('a[2] * b[3]'), Exchangeable('a[2]^3'))
    """
    return Exchangeable(formula) if isinstance(formula, str) and "^" in formula else Attributes(formula)
