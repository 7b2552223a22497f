"""Small networks: shapes, the final norm, what the features depend on, and how weights start."""

import math

import pytest

torch = pytest.importorskip("torch")

from ufmflow.numerics.networks import MLPBody, Network, TransformerBody, normalise  # noqa: E402

M, VOCABULARY, LABELS, D = 6, 5, 6, 8
TOKENS = torch.cartesian_prod(torch.arange(2), torch.arange(2, VOCABULARY))
BODIES = {
    "mlp": lambda layers=3: MLPBody(VOCABULARY, layers, 16, D),
    "transformer": lambda layers=2: TransformerBody(VOCABULARY, 2, layers, 16, D),
}


@pytest.fixture(params=BODIES)
def network(request):
    torch.manual_seed(0)
    return Network(BODIES[request.param](), D, LABELS)


def test_features_are_centred_and_embeddings_have_length_root_d(network):
    f, H = network.features_before_norm(TOKENS), network.embeddings(TOKENS)
    assert f.shape == H.shape == (M, D)
    assert f.mean(dim=1).abs().max() < 1e-6 < network.body(TOKENS).mean(dim=1).abs().max()
    assert torch.allclose(H.norm(dim=1), torch.full((M,), math.sqrt(D)), rtol=1e-6)


def test_the_norm_is_pytorchs_layer_norm_of_the_bodys_output(network):
    expected = torch.nn.functional.layer_norm(network.body(TOKENS), (D,), eps=1e-30)
    assert torch.allclose(network.embeddings(TOKENS), expected, atol=1e-5)
    assert not torch.allclose(normalise(network.body(TOKENS)), expected, atol=1e-2)  # control: not centred


@pytest.mark.skipif(not hasattr(torch.nn, "RMSNorm"), reason="torch < 2.4 has no RMSNorm")
@pytest.mark.parametrize("body", BODIES)
def test_rmsnorm_is_pytorchs_and_does_not_centre(body):
    torch.manual_seed(0)
    network = Network(BODIES[body](), D, LABELS, "rmsnorm")
    b = network.body(TOKENS)
    assert torch.equal(network.features_before_norm(TOKENS), b) and b.mean(dim=1).abs().max() > 1e-4
    assert torch.allclose(network.embeddings(TOKENS), torch.nn.functional.rms_norm(b, (D,), eps=1e-30), atol=1e-5)
    assert not torch.allclose(network.embeddings(TOKENS), torch.nn.functional.layer_norm(b, (D,)), atol=1e-2)


@pytest.mark.skipif(not hasattr(torch.nn, "RMSNorm"), reason="torch < 2.4 has no RMSNorm")
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_the_affine_part_is_pytorchs(norm):
    torch.manual_seed(0)
    network = Network(BODIES["mlp"](), D, LABELS, norm, affine=True)
    plain = network.embed(network.features_before_norm(TOKENS))
    with torch.no_grad():
        for part in (network.gain, network.bias):
            if part is not None:
                part.add_(torch.randn(D))
    b, parts = network.body(TOKENS), (network.gain, network.bias)
    if norm == "layernorm":
        expected = torch.nn.functional.layer_norm(b, (D,), *parts, eps=1e-30)
    else:
        assert network.bias is None
        expected = torch.nn.functional.rms_norm(b, (D,), network.gain, eps=1e-30)
    assert torch.allclose(network.embeddings(TOKENS), expected, atol=1e-5)
    assert torch.allclose(network(TOKENS), expected @ network.head.weight.T, atol=1e-5)
    assert not torch.allclose(plain, expected, atol=1e-2)


@pytest.mark.parametrize(("norm", "kind"), [("layernorm", "LayerNorm"), ("rmsnorm", "RMSNorm")])
def test_blocks_have_the_norm_that_is_asked_for(norm, kind):
    if not hasattr(torch.nn, kind):
        pytest.skip(f"torch has no {kind}")
    found = {type(part).__name__ for part in TransformerBody(VOCABULARY, 2, 2, 16, D, norm).modules()}
    assert {name for name in found if name.endswith("Norm")} == {kind}


def test_logits_are_linear_in_the_embeddings(network):
    W = network.head.weight
    assert torch.allclose(network(TOKENS), network.embeddings(TOKENS) @ W.T)
    assert network(TOKENS).shape == (M, LABELS) and network.head.bias is None


def test_a_context_does_not_see_the_others(network):
    alone = torch.cat([network(TOKENS[j : j + 1]) for j in range(M)])
    assert torch.allclose(alone, network(TOKENS), atol=1e-6)


def test_every_token_matters(network):
    for position in range(2):
        changed = TOKENS[:1].clone()
        changed[0, position] = [1, 4][position]
        assert not torch.allclose(network(changed), network(TOKENS[:1]), atol=1e-5)


def test_the_mlp_reads_concatenated_one_hot_codes():
    body = BODIES["mlp"]()
    one_hot = torch.cat([torch.eye(2)[TOKENS[:, 0]], torch.eye(3)[TOKENS[:, 1] - 2]], dim=1)
    assert torch.equal(body(TOKENS), body.net(one_hot))


def test_the_transformer_is_causal():
    body = BODIES["transformer"](layers=1)
    streams = []
    body.blocks.register_forward_hook(lambda module, inputs, output: streams.append(output))
    body(torch.tensor([[0, 2]])), body(torch.tensor([[0, 3]])), body(torch.tensor([[1, 3]]))
    first = [stream[0, 0] for stream in streams]
    assert torch.equal(first[0], first[1])  # a later token leaves the first position alone
    assert not torch.allclose(first[1], first[2])


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_layers_are_counted_as_the_record_says(layers):
    linear = [part for part in MLPBody(VOCABULARY, layers, 16, D).modules() if isinstance(part, torch.nn.Linear)]
    assert len(linear) == layers
    assert len(BODIES["transformer"](layers).blocks) == layers


def test_head_and_embeddings_start_small():
    torch.manual_seed(0)
    network = Network(TransformerBody(400, 2, 1, 16, 64), 64, 400)
    for weight in (network.head.weight, network.body.token.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.03)
