"""Reading an attribute structure off a table with one row per context and one column per attribute.

Column b is nested in column a when b's value determines a's; columns that do not determine each other are crossed.
The table must hold every combination once (a complete, balanced design); where it does not, the error says where.
"""

import csv
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product
from typing import Any

import sympy as sp

from .errors import InputError
from .formula import (
    MAX_DEPTH,
    NAME,
    Crossing,
    Factor,
    Nesting,
    Node,
    ancestors_of,
    check_length,
    factors_of,
    join,
    parse,
)

Columns = dict[str, list]
NOISY = 0.25  # with a larger part of the rows at odds, labels are of another kind rather than noisy


def read_columns(table: Any) -> Columns:
    """Columns of a CSV file (path), of a DataFrame, or of a mapping from name to values; all of one length."""
    if isinstance(table, (str, os.PathLike)):
        return _read_csv(table)
    if not (isinstance(table, Mapping) or hasattr(table, "columns")):
        raise InputError(f"table: {type(table).__name__} is neither a CSV path, a DataFrame nor a mapping of columns.")
    columns = {str(name): list(table[name]) for name in table.keys()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"table: columns of unequal length {lengths}; give each one value per row.")
    return columns


def _read_csv(path: str | os.PathLike) -> Columns:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError as error:
        raise InputError(f"table: cannot read {os.fspath(path)!r}: {error.strerror}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"table: {os.fspath(path)!r} is no CSV text file ({error}).") from None
    if len(rows) < 2:
        raise InputError(f"table: {os.fspath(path)!r} has no rows below its header.")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) < len(header):
        raise InputError(f"table: {os.fspath(path)!r} names a column twice in its header {header}.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise InputError(f"table: row {number} of {os.fspath(path)!r} has {len(row)} cells, not {len(header)}.")
    return {name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(header)}


def infer(columns: Mapping[str, Sequence], formula: str | None = None) -> tuple[Node, tuple[int, ...]]:
    """The structure of a complete balanced table, and the cell of each row (last factor of the tree fastest)."""
    shape, codes = read_shape(columns, formula)
    ancestors = ancestors_of(shape)
    sizes: dict[str, int] = {}
    coordinates: dict[str, list[int]] = {}
    for factor in factors_of(shape):
        sizes[factor.name], coordinates[factor.name] = _within(factor.name, ancestors[factor.name], codes, columns)
    tree = _sized(shape, sizes)
    _check_sizes(tree, formula)
    names = list(sizes)
    cells = list(zip(*(coordinates[name] for name in names), strict=True))
    _check_complete(cells, names, sizes, columns)
    order = []
    for cell in cells:
        index = 0
        for name, coordinate in zip(names, cell, strict=True):
            index = index * sizes[name] + coordinate
        order.append(index)
    return tree, tuple(order)


def read_shape(columns: Mapping[str, Sequence], formula: str | None = None) -> tuple[Node, dict[str, list[int]]]:
    """How the columns cross and nest, sizes being placeholders, and each column's values numbered as they first occur.

    The table may be incomplete or unbalanced; where combinations are missing, columns can look nested that are not.
    """
    if not columns or not next(iter(columns.values())):
        raise InputError(
            "table: no attribute columns with rows; give one column per attribute and one row per context."
        )
    if len(columns) > MAX_DEPTH:
        raise InputError(f"table: {len(columns)} attribute columns; at most {MAX_DEPTH} are allowed, so drop some.")
    for name in columns:
        if not re.fullmatch(NAME, name):
            raise InputError(
                f"table: column {name!r} is no attribute name; use letters, digits and single underscores."
            )
    codes = {name: _codes(name, values) for name, values in columns.items()}
    return (_shape_of(codes) if formula is None else _given_shape(formula, codes)), codes


def kept_by(
    shape: tuple[int, ...],
    order: tuple[int, ...] | None,
    labels: Iterable[Any],
    axes: Mapping[frozenset[str], tuple[int, ...]],
    formula: str,
) -> frozenset[str]:
    """The ancestral set whose combinations of values correspond one to one to the labels of the rows."""
    labels = list(labels)
    if len(labels) != math.prod(shape):
        raise InputError(f"labels: {len(labels)} labels for the {math.prod(shape)} contexts of {formula}.")
    cells = list(product(*(range(n) for n in shape)))
    cells = cells if order is None else [cells[index] for index in order]
    distinct = len(set(labels))
    noise = {}
    for names, positions in axes.items():
        parts = [tuple(cell[i] for i in positions) for cell in cells]
        if names and len(set(parts)) == distinct == len(set(zip(parts, labels, strict=True))):
            return names
        noise[names] = _odd_rows(parts, labels)
    raise InputError(
        f"labels: the {distinct} distinct labels do not correspond to the combinations of any part of {formula}; "
        f"{_mend(noise, labels)}."
    )


def _odd_rows(parts: list[tuple[int, ...]], labels: list) -> dict[int, Any] | None:
    """Rows whose label is not the commonest of their combination, with that one; None where these do not differ."""
    counts: dict[tuple[int, ...], Counter] = {}
    for part, label in zip(parts, labels, strict=True):
        counts.setdefault(part, Counter())[label] += 1
    usual = {part: found.most_common(1)[0][0] for part, found in counts.items()}
    if len(set(usual.values())) < len(usual):
        return None
    return {row: usual[part] for row, part in enumerate(parts) if labels[row] != usual[part]}


def _mend(noise: Mapping[frozenset[str], dict[int, Any] | None], labels: list) -> str:
    """Where few rows disagree with a part that all others fit, the first of them; else what a label must be."""
    fitting = {names: rows for names, rows in noise.items() if names and rows}
    if fitting:
        names, rows = min(fitting.items(), key=lambda item: len(item[1]))
        if len(rows) <= NOISY * len(labels):
            row, usual = next(iter(rows.items()))
            return (
                f"all but {len(rows)} of the {len(labels)} rows keep {', '.join(sorted(names))}, and row {row + 1} has "
                f"the label {labels[row]} where its like have {usual}, so mend the labels"
            )
    return "a label must keep some attributes, each with all that it is nested in, and drop the others"


def _codes(name: str, values: Sequence) -> list[int]:
    index: dict[Any, int] = {}
    for row, value in enumerate(values):
        try:
            hash(value)
        except TypeError:
            raise InputError(
                f"table: column {name!r} has the value {value!r} in row {row + 1}; give each row one text or number."
            ) from None
        if is_missing(value):
            raise InputError(f"table: column {name!r} has no value in row {row + 1}; fill it in.")
        index.setdefault(value, len(index))
    return [index[value] for value in values]


def is_missing(value: Any) -> bool:
    """None, the empty text, NaN, and a value that (as pandas' NA) cannot say whether it equals itself."""
    try:
        return value is None or value == "" or bool(value != value)
    except TypeError:
        return True


def _shape_of(codes: Mapping[str, list[int]]) -> Node:
    """The tree (with placeholder sizes) of the partial order "b determines a"."""
    pairs = {(a, b): len(set(zip(codes[a], codes[b], strict=True))) for a in codes for b in codes}
    within = {b: {a for a in codes if a != b and pairs[a, b] == pairs[b, b]} for b in codes}
    for b, above in within.items():
        for a in above:
            if b in within[a]:
                raise InputError(f"table: columns {a!r} and {b!r} determine each other; drop one of them.")
    return _series_parallel(list(codes), within)


def _series_parallel(names: list[str], within: Mapping[str, set[str]]) -> Node:
    if len(names) == 1:
        return Factor(names[0], sp.Integer(0))
    comparable = {a: {b for b in names if a in within[b] or b in within[a]} for a in names}
    parts = _components(names, comparable)
    if len(parts) > 1:
        made = join(Crossing, [_series_parallel(part, within) for part in parts])
    else:
        parts = _components(names, {a: set(names) - comparable[a] - {a} for a in names})
        parts.sort(key=lambda part: len(within[part[0]] & set(names)))
        if len(parts) == 1:
            raise InputError(
                f"table: columns {', '.join(names)} are nested in a way that crossing and nesting cannot build; "
                "drop a column, or give the formula."
            )
        made = join(Nesting, [_series_parallel(part, within) for part in parts])
    assert made is not None
    return made


def _components(names: list[str], neighbours: Mapping[str, set[str]]) -> list[list[str]]:
    parts: list[list[str]] = []
    seen: set[str] = set()
    for start in names:
        if start in seen:
            continue
        stack, part = [start], set()
        while stack:
            name = stack.pop()
            if name not in part:
                part.add(name)
                stack.extend(neighbours[name] - part)
        seen |= part
        parts.append([name for name in names if name in part])
    return parts


def _given_shape(formula: str, codes: Mapping[str, list[int]]) -> Node:
    """The tree of a formula whose sizes may be missing (a placeholder of 2 stands for them)."""
    if not isinstance(formula, str):
        raise InputError(f"formula: {formula!r} is not text; write for example 'color * shape'.")
    check_length(formula)
    shape = parse(re.sub(rf"({NAME})(?!\w)(?!\s*\[)(?![^\[]*\])", r"\1[2]", formula))
    named = {factor.name for factor in factors_of(shape)}
    if named != set(codes):
        odd = sorted(named ^ set(codes))[0]
        where = "formula but not in the table" if odd in named else "table but not in the formula"
        raise InputError(f"formula: attribute {odd!r} is in the {where}; its columns are {', '.join(codes)}.")
    return shape


def _within(
    name: str, ancestors: frozenset[str], codes: Mapping[str, list[int]], columns: Mapping[str, Sequence]
) -> tuple[int, list[int]]:
    """The number of values of a factor within each combination of its ancestors, and each row's number among them."""
    groups: dict[tuple[int, ...], dict[int, int]] = {}
    first_row: dict[tuple[int, ...], int] = {}
    above = sorted(ancestors)
    coordinates = []
    for row, code in enumerate(codes[name]):
        key = tuple(codes[a][row] for a in above)
        first_row.setdefault(key, row)
        values = groups.setdefault(key, {})
        coordinates.append(values.setdefault(code, len(values)))
    counts = {key: len(values) for key, values in groups.items()}
    fewest, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[fewest] != counts[most]:
        where = [", ".join(f"{a}={columns[a][first_row[key]]}" for a in above) for key in (most, fewest)]
        raise InputError(
            f"table: unbalanced: {name} has {counts[most]} values within {where[0]} but {counts[fewest]} "
            f"within {where[1]}; give each the same number, or read the strata with observe_unbalanced."
        )
    return counts[most], coordinates


def _sized(shape: Node, sizes: Mapping[str, int]) -> Node:
    if isinstance(shape, Factor):
        if sizes[shape.name] < 2:
            raise InputError(
                f"table: column {shape.name!r} has one value only; an attribute has at least 2, so drop it."
            )
        return Factor(shape.name, sp.Integer(sizes[shape.name]))
    return type(shape)(tuple(_sized(part, sizes) for part in shape.parts))


def _check_sizes(tree: Node, formula: str | None) -> None:
    for factor in factors_of(tree) if formula else ():
        stated = re.search(rf"(?<!\w){factor.name}\s*\[\s*(\d+)\s*\]", formula or "")
        if stated and int(stated[1]) != factor.size:
            raise InputError(f"formula: {factor.name} has size {stated[1]} there but {factor.size} in the table.")


def _check_complete(
    cells: list[tuple[int, ...]], names: list[str], sizes: Mapping[str, int], columns: Mapping[str, Sequence]
) -> None:
    counts = Counter(cells)
    cell, count = counts.most_common(1)[0]
    if count > 1:
        rows = [str(row + 1) for row, other in enumerate(cells) if other == cell]
        raise InputError(
            f"table: rows {' and '.join(rows[:2])} have the same attributes; add a column that tells them apart "
            "(for example paraphrase), which the labels then drop."
        )
    total = math.prod(sizes.values())
    if len(cells) < total:
        absent = next(
            cell for cell in islice(product(*(range(sizes[n]) for n in names)), len(cells) + 1) if cell not in counts
        )
        raise InputError(
            f"table: incomplete: {len(cells)} of {total} combinations; missing for example "
            f"{_described(absent, names, columns, cells)}, so add what is missing, or read the strata with "
            "observe_unbalanced."
        )


def _described(cell: tuple[int, ...], names: list[str], columns: Mapping[str, Sequence], cells: list) -> str:
    """A missing combination in the table's own words where they are known (nested values differ by ancestor)."""
    words = []
    for position, name in enumerate(names):
        known = [columns[name][row] for row, other in enumerate(cells) if other[position] == cell[position]]
        words.append(f"{name}={known[0]}" if len(set(known)) == 1 else f"{name}=#{cell[position] + 1}")
    return ", ".join(words)
