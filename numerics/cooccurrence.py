"""Targets and kernels from counts: which labels follow a context, and which tokens contexts share.

The next-token matrix T (V x m), columns T_j = (counts_j + s) / sum (s the smoothing), has on each stratum of the labels

    tau_A = tr(P_A T S^T) / (r m_A),      S the one-hot matrix of the contexts' own labels, r contexts a label,

the least-squares fit of T by Q S with Q in the algebra, where each token is a combination of the label's attributes.
Where tokens have no attributes, the singular values of T on the strata of the contexts stand for it,

    tau_A = sqrt(tr(P_A T^T T) / m_A),

which is all that squared error sees of T (cross-entropy sees more); counts raise them by their noise, which is taken off
the diagonal of T^T T.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from ..theory.table import read_columns
from . import strata
from .counts import read_counts
from .matrices import label_of_context
from .options import number
from .trajectory import in_formula_order


@dataclass(frozen=True)
class EstimatedTargets:
    """Targets of a user's own data.

    Attributes
    ----------
    targets : dict from stratum of the labels (of the contexts, without `tokens`) to tau_A; `UFM(targets=...)` takes it
    standard_error : dict from stratum to the standard error of tau_A by multinomial sampling; None without `tokens`
    residual : |T - its part in the algebra| / |T|: how far the symmetric theory applies
    noise : what the residual is expected to be from sampling alone, contexts being drawn from the fitted part
    attributes, labels : structure of the contexts, and the factors that tokens keep
    counted : share of the counts on tokens of the table; 1 without `tokens`
    smoothing : as given
    """

    targets: dict[str, float]
    standard_error: dict[str, float] | None
    residual: float
    noise: float
    attributes: Attributes
    labels: tuple[str, ...] | None
    counted: float
    smoothing: float

    def family(self) -> tuple[float, dict[str, float], float]:
        """The nearest member of `cooccurrence_targets`: eps, weights, and the misfit.

        tau_A = 1 - sum of u_k over the attributes k that A is not made of, u_k = eps w_k >= 0, by least squares weighted
        by the strata's dimensions; the misfit is the root mean square over dimensions of what is left.

        Examples
        --------
        >>> T = [[0.8, 0.1, 0.1, 0], [0.1, 0.8, 0, 0.1], [0.1, 0, 0.8, 0.1], [0, 0.1, 0.1, 0.8]]
        >>> table = {"a": ["x", "x", "y", "y"], "b": ["p", "q", "p", "q"]}
        >>> eps, weights, misfit = targets_from_counts(T, table, tokens=table).family()
        >>> round(eps, 9), {k: round(w, 9) for k, w in weights.items()}, misfit < 1e-9
        (0.4, {'a': 0.5, 'b': 0.5}, True)
        """
        kept = self.attributes.keep(self.labels)
        names = list(kept.names[1:])
        factors = [k for k in kept.sizes if kept.closure(k) != frozenset(kept.sizes)]
        sets = dict(zip(kept.names, kept.ancestral_sets, strict=True))
        weight = np.sqrt([float(kept.multiplicities[A]) for A in names])
        rows = np.array([[0.0 if sets[A] <= kept.closure(k) else 1.0 for k in factors] for A in names])
        gap = np.array([1 - self.targets[A] for A in names])
        u, left = nnls(rows * weight[:, None], gap * weight)
        eps = float(u.sum())
        shares = u / eps if eps > 0 else np.full(len(factors), 1.0 / max(1, len(factors)))
        return eps, dict(zip(factors, shares.tolist(), strict=True)), float(left / np.linalg.norm(weight))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        eps, weights, misfit = self.family()
        return {
            "attributes": str(self.attributes), "labels": " * ".join(self.labels) if self.labels else None,
            "targets": self.targets, "standard_error": self.standard_error, "residual": self.residual,
            "noise": self.noise, "counted": self.counted, "smoothing": self.smoothing,
            "eps": eps, "weights": weights, "misfit": misfit,
        }  # fmt: skip


def targets_from_counts(
    counts: Any, contexts: Any, tokens: Any = None, smoothing: float = 0.0, formula: str | None = None
) -> EstimatedTargets:
    """Targets of the model from counts of next tokens, on the strata of an attribute table.

    Parameters
    ----------
    counts : array (m, n) or scipy sparse matrix, a row for each context and a column for each token, in the order of
        the tables; or the path of one (.npy, or .npz as scipy.sparse has it), or of a CSV `context,token,count`, whose
        names the tables have in columns `context`, `token`
    contexts : CSV path, DataFrame or mapping: a column for each attribute of the contexts; complete and balanced
    tokens : the same for the tokens: attributes of the label, by the contexts' names and values, each combination once;
        tokens of a CSV of counts that it leaves out are dropped, and how many is told
    smoothing : s >= 0, added to every count
    formula : how the contexts' attributes cross and nest, where the table alone cannot tell

    Returns
    -------
    EstimatedTargets

    Raises
    ------
    InputError
        For counts that are negative, not finite or of another shape, contexts without counts, names that the tables lack,
        and token attributes that are no part of the contexts' structure.

    Examples
    --------
    >>> table = {"a": ["x", "x", "y", "y"], "b": ["p", "q", "p", "q"]}
    >>> found = targets_from_counts([[8, 1, 1, 0], [1, 8, 0, 1], [1, 0, 8, 1], [0, 1, 1, 8]], table, tokens=table)
    >>> {A: round(tau, 6) for A, tau in found.targets.items()}, round(found.residual, 9)
    ({'1': 1.0, 'a': 0.8, 'b': 0.8, 'a:b': 0.6}, 0.0)
    """
    s = number("smoothing", smoothing, zero=True)
    columns = read_columns(contexts)
    structure = _structure(columns, formula)
    words = None if tokens is None else read_columns(tokens)
    C, counted = read_counts(counts, columns, words)
    m = int(structure.cardinality)
    if C.shape[0] != m:
        raise InputError(f"counts: {C.shape[0]} rows for the {m} contexts of the table; give one row per context.")
    if C.sum(axis=1).min() + s == 0:
        raise InputError(
            f"counts: context {int(np.argmin(C.sum(axis=1))) + 1} has none; leave it out, or give smoothing."
        )
    C = in_formula_order(C, structure)
    T = ((C + s) / (C + s).sum(axis=1, keepdims=True)).T
    if words is None:
        return _without_tokens(T, C, s, structure)
    if C.shape[1] != len(next(iter(words.values()))):
        raise InputError(f"counts: {C.shape[1]} columns for the {len(next(iter(words.values())))} tokens of the table.")
    labels, order = _token_order(columns, words, structure)
    return _with_tokens(T[order], C.sum(axis=1), s, structure, labels, counted)


def kernel_from_counts(
    counts: Any, contexts: Any, residual: float = 0.0, formula: str | None = None
) -> tuple[dict[str, float], float]:
    """The embedding kernel of contexts made of shared tokens: K_ij = sum over tokens of c_i c_j, plus residual I.

    With one token for each attribute's value it is `embedding_kernel` with weights 1.

    Parameters
    ----------
    counts : how often each token occurs in each context, as `targets_from_counts` takes them
    contexts, formula : as there
    residual : of each context's own parameters, >= 0

    Returns
    -------
    eigenvalues : dict from stratum to eigenvalue; `UFM(feature_kernel=...)` takes it
    outside : |K - its part in the algebra| / |K|

    Examples
    --------
    >>> table = {"a": ["x", "x", "y", "y"], "b": ["p", "q", "p", "q"]}
    >>> kernel_from_counts([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]], table, residual=0.5)
    ({'1': 4.5, 'a': 2.5, 'b': 2.5, 'a:b': 0.5}, 0.0)
    """
    delta = number("residual", residual, zero=True)
    columns = read_columns(contexts)
    structure = _structure(columns, formula)
    C, _ = read_counts(counts, columns, None)
    if C.shape[0] != int(structure.cardinality):
        raise InputError(f"counts: {C.shape[0]} rows for the {structure.cardinality} contexts of the table.")
    C = in_formula_order(C, structure)
    K = C @ C.T + delta * np.eye(len(C))
    # Eigenvalues of a Gram are not negative; rounding may say so.
    return {A: max(0.0, k) for A, k in strata.matrix_eigenvalues(K, structure).items()}, strata.residual(K, structure)


def _structure(columns: Mapping[str, list], formula: str | None) -> Attributes:
    return Attributes.from_table(columns, formula, ignore=("label", "context"))


def _token_order(
    contexts: Mapping[str, list], tokens: Mapping[str, list], structure: Attributes
) -> tuple[tuple[str, ...] | None, np.ndarray]:
    """The factors that tokens keep, and the row of the token table of each combination, in the formula's order."""
    names = [name for name in tokens if name not in ("token", "label")]
    kept = structure.keep(names) if names else structure.keep([""])
    factors = list(kept.sizes)
    cell = label_of_context(structure, kept)
    keys = list(
        zip(*(in_formula_order(np.array(list(map(str, contexts[k]))), structure) for k in factors), strict=True)
    )
    of_key = {tuple(map(str, key)): int(c) for key, c in zip(keys, cell, strict=True)}
    order = np.full(int(kept.cardinality), -1)
    for row, key in enumerate(zip(*(map(str, tokens[k]) for k in factors), strict=True)):
        if key not in of_key or order[of_key[key]] >= 0:
            why = "occurs twice" if key in of_key else "is no combination of the contexts' values"
            raise InputError(f"tokens: row {row + 1}, {', '.join(key)}, {why}; each combination has one token.")
        order[of_key[key]] = row
    if order.min() < 0:
        raise InputError(
            f"tokens: {int((order < 0).sum())} combinations of {kept} have no token; add them to the table."
        )
    return None if len(kept.sizes) == len(structure.sizes) else tuple(factors), order


def _with_tokens(
    T: np.ndarray, totals: np.ndarray, s: float, structure: Attributes, labels: tuple[str, ...] | None, counted: float
) -> EstimatedTargets:
    kept = structure.keep(labels)
    V, m = T.shape
    own = label_of_context(structure, kept)
    targets, errors = {}, {}
    fitted = np.zeros_like(T)
    # Each count is a draw; smoothing shrinks its effect.
    effective = np.maximum(totals, 1e-300) * ((totals + s * V) / np.maximum(totals, 1e-300)) ** 2
    for stratum in kept.strata:
        A = stratum.name
        projector = strata.apply(np.eye(V), {B: float(B == A) for B in kept.names}, kept)[:, own] / (
            m / V * int(stratum.multiplicity)
        )
        targets[A] = float((projector * T).sum())
        spread = (projector**2 * T).sum(axis=0) - (projector * T).sum(axis=0) ** 2
        errors[A] = float(np.sqrt(max(0.0, (spread / effective).sum())))
        fitted += targets[A] * projector * (m / V * int(stratum.multiplicity))
    targets["1"] = 1.0  # columns of T sum to one; rounding aside
    norm = np.linalg.norm(T)
    expected = np.sqrt(((1 - (np.clip(fitted, 0, None) ** 2).sum(axis=0)).clip(0) / effective).sum())
    return EstimatedTargets(
        targets, errors, float(np.linalg.norm(T - fitted) / norm), float(expected / norm), structure, labels, counted, s
    )


def _without_tokens(T: np.ndarray, C: np.ndarray, s: float, structure: Attributes) -> EstimatedTargets:
    totals = C.sum(axis=1)
    if totals.min() < 2:
        raise InputError(
            f"counts: context {int(np.argmin(totals)) + 1} has {totals.min():g}; without token attributes the noise is "
            "estimated from the counts, 2 at least in each context, so give counts rather than probabilities."
        )
    effective = totals * ((totals + s * C.shape[1]) / totals) ** 2
    gram = T.T @ T
    noise = (1 - np.diag(gram)).clip(0) / (effective - 1)
    gram = gram - np.diag(noise)
    eigenvalues = strata.matrix_eigenvalues(gram, structure)
    targets = {A: float(np.sqrt(max(0.0, value))) for A, value in eigenvalues.items()}
    targets["1"] = 1.0  # what the mean stratum of T is only shifts all logits
    norm = np.linalg.norm(T)
    return EstimatedTargets(
        targets, None, strata.residual(gram, structure), float(np.sqrt(noise.sum()) / norm), structure, None, 1.0, s
    )
