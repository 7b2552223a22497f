"""The empirical kernel of a network's features: how much a step on one context moves the features of another.

With f_jc the c-th feature of context j (mean-centred, before the final norm) and theta the parameters of the body,

    Theta_ij = (1/d) sum_c <d f_jc / d theta, d f_ic / d theta>.

It is the direction-independent part of the full m d x m d kernel: a gradient-flow step on the loss sum_i a_i <u, f_i>
moves <u, f_j> at the rate -sum_i Theta_ji a_i, on average over orthonormal directions u.

`empirical_kernel` has all of Theta: of layers that are known from d backward passes over the batch (see
`ufmflow.numerics.layer_kernels`), of other parameters from m d gradients.  `Passes` has J^T u for probes u (m, d), with
J the Jacobian: one backward pass over the batch each, from which `kernel_strata` estimates what the theory needs.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, islice

import numpy as np
import torch
from torch import Tensor

from ..theory.errors import InputError
from .layer_kernels import layer_kernels

# Features computed one context at a time may differ from the batch's by rounding (half precision: 1e-2), not by more.
SAME = 1e-2
SAMPLED = 16  # contexts whose features are computed alone to see that `Passes` may take the contexts in chunks
BLOCK = 64  # probes that share a forward pass, whose cost is then a hundredth of theirs; more only fill the cache


@torch.enable_grad()
def empirical_kernel(
    features: Callable[[Tensor], Tensor], parameters: Iterable[Tensor], inputs: Tensor, memory: int = 2**28
) -> np.ndarray:
    """The kernel Theta of `features` at `inputs` over `parameters`, without forming the m d x P Jacobian.

    Gradients have the parameters' precision; their products are summed in float64.

    Parameters
    ----------
    features : callable, inputs (m, ...) -> (m, d)
        What enters the final norm; subtract each row's mean where the norm does (LayerNorm).  Row j may depend on
        input j alone, so modules with batch normalisation or dropout belong in `eval()` mode.
    parameters : iterable of Tensor
        P numbers in all: the body's parameters, not the head's.  Those that do not require gradients are left out.
    inputs : Tensor (m, ...)
    memory : int
        Bytes that gradients and their products may take at once (the network's own activations come on top).  Where it
        does not hold the products of a layer, its P parameters take the gradients of each context by itself, and with
        less than 8 (m + 3) P bytes these are computed again for each slice of them: slower, not different.

    Returns
    -------
    float64 array (m, m), symmetric positive semidefinite; units: features squared per unit of time, where time is
    learning rate x steps.

    Raises
    ------
    InputError
        For features of the wrong shape, not finite, or dependent on the other inputs; for no parameters, or none that
        the features depend on; for too little memory (at least 32 P bytes).

    Examples
    --------
    A linear map x -> A x has the kernel <x_i, x_j>:

    >>> layer = torch.nn.Linear(3, 2, bias=False)
    >>> empirical_kernel(layer, layer.parameters(), torch.tensor([[1.0, 0, 2], [0, 1, 1]]))
    array([[5., 2.],
           [2., 2.]])
    """
    theta, P = _trainable(parameters)
    if memory < 32 * P:
        raise InputError(f"memory: {memory} bytes; {P} parameters need at least {32 * P}.")
    d = _check(features, inputs)
    m = len(inputs)
    Theta, theta = layer_kernels(features, theta, inputs, memory)
    if not theta:
        return (Theta / d).cpu().numpy()
    # Of the other parameters, gradients of each context by itself.
    P = sum(p.numel() for p in theta)
    together = min(d, memory // (8 * (m + 3) * P))  # coordinates whose gradients are held at once for all contexts
    coordinates, width = (together, P) if together else (1, max(1, (memory - 24 * P) // (8 * m)))
    for slice_ in _ranges(P, width):
        for chunk in _ranges(d, coordinates):
            J = torch.empty(m, len(chunk), len(slice_), dtype=torch.float64, device=inputs.device)
            for j in range(m):
                J[j] = _gradients(features(inputs[j : j + 1])[0], theta, chunk, slice_)
            J = J.view(m, -1)
            Theta += J @ J.T
    return (Theta / d).cpu().numpy()


class Passes:
    """J^T u = sum_jc u_jc d f_jc / d theta for probes u, by backward passes over chunks of contexts.

    Half of `memory` is for what the forward pass of a chunk keeps for the backward pass (measured on one context), half
    for as many probes at once as it holds, with their gradients in float64; what one backward pass makes on its way
    comes on top.  Gradients add up over chunks, so chunks change the result by rounding alone.  Arguments and errors
    are those of `empirical_kernel`.

    Attributes
    ----------
    m, d, P : int
        Contexts, features, parameters.
    chunk, together : int
        Contexts of one forward pass; probes whose gradients are held at once.
    """

    def __init__(
        self, features: Callable[[Tensor], Tensor], parameters: Iterable[Tensor], inputs: Tensor, memory: int = 2**28
    ):
        self.features, self.inputs = features, inputs
        self.theta, self.P = _trainable(parameters)
        self.m = len(inputs)
        with torch.enable_grad():
            rows = np.unique(np.linspace(0, self.m - 1, min(self.m, SAMPLED)).round().astype(int))
            self.d = _check(features, inputs[torch.from_numpy(rows).to(inputs.device)])
            kept = self._kept_by_one_context()
        half = memory // 2
        one = 8 * (self.P + 2 * self.m * self.d)  # a gradient, and its probe twice: as made, and among the others
        needed = max(kept, 2 * one)
        if half < needed:
            raise InputError(
                f"memory: {memory} bytes; {self.P} parameters, {self.m} x {self.d} features and what one context keeps "
                f"for the backward pass need {2 * needed}."
            )
        self.chunk = min(self.m, half // max(1, kept))
        self.together = min(BLOCK, half // one - 1)  # one more is the gradient that autograd is working on

    def _kept_by_one_context(self) -> int:
        """Bytes that the forward pass of one context keeps for its backward pass, parameters and inputs apart."""
        own = {p.untyped_storage().data_ptr() for p in (*self.theta, self.inputs)}
        kept: dict[int, int] = {}

        def see(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
            f = self.features(self.inputs[:1])  # held, so that no storage is freed and counted under another's address
        return sum(kept.values()) + f.numel() * f.element_size()

    def gradients(self, probes: np.ndarray) -> Tensor:
        """The rows J^T u: probes (k, m, d) -> float64 tensor (k, P).  Holds all k: 8 k P bytes."""
        found = torch.zeros(len(probes), self.P, dtype=torch.float64, device=self.inputs.device)
        with torch.enable_grad():
            for rows in _ranges(self.m, self.chunk):
                f = self.features(self.inputs[rows.start : rows.stop])
                for u, total in zip(probes, found, strict=True):
                    part = torch.as_tensor(u[rows.start : rows.stop], dtype=f.dtype, device=f.device)
                    gradient = torch.autograd.grad(f, self.theta, part, retain_graph=True, allow_unused=True)
                    start = 0
                    for p, g in zip(self.theta, gradient, strict=True):
                        if g is not None:
                            total[start : start + p.numel()] += g.flatten()
                        start += p.numel()
        if not torch.isfinite(found.sum()):
            raise InputError("features: their gradient is not finite at the inputs; check the network's weights.")
        return found

    def squares(self, probes: Iterable[np.ndarray]) -> np.ndarray:
        """|J^T u|^2 for each probe u (m, d): float64 array (k,)."""
        found: list[np.ndarray] = []
        for block in batched(probes, self.together):
            found.append(torch.linalg.vector_norm(self.gradients(np.stack(block)), dim=1).square().cpu().numpy())
        return np.concatenate(found)


def batched(items: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Lists of `size` items, the last perhaps shorter."""
    source = iter(items)
    while block := list(islice(source, size)):
        yield block


def _trainable(parameters: Iterable[Tensor]) -> tuple[list[Tensor], int]:
    """Those that require gradients, and how many numbers they hold."""
    theta = [p for p in parameters if p.requires_grad]
    P = sum(p.numel() for p in theta)
    if not P:
        raise InputError("parameters: none requires gradients; give the body's parameters.")
    return theta, P


def _gradients(f: Tensor, theta: list[Tensor], chunk: range, slice_: range) -> Tensor:
    """d f_c / d theta for the coordinates c of a chunk and a slice of the flattened parameters."""
    ends = list(accumulate(p.numel() for p in theta))
    within = [(p, end - p.numel()) for p, end in zip(theta, ends, strict=True)
              if end > slice_.start and end - p.numel() < slice_.stop]
    directions = torch.eye(len(f), dtype=f.dtype, device=f.device)[chunk.start : chunk.stop]
    rows = torch.autograd.grad(f, [p for p, _ in within], directions, is_grads_batched=True, allow_unused=True)
    flat = [directions.new_zeros(len(chunk), p.numel()) if row is None else row.flatten(1)
            for row, (p, _) in zip(rows, within, strict=True)]
    start = within[0][1]
    return torch.cat(flat, dim=1)[:, slice_.start - start : slice_.stop - start]


def _check(features: Callable[[Tensor], Tensor], inputs: Tensor) -> int:
    """The number d of features, after checks of shape, finiteness, and independence of the other inputs."""
    with torch.no_grad():
        f = features(inputs)
        if f.ndim != 2 or len(f) != len(inputs) or not f.numel():
            raise InputError(f"features: shape {tuple(f.shape)} for {len(inputs)} inputs; return one row per input.")
        if not torch.isfinite(f).all():
            raise InputError("features: not finite at the inputs; check the network's weights and inputs.")
        alone = torch.cat([features(inputs[j : j + 1]) for j in range(len(inputs))])
    if (f - alone).norm() > SAME * f.norm():
        raise InputError(
            "features: the features of one input depend on the other inputs or on chance; "
            "put the network in eval() mode (batch normalisation, dropout)."
        )
    if not features(inputs[:1]).requires_grad:
        raise InputError("parameters: the features depend on none of them; give the body's parameters.")
    return f.shape[1]


def _ranges(total: int, size: int) -> Iterator[range]:
    return (range(start, min(start + size, total)) for start in range(0, total, size))
