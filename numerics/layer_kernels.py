"""The kernel of a network's features layer by layer, without a gradient of any context by itself.

What a layer adds to Theta_ij = (1/d) sum_c <d f_jc / d theta, d f_ic / d theta> follows from what enters it and from the
gradient g of f_c at what leaves it, one backward pass for all contexts and a block of coordinates c.  With s, s' over
the places at which a context uses the layer (positions, repeated calls):

- linear weights, gradient sum_s g_s a_s^T:         sum_ss' <a_js, a_is'> sum_c <g_jsc, g_is'c>,
- an embedding's rows, a_s the unit vector of the token: the same,
- biases, gains of norms and what is added to all contexts:   sum_c <r_jc, r_ic> with r their own gradient, summed over s.

That is d backward passes over a batch in the place of m d, and no m x d x P Jacobian.  Gradients so made are held to
autograd's on a random probe, so that a parameter used in ways that are not seen here is left to the general route.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Use(NamedTuple):
    """A parameter's part in one call: `leaving` (m, ..., o), and what its gradient there is multiplied with.

    Attributes
    ----------
    entering : for `linear` (m, ..., i), for `embedding` the tokens (m, ...), for `own` a factor of the shape of
        `leaving`, or None
    shape : of the parameter
    """

    kind: str
    leaving: Tensor
    entering: Tensor | None
    shape: torch.Size


def layer_kernels(
    features: Callable[[Tensor], Tensor], theta: Sequence[Tensor], inputs: Tensor, memory: int
) -> tuple[Tensor, list[Tensor]]:
    """d Theta as far as it comes from parameters in layers that are known, and the parameters that are not.

    Parameters
    ----------
    features : callable, inputs (m, ...) -> (m, d), row j of input j alone
    theta : parameters, all requiring gradients
    inputs : Tensor (m, ...)
    memory : bytes for gradients and inner products; what the forward pass of all contexts keeps comes on top

    Returns
    -------
    float64 Tensor (m, m), and a list of parameters whose part is missing from it: all, where memory does not suffice

    Examples
    --------
    >>> layer = torch.nn.Linear(3, 2)
    >>> x = torch.tensor([[1.0, 0, 2], [0, 1, 1]])
    >>> layer_kernels(layer, list(layer.parameters()), x, 2**20)  # d (<x_i, x_j> + 1)
    (tensor([[12.,  6.],
            [ 6.,  6.]], dtype=torch.float64), [])
    """
    m = len(inputs)
    seen = _Uses(theta, m)
    with torch.enable_grad(), seen:
        f = features(inputs)
    layers = [_Layer(p, uses, m) for p, uses in zip(theta, seen.uses, strict=True) if uses and _alike(uses)]
    # Half the memory for the products of pairs of places, half for gradients in two precisions.
    layers = [layer for layer in layers if 16 * layer.places**2 <= memory / (2 * len(layers))]
    layers = _confirmed(layers, f)
    numbers = sum(use.leaving.numel() for layer in layers for use in layer.uses)
    block = min(f.shape[1], int(memory / 2 // (16 * numbers))) if numbers else 0
    if not block:
        return torch.zeros(m, m, dtype=torch.float64, device=f.device), list(theta)
    directions = torch.eye(f.shape[1], dtype=f.dtype, device=f.device)
    for rows in directions.split(block):
        u = rows[:, None].expand(-1, m, -1)
        for layer, leaving in _gradients(layers, f, u):
            layer.add(leaving)
    done = {id(layer.parameter) for layer in layers}
    total = torch.stack([layer.kernel() for layer in layers]).sum(dim=0)
    return total, [p for p in theta if id(p) not in done]


class _Uses(TorchFunctionMode):
    """Sees each call that a parameter takes part in, where it is of a kind that is known."""

    def __init__(self, theta: Sequence[Tensor], m: int):
        super().__init__()
        self.place = {id(p): i for i, p in enumerate(theta)}
        self.m = m
        self.uses: list[list[Use]] = [[] for _ in theta]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaving = func(*args, **kwargs)
        found = CALLS.get(getattr(func, "__name__", ""))
        if found is None or not isinstance(leaving, Tensor) or leaving.ndim < 2 or len(leaving) != self.m:
            return leaving
        for parameter, kind, entering in found(*args, **kwargs):
            if id(parameter) in self.place:
                use = Use(kind, leaving, None if entering is None else entering.detach(), parameter.shape)
                self.uses[self.place[id(parameter)]].append(use)
        return leaving


Parts = Iterator[tuple[Any, str, Tensor | None]]


def _linear(entering: Tensor, weight: Tensor, bias: Tensor | None = None) -> Parts:
    yield weight, "linear", entering
    yield bias, "own", None


def _embedding(tokens: Tensor, weight: Tensor, *_: Any, **__: Any) -> Parts:
    yield weight, "embedding", tokens


def _layer_norm(x: Tensor, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Parts:
    yield weight, "own", torch.nn.functional.layer_norm(x, shape, None, None, eps)
    yield bias, "own", None


def _rms_norm(x: Tensor, shape: Any, weight: Any = None, eps: float | None = None) -> Parts:
    yield weight, "own", torch.nn.functional.rms_norm(x, shape, None, eps)


def _add(x: Any, y: Any, **_: Any) -> Parts:
    yield x, "own", None
    yield y, "own", None


# By the name of the call; each has the call's own arguments.
CALLS: dict[str, Callable[..., Parts]] = {
    "linear": _linear, "embedding": _embedding, "layer_norm": _layer_norm, "rms_norm": _rms_norm, "add": _add,
    "__radd__": _add,
}  # fmt: skip


def _alike(uses: list[Use]) -> bool:
    """Whether a parameter is always used in the same way, and has no number for each context."""
    return len({use.kind for use in uses}) == 1 and all(
        use.kind != "own" or len(use.shape) < use.leaving.ndim for use in uses
    )


class _Layer:
    """A parameter's part of the kernel, coordinates added block by block.

    Attributes
    ----------
    places : int
        m times the number S of places at which a context uses the parameter, for inner products of pairs of places;
        m where its own gradient is formed.
    """

    def __init__(self, parameter: Tensor, uses: list[Use], m: int):
        self.parameter, self.uses, self.m = parameter, uses, m
        self.own = uses[0].kind == "own"
        S = 1 if self.own else sum(use.leaving[0, ..., 0].numel() for use in uses)
        self.places = m * S
        self.products: Tensor | None = None

    def add(self, leaving: Sequence[Tensor]) -> None:
        """Take in the gradients (k, m, ..., o) at what leaves each use."""
        rows = self.rows(leaving).double()
        flat = rows.movedim(0, -2).reshape(self.places, -1)
        self.products = flat @ flat.T + (0.0 if self.products is None else self.products)

    def rows(self, leaving: Sequence[Tensor]) -> Tensor:
        """Gradients at each place (k, m, S, o), or the parameter's own ones (k, m, numbers)."""
        if not self.own:
            return torch.cat([g.flatten(2, -2) if g.ndim > 3 else g[:, :, None] for g in leaving], dim=2)
        parts = []
        for g, use in zip(leaving, self.uses, strict=True):
            part = g if use.entering is None else g * use.entering
            # The axes over which the parameter is spread: those it has not, and those where it has length 1.
            there = (1,) * (part.ndim - 2 - len(use.shape)) + tuple(use.shape)
            spread = [axis + 2 for axis, n in enumerate(there) if n == 1 and part.shape[axis + 2] != 1]
            parts.append((part.sum(dim=spread, keepdim=True) if spread else part).flatten(2))
        return torch.stack(parts).sum(dim=0)

    def entering(self) -> Tensor:
        """What enters at each place: (m, S, i), or the tokens (m, S)."""
        tokens = self.uses[0].kind == "embedding"
        return torch.cat([use.entering.reshape(self.m, -1, *(() if tokens else use.entering.shape[-1:]))
                          for use in self.uses if use.entering is not None], dim=1)  # fmt: skip

    def kernel(self) -> Tensor:
        """The part (m, m) that all coordinates added so far make."""
        assert self.products is not None
        if self.own:
            return self.products
        a = self.entering().flatten(0, 1)
        pairs = (a[:, None] == a).double() if a.ndim == 1 else a.double() @ a.double().T
        return (pairs * self.products).view(self.m, -1, self.m, self.places // self.m).sum(dim=(1, 3))

    def gradient(self, leaving: Sequence[Tensor]) -> Tensor:
        """The gradient of a single probe, k = 1, in the parameter: sums over contexts and places."""
        rows = self.rows(leaving)[0]
        if self.own:
            return rows.sum(dim=0).view(self.parameter.shape)
        a, g = self.entering().flatten(0, 1), rows.flatten(0, 1)
        if a.ndim == 1:
            return torch.zeros_like(self.parameter).index_add(0, a, g)
        return g.T @ a


def _gradients(layers: Sequence[_Layer], f: Tensor, u: Tensor) -> Iterator[tuple[_Layer, list[Tensor]]]:
    """For each layer the gradients of <u, f> at what leaves its uses; u (k, m, d)."""
    leaving = [use.leaving for layer in layers for use in layer.uses]
    found = iter(torch.autograd.grad(f, leaving, u, retain_graph=True, is_grads_batched=True, allow_unused=True))
    for layer in layers:
        gradients = [(next(found), use.leaving) for use in layer.uses]
        yield layer, [x.new_zeros(len(u), *x.shape) if g is None else g for g, x in gradients]


def _confirmed(layers: Sequence[_Layer], f: Tensor) -> list[_Layer]:
    """The layers whose gradient on a random probe is autograd's, up to rounding."""
    if not layers:
        return []
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(f.shape, generator=generator, dtype=torch.float64).to(f.dtype).to(f.device)
    true = torch.autograd.grad(
        f, [layer.parameter for layer in layers], u, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    close = torch.finfo(f.dtype).eps ** 0.5
    return [
        layer
        for (layer, leaving), gradient in zip(_gradients(layers, f, u[None]), true, strict=True)
        if (layer.gradient(leaving) - gradient).norm() <= close * gradient.norm()
    ]
