"""A network with its gates expanded about the start: the theory of how its kernel moves.

Whatever makes a network nonlinear in its weights beyond their products acts through gates: x -> x gamma(x) in a unit
(ReLU: a step, GELU: the normal distribution, SiLU: a sigmoid) and softmax in attention.  With x_0 and s_0 what enters a
gate on a context at the start,

    order 0 (gated linear):   gamma = gamma(x_0),                              attention = softmax(s_0)
    order 1:                  gamma = gamma(x_0) + gamma'(x_0) (x - x_0),      attention = a_0 (1 + ds - <a_0, ds>)

with a_0 = softmax(s_0) and ds = s - s_0.  Weights, embeddings and norms stay as they are, so at order 0 the network is
a product of matrices along each path, with paths weighed once and for all: its kernel moves, in size and in direction,
by the motion of the weights alone.  Nothing is fitted, and nothing after the start is looked at.

References: gated deep linear networks, Saxe, Sodhani and Lewallen 2022; path kernels, Lakshminarayanan and Singh 2020.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..theory.errors import InputError

ORDERS = (0, 1)
Start = tuple[Tensor, Tensor, Tensor | None]  # what enters a gate, its value, and its slope where it has one
NEAR = 0.03  # below it, five terms of the series of tanh(x)/x leave 1e-17, and the quotient's slope loses digits


class Unit(NamedTuple):
    """An activation x gamma(x), or gamma(x) itself when it is no factor of x; `jumps` where gamma has no slope."""

    gate: Callable[[Tensor], Tensor]
    jumps: bool = False
    of_x: bool = True


class GateExpansion(TorchFunctionMode):
    """Within `with expansion:`, the network's gates are those of its start, to an order of their motion.

    Parameters
    ----------
    network : callable, inputs (m, ...) -> anything
        Calls its activations in the same order every time; rows of what enters them belong to rows of the inputs.
    inputs : Tensor (m, ...)
        All contexts.
    order : 0 or 1

    Attributes
    ----------
    rows : index Tensor or None
        Which of the contexts the next call is on; all of them for None.
    moves : bool
        Whether any gate has a slope; where none has (ReLU), both orders are the same.

    Raises
    ------
    InputError
        For an order that is not 0 or 1, a network without gates, and activations that have no expansion here.

    Examples
    --------
    >>> layer = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    >>> x = torch.tensor([[1.0, 2.0]])
    >>> expansion = GateExpansion(layer, x, order=0)
    >>> before = layer(x)
    >>> with torch.no_grad():
    ...     _ = [p.neg_() for p in layer.parameters()]
    >>> with expansion:
    ...     torch.equal(layer(x), -before)  # the units that were on stay on
    True
    """

    def __init__(self, network: Callable[[Tensor], Any], inputs: Tensor, order: int = 1):
        super().__init__()
        if order not in ORDERS:
            raise InputError(f"order: {order!r} is not 0 (gates as they start) or 1 (gates to first order).")
        self.order, self.contexts = order, len(inputs)
        self.rows: Tensor | None = None
        self._start: list[Start] = []
        self._call, self._recording = 0, True
        with torch.no_grad(), self:
            network(inputs)
        self._recording = False
        self.moves = any(slope is not None for _, _, slope in self._start)
        if not self._start:
            raise InputError("network: it calls no ReLU, GELU, SiLU, tanh, sigmoid or softmax, so it has no gates.")

    def __enter__(self) -> Self:
        self._call = 0
        return super().__enter__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in UNKNOWN:
            known = ", ".join(sorted(UNITS))
            raise InputError(f"network: {name} has no expansion here; use one of {known} or softmax.")
        if name == "softmax":
            return self._softmax(args[0], kwargs.get("dim", args[1] if len(args) > 1 else -1))
        if name == "scaled_dot_product_attention":
            return self._attention(*args, **kwargs)
        if name in UNITS:
            return self._unit(UNITS[name](*args[1:], **kwargs), args[0])
        return func(*args, **kwargs)

    def _unit(self, unit: Unit, x: Tensor) -> Tensor:
        if self._recording:
            value, tangent = torch.func.jvp(unit.gate, (x,), (torch.ones_like(x),))[:2]
            self._remember(x, value, None if unit.jumps else tangent)
        else:
            x0, value, slope = self._recall()
            if self.order == 1 and slope is not None:
                value = value + slope * (x - x0)
        return x * value if unit.of_x else value

    def _softmax(self, scores: Tensor, dim: int) -> Tensor:
        if self._recording:
            start = torch.softmax(scores, dim)
            self._remember(scores, start, start)  # its slope follows from its value
            return start
        s0, start, _ = self._recall()
        if self.order == 0:
            return start
        change = torch.where(torch.isfinite(s0), scores - s0, 0.0)  # what is masked stays masked
        return start * (1 + change - (start * change).sum(dim, keepdim=True))

    def _attention(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, **_: Any,
    ) -> Tensor:  # fmt: skip
        scores = query @ key.mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        if is_causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(later, -math.inf)
        if attn_mask is not None:
            allowed = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -math.inf) if allowed else scores + attn_mask
        return self._softmax(scores, -1) @ value

    def _remember(self, entering: Tensor, value: Tensor, slope: Tensor | None) -> None:
        if len(entering) != self.contexts:
            raise InputError(
                f"network: an activation sees {len(entering)} rows for {self.contexts} contexts; the first axis of "
                "what enters a gate must be the context."
            )
        self._start.append((entering.detach().clone(), value.detach().clone(), slope))

    def _recall(self) -> Start:
        entering, value, slope = self._start[self._call % len(self._start)]
        self._call += 1
        if self.rows is None:
            return entering, value, slope
        return entering[self.rows], value[self.rows], None if slope is None else slope[self.rows]


def _step(x: Tensor) -> Tensor:
    return (x > 0).to(x.dtype)


def _normal(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def _normal_by_tanh(x: Tensor) -> Tensor:
    """The distribution in GELU's approximation."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _tanh_over_x(x: Tensor) -> Tensor:
    near, y = x.abs() < NEAR, x**2
    away = torch.where(near, torch.ones_like(x), x)
    series = 1 - y / 3 * (1 - y * 2 / 5 * (1 - y * 17 / 42 * (1 - y * 62 / 153)))
    return torch.where(near, series, torch.tanh(away) / away)


def _leaky_relu(negative_slope: float = 0.01, inplace: bool = False) -> Unit:
    return Unit(lambda x: negative_slope + (1 - negative_slope) * _step(x), jumps=True)


def _gelu(approximate: str = "none") -> Unit:
    return Unit(_normal_by_tanh if approximate == "tanh" else _normal)


# Each is called with what follows x in the activation's own call.
UNITS: dict[str, Callable[..., Unit]] = {
    "relu": lambda inplace=False: Unit(_step, jumps=True),
    "leaky_relu": _leaky_relu,
    "gelu": _gelu,
    "silu": lambda inplace=False: Unit(torch.sigmoid),
    "tanh": lambda: Unit(_tanh_over_x),
    "sigmoid": lambda: Unit(torch.sigmoid, of_x=False),
}
UNKNOWN = frozenset(
    {"elu", "selu", "celu", "softplus", "mish", "hardswish", "hardsigmoid", "hardtanh", "relu6", "glu", "prelu",
     "multi_head_attention_forward", "max_pool1d", "max_pool2d", "dropout"}
)  # fmt: skip
