"""The empirical kernel against the full Jacobian, against finite steps of gradient descent, and against algebra."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ufmflow.numerics.kernel import Passes, empirical_kernel  # noqa: E402
from ufmflow.numerics.networks import MLPBody, Network, TransformerBody  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402

TOKENS = torch.cartesian_prod(torch.arange(2), torch.arange(2, 5))
M, D = len(TOKENS), 4
BODIES = {"mlp": lambda: MLPBody(5, 3, 7, D), "transformer": lambda: TransformerBody(5, 2, 1, 6, D)}


@pytest.fixture(params=BODIES)
def network(request):
    torch.manual_seed(0)
    return Network(BODIES[request.param](), D, M).double()


def kernel_of(network, memory=2**28):
    return empirical_kernel(network.features_before_norm, network.body.parameters(), TOKENS, memory)


def by_jacobian(network, features):
    """(1/d) sum_c J_c J_c^T from the whole m x d x P Jacobian by forward-mode differentiation."""
    parameters = {name: p.detach() for name, p in network.named_parameters() if name.startswith("body.")}

    def f(parameters):
        return torch.func.functional_call(network, parameters, (features,))

    J = torch.cat([part.flatten(2) for part in torch.func.jacfwd(f)(parameters).values()], dim=2)
    return torch.einsum("jcp,icp->ji", J, J).detach().numpy() / D


class Wrapped(torch.nn.Module):
    """Gives functional_call the features, centred or not, in place of the logits."""

    def __init__(self, network, centred):
        super().__init__()
        self.body, self.centred = network.body, centred

    def forward(self, tokens):
        b = self.body(tokens)
        return b - b.mean(dim=-1, keepdim=True) if self.centred else b


def test_kernel_is_that_of_the_full_jacobian(network):
    kernel = kernel_of(network)
    assert kernel.dtype == np.float64
    np.testing.assert_allclose(kernel, by_jacobian(Wrapped(network, True), TOKENS), rtol=1e-10)
    uncentred = by_jacobian(Wrapped(network, False), TOKENS)  # control: centring is seen
    assert np.abs(kernel - uncentred).max() > 0.05 * np.abs(kernel).max()


def test_memory_changes_how_often_not_what(network):
    P = sum(p.numel() for p in network.body.parameters())
    whole = kernel_of(network)
    for memory in (32 * P, 40 * P, 8 * (M + 3) * P, 3 * 8 * (M + 3) * P):  # slices of parameters, then of coordinates
        np.testing.assert_allclose(kernel_of(network, memory), whole, rtol=1e-12, atol=1e-12)


def test_a_step_along_each_coordinate_moves_the_features_by_theta(network):
    """Gradient descent on sum_i a_i f_ic moves f_jc by -lr sum_i Theta_ji a_i, on average over c, to first order."""
    a = torch.linspace(-1, 2, M, dtype=torch.float64)
    start = {name: value.clone() for name, value in network.state_dict().items()}

    def moved(c, lr):
        network.load_state_dict(start)
        network.zero_grad()
        (a @ network.features_before_norm(TOKENS)[:, c]).backward()
        with torch.no_grad():
            for p in network.body.parameters():
                p -= lr * p.grad
            return network.features_before_norm(TOKENS)[:, c]

    lr = 1e-8  # the transformer's features bend: embeddings of 0.02 pass a LayerNorm
    rate = sum((moved(c, lr) - moved(c, -lr)) / (2 * lr) for c in range(D)) / D
    network.load_state_dict(start)
    predicted = -kernel_of(network) @ a.numpy()
    np.testing.assert_allclose(rate.numpy(), predicted, rtol=1e-6, atol=1e-8 * np.abs(predicted).max())
    assert not np.allclose(rate.numpy(), predicted * D, rtol=1e-2)  # control: the mean over coordinates, not the sum


def test_a_linear_body_has_the_kernel_of_its_inputs():
    """f = C (A x + b) with C = I - J/d: Theta = (<x_i, x_j> + 1) tr(C)/d."""
    network = Network(MLPBody(5, 1, 7, D), D, M)
    x = np.eye(5)[TOKENS.numpy()].sum(axis=1)
    np.testing.assert_allclose(kernel_of(network), (x @ x.T + 1) * (D - 1) / D, rtol=1e-6)


def test_single_precision_gradients_lose_little(network):
    double = kernel_of(network)
    np.testing.assert_allclose(kernel_of(network.float()), double, rtol=1e-4, atol=1e-5 * double.max())


def test_frozen_and_unused_parameters_count_for_nothing():
    used, unused, frozen = torch.nn.Linear(2, 3, bias=False), torch.nn.Parameter(torch.ones(5)), torch.nn.Linear(3, 3)
    frozen.requires_grad_(False)
    x = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    kernel = empirical_kernel(lambda x: used(x), [*used.parameters(), unused, *frozen.parameters()], x)
    np.testing.assert_allclose(kernel, x @ x.T)


def test_the_callers_no_grad_does_not_reach_the_kernel(network):
    with torch.no_grad():
        inside = kernel_of(network)
    np.testing.assert_array_equal(inside, kernel_of(network))


def test_batch_dependence_is_refused_and_eval_mode_mends_it():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Dropout(0.5))
    x = torch.tensor([[1.0, 2.0], [0.0, 1.0], [2.0, 1.0]])
    torch.manual_seed(0)
    with pytest.raises(InputError, match=r"eval\(\)"):
        empirical_kernel(net, net.parameters(), x)
    assert empirical_kernel(net.eval(), net.parameters(), x).shape == (3, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parameters": []}, "parameters: none"),
        ({"features": lambda x: x}, "depend on none of them"),
        ({"memory": 1}, "memory: 1 bytes; 9 parameters need at least 288"),
        ({"features": lambda x: x.sum(dim=1)}, "one row per input"),
        ({"features": lambda x: x * float("nan")}, "not finite"),
    ],
)
def test_bad_arguments_are_refused(change, words):
    net = torch.nn.Linear(2, 3)
    with pytest.raises(InputError, match=words):
        empirical_kernel(**{"features": net, "parameters": net.parameters(), "inputs": torch.ones(2, 2)} | change)


def jacobian(network, tokens):
    """J as (m, d, P), one gradient at a time."""
    parameters = list(network.body.parameters())
    f = network.features_before_norm(tokens)
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(entry, parameters, retain_graph=True)])
        for entry in f.flatten()
    ]
    return torch.stack(rows).view(*f.shape, -1)


def passes_of(network, memory=2**28):
    return Passes(network.features_before_norm, network.body.parameters(), TOKENS, memory)


def test_passes_are_products_with_the_transposed_jacobian(network):
    J, probes = jacobian(network, TOKENS), np.random.default_rng(0).standard_normal((3, M, D))
    expected = np.einsum("kjc,jcp->kp", probes, J.numpy())
    passes = passes_of(network)
    scale = np.abs(expected).max()  # entries cancel in the sum over contexts: rounding is a part of the largest
    np.testing.assert_allclose(passes.gradients(probes).numpy(), expected, rtol=1e-10, atol=1e-12 * scale)
    np.testing.assert_allclose(passes.squares(iter(probes)), (expected**2).sum(axis=1), rtol=1e-10)
    swapped = probes[:, ::-1]  # control: which context a row belongs to is seen
    assert not np.allclose(passes.squares(iter(swapped)), (expected**2).sum(axis=1), rtol=1e-2)


def bytes_kept(network, tokens):
    """What a forward pass keeps for its backward pass, parameters apart."""
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept = {}

    def see(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        f = network.features_before_norm(tokens)
    return sum(size for at, size in kept.items() if at not in own) + f.numel() * f.element_size()


def test_passes_keep_to_their_memory_and_to_their_result():
    torch.manual_seed(0)
    network = Network(MLPBody(5, 3, 16, D), D, M).double()
    tokens = TOKENS.repeat(40, 1)
    rows = []

    def features(tokens):
        rows.append(len(tokens))
        return network.features_before_norm(tokens)

    probes = np.random.default_rng(0).standard_normal((9, len(tokens), D))
    least = 4 * 8 * (sum(p.numel() for p in network.body.parameters()) + 2 * len(tokens) * D)
    whole = Passes(features, network.body.parameters(), tokens).squares(iter(probes))
    for memory in (least, 3 * least // 2):
        passes = Passes(features, network.body.parameters(), tokens, memory)
        rows.clear()
        np.testing.assert_allclose(passes.squares(iter(probes)), whole, rtol=1e-12)
        assert max(rows) == passes.chunk < len(tokens) and passes.together < len(probes)
        assert bytes_kept(network, tokens[: passes.chunk]) <= memory / 2
        assert bytes_kept(network, tokens) > memory / 2  # control: the batch in one piece would not fit
    with pytest.raises(InputError, match=rf"memory: {least - 2} bytes; .* need {least}"):
        Passes(features, network.body.parameters(), tokens, least - 2)


def test_passes_refuse_chance_and_batches_that_mix():
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    with pytest.raises((InputError, ValueError), match=r"eval\(\)|more than 1 value"):
        Passes(net, net.parameters(), x)
    assert Passes(net.eval(), net.parameters(), x).d == 4
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5))
    with pytest.raises(InputError, match=r"eval\(\)"):
        Passes(net, net.parameters(), x)
    infinite = torch.nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        infinite.weight.zero_()
    with pytest.raises(InputError, match="gradient is not finite"):  # the slope of the root at 0
        Passes(lambda x: infinite(x).sqrt(), infinite.parameters(), x).squares([np.ones((6, 1))])
