"""Gates expanded about the start: exact there, right to the order they claim, for any module with known activations."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from ufmflow.numerics.gates import GateExpansion  # noqa: E402
from ufmflow.numerics.networks import MLPBody, Network, TransformerBody  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402

TOKENS = torch.tensor([[i, 4 + j] for i in range(4) for j in range(6)])


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "mlp":
        body: nn.Module = MLPBody(vocabulary=10, layers=3, width=24, features=8)
    else:
        body = TransformerBody(vocabulary=10, positions=2, layers=2, width=24, features=8)
    return Network(body, 8, 24).double()


def moved(module: nn.Module, size: float) -> nn.Module:
    """The module with its parameters moved by a fixed random direction times `size`."""
    torch.manual_seed(1)
    other = copy.deepcopy(module)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(size * p.std() * torch.randn_like(p))
    return other


class Attention(nn.Module):
    """Masked attention by PyTorch's own function, gated units, and a sigmoid gate."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))
        self.units = nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8), nn.Tanh(), nn.LeakyReLU(0.1))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        x = nn.functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x), is_causal=True)
        x = nn.functional.gelu(self.units(x), approximate="tanh") * torch.sigmoid(self.q(x))
        return x[:, -1]


def attention() -> nn.Module:
    torch.manual_seed(0)
    return Attention().double()


def gap(module: nn.Module, expansion: GateExpansion, size: float) -> float:
    """How far the expansion is from the moved network, over how far that has moved."""
    there = moved(module, size)
    for part, old in zip(there.modules(), module.modules(), strict=True):
        assert type(part) is type(old)
    with torch.no_grad():
        true, start = there(TOKENS), module(TOKENS)
        with expansion:
            found = there(TOKENS)
    return float((found - true).norm() / (true - start).norm())


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("make", [lambda: network("mlp"), lambda: network("transformer"), attention])
def test_at_the_start_nothing_changes(make, order):
    module = make()
    expansion = GateExpansion(module, TOKENS, order)
    with torch.no_grad(), expansion:
        found = module(TOKENS)
    with torch.no_grad():
        torch.testing.assert_close(found, module(TOKENS), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", [lambda: network("transformer"), attention])
def test_orders_are_the_orders_they_claim(make):
    """To order 1 the error is quadratic in the motion, so its share of the change falls as the motion; to order 0 it
    does not fall.  From 1e-3 to 1e-4 the share must fall tenfold, up to the next order (1e-3 relative)."""
    module = make()
    first, frozen = GateExpansion(module, TOKENS, 1), GateExpansion(module, TOKENS, 0)
    assert gap(module, first, 1e-3) / gap(module, first, 1e-4) == pytest.approx(10, rel=0.1)
    assert gap(module, frozen, 1e-3) / gap(module, frozen, 1e-4) == pytest.approx(1, rel=0.1)
    assert first.moves


def test_gates_of_relus_have_one_order():
    module = network("mlp")
    first, frozen = GateExpansion(module, TOKENS, 1), GateExpansion(module, TOKENS, 0)
    assert not first.moves
    assert gap(module, first, 0.3) == gap(module, frozen, 0.3) > 0.01


@pytest.mark.parametrize("make", [lambda: network("transformer"), attention])
def test_the_first_order_has_the_networks_own_derivatives(make):
    """Hence its kernel at the start, in every direction; the frozen gates do not."""
    module = make()
    probe = torch.randn(module(TOKENS).shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def gradient() -> list:
        return torch.autograd.grad((module(TOKENS) * probe).sum(), list(module.parameters()), allow_unused=True)

    own = gradient()
    with GateExpansion(module, TOKENS, 1):
        first = gradient()
    with GateExpansion(module, TOKENS, 0):
        frozen = gradient()
    for a, b in zip(own, first, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert any(a is not None and (b is None or (a - b).norm() > 0.05 * a.norm()) for a, b in zip(own, frozen))


def test_a_batch_sees_the_gates_of_its_contexts():
    module, there = network("transformer"), moved(network("transformer"), 0.1)
    expansion = GateExpansion(module, TOKENS, 1)
    rows = torch.tensor([5, 2, 11])
    with torch.no_grad(), expansion:
        whole = there(TOKENS)
    expansion.rows = rows
    with torch.no_grad(), expansion:
        part = there(TOKENS[rows])
    torch.testing.assert_close(part, whole[rows], rtol=1e-12, atol=1e-14)
    expansion.rows = torch.tensor([5, 2, 12])
    with torch.no_grad(), expansion:
        assert (there(TOKENS[rows])[2] - whole[11]).abs().max() > 1e-6


@pytest.mark.parametrize(
    ("module", "order", "words"),
    [
        (nn.Linear(2, 2), 1, "it has no gates"),
        (nn.Sequential(nn.Linear(2, 2), nn.ELU()), 1, "elu has no expansion here"),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), 2, "order: 2 is not 0"),
        (nn.Sequential(nn.Linear(2, 2), nn.Flatten(0), nn.ReLU()), 1, "first axis of what enters a gate"),
    ],
)
def test_what_cannot_be_expanded_is_named(module, order, words):
    with pytest.raises(InputError, match=words):
        GateExpansion(module, torch.ones(3, 2), order)
