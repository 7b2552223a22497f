"""Sign descent as a PyTorch optimiser: every entry of a parameter moves by the learning rate.

    b <- momentum b + gradient,      theta <- theta - lr (sign(b) + weight_decay theta)

It is Adam without memory of the gradient's size (Bernstein, Wang, Azizzadenesheli and Anandkumar, signSGD, 2018); an
entry whose average is 0 stays.  Weight decay is decoupled, as AdamW's.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class SignDescent(torch.optim.Optimizer):
    """Steps of the learning rate along the signs of the averaged gradient.

    Parameters
    ----------
    params : parameters, or groups of them
    lr : float
    momentum : float
        In [0, 1).
    weight_decay : float

    Examples
    --------
    >>> theta = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.0]))
    >>> optimizer = SignDescent([theta], lr=0.5)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.tolist()
    [0.5, -1.5, 0.0]
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                average = p.grad
                if group["momentum"]:
                    buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                    average = buffer.mul_(group["momentum"]).add_(p.grad)
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(average.sign(), alpha=-group["lr"])
