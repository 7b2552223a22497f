"""Attribute structures: strata, relations, characters and projectors of a formula's association scheme, exactly.

Two contexts stand in relation T when T is the largest ancestral set of factors on which they agree.  The matrices
whose entries depend on the relation alone form a commutative algebra with orthogonal idempotents P_A, one for each
ancestral set A (a *stratum*).  With min(A) the factors of A that have no other factor of A nested in them,

    P_A = tensor product over factors k of   I - J/n_k  (k in min(A)),   I  (k in A \\ min(A)),   J/n_k  (k not in A),

    m_A = prod_{k in min(A)} (n_k - 1) * prod_{k in A \\ min(A)} n_k                              (multiplicity)
    v_T = prod_{k in max(T')} (n_k - 1) * prod_{k in T' \\ max(T')} n_k,  T' = complement of T    (valency)

where max(T') are the factors of T' that are nested in no other factor of T'.

References: Nelder 1965; Speed and Bailey 1982; Bailey, *Association Schemes*, 2004.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy as sp

from .errors import InputError
from .formula import Crossing, Factor, Node, ancestors_of, factors_of, parse, restrict
from .table import infer, kept_by, read_columns

MAX_EXPLICIT = 512  # rows of an exact projector; beyond, SymPy matrices of that size take minutes and gigabytes


@dataclass(frozen=True)
class Stratum:
    """An eigenspace of the algebra: `name`, its ancestral set of `factors`, and its dimension `multiplicity`."""

    name: str
    factors: tuple[str, ...]
    multiplicity: sp.Expr


@dataclass(frozen=True)
class Relation:
    """How two contexts can stand to each other: they agree on `factors` and no more; `valency` contexts each."""

    name: str
    factors: tuple[str, ...]
    valency: sp.Expr


@dataclass(frozen=True, init=False)
class Attributes:
    """The attribute structure that a formula describes.

    Parameters
    ----------
    formula : str
        Attributes with their sizes, joined by `*` (crossed), `/` (nested; binds tighter) and parentheses.  A size is
        a whole number >= 2 or one symbol.

    Attributes
    ----------
    tree : Factor, Crossing or Nesting
    order : tuple of int, or None
        For a structure read from a table: the cell of each row, counted in the formula's order with the last factor
        varying fastest.  None: row i is cell i.  Two structures are equal when their trees are.

    Raises
    ------
    InputError
        For a malformed formula, with position and reason.

    Examples
    --------
    >>> attributes = Attributes("color[4] * shape[6]")
    >>> [(s.name, s.multiplicity) for s in attributes.strata]
    [('1', 1), ('color', 3), ('shape', 5), ('color:shape', 15)]
    >>> attributes.character_table()
    Matrix([
    [   1,    1,    1, 1],
    [-1/3,    1, -1/3, 1],
    [-1/5, -1/5,    1, 1],
    [1/15, -1/5, -1/3, 1]])
    """

    tree: Node
    order: tuple[int, ...] | None = field(default=None, compare=False)

    def __init__(self, formula: str):
        object.__setattr__(self, "tree", parse(formula))
        object.__setattr__(self, "order", None)

    @classmethod
    def _of(cls, tree: Node, order: tuple[int, ...] | None = None) -> "Attributes":
        made = object.__new__(cls)
        object.__setattr__(made, "tree", tree)
        object.__setattr__(made, "order", order)
        return made

    @classmethod
    def from_table(cls, table: Any, formula: str | None = None, ignore: Iterable[str] = ("label",)) -> "Attributes":
        """Infer crossing and nesting from a table with one row per context and one column per attribute.

        Column b is nested in column a when the value of b determines that of a.  Values of a nested attribute that
        are reused within each of its ancestors (species 1..4 in every genus) look crossed: give the `formula`.

        Parameters
        ----------
        table : path of a CSV file, DataFrame, or mapping from column name to values
        formula : str, optional
            The structure to read the table by; sizes may be left out or must agree.
        ignore : names of columns that are no attributes

        Raises
        ------
        InputError
            When rows repeat, when combinations are missing, when nested attributes have unequal numbers of values,
            or when the columns form no structure of crossings and nestings; the message names the place.

        Examples
        --------
        >>> table = {"genus": ["oak", "oak", "elm", "elm", "cat", "cat", "dog", "dog"],
        ...          "kingdom": ["plant"] * 4 + ["animal"] * 4, "size": ["big", "small"] * 4}
        >>> str(Attributes.from_table(table))
        '(kingdom[2] / genus[2]) * size[2]'
        """
        columns = {name: values for name, values in read_columns(table).items() if name not in set(ignore)}
        return cls._of(*infer(columns, formula))

    def __str__(self) -> str:
        # Parentheses around a nesting inside a crossing are not needed, but spare the reader the precedence.
        if isinstance(self.tree, Crossing):
            return " * ".join(str(p) if isinstance(p, Factor) else f"({p})" for p in self.tree.parts)
        return str(self.tree)

    def __repr__(self) -> str:
        return f"Attributes({str(self)!r})"

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """The factors in the formula's order."""
        return factors_of(self.tree)

    @cached_property
    def sizes(self) -> dict[str, sp.Expr]:
        """The size of each factor."""
        return {factor.name: factor.size for factor in self.factors}

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """The names of the factors that each factor is nested in."""
        return ancestors_of(self.tree)

    @property
    def cardinality(self) -> sp.Expr:
        """The number of contexts, V = prod n_k."""
        return sp.prod(self.sizes.values())

    @property
    def is_numeric(self) -> bool:
        """Whether every size is a number."""
        return all(size.is_Integer for size in self.sizes.values())

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes as integers, in the formula's order; raises InputError when one is symbolic."""
        symbolic = [str(factor) for factor in self.factors if not factor.size.is_Integer]
        if symbolic:
            raise InputError(f"attributes: {symbolic[0]} has a symbolic size; numbers are needed here.")
        return tuple(int(size) for size in self.sizes.values())

    @cached_property
    def ancestral_sets(self) -> tuple[frozenset[str], ...]:
        """All ancestral sets, smallest first, then in the formula's order."""
        found: set[frozenset[str]] = {frozenset()}
        for factor in sorted(self.factors, key=lambda f: len(self.ancestors[f.name])):
            found |= {s | {factor.name} for s in found if self.ancestors[factor.name] <= s}
        position = {factor.name: i for i, factor in enumerate(self.factors)}
        return tuple(sorted(found, key=lambda s: (len(s), sorted(position[name] for name in s))))

    def named(self, names: Iterable[str]) -> tuple[str, ...]:
        """Factor names in the formula's order."""
        chosen = set(names)
        return tuple(factor.name for factor in self.factors if factor.name in chosen)

    def term(self, names: Iterable[str]) -> str:
        """The name of a stratum or relation: its factors joined by `:`, or `1`."""
        return ":".join(self.named(names)) or "1"

    def lowest(self, names: frozenset[str]) -> frozenset[str]:
        """min(A): the factors of A that have no other factor of A nested in them."""
        return names - frozenset().union(*(self.ancestors[name] for name in names))

    def closure(self, name: str) -> frozenset[str]:
        """A factor with all that it is nested in."""
        return self.ancestors[name] | {name}

    @cached_property
    def strata(self) -> tuple[Stratum, ...]:
        """The strata, the mean first."""
        return tuple(Stratum(self.term(A), self.named(A), self._multiplicity(A)) for A in self.ancestral_sets)

    @cached_property
    def relations(self) -> tuple[Relation, ...]:
        """The relations, from nothing in common to identity."""
        return tuple(Relation(self.term(T), self.named(T), self._valency(T)) for T in self.ancestral_sets)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the strata."""
        return tuple(stratum.name for stratum in self.strata)

    @property
    def multiplicities(self) -> dict[str, sp.Expr]:
        """The dimension of each stratum."""
        return {stratum.name: stratum.multiplicity for stratum in self.strata}

    def _multiplicity(self, A: frozenset[str]) -> sp.Expr:
        low = self.lowest(A)
        return sp.Mul(*(self.sizes[k] - 1 if k in low else self.sizes[k] for k in self.named(A)))

    def _valency(self, T: frozenset[str]) -> sp.Expr:
        free = [factor.name for factor in self.factors if factor.name not in T]
        return sp.Mul(*(self.sizes[k] - 1 if self.ancestors[k] <= T else self.sizes[k] for k in free))

    def character(self, stratum: str, relation: str) -> sp.Expr:
        """chi_A(T): 1 on the relation `same`; P_A has the entry chi_A(T) m_A / V at relation T."""
        A, T = self._set(stratum, "stratum"), self._set(relation, "relation")
        low = self.lowest(A)
        if not A - low <= T:
            return sp.Integer(0)
        return sp.Mul(*(-1 / (self.sizes[k] - 1) for k in self.named(low - T)))

    def character_table(self) -> sp.ImmutableMatrix:
        """The characters chi_A(T): a row for each stratum, a column for each relation (`same` last)."""
        return sp.ImmutableMatrix([[self.character(A, T) for T in self.names] for A in self.names])

    def sharing(self, factor: str, stratum: str) -> sp.Expr:
        """Eigenvalue on a stratum of the matrix with 1 where two contexts agree on a factor and its ancestors.

        It is V / prod of the closure's sizes, the number of contexts that share a value, within the closure; else 0.
        """
        if factor not in self.sizes:
            raise InputError(f"factor: {factor!r} is unknown; {self} has {', '.join(self.sizes)}.")
        closure = self.closure(factor)
        if not self._set(stratum, "stratum") <= closure:
            return sp.S(0)
        return self.cardinality / sp.prod([self.sizes[i] for i in closure])

    def entries(self, eigenvalues: Mapping[str, Any]) -> dict[str, sp.Expr]:
        """The entry at each relation of the element sum_A eigenvalues[A] P_A: q(T) = sum_A m_A chi_A(T) q_A / V."""
        m, V = self.multiplicities, self.cardinality
        return {
            T: sp.cancel(sum((eigenvalues[A] * m[A] * self.character(A, T) for A in self.names), sp.Integer(0)) / V)
            for T in self.names
        }

    def eigenvalues(self, entries: Mapping[str, Any]) -> dict[str, sp.Expr]:
        """The eigenvalue on each stratum of the element with the given entries: q_A = sum_T v_T q(T) chi_A(T)."""
        v = {relation.name: relation.valency for relation in self.relations}
        return {
            A: sp.cancel(sum((v[T] * entries[T] * self.character(A, T) for T in self.names), sp.Integer(0)))
            for A in self.names
        }

    def projector(self, name: str) -> sp.ImmutableMatrix:
        """The exact V x V projector P_A onto a stratum, contexts in the formula's order.

        Raises
        ------
        InputError
            For an unknown stratum, symbolic sizes, or V above 512.

        Examples
        --------
        >>> Attributes("a[2] / b[2]").projector("a:b")
        Matrix([
        [ 1/2, -1/2,    0,    0],
        [-1/2,  1/2,    0,    0],
        [   0,    0,  1/2, -1/2],
        [   0,    0, -1/2,  1/2]])
        """
        A = self._set(name, "stratum")
        V = math.prod(self.shape)
        if V > MAX_EXPLICIT:
            raise InputError(
                f"projector: {V} contexts; exact matrices are made up to {MAX_EXPLICIT}, "
                "beyond that use ufmflow.numerics.strata, which forms none."
            )
        low = self.lowest(A)
        blocks = []
        for factor in self.factors:
            n = int(factor.size)
            mean = sp.ones(n, n) / n
            identity = sp.eye(n)
            blocks.append(identity - mean if factor.name in low else identity if factor.name in A else mean)
        return sp.ImmutableMatrix(sp.kronecker_product(*blocks)) if len(blocks) > 1 else sp.ImmutableMatrix(blocks[0])

    def keep(self, labels: str | Iterable[str] | None) -> "Attributes":
        """The structure of the labels: the part of the formula that the label keeps (all of it for None).

        Raises
        ------
        InputError
            When a name is unknown, or when a kept factor is nested in one that is not kept.
        """
        if labels is None:
            return self
        return self._of(restrict(self.tree, self._kept(labels)))  # type: ignore[arg-type]  # _kept is not empty

    def _kept(self, labels: str | Iterable[str]) -> frozenset[str]:
        words = labels.translate(str.maketrans("()*/", "    ")).split() if isinstance(labels, str) else labels
        names = list(words) if isinstance(words, Iterable) else []
        if not names or not all(isinstance(name, str) for name in names):
            raise InputError(f"labels: {labels!r} names no attributes; name some of {', '.join(self.sizes)}.")
        names = [name.split("[")[0] for name in names]
        unknown = [name for name in names if name not in self.sizes]
        if unknown:
            raise InputError(f"labels: {unknown[0]!r} is no attribute of {self}; name some of {', '.join(self.sizes)}.")
        kept = frozenset(names)
        for name in names:
            if not self.ancestors[name] <= kept:
                missing = self.named(self.ancestors[name] - kept)[0]
                raise InputError(
                    f"labels: {name} is nested in {missing}, which the label drops; keep {missing} too, or drop {name}."
                )
        return kept

    def kept_by(self, labels: Iterable[Any]) -> tuple[str, ...] | None:
        """The factors that a labelling of the rows keeps: None for all (labels distinct).

        Raises
        ------
        InputError
            When the labels are no function of an ancestral set of attributes that tells its combinations apart.
        """
        kept = kept_by(self.shape, self.order, labels, {A: self._axes(A) for A in self.ancestral_sets}, str(self))
        return None if len(kept) == len(self.factors) else self.named(kept)

    def _axes(self, names: frozenset[str]) -> tuple[int, ...]:
        return tuple(i for i, factor in enumerate(self.factors) if factor.name in names)

    def axes(self, stratum: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """For an array of shape `shape`: the axes of A, and those of min(A)."""
        A = self._set(stratum, "stratum")
        return self._axes(A), self._axes(self.lowest(A))

    def semantic_strata(self, labels: str | Iterable[str] | None = None) -> tuple[str, ...]:
        """Main effects: the strata closure(k) of the label's factors, less the label's finest stratum.

        The finest stratum tells every label from every other, so it carries no meaning that labels share.
        """
        kept = self.keep(labels)
        everything = frozenset(kept.sizes)
        return tuple(self.term(kept.closure(k)) for k in kept.sizes if kept.closure(k) != everything)

    def _set(self, name: str, what: str) -> frozenset[str]:
        if name not in self._by_name:
            raise InputError(f"{what}: {name!r} is unknown; {self} has {', '.join(self._by_name)}.")
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, frozenset[str]]:
        return {self.term(A): A for A in self.ancestral_sets}
