"""The empirical kernel against the full Jacobian, against finite steps of gradient descent, and against algebra."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ufmflow.numerics.kernel import empirical_kernel  # noqa: E402
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
