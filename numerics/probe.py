"""Reading H, W and what lies before the final norm off a user's network, which is left as it was.

The embeddings H are what the head reads.  Where they are the output of a LayerNorm or RMSNorm, f is its input, less
each row's mean for LayerNorm; its kernel and its lengths are what a forecast starts from.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..theory.errors import InputError
from .kernel import empirical_kernel

KERNEL_MEMORY = 2**28  # bytes of gradients held at once, more where one context's own need it
NORMS = tuple(getattr(nn, name) for name in ("LayerNorm", "RMSNorm") if hasattr(nn, name))  # RMSNorm since torch 2.4
Function = Callable[[Tensor], Tensor]


class Probe:
    """What a network shows at its inputs.

    Parameters
    ----------
    features : callable, or pair (module, layer)
        Inputs (m, ...) -> H (m, d); or a network and the layer, by name or itself, whose output is H.
    head : Tensor, nn.Linear without bias, or callable that returns the Tensor
        W (V, d).
    inputs : Tensor (m, ...)
    before_norm : callable, optional
        Inputs -> f (m, d), centred where the norm centres; a layer that is a norm needs none.
    parameters : iterable of Tensor, optional
        The body's, for the kernel; those of the module, less the head's weight, if None.

    Raises
    ------
    InputError
        For a layer that the module has not, a head with a bias, and outputs of the wrong shape.
    """

    def __init__(
        self,
        features: Any,
        head: Any,
        inputs: Tensor,
        before_norm: Function | None = None,
        parameters: Iterable[Tensor] | None = None,
    ):
        self.inputs, self.norm, self.before_norm = inputs, None, before_norm
        self.features: Function
        self.module: nn.Module | None
        if isinstance(features, tuple):
            module, layer = _layer(features)
            self.module = module
            self.features = lambda x: _tapped(module, layer, x)[1]
            if isinstance(layer, NORMS) and before_norm is None:
                self.norm = layer
                centred = isinstance(layer, nn.LayerNorm)
                self.before_norm = lambda x: _centred(_tapped(module, layer, x)[0], centred)
        elif callable(features):
            owner = features if isinstance(features, nn.Module) else getattr(features, "__self__", None)
            self.module = owner if isinstance(owner, nn.Module) else None
            self.features = features
        else:
            raise InputError(
                f"features: {type(features).__name__}; give a callable inputs -> (m, d), or a pair (module, layer)."
            )
        self.head = _head(head)
        self.parameters = list(parameters) if parameters is not None else self._body()

    def _body(self) -> list[Tensor]:
        """Parameters of the module, less the head's weight; none where the module is not known."""
        W = self.head()
        return [] if self.module is None else [p for p in self.module.parameters() if p is not W]

    def read(self) -> dict[str, np.ndarray]:
        """H (m, d), W (V, d), and where the norm is known feature_norm (m,), final_gain (d,), final_bias (d,)."""
        with self._undisturbed(), torch.no_grad():
            W = self.head()
            x = self.inputs.to(W.device)
            found = {"H": self.features(x), "W": W}
            if self.before_norm is not None:
                found["feature_norm"] = self.before_norm(x).norm(dim=1)
            for name, part in (("final_gain", "weight"), ("final_bias", "bias")):
                value = getattr(self.norm, part, None)
                if value is not None:
                    found[name] = value
        self._check(found["H"], W)
        return {name: part.detach().float().cpu().numpy().copy() for name, part in found.items()}

    def kernel(self) -> np.ndarray:
        """The empirical kernel of f, or of H where there is no norm: float64 (m, m)."""
        if not self.parameters:
            raise InputError(
                "parameters: the body's are not known; give parameters=body.parameters(), or kernel=False."
            )
        size = sum(p.numel() for p in self.parameters)
        with self._undisturbed():
            x = self.inputs.to(self.head().device)
            return empirical_kernel(
                self.before_norm or self.features, self.parameters, x, max(KERNEL_MEMORY, 32 * size)
            )

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """The module in eval mode while it lasts, and no draw taken from the loop's random numbers."""
        parts = [] if self.module is None else [(part, part.training) for part in self.module.modules()]
        devices = [self.inputs.device] if self.inputs.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            for part, _ in parts:
                part.training = False
            try:
                yield
            finally:
                for part, training in parts:
                    part.training = training

    def _check(self, H: Tensor, W: Tensor) -> None:
        m = len(self.inputs)
        if H.ndim != 2 or len(H) != m or W.ndim != 2 or W.shape[1] != H.shape[1]:
            raise InputError(
                f"features: shape {tuple(H.shape)} with a head of shape {tuple(W.shape)} for {m} inputs; they must be "
                f"({m}, d) and (V, d), so where there are positions pick one, in a callable of your own."
            )


def _layer(pair: tuple) -> tuple[nn.Module, nn.Module]:
    if len(pair) != 2 or not isinstance(pair[0], nn.Module):
        raise InputError(f"features: a tuple of {len(pair)}; give (module, layer), the layer by its name or itself.")
    module, layer = pair
    parts = dict(module.named_modules())
    if isinstance(layer, str) and layer in parts:
        return module, parts[layer]
    if isinstance(layer, nn.Module) and any(layer is part for part in parts.values()):
        return module, layer
    names = ", ".join(name for name in parts if name)
    raise InputError(f"features: the module has no layer {layer!r}; it has {names[:200]}.")


def _tapped(module: nn.Module, layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What enters and what leaves a layer when the module reads x."""
    seen: list[tuple[Tensor, Tensor]] = []
    handle = layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    try:
        module(x)
    finally:
        handle.remove()
    if len(seen) != 1 or not isinstance(seen[0][1], Tensor):
        raise InputError(
            f"features: the layer was passed {len(seen)} times for one tensor each; name one that is passed once."
        )
    return seen[0]


def _centred(f: Tensor, centred: bool) -> Tensor:
    return f - f.mean(dim=-1, keepdim=True) if centred else f


def _head(head: Any) -> Callable[[], Tensor]:
    if isinstance(head, nn.Linear):
        if head.bias is not None:
            raise InputError(
                "head: the linear layer has a bias, which the model has not; make it with bias=False, or give its "
                "weight to record the network without the bias."
            )
        return lambda: head.weight
    if isinstance(head, Tensor):
        return lambda: head
    if callable(head):
        return head
    raise InputError(f"head: {type(head).__name__}; give the weight (V, d), a linear layer, or a callable for it.")
