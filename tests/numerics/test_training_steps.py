"""Steps of the optimisers on the head, worked out from the recorded run; batches; decay of head and body apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from ufmflow.numerics.plan import OPTIMIZERS, Plan  # noqa: E402
from ufmflow.numerics.runs import example_run  # noqa: E402
from ufmflow.numerics.training_steps import Batches, Training  # noqa: E402

SMALL = {"formula": "a[2] * b[3]", "width": 16, "features": 8, "steps": 30, "lr": 0.05}
AVAILABLE = [name for name in OPTIMIZERS if name != "muon" or hasattr(torch.optim, "Muon")]


def training(**options):
    torch.manual_seed(0)
    return Training(Plan("objects", **SMALL | options))


def head_gradient(made, chosen=slice(None)):
    """G H^T of the mean cross-entropy over the chosen contexts, in float64."""
    H = made.network.embeddings(made.tokens[chosen]).detach().numpy().astype(float)
    Z = H @ made.network.head.weight.detach().numpy().astype(float).T
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    return (P - np.eye(Z.shape[1])[made.label[chosen].numpy()]).T @ H / len(H)


def head(made):
    return made.network.head.weight.detach().numpy().astype(float).copy()


def test_the_default_run_is_the_shipped_one():
    """What is trained by default must never move: the first recorded steps of the run that ships with ufmflow."""
    shipped = example_run().data
    made = training(formula="a0[4] * a1[6]", width=256, features=64, lr=0.005)
    start = head(made)
    for step in range(6):
        assert shipped["step"].values[step] == made.step == step
        # Other processors sum in another order: a few roundings of float32.
        np.testing.assert_allclose(head(made), shipped["W"].values[step], atol=1e-6)
        H = made.network.embeddings(made.tokens).detach().numpy()
        np.testing.assert_allclose(H, shipped["H"].values[step], atol=1e-4)
        made.advance()
    assert np.abs(head(made) - start).max() > 1e-3  # control: steps move it


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_moves_the_head_as_its_definition_says(nesterov):
    """v_1 = g_0, v_2 = mu v_1 + g_1; the step is -lr v, and looking ahead -lr (g + mu v)."""
    mu, lr = 0.6, 0.05
    made = training(optimizer="momentum", momentum=mu, nesterov=nesterov)
    start, g0 = head(made), head_gradient(made)
    made.advance()
    middle, g1 = head(made), head_gradient(made)
    made.advance()
    v = mu * g0 + g1
    first, second = (g0 + mu * g0, g1 + mu * v) if nesterov else (g0, v)
    np.testing.assert_allclose(middle - start, -lr * first, atol=1e-7)
    np.testing.assert_allclose(head(made) - middle, -lr * second, atol=1e-7)
    assert np.abs(lr * (second - g1)).max() > 1e-5  # control: without momentum it would move otherwise


def test_adamw_without_memory_takes_sign_steps():
    made = training(optimizer="adamw", betas=(0.0, 0.0))
    start, gradient = head(made), head_gradient(made)
    made.advance()
    large = np.abs(gradient) > 1e-4  # AdamW adds 1e-8 to the gradient's size
    assert large.mean() > 0.8
    np.testing.assert_allclose((head(made) - start)[large], -0.05 * np.sign(gradient)[large], rtol=1e-3)


@pytest.mark.parametrize("optimizer", AVAILABLE)
@pytest.mark.parametrize("part", ["head", "body"])
def test_weight_decay_of_one_part_leaves_the_other_alone(optimizer, part):
    """In the first step of SGD, and in every step where decay is decoupled, decay adds -lr decay theta."""
    options = {"optimizer": optimizer, "final_affine": True}
    plain, decayed = training(**options), training(**options, **{f"weight_decay_{part}": 0.4})
    before = {name: p.detach().clone() for name, p in plain.network.named_parameters()}
    plain.advance(), decayed.advance()
    after = dict(plain.network.named_parameters())
    for name, parameter in decayed.network.named_parameters():
        moved = (parameter - after[name]).detach()
        if name.startswith("head") == (part == "head"):
            torch.testing.assert_close(moved, -0.05 * 0.4 * before[name], atol=1e-6, rtol=1e-3)
            assert "bias" in name or moved.abs().max() > 1e-5
        else:
            assert torch.equal(parameter, after[name])


def test_weight_decay_of_all_is_that_of_both():
    one, two = training(weight_decay=0.4), training(weight_decay_head=0.4, weight_decay_body=0.4)
    one.advance(), two.advance()
    assert np.array_equal(head(one), head(two))
    assert Plan("objects", weight_decay=0.4, weight_decay_head=0.0).weight_decay_head == 0.0


def test_a_step_sees_its_batch_and_nothing_else():
    made = training(batch=4)
    start, all_of_them = head(made), head_gradient(made)
    batch = Batches(6, 4, seed=0).draw()
    gradient = head_gradient(made, batch)
    made.advance()
    np.testing.assert_allclose(head(made) - start, -0.05 * gradient, atol=1e-7)
    assert np.abs(head(made) - start + 0.05 * all_of_them).max() > 1e-4


@given(st.integers(1, 30), st.data())
def test_every_epoch_draws_each_context_once(contexts, data):
    size, seed = data.draw(st.integers(1, contexts)), data.draw(st.integers(0, 2**63 - 1))
    batches, again = Batches(contexts, size, seed), Batches(contexts, size, seed)
    for _ in range(3):
        epoch = [batches.draw() for _ in range(-(-contexts // size))]
        assert sorted(torch.cat(epoch).tolist()) == list(range(contexts))
        assert all(len(batch) == size for batch in epoch[:-1])
        assert all(torch.equal(batch, again.draw()) for batch in epoch)


def test_batches_differ_by_seed_and_epoch_and_go_on_from_a_state():
    batches, other = Batches(12, 5, seed=0), Batches(12, 5, seed=1)
    drawn = [batches.draw().tolist() for _ in range(4)]
    assert drawn != [other.draw().tolist() for _ in range(4)] and drawn[0] != drawn[3]
    other.restore(batches.state())
    assert [other.draw().tolist() for _ in range(5)] == [batches.draw().tolist() for _ in range(5)]
