"""What the theory needs of the empirical kernel, at a scale where its Jacobian J (m d x P) cannot be formed.

With K = J J^T the kernel of all features, m d x m d, and Theta = (1/d) (its trace over features),

    kappa_A = tr(P_A Theta) / m_A = E |J^T P_A s|^2 / (d m_A),      s (m, d) of independent random signs,

one backward pass for each probe P_A s.  A stratum is summed exactly over an orthonormal basis of it where that takes no
more passes than the probes that the error asked for would.  Along a run, kappa_A(t) / kappa_A(0) - 1 is the kernel's
drift.  What else the eigenvalues leave out is in `kernel_shape`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import helmert

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from . import strata

if TYPE_CHECKING:
    from torch import Tensor

    from .kernel import Passes

PILOT = 16  # probes of a stratum from whose scatter the number of those that count is set
ZERO = 1e-12  # eigenvalues below this part of the largest are rounding


@dataclass(frozen=True)
class KernelStrata:
    """Stratum eigenvalues of an empirical kernel, with error bars.

    Attributes
    ----------
    eigenvalues : mapping from stratum name to tr(P_A Theta) / m_A
    standard_errors : mapping from stratum name to the standard error of its eigenvalue
        Of the mean of independent probes; 0 where the stratum was summed exactly.
    passes : mapping from stratum name to the backward passes spent on it
    """

    eigenvalues: Mapping[str, float]
    standard_errors: Mapping[str, float]
    passes: Mapping[str, int]


def kernel_strata(
    features: "Callable[[Tensor], Tensor]",
    parameters: "Iterable[Tensor]",
    inputs: "Tensor",
    attributes: Attributes,
    rtol: float = 0.01,
    max_probes: int = 1000,
    memory: int = 2**28,
    seed: int = 0,
) -> KernelStrata:
    """Estimate tr(P_A Theta) / m_A on every stratum without forming the Jacobian or Theta.

    16 pilot probes of a stratum set how many fresh ones bring the standard error to `rtol` of the eigenvalue.  The
    estimate is the mean of the fresh ones alone: it is unbiased, as a mean that may stop when it looks good is not.
    Where an orthonormal basis of the stratum (m_A d vectors) is no larger than that number, it is summed instead.

    Parameters
    ----------
    features : callable or torch module, inputs (m, ...) -> (m, d)
        As for `empirical_kernel`: what enters the final norm, row j of input j alone.
    parameters : iterable of Tensor
        The body's parameters, not the head's.
    inputs : Tensor (m, ...)
        One row per context, in the formula's order (last factor fastest).
    attributes : Attributes
        Numeric sizes with m contexts in all.
    rtol : float
        Standard error aimed at, as a part of the eigenvalue; what was reached is in the result.
    max_probes : int
        The most probes of a stratum that count, at least 16; and the most vectors of a basis.
    memory : int
        Bytes for what the forward pass keeps and for gradients, together; see `Passes`.
    seed : int
        The same seed gives the same probes, whatever the memory.

    Returns
    -------
    KernelStrata
        Units: features squared per unit of time, where time is learning rate x steps.

    Raises
    ------
    InputError
        As `empirical_kernel`; for another number of inputs than contexts, or a tolerance or number out of range.

    References
    ----------
    Hutchinson 1990 (traces from random signs); Stein 1945 (two-stage sampling).

    Examples
    --------
    For a linear map x -> A x, Theta_ij = <x_i, x_j>:

    >>> import torch
    >>> layer = torch.nn.Linear(2, 3, bias=False)
    >>> x = torch.tensor([[3.0, 1], [3, -1], [-3, 1], [-3, -1]])
    >>> found = kernel_strata(layer, layer.parameters(), x, Attributes("a[2] * b[2]"))
    >>> {name: round(value, 3) for name, value in found.eigenvalues.items()}
    {'1': 0.0, 'a': 36.0, 'b': 4.0, 'a:b': 0.0}
    """
    from .kernel import Passes

    if not 0 < rtol < 1:
        raise InputError(f"rtol: {rtol!r} is not between 0 and 1; give the relative standard error wanted, like 0.01.")
    if max_probes < PILOT:
        raise InputError(f"max_probes: {max_probes!r} is below {PILOT}; allow at least that many.")
    match(inputs, attributes)
    passes = Passes(features, parameters, inputs, memory)
    found = {}
    for i, name in enumerate(attributes.names):
        random = np.random.default_rng([seed, i])
        found[name] = _eigenvalue(passes, attributes, name, rtol, max_probes, random)
    return KernelStrata(
        {name: value for name, (value, _, _) in found.items()},
        {name: error for name, (_, error, _) in found.items()},
        {name: count for name, (_, _, count) in found.items()},
    )


def _eigenvalue(
    passes: "Passes", attributes: Attributes, name: str, rtol: float, max_probes: int, random: np.random.Generator
) -> tuple[float, float, int]:
    """The eigenvalue on a stratum, its standard error, and the passes spent."""
    size = int(attributes.multiplicities[name]) * passes.d
    if size > PILOT:
        pilot = passes.squares(_probes(PILOT, passes, attributes, name, random))
        scatter = pilot.std(ddof=1) / pilot.mean() if pilot.mean() > 0 else 0.0
        wanted = max(PILOT, ceil((scatter / rtol) ** 2))
        if wanted < size or size > max_probes:
            count = min(wanted, max_probes)
            x = passes.squares(_probes(count, passes, attributes, name, random)) / size
            return float(x.mean()), float(x.std(ddof=1) / np.sqrt(count)), PILOT + count
    x = passes.squares(_basis(passes, attributes, name))
    return float(x.sum()) / size, 0.0, size + (PILOT if size > PILOT else 0)


def signs(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Independent entries +1 or -1."""
    return 2.0 * random.integers(0, 2, shape) - 1


def _probes(
    count: int, passes: "Passes", attributes: Attributes, name: str, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """P_A s for so many independent sign arrays s (m, d)."""
    only = {A: float(A == name) for A in attributes.names}
    for _ in range(count):
        yield strata.apply(signs((passes.m, passes.d), random), only, attributes)


def _basis(passes: "Passes", attributes: Attributes, name: str) -> Iterator[np.ndarray]:
    """An orthonormal basis of the stratum for each feature: contrasts on min(A), I on the rest of A, else means."""
    axes, lowest = attributes.axes(name)
    vectors = np.ones((1, 1))
    for axis, n in enumerate(attributes.shape):
        part = helmert(n) if axis in lowest else np.eye(n) if axis in axes else np.full((1, n), n**-0.5)
        vectors = np.kron(vectors, part)
    for v in vectors:
        for c in range(passes.d):
            u = np.zeros((passes.m, passes.d))
            u[:, c] = v
            yield u


def kernel_drift(kernels: Any, attributes: Attributes) -> dict[str, np.ndarray]:
    """How far a kernel has moved from its first measurement, per stratum: kappa_A(t) / kappa_A(0) - 1.

    Parameters
    ----------
    kernels : array (T, m, m), or sequence of T KernelStrata
        At T steps of a run, contexts in the formula's order: `run.data["kernel"]` of a recorded run.
    attributes : Attributes

    Returns
    -------
    dict from stratum name to array (T,), its first entry 0
        0 while the frozen kernel of the forecasts is right.

    Raises
    ------
    InputError
        For kernels of the wrong shape or not finite, or a stratum on which the first kernel vanishes.

    Examples
    --------
    >>> drift = kernel_drift(np.stack([np.eye(4), 3 * np.eye(4)]), Attributes("a[2] * b[2]"))
    >>> drift["a"].round(12).tolist()
    [0.0, 2.0]
    """
    series = [
        dict(K.eigenvalues) if isinstance(K, KernelStrata) else strata.matrix_eigenvalues(_finite(K), attributes)
        for K in kernels
    ]
    if not series:
        raise InputError("kernels: there is none; give at least the first step's.")
    if any(set(found) != set(attributes.names) for found in series):
        raise InputError(f"kernels: their strata are not those of {attributes}; measure them with it.")
    least = ZERO * max(abs(value) for value in series[0].values())
    for name, value in series[0].items():
        if not value > least:
            raise InputError(f"kernels: the first has {value:.3g} on stratum {name!r}; a relative change needs more.")
    return {name: np.array([found[name] for found in series]) / series[0][name] - 1 for name in attributes.names}


def _finite(K: Any) -> np.ndarray:
    K = np.asarray(K, dtype=float)
    if K.ndim != 2 or not np.isfinite(K).all():
        raise InputError(f"kernels: one has shape {K.shape} or entries that are not finite; give finite m x m arrays.")
    return K


def match(inputs: "Tensor", attributes: Attributes) -> None:
    """Refuse inputs that are not one row per context."""
    m = prod(attributes.shape)
    if len(inputs) != m:
        raise InputError(f"inputs: {len(inputs)} rows, but {attributes} has {m} contexts; give one row per context.")
