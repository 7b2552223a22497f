"""The kernel as a sum over groups of parameters, each with a size of gradient of its own: what adaptive steps need.

Adam and signs divide each parameter's gradient by its size, so features move by J D^{-1} J^T in place of J J^T.  Within
a layer b <- U a, the gradient with respect to the column of U that reads input i is (sum_j a_ij x_j), x_j what comes
back to the layer in context j: its entries differ by the coordinate of x alone, and when these are alike in
distribution, D is one number for each input.  So the groups are the rows of tables of embeddings, the columns of other
matrices, and single entries of vectors, with

    Theta_i = (1/d) sum_c (df_c / d group i)(df_c / d group i)^T,     sum_i Theta_i = Theta,
    mean square of the gradient's entries = tr(Theta_i q^T q) / size   for -dL/df = q (d, m),

the second on average over directions of the features, as for Theta itself.  Orthogonalised steps take whole matrices.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..theory.errors import InputError

if TYPE_CHECKING:
    from .plan import Plan

MEMORY = 2**30  # bytes of all groups' kernels together
AT_ONCE = 2**27  # bytes of gradients held at once
SAME = 1e-3  # of the kernel that was recorded, beyond rounding in another version of torch


@dataclass(frozen=True)
class KernelParts:
    """Kernels of groups of parameters.

    Attributes
    ----------
    kernels : array (p, m, m), Theta_i
    sizes : array (p,), parameters in each group
    tensor : int array (p,), which of the parameter tensors the group belongs to
    shapes : tuple of the tensors' shapes
    """

    kernels: np.ndarray
    sizes: np.ndarray
    tensor: np.ndarray
    shapes: tuple[tuple[int, ...], ...]

    def squares(self, q: np.ndarray) -> np.ndarray:
        """Mean square (p,) of the entries of each group's gradient, for pulls q (d, m) on the features."""
        return np.maximum(self._rows @ (q.T @ q).ravel(), 0.0) / self.sizes

    def combined(self, weights: np.ndarray) -> np.ndarray:
        """sum_i weights_i Theta_i (m, m)."""
        m = self.kernels.shape[1]
        return (weights @ self._rows).reshape(m, m)

    def matrices(self) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """Shape and kernel (m, m) of every whole matrix."""
        return [(shape, self.kernels[self.tensor == i].sum(axis=0))
                for i, shape in enumerate(self.shapes) if len(shape) == 2]  # fmt: skip

    def vectors(self) -> "KernelParts":
        """The groups that belong to no matrix."""
        chosen = np.array([len(shape) != 2 for shape in self.shapes])[self.tensor]
        return KernelParts(self.kernels[chosen], self.sizes[chosen], self.tensor[chosen], self.shapes)

    def reordered(self, order: np.ndarray) -> "KernelParts":
        """With contexts in another order."""
        return KernelParts(self.kernels[:, order][:, :, order], self.sizes, self.tensor, self.shapes)

    @property
    def _rows(self) -> np.ndarray:
        return self.kernels.reshape(len(self.kernels), -1)


def kernel_parts(features: Callable[[Any], Any], body: Any, inputs: Any, memory: int = MEMORY) -> KernelParts:
    """Measure the kernels of a body's groups of parameters (extra `train`).

    Parameters
    ----------
    features : callable, inputs (m, ...) -> (m, d), as for `kernel.empirical_kernel`
    body : torch module whose parameters the features depend on
    inputs : Tensor (m, ...)
    memory : bytes that all the groups' kernels may take

    Raises
    ------
    InputError
        For more groups than fit into the memory.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(3, 2, bias=False)
    >>> found = kernel_parts(layer, layer, torch.tensor([[1.0, 0, 2], [0, 1, 1]]))
    >>> found.kernels.tolist()  # inputs 1, 2 and 3, which two units read
    [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]], [[4.0, 2.0], [2.0, 1.0]]]
    >>> found.sizes.tolist()
    [2, 2, 2]
    """
    import torch

    groups = _groups(body)
    theta = [p for p, _ in groups]
    counts = [p.shape[axis] for p, axis in groups]
    m, P = len(inputs), sum(p.numel() for p in theta)
    if 8 * sum(counts) * m * m > memory:
        raise InputError(
            f"inputs: {m} contexts and {sum(counts)} groups of parameters take {8 * sum(counts) * m * m} bytes, more "
            f"than memory={memory}; give more, or fewer contexts."
        )
    totals = [np.zeros((count, m, m)) for count in counts]
    with torch.enable_grad():
        d = features(inputs[:1]).shape[1]
        for chunk in _chunks(d, max(1, AT_ONCE // (8 * m * P))):
            gradients: list[list[Any]] = [[] for _ in theta]
            for j in range(m):
                f = features(inputs[j : j + 1])[0]
                directions = torch.eye(d, dtype=f.dtype, device=f.device)[chunk.start : chunk.stop]
                found = torch.autograd.grad(f, theta, directions, is_grads_batched=True, allow_unused=True)
                for rows, g, p in zip(gradients, found, theta, strict=True):
                    rows.append(torch.zeros(len(chunk), *p.shape, dtype=p.dtype) if g is None else g)
            for total, rows, (_, axis), count in zip(totals, gradients, groups, counts, strict=True):
                J = torch.stack(rows).movedim(axis + 2, 0).reshape(count, m, -1)
                total += (J @ J.mT).double().cpu().numpy()
    tensor = np.repeat(np.arange(len(theta)), counts)
    sizes = np.array([p.numel() // count for p, count in zip(theta, counts, strict=True)])[tensor]
    return KernelParts(np.concatenate(totals) / d, sizes, tensor, tuple(tuple(p.shape) for p in theta))


@lru_cache(maxsize=4)
def parts_of_plan(plan: "Plan", step: int = 0) -> KernelParts:
    """The parts of the kernel of a training run's network at a step, contexts in the formula's order."""
    from .train import reproducible
    from .training_steps import Training

    with reproducible(plan.seed):
        training = Training(plan)
        while training.step < step:
            training.advance()
        return kernel_parts(training.network.features_before_norm, training.network.body, training.tokens)


def check_parts(parts: KernelParts, kernel: np.ndarray, name: str) -> None:
    """Refuse parts that do not add up to the kernel that was recorded: they are another network's."""
    if np.abs(parts.kernels.sum(axis=0) - kernel).max() > SAME * np.abs(kernel).max():
        raise InputError(
            f"run: the network built anew from the record of {name} has another kernel than the recorded one; record "
            "it again with this version."
        )


def _groups(body: Any) -> list[tuple[Any, int]]:
    """Each parameter tensor with the axis that numbers its groups."""
    import torch

    tables = {id(module.weight) for module in body.modules() if isinstance(module, torch.nn.Embedding)}
    found = []
    for name, p in body.named_parameters():
        if p.requires_grad:
            reads = p.ndim > 1 and name.endswith("weight") and id(p) not in tables
            found.append((p, 1 if reads else 0))
    return found


def _chunks(total: int, size: int) -> Iterator[range]:
    return (range(start, min(start + size, total)) for start in range(0, total, size))
