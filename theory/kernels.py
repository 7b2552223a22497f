"""Elements of the algebra that carry attributes: kernels of shared parameters, and label co-occurrence."""

from collections.abc import Mapping
from typing import Any

import sympy as sp

from .attributes import Attributes
from .errors import InputError
from .exact import nonnegative


def embedding_kernel(attributes: Attributes, weights: Mapping[str, Any], residual: Any = 0) -> dict[str, sp.Expr]:
    """Kernel of contexts embedded as a sum over attributes plus a part of their own.

        h_j = sum_k (embedding of j's value of attribute k) + own_j,      K = sum_k alpha_k E_k + delta I,

    with (E_k)_ij = 1 where i and j agree on k and on all that k is nested in.  E_k is N_k times the averaging over
    the contexts that share k, N_k of them, so its eigenvalue is N_k on the strata within the closure of k, else 0.

    Parameters
    ----------
    weights : mapping from factor name to alpha_k >= 0; factors left out have 0
    residual : delta >= 0

    Returns
    -------
    dict from stratum name to eigenvalue (exact)

    Raises
    ------
    InputError
        For unknown attributes, and for numbers that are negative or not finite.

    Examples
    --------
    >>> embedding_kernel(Attributes("color[4] * shape[6]"), {"color": 1, "shape": 1}, residual=0.1)
    {'1': 101/10, 'color': 61/10, 'shape': 41/10, 'color:shape': 1/10}
    """
    alphas = {k: nonnegative(weights[k], f"weights[{k}]") for k in _known(attributes, weights)}
    delta = nonnegative(residual, "residual")
    return {A: delta + sum((alphas[k] * attributes.sharing(k, A) for k in alphas), sp.S(0)) for A in attributes.names}


def cooccurrence_targets(attributes: Attributes, eps: Any, weights: Mapping[str, Any]) -> dict[str, sp.Expr]:
    """Targets whose labels co-occur along attributes (label smoothing along attributes).

        T = (1 - eps) I + eps sum_k w_k (averaging over the labels that share attribute k),     sum_k w_k = 1,

    so tau_A = 1 - eps + eps * sum of w_k over the k whose closure holds A; on the mean it is 1.

    Parameters
    ----------
    attributes : structure of the labels
    eps : in [0, 1]
    weights : mapping from factor name to w_k >= 0, summing to one

    Examples
    --------
    >>> cooccurrence_targets(Attributes("color[4] * shape[6]"), 0.5, {"color": "1/4", "shape": "3/4"})
    {'1': 1, 'color': 5/8, 'shape': 7/8, 'color:shape': 1/2}
    """
    mixed = nonnegative(eps, "eps")
    if (1 - mixed).is_negative:
        raise InputError(f"eps: {eps} is above 1; it must lie in [0, 1].")
    w = {k: nonnegative(weights[k], f"weights[{k}]") for k in _known(attributes, weights)}
    total = sp.expand(sum(w.values()))
    if total != 1:
        raise InputError(
            f"weights: they sum to {total}, not to 1; write fractions such as '1/3' where decimals cannot."
        )
    # The averaging over the labels that share k is the matrix of agreement on k over its eigenvalue on the mean.
    average = {k: {A: attributes.sharing(k, A) / attributes.sharing(k, "1") for A in attributes.names} for k in w}
    return {A: 1 - mixed + mixed * sum((w[k] * sp.cancel(average[k][A]) for k in w), sp.S(0)) for A in attributes.names}


def _known(attributes: Attributes, weights: Mapping[str, Any]) -> list[str]:
    for k in weights:
        if k not in attributes.sizes:
            raise InputError(
                f"weights: {k!r} is no attribute of {attributes}; name some of {', '.join(attributes.sizes)}."
            )
    return [k for k in attributes.sizes if k in weights]


def symbols_for(attributes: Attributes, letter: str) -> dict[str, sp.Symbol]:
    """One positive symbol for each stratum, for a kernel or targets left free.

    Examples
    --------
    >>> symbols_for(Attributes("a[2] * b[3]"), "kappa")["a:b"]
    kappa_a__b
    """
    return {name: stratum_symbol(letter, name, positive=True) for name in attributes.names}


def stratum_symbol(letter: str, stratum: str, **assumptions: bool) -> sp.Symbol:
    """The symbol of a quantity on a stratum; a Python identifier, so that generated code can use it."""
    return sp.Symbol(f"{letter}_{stratum.replace(':', '__')}", **(assumptions or {"real": True}))
