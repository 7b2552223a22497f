"""Strata of incomplete or unbalanced tables by least squares, with their departure from orthogonality.

Let U_A be the space of functions of the rows present that depend on the values of A alone, A ancestral.  In a complete
balanced table the strata are U_A less all U_B with B a proper part of A, orthogonal to each other.  Elsewhere that
difference is still a space,

    S_A = U_A - sum over B < A of U_B                        (adjusted for A's own margins)

but S_A and S_B may overlap, so what belongs to which is not determined.  Beside S_A there are

    Q_A = what U_A adds to U_B for all B before A            (sequential, in the order of `Attributes.ancestral_sets`)
    T_A = what U_A adds to the sum of all U_B, B not >= A    (adjusted for all others that do not hold A)

each taken as an orthogonal complement.  The Q_A are orthogonal and add up to the whole, so energies and shares are
taken from them: e_A = |proj_{Q_A} x|^2 / dim Q_A.  For one of two crossed attributes S_A is what it has when it comes
first, T_A when it comes last; all three agree where the table is complete and balanced.  The departure is the largest
cosine of a principal angle between two of the S_A: 0 where strata are orthogonal, 1 where they share a direction.

With weights v_i all is in the inner product sum_i v_i x_i y_i.  Rows that share all attributes are repetitions; what
differs between them is the stratum `within cells`.

References: Nelder 1965; James and Wilkinson 1971 (principal angles as efficiency factors); Searle 1987 (sums of squares
of unbalanced data).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from ..theory.table import is_missing, read_columns, read_shape

MAX_ROWS = 4096  # bases are dense: beyond, one alone takes 128 MiB and minutes
WITHIN = "within cells"
ROUNDING = 1e-9  # of a basis vector's part outside a space it lies in; spaces of tables this size are further apart
MAX_WEIGHTS = 1e6  # largest over smallest weight: beyond, rows of small weight sink into rounding


@dataclass(frozen=True)
class LeastSquaresStrata:
    """Strata by least squares.

    Attributes
    ----------
    data : xarray.Dataset
        `energy`, `share`, `energy_alone` (from S_A), `energy_adjusted` (from T_A) (time, stratum); `multiplicity`
        (stratum); `overlap` (stratum, other_stratum), the largest cosine between S_A and S_B; `semantic_index` (time).
    cells, combinations : how many combinations of attributes occur, and how many there would be in a complete table
    replicates : the smallest and the largest number of rows of a combination that occurs
    left_out : rows without a value for some attribute
    confounded : strata that the rows present cannot tell from those before them
    """

    data: xr.Dataset
    cells: int
    combinations: int
    replicates: tuple[int, int]
    left_out: int
    confounded: tuple[str, ...]

    @property
    def departure(self) -> float:
        """The largest overlap between two strata, from 0 (orthogonal) to 1 (a direction in common)."""
        overlap = self.data["overlap"].values
        return float(np.max(overlap - np.diag(np.diag(overlap)), initial=0.0))

    def __str__(self) -> str:
        overlap = self.data["overlap"].values.copy()
        np.fill_diagonal(overlap, 0.0)
        text = f"{self.cells} of {self.combinations} combinations, each {self.replicates[0]}"
        text += f" to {self.replicates[1]} times" if self.replicates[1] > self.replicates[0] else " times"
        if self.departure > ROUNDING:
            names = self.data["stratum"].values
            i, j = np.unravel_index(np.argmax(overlap), overlap.shape)
            text += f"; {names[i]} and {names[j]} overlap by {self.departure:.2f}"
        else:
            text += "; the strata are orthogonal"
        text += f"; not told apart: {', '.join(self.confounded)}" if self.confounded else ""
        return text + (f"; {self.left_out} rows left out" if self.left_out else "")


def observe_unbalanced(
    H: Any,
    table: Any,
    formula: str | None = None,
    *,
    weights: Any = None,
    time: Any = None,
    missing: Literal["refuse", "drop"] = "refuse",
    ignore: Iterable[str] = ("label",),
) -> LeastSquaresStrata:
    """Stratum energies and shares of embeddings whose table need not be complete or balanced.

    Parameters
    ----------
    H : array (n, d) or (T, n, d), one row per row of the table
    table : CSV path, DataFrame, or mapping from column to values; rows may repeat, combinations may be missing
    formula : str, optional
        How the attributes cross and nest.  Give it where missing combinations make an attribute look nested in another.
    weights : array (n,), optional
        Positive; 1 if None.
    time : array (T,), optional
    missing : "refuse" or "drop"
        Whether rows without a value for some attribute are an error or left out, which is reported.
    ignore : names of columns that are no attributes

    Returns
    -------
    LeastSquaresStrata
        In a complete balanced table, the energies and shares of `observe`.

    Raises
    ------
    InputError
        For arrays that do not fit the table, NaN or infinity, more than 4096 rows, weights that are not positive or
        differ more than a millionfold, and tables without two values of an attribute.

    Examples
    --------
    Two attributes of two values, one combination missing: of three contexts, the mean and two effects remain.

    >>> table = {"a": ["x", "x", "y"], "b": ["p", "q", "p"]}
    >>> found = observe_unbalanced(np.eye(3), table, "a * b")
    >>> print(found)
    3 of 4 combinations, each 1 times; a and b overlap by 0.50; not told apart: a:b
    >>> found.data["multiplicity"].values.tolist()
    [1, 1, 1, 0]
    """
    ignored = set(ignore)
    columns = {name: values for name, values in read_columns(table).items() if name not in ignored}
    rows = len(next(iter(columns.values()), []))
    H = _embeddings(H, rows)
    columns, kept = _without_missing(columns, missing)
    H = H[:, kept]
    if len(kept) > MAX_ROWS:
        raise InputError(f"table: {len(kept)} rows; least squares takes at most {MAX_ROWS}, so give a part of them.")
    v = _weights(weights, rows)[kept]
    shape, codes = read_shape(columns, formula)
    single = [name for name, values in codes.items() if len(set(values)) < 2]
    if single:
        raise InputError(f"table: column {single[0]!r} has one value only; an attribute has at least 2, so drop it.")
    attributes = Attributes._of(shape)
    spaces = _Spaces(attributes, codes, np.sqrt(v))
    data = _dataset(H * np.sqrt(v)[:, None], attributes, spaces, time)
    cells = Counter(zip(*codes.values(), strict=True))
    return LeastSquaresStrata(
        data,
        cells=len(cells),
        combinations=max(len(cells), _combinations(attributes, codes)),
        replicates=(min(cells.values()), max(cells.values())),
        left_out=rows - len(kept),
        confounded=tuple(A for A, Q in spaces.sequential.items() if not Q.shape[1] and A != WITHIN),
    )


class _Spaces:
    """Orthonormal bases (n, dim) of S_A, Q_A and T_A for each stratum, in the weighted inner product."""

    def __init__(self, attributes: Attributes, codes: dict[str, list[int]], root: np.ndarray):
        sets = attributes.ancestral_sets
        values = np.array([codes[name] for name in codes], dtype=np.int64)
        place = {name: i for i, name in enumerate(codes)}
        indicators = {A: _indicators(values[[place[k] for k in sorted(A)]], root) for A in sets}
        empty = np.empty((len(root), 0))
        self.sequential, self.alone, self.adjusted = {}, {}, {}
        before = empty
        for A, name in zip(sets, attributes.names, strict=True):
            self.sequential[name] = _added(before, indicators[A])
            before = np.hstack([before, self.sequential[name]])
            # U_B lies in U_C for B <= C, so the largest proper parts stand for all of them, and likewise for T_A.
            own = [indicators[A - {k}] for k in attributes.lowest(A)]
            others = [B for B in sets if not A <= B]
            largest = [B for B in others if not any(B < C for C in others)]
            self.alone[name] = _added(_span(empty, own), indicators[A])
            self.adjusted[name] = _added(_span(empty, [indicators[B] for B in largest]), indicators[A])
        if before.shape[1] < len(root):
            within = _added(before, np.eye(len(root)))
            for bases in (self.sequential, self.alone, self.adjusted):
                bases[WITHIN] = within


def _indicators(values: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the functions of a combination of values: a column for each that occurs."""
    if not len(values):
        return (root / np.linalg.norm(root))[:, None]
    _, number = np.unique(values, axis=1, return_inverse=True)
    X = np.zeros((len(root), int(number.max()) + 1))
    X[np.arange(len(root)), number.ravel()] = root
    return X / np.linalg.norm(X, axis=0)


def _span(basis: np.ndarray, parts: list[np.ndarray]) -> np.ndarray:
    for part in parts:
        basis = np.hstack([basis, _added(basis, part)])
    return basis


def _added(basis: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Orthonormal basis of what the span of X adds to that of an orthonormal basis."""
    rest = X
    for _ in range(2):  # once leaves rounding of the size of X, which a small remainder would show as overlap
        rest = rest - basis @ (basis.T @ rest)
    U, s, _ = np.linalg.svd(rest, full_matrices=False)
    return U[:, s > ROUNDING]


def _dataset(X: np.ndarray, attributes: Attributes, spaces: _Spaces, time: Any) -> xr.Dataset:
    names = list(spaces.sequential)
    rank = np.array([spaces.sequential[A].shape[1] for A in names])
    parts = np.stack([_squares(spaces.sequential[A], X) for A in names], axis=1)
    varying = parts[:, 1:].sum(axis=1, keepdims=True)
    share = np.divide(parts, varying, out=np.zeros_like(parts), where=varying > 0)
    share[:, 0] = 0.0
    overlap = np.array([[_largest_cosine(spaces.alone[A], spaces.alone[B]) for B in names] for A in names])
    main = [names.index(A) for A in attributes.semantic_strata()]
    etf = rank[main].sum() / max(1, rank[1:].sum())
    times = np.arange(len(X), dtype=float) if time is None else np.asarray(time, dtype=float)
    if times.shape != (len(X),) or not np.all(np.isfinite(times)):
        raise InputError(f"time: shape {times.shape} with {len(X)} snapshots of H; give one finite time for each.")
    index = (share[:, main].sum(axis=1) - etf) / (1 - etf) if etf < 1 else np.zeros(len(X))
    by_stratum = {
        "energy": parts / np.maximum(rank, 1),
        "share": share,
        "energy_alone": _energies(spaces.alone, X),
        "energy_adjusted": _energies(spaces.adjusted, X),
    }
    return xr.Dataset(
        {name: (("time", "stratum"), array) for name, array in by_stratum.items()}
        | {
            "multiplicity": ("stratum", rank),
            "overlap": (("stratum", "other_stratum"), overlap),
            "semantic_index": ("time", index),
        },
        coords={"time": times, "stratum": names, "other_stratum": names},
    )


def _squares(basis: np.ndarray, X: np.ndarray) -> np.ndarray:
    """|basis^T x|^2 at each time: (T,)."""
    return ((basis.T @ X) ** 2).sum(axis=(1, 2))


def _energies(bases: dict[str, np.ndarray], X: np.ndarray) -> np.ndarray:
    return np.stack([_squares(basis, X) / max(1, basis.shape[1]) for basis in bases.values()], axis=1)


def _largest_cosine(S: np.ndarray, T: np.ndarray) -> float:
    return min(1.0, float(np.linalg.norm(S.T @ T, 2))) if S.shape[1] and T.shape[1] else 0.0


def _combinations(attributes: Attributes, codes: dict[str, list[int]]) -> int:
    """How many combinations a complete table of the values present has, when each ancestor has as many as the most."""
    total = 1
    for name, values in codes.items():
        above = sorted(attributes.ancestors[name])
        within: dict[tuple[int, ...], set[int]] = {}
        for row, value in enumerate(values):
            within.setdefault(tuple(codes[a][row] for a in above), set()).add(value)
        total *= max(map(len, within.values()))
    return total


def _embeddings(H: Any, rows: int) -> np.ndarray:
    try:
        found = np.asarray(H, dtype=float)
    except (TypeError, ValueError):
        raise InputError("H: it is no numeric array; give rows of numbers.") from None
    if found.ndim not in (2, 3) or 0 in found.shape or found.shape[-2] != rows:
        raise InputError(f"H: shape {found.shape}, but the table has {rows} rows; give (rows, d) or (times, rows, d).")
    if not np.all(np.isfinite(found)):
        where = np.argwhere(~np.isfinite(found))[0].tolist()
        raise InputError(f"H: NaN or infinity at index {where}; give finite numbers (did the run diverge?).")
    return found if found.ndim == 3 else found[None]


def _without_missing(columns: dict[str, list], missing: str) -> tuple[dict[str, list], np.ndarray]:
    if missing not in ("refuse", "drop"):
        raise InputError(f"missing: {missing!r}; use refuse or drop.")
    rows = len(next(iter(columns.values()), []))
    kept = np.arange(rows)
    if missing == "drop":
        kept = np.array([i for i in range(rows) if not any(is_missing(c[i]) for c in columns.values())], dtype=int)
        if not len(kept):
            raise InputError("table: every row lacks some attribute; drop the column that is empty.")
    return {name: [values[i] for i in kept] for name, values in columns.items()}, kept


def _weights(weights: Any, rows: int) -> np.ndarray:
    v = np.ones(rows) if weights is None else np.asarray(weights, dtype=float)
    if v.shape != (rows,) or not np.all(np.isfinite(v)) or not np.all(v > 0) or v.max() > MAX_WEIGHTS * v.min():
        raise InputError(
            f"weights: shape {v.shape} for {rows} rows; give one positive number per row, within a factor of a million."
        )
    return v
