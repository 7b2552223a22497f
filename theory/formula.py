"""Attribute formulas: `color[4] * shape[6]`, `kingdom[3] / genus[3]`, `(a[2] * b[3]) / c[2]`.

A formula is parsed into a tree of factors joined by crossing (`*`) and nesting (`/`, binding tighter, as in
Wilkinson and Rogers 1973).  The tree stands for a poset of factors (Nelder 1965): crossing is the disjoint union of
posets, nesting the ordinal sum, so that everything on the right of `/` lies within everything on its left.
"""

import math
import re
from dataclasses import dataclass

import sympy as sp

from .errors import InputError

# No leading, trailing or doubled underscore, so that `a__b` can name the stratum a:b in generated symbols.
NAME = r"[^\W\d_](?:_?[^\W_])*"
TOKEN = re.compile(rf"\s*(?:(?P<name>{NAME})(?!_)|(?P<symbol>[*/()])|(?P<size>\[[^\[\]]*\]))")
MAX_FACTORS = 12  # crossed, 2^12 strata: beyond, every table that has a row per stratum would stop being usable
MAX_LENGTH = 10_000  # characters, more than the most attributes need
MAX_DEPTH = 64  # of chains of nestings, which have one stratum more than attributes


@dataclass(frozen=True)
class Factor:
    """One attribute: its name and its number of values within a value of what it is nested in."""

    name: str
    size: sp.Expr

    def __str__(self) -> str:
        return f"{self.name}[{self.size}]"


@dataclass(frozen=True)
class Crossing:
    """Every value of one part occurs with every value of the others."""

    parts: tuple["Node", ...]

    def __str__(self) -> str:
        return " * ".join(f"({part})" if isinstance(part, Crossing) else str(part) for part in self.parts)


@dataclass(frozen=True)
class Nesting:
    """Each part lies within all the parts before it."""

    parts: tuple["Node", ...]

    def __str__(self) -> str:
        return " / ".join(str(part) if isinstance(part, Factor) else f"({part})" for part in self.parts)


Node = Factor | Crossing | Nesting


def factors_of(node: Node) -> tuple[Factor, ...]:
    """The factors of a tree, in the order in which the formula names them."""
    if isinstance(node, Factor):
        return (node,)
    return tuple(factor for part in node.parts for factor in factors_of(part))


def stratum_count(node: Node) -> int:
    """How many strata a tree has: crossing multiplies them, nesting adds those of each part but its mean."""
    if isinstance(node, Factor):
        return 2
    counts = [stratum_count(part) for part in node.parts]
    return math.prod(counts) if isinstance(node, Crossing) else 1 + sum(count - 1 for count in counts)


def ancestors_of(node: Node) -> dict[str, frozenset[str]]:
    """For each factor, the names of the factors that it is nested in."""
    if isinstance(node, Factor):
        return {node.name: frozenset()}
    above: frozenset[str] = frozenset()
    found = {}
    for part in node.parts:
        for name, ancestors in ancestors_of(part).items():
            found[name] = ancestors | above
        if isinstance(node, Nesting):
            above |= {factor.name for factor in factors_of(part)}
    return found


def restrict(node: Node, names: frozenset[str]) -> Node | None:
    """The tree on the named factors alone; None when none of them occurs."""
    if isinstance(node, Factor):
        return node if node.name in names else None
    return join(type(node), [kept for part in node.parts if (kept := restrict(part, names)) is not None])


def join(kind: type[Crossing] | type[Nesting], parts: list[Node]) -> Node | None:
    """Join trees by `Crossing` or `Nesting`, which are associative: parts of the same kind are merged."""
    if len(parts) < 2:
        return parts[0] if parts else None
    merged: list[Node] = []
    for part in parts:
        merged.extend(part.parts if isinstance(part, kind) else (part,))
    return kind(tuple(merged))


def parse(text: str) -> Node:
    """Parse a formula.

    Raises
    ------
    InputError
        With the position and the reason, for malformed formulas, repeated names, and sizes below 2.

    Examples
    --------
    >>> str(parse("(color[3]*shape[n]) / paraphrase[5]"))
    '(color[3] * shape[n]) / paraphrase[5]'
    """
    return _Parser(text).formula()


def check_length(text: str) -> None:
    """Refuse texts so long that searching them takes a while."""
    if len(text) > MAX_LENGTH:
        raise InputError(f"formula: {len(text)} characters; a formula has at most {MAX_LENGTH}, so use shorter names.")


class _Parser:
    """Recursive descent over `crossing := nesting ('*' nesting)*`, `nesting := atom ('/' atom)*`."""

    def __init__(self, text: str):
        if not isinstance(text, str):
            raise InputError(f"formula: {text!r} is not text; write for example 'color[4] * shape[6]'.")
        check_length(text)
        if text.count("(") > MAX_FACTORS**2:
            raise InputError(f"formula: {text.count('(')} opening parentheses; write it with fewer.")
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        self.position = 0
        self.names: set[str] = set()
        at = 0
        while text[at:].strip():
            match = TOKEN.match(text, at)
            if match is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                odd = re.findall(r"\w+|.", text[at:])[0]
                raise self.error(
                    at,
                    f"unexpected {odd!r}; a formula has names (a letter, then letters, digits, "
                    "single underscores), [sizes], *, / and parentheses",
                )
            kind = str(match.lastgroup)
            self.tokens.append((kind, match[kind], match.start(kind)))
            at = match.end()

    def error(self, at: int, reason: str) -> InputError:
        return InputError(f"formula {self.text!r}, position {at + 1}: {reason}.")

    def peek(self) -> tuple[str, str, int]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "", len(self.text))

    def take(self) -> tuple[str, str, int]:
        token = self.peek()
        self.position += 1
        return token

    def formula(self) -> Node:
        node = self.series("*", Crossing)
        kind, value, at = self.peek()
        if kind != "end":
            raise self.error(at, f"expected * or / before {value!r}")
        return node

    def series(self, operator: str, kind: type[Crossing] | type[Nesting]) -> Node:
        parts = [self.operand(operator)]
        while self.peek()[1] == operator:
            self.take()
            at = self.peek()[2]
            parts.append(self.operand(operator))
            if stratum_count(kind(tuple(parts))) > 2**MAX_FACTORS:
                many = f"more than {2**MAX_FACTORS} strata; at most {MAX_FACTORS} crossed attributes are allowed"
                raise self.error(at, f"it makes {many}")
        node = join(kind, parts)
        assert node is not None
        return node

    def operand(self, operator: str) -> Node:
        return self.series("/", Nesting) if operator == "*" else self.atom()

    def atom(self) -> Node:
        kind, value, at = self.take()
        if value == "(":
            node = self.series("*", Crossing)
            kind, value, at = self.take()
            if value != ")":
                raise self.error(at, "expected a closing parenthesis")
            return node
        if kind != "name":
            found = "the end" if kind == "end" else repr(value)
            raise self.error(at, f"expected an attribute name or an opening parenthesis, found {found}")
        if len(self.names) == MAX_DEPTH:
            raise self.error(at, f"{value!r} is attribute number {MAX_DEPTH + 1}; at most {MAX_DEPTH} are allowed")
        if value in self.names:
            raise self.error(at, f"attribute {value!r} is named twice; give each attribute a name of its own")
        self.names.add(value)
        kind, size, at_size = self.take()
        if kind != "size":
            raise self.error(at_size, f"attribute {value!r} has no size; write {value}[4] or, symbolic, {value}[n]")
        return Factor(value, self.size(size, at_size))

    def size(self, bracket: str, at: int) -> sp.Expr:
        inner = bracket[1:-1].strip()
        if re.fullmatch(r"[^\W\d]\w*", inner):
            return sp.Symbol(inner, integer=True, positive=True)
        if not re.fullmatch(r"[+-]?\d{1,18}", inner):
            raise self.error(at, f"size {bracket} is neither a whole number below 10^18 nor one symbol such as [n]")
        if int(inner) < 2:
            raise self.error(at, f"size {bracket} is too small; an attribute has at least 2 values")
        return sp.Integer(inner)
