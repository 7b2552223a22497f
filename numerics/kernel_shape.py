"""What the stratum eigenvalues leave out of the empirical kernel, estimated without the Jacobian J (m d x P).

With K = J J^T the kernel of all features, m d x m d, Theta = (1/d) (its trace over features) and
kappa_A = tr(P_A Theta) / m_A:

- direction: |K - Theta (x) I| / |K|, the part of the kernel that tells feature directions apart;
- outside:   |Theta - sum_A kappa_A P_A| / |Theta|, the part of Theta outside the algebra.

Both are projections, so |K - Theta (x) I|^2 = |K|^2 - d |Theta|^2.  For independent x, y with covariance I,
E (x^T K y)^2 = |K|^2.  With signs s, t over contexts and c over features,

    (1/d) E_c (s (x) c)^T K (t (x) c) = s^T Theta t,

and the product over two independent c gives (s^T Theta t)^2 without bias.  So the Gram matrix of the gradients
J^T (s_a (x) c_b) has both norms.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from . import strata
from .kernel_strata import KernelStrata, match, signs

if TYPE_CHECKING:
    from torch import Tensor

    from .kernel import Passes

SIDE = 6  # sign vectors over contexts, and over features, in a group: SIDE^2 gradients give 15 pairs x 30 pairs


@dataclass(frozen=True)
class Share:
    """A share of a norm, and how far one standard error of its square above it lies."""

    value: float
    standard_error: float


def kernel_shape(
    features: "Callable[[Tensor], Tensor]",
    parameters: "Iterable[Tensor]",
    inputs: "Tensor",
    attributes: Attributes,
    eigenvalues: KernelStrata,
    groups: int = 16,
    memory: int = 2**28,
    seed: int = 0,
) -> dict[str, Share]:
    """How much of the kernel depends on the feature direction, and how much of Theta lies outside the algebra.

    Squared norms are estimated without bias from `groups` independent groups of 36 backward passes; their scatter gives
    the error bars.  Where Theta itself is at hand, `strata.residual(Theta, attributes)` has the second exactly.

    Parameters
    ----------
    features, parameters, inputs, attributes, memory, seed
        As for `kernel_strata`; memory for at least 36 gradients.
    eigenvalues : KernelStrata
        What `kernel_strata` found for the same network and inputs.
    groups : int
        At least 4.

    Returns
    -------
    dict of Share
        `direction`: |K - Theta (x) I| / |K|; `outside`: |Theta - sum_A kappa_A P_A| / |Theta|.  A square that comes out
        below zero (its error is larger than it) is given as 0; a direction share below about 0.3 needs more groups.

    Raises
    ------
    InputError
        As `kernel_strata`, and for fewer than 4 groups.

    Examples
    --------
    A linear map of inputs with main effects alone has a kernel in the algebra:

    >>> import torch
    >>> from ufmflow.numerics.kernel_strata import kernel_strata
    >>> layer = torch.nn.Linear(2, 3, bias=False)
    >>> x = torch.tensor([[3.0, 1], [3, -1], [-3, 1], [-3, -1]])
    >>> problem = (layer, list(layer.parameters()), x, Attributes("a[2] * b[2]"))
    >>> found = kernel_shape(*problem, kernel_strata(*problem))
    >>> found["outside"].value < 1e-3
    True
    """
    from .kernel import Passes

    if groups < 4:
        raise InputError(f"groups: {groups!r} is below 4; error bars need at least that many.")
    match(inputs, attributes)
    passes = Passes(features, parameters, inputs, memory)
    if passes.together < SIDE**2:
        one = 8 * (passes.P + 2 * passes.m * passes.d)
        raise InputError(f"memory: {memory} bytes; {SIDE**2} gradients at once need {2 * (SIDE**2 + 1) * one}.")
    random = np.random.default_rng([seed, len(attributes.names)])
    norms = np.array([_group(passes, attributes, eigenvalues.eigenvalues, random) for _ in range(groups)])
    # |Theta - sum kappa_A P_A|^2 exceeds its value at the true kappa by sum m_A (error of kappa_A)^2 in the mean.
    norms[:, 2] -= sum(int(attributes.multiplicities[A]) * e**2 for A, e in eigenvalues.standard_errors.items())
    K2, Theta2, outside2 = norms.T
    return {"direction": _share(K2 - passes.d * Theta2, K2), "outside": _share(outside2, Theta2)}


def _group(
    passes: "Passes", attributes: Attributes, eigenvalues: Mapping[str, float], random: np.random.Generator
) -> tuple[float, float, float]:
    """Unbiased |K|^2, |Theta|^2, |Theta - sum kappa_A P_A|^2 from SIDE x SIDE probes s_a (x) c_b."""
    s, c = signs((SIDE, passes.m), random), signs((SIDE, passes.d), random)
    g = passes.gradients(np.einsum("aj,bc->abjc", s, c).reshape(-1, passes.m, passes.d))
    gram = (g @ g.T).cpu().numpy().reshape(SIDE, SIDE, SIDE, SIDE).transpose(0, 2, 1, 3)  # (a, a', b, b')
    pairs = gram[np.triu_indices(SIDE, 1)]  # a < a': (pairs, b, b')
    apart = ~np.eye(SIDE, dtype=bool)
    same = np.einsum("pbb->pb", pairs) / passes.d  # s_a^T Theta s_a' in the mean over signs c_b
    algebra = (s @ strata.apply(s.T, eigenvalues, attributes))[np.triu_indices(SIDE, 1)]
    return (float((pairs[:, apart] ** 2).mean()), _mean_product(same), _mean_product(same - algebra[:, None]))


def _mean_product(x: np.ndarray) -> float:
    """The mean of x_pb x_pb' over p and b != b'."""
    n = x.shape[1]
    return float(((x.sum(axis=1) ** 2 - (x**2).sum(axis=1)) / (n * (n - 1))).mean())


def _share(part: np.ndarray, whole: np.ndarray) -> Share:
    """sqrt(mean part / mean whole) over groups, with the error of the ratio by leaving out one group at a time."""
    n = len(part)
    ratio = part.sum() / whole.sum()
    without = (part.sum() - part) / (whole.sum() - whole)
    square = n * ratio - (n - 1) * without.mean()  # the jackknife takes the ratio's bias of order 1/n away
    error = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    value = np.sqrt(max(square, 0.0))
    return Share(float(value), float(np.sqrt(value**2 + error) - value))
