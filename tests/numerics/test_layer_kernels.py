"""Kernels layer by layer against the whole Jacobian, for modules that use their parameters in many ways."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from ufmflow.numerics import layer_kernels as module  # noqa: E402
from ufmflow.numerics.kernel import empirical_kernel  # noqa: E402
from ufmflow.numerics.layer_kernels import layer_kernels  # noqa: E402

M, T, D = 4, 3, 5
TOKENS = torch.tensor([[0, 1, 2], [0, 1, 3], [4, 1, 1], [4, 0, 2]])
VECTORS = torch.randn(M, T, D, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


class Of(nn.Module):
    """Parts by name, and what to make of them and the inputs."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.made = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.made(self, x)


def twice(net, x):
    return net.a(torch.tanh(net.a(x))).sum(dim=1)


def penalised(net, x):
    """The weight enters a linear layer, and once more in a way that is not seen."""
    return net.a(x).sum(dim=1) * net.a.weight.square().sum()


def overwritten(net, x):
    return net.a(x).mul_(net.a(x).detach()).sum(dim=1)


def tied(net, x):
    return F.linear(torch.tanh(net.e(x)).sum(dim=1), net.e.weight)


def folded(net, x):
    return net.a(x.reshape(-1, D)).view(x.shape).tanh().sum(dim=1)


def norms(net, x):
    return (net.n(net.a(x) + net.p) * net.q + net.r(x)).tanh().sum(dim=1)


# A module, its inputs, and the names of the parameters that are left to the general route.
CASES = {
    "linear": (lambda: nn.Sequential(nn.Linear(D, 6), nn.ReLU(), nn.Linear(6, D)), VECTORS[:, 0], ()),
    "in place": (lambda: nn.Sequential(nn.Linear(D, 6), nn.ReLU(inplace=True), nn.Linear(6, D)), VECTORS[:, 0],
                 ("0.weight", "0.bias")),
    "places": (lambda: Of(lambda net, x: net.b(net.a(x).tanh()).sum(dim=1), a=nn.Linear(D, 6), b=nn.Linear(6, D)),
               VECTORS, ()),
    "embedding": (lambda: Of(lambda net, x: net.e(x).tanh().sum(dim=1), e=nn.Embedding(5, D)), TOKENS, ()),
    "norms": (lambda: Of(norms, a=nn.Linear(D, D), n=nn.LayerNorm(D), r=nn.RMSNorm(D),
                         p=nn.Parameter(torch.randn(T, D)), q=nn.Parameter(torch.ones(1, 1, 1))), VECTORS, ("q",)),
    "spread": (lambda: Of(lambda net, x: (x + net.p + net.s).tanh().sum(dim=1), p=nn.Parameter(torch.randn(T, 1)),
                          s=nn.Parameter(torch.tensor(0.3))), VECTORS, ()),
    "twice": (lambda: Of(twice, a=nn.Linear(D, D)), VECTORS, ()),
    "penalised": (lambda: Of(penalised, a=nn.Linear(D, D)), VECTORS, ("a.weight",)),
    "overwritten": (lambda: Of(overwritten, a=nn.Linear(D, D)), VECTORS, None),
    "tied": (lambda: Of(tied, e=nn.Embedding(D, D)), TOKENS, ("e.weight",)),
    "folded": (lambda: Of(folded, a=nn.Linear(D, D)), VECTORS, ("a.weight", "a.bias")),
    "product": (lambda: Of(lambda net, x: (x @ net.p).sum(dim=1), p=nn.Parameter(torch.randn(D, D))), VECTORS, ("p",)),
    "convolution": (lambda: Of(lambda net, x: net.c(x).tanh().sum(dim=1), c=nn.Conv1d(T, T, 3, padding=1)), VECTORS,
                    ("c.weight", "c.bias")),
}  # fmt: skip


def made(case):
    torch.manual_seed(0)
    build, x, rest = CASES[case]
    return build().double(), x, rest


def by_jacobian(net, x):
    """sum_c J_c J_c^T from the whole Jacobian, a gradient of each feature of each context."""
    theta = list(net.parameters())
    f = net(x)
    rows = [torch.autograd.grad(value, theta, retain_graph=True, materialize_grads=True, allow_unused=True)
            for value in f.flatten()]  # fmt: skip
    J = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).view(len(x), f.shape[1], -1)
    return torch.einsum("jcp,icp->ji", J, J).numpy()


@pytest.mark.parametrize("case", CASES)
def test_the_kernel_is_the_jacobians_however_parameters_are_used(case):
    net, x, rest = made(case)
    expected = by_jacobian(net, x)
    found = empirical_kernel(net, net.parameters(), x) * D
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * expected.max())
    part, left = layer_kernels(net, list(net.parameters()), x, 2**28)
    if rest is not None:
        assert [name for name, p in net.named_parameters() if id(p) in {id(q) for q in left}] == list(rest)
    if not left:
        np.testing.assert_allclose(part.numpy(), expected, rtol=1e-9, atol=1e-9 * expected.max())


@pytest.mark.parametrize("case", ["penalised", "overwritten"])
def test_without_the_probe_unseen_uses_would_go_wrong(case, monkeypatch):
    """Control: what the comparison with autograd's gradient keeps out."""
    net, x, _ = made(case)
    monkeypatch.setattr(module, "_confirmed", lambda layers, f: layers)
    expected = by_jacobian(net, x)
    found = empirical_kernel(net, net.parameters(), x) * D
    assert np.abs(found - expected).max() > 1e-3 * np.abs(expected).max()


@settings(max_examples=25)
@given(m=st.integers(1, 5), widths=st.lists(st.integers(1, 6), min_size=2, max_size=4), memory=st.integers(0, 2**14))
def test_memory_moves_parameters_to_the_general_route_and_nothing_else(m, widths, memory):
    torch.manual_seed(m)
    layers = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in zip(widths[:-1], widths[1:], strict=True)]
    net = nn.Sequential(*layers).double()
    x = torch.randn(m, widths[0], dtype=torch.float64)
    P = sum(p.numel() for p in net.parameters())
    found = empirical_kernel(net, net.parameters(), x, max(memory, 32 * P)) * widths[-1]
    expected = by_jacobian(net, x)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * (1 + np.abs(expected).max()))


def test_too_little_memory_leaves_all_to_the_general_route():
    net, x, _ = made("places")
    part, left = layer_kernels(net, list(net.parameters()), x, 64)
    assert not part.any() and len(left) == len(list(net.parameters()))
