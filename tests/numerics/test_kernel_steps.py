"""Optimisers' steps at the level of the kernel: against the networks for which each law is exact, and their parts."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from ufmflow.numerics.forecast import designate, forecast  # noqa: E402
from ufmflow.numerics.kernel import empirical_kernel  # noqa: E402
from ufmflow.numerics.kernel_parts import KernelParts, check_parts, kernel_parts  # noqa: E402
from ufmflow.numerics.kernel_steps import ALONG, _Signs, orthogonalised, pulls, take_steps  # noqa: E402
from ufmflow.numerics.matrices import MatrixFlow  # noqa: E402
from ufmflow.numerics.networks import MLPBody, Network, TransformerBody  # noqa: E402
from ufmflow.numerics.runs import Run, example_run, load_run  # noqa: E402
from ufmflow.numerics.schedule import Schedule  # noqa: E402
from ufmflow.numerics.settings import code  # noqa: E402
from ufmflow.numerics.start import Start  # noqa: E402
from ufmflow.numerics.train import train  # noqa: E402
from ufmflow.theory.attributes import Attributes  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402

from .explicit import element, normal, seeds  # noqa: E402

ATTRIBUTES = Attributes("a[2] * b[3]")
SMALL = {"formula": "a[2] * b[3]", "width": 8, "features": 6, "steps": 30, "snapshots": 6, "lr": 0.02}
ADAPTIVE = [name for name in ("adamw", "sign", "muon") if name != "muon" or hasattr(torch.optim, "Muon")]


def gradients(f, parameters, q):
    """-dL/dtheta for pulls q (d, m)."""
    return torch.autograd.grad(f, parameters, torch.from_numpy(q.T).to(f.dtype), retain_graph=True)


@pytest.mark.parametrize("arch", ["mlp", "transformer"])
def test_parts_add_up_to_the_kernel(arch):
    contexts = code(ATTRIBUTES)
    sizes = {"vocabulary": contexts.vocabulary, "layers": 2, "width": 8, "features": 8}
    body = MLPBody(**sizes) if arch == "mlp" else TransformerBody(positions=2, **sizes)
    network, tokens = Network(body, 8, 6), torch.from_numpy(contexts.tokens)
    parts = kernel_parts(network.features_before_norm, body, tokens)
    whole = empirical_kernel(network.features_before_norm, body.parameters(), tokens)
    np.testing.assert_allclose(parts.kernels.sum(axis=0), whole, atol=1e-5 * np.abs(whole).max())
    assert parts.sizes.sum() == sum(p.numel() for p in body.parameters())
    check_parts(parts, whole, "run")
    with pytest.raises(InputError, match="another kernel than the recorded one"):  # control
        check_parts(parts, 1.01 * whole, "run")
    matrices = sum(kernel for _, kernel in parts.matrices())
    np.testing.assert_allclose(matrices + parts.vectors().kernels.sum(axis=0), whole, atol=1e-5 * np.abs(whole).max())


@given(seed=seeds)
def test_sizes_of_gradients_are_exact_where_every_direction_is_alike(seed):
    """A linear layer without bias: column i of the gradient is sum_j x_ji q_j."""
    torch.manual_seed(seed % 2**31)
    layer, x = torch.nn.Linear(5, 3, bias=False), torch.randn(4, 5)
    q = normal(seed, 3, 4)
    (g,) = gradients(layer(x), [layer.weight], q)
    found = kernel_parts(layer, layer, x).squares(q)
    np.testing.assert_allclose(found, (g.double() ** 2).mean(dim=0), rtol=1e-4)
    assert np.abs(found[:3] / (g.double() ** 2).mean(dim=1).numpy() - 1).max() > 1e-2  # control: rows are other groups


def test_too_many_parts_are_refused_before_they_are_measured():
    layer = torch.nn.Linear(5, 3)
    with pytest.raises(
        InputError, match="4 contexts and 8 groups of parameters take 1024 bytes, more than memory=1000"
    ):
        kernel_parts(layer, layer, torch.randn(4, 5), memory=1000)


def test_a_sign_step_moves_features_along_the_law_of_signs():
    """f = B U x with Gaussian B: the sign step of U, projected on what the groups say, over many units."""
    torch.manual_seed(0)
    n, d, m = 20_000, 4, 5
    inner, outer, x = torch.nn.Linear(3, n, bias=False), torch.nn.Linear(n, d, bias=False), torch.randn(m, 3)
    torch.nn.init.normal_(outer.weight, std=n**-0.5)
    body = torch.nn.Sequential(inner, outer)
    q = normal(1, d, m)
    (g,) = gradients(body(x), [inner.weight], q)
    moved = (outer.weight @ g.sign() @ x.T).detach().double().numpy()
    parts = kernel_parts(body, inner, x)
    law = _Signs(0.0, parts).groups(q)
    # Regression of 20 numbers, each with an error of order sqrt(d/n).
    assert (moved * law).sum() / (law**2).sum() == pytest.approx(1.0, abs=0.03)
    assert np.linalg.norm(moved - law) < 0.1 * np.linalg.norm(law)
    assert np.linalg.norm(moved - law / ALONG) > 0.2 * np.linalg.norm(law)  # control: normalised steps


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim has no Muon")
@settings(max_examples=8, deadline=None)
@given(seed=seeds, nesterov=st.booleans())
def test_muon_on_a_linear_body_is_the_map(seed, nesterov):
    """Orthogonal factors do not depend on which root of the kernel is taken; torch iterates in bfloat16."""
    torch.manual_seed(seed % 2**31)
    body, head, x = torch.nn.Linear(7, 6, bias=False), torch.nn.Linear(6, 6, bias=False), torch.randn(6, 7)
    start = Start(
        ATTRIBUTES, None, (x @ x.T).double().numpy(), head.weight.detach().double().numpy(),
        body(x).detach().double().numpy().T, lr=0.02, momentum=0.9, nesterov=nesterov, optimizer="muon",
        parts=kernel_parts(body, body, x),
    )  # fmt: skip
    flow = MatrixFlow.of(start.model)
    *_, (W, F) = take_steps(flow, start, 0.02 * np.arange(9))
    parameters = [body.weight, head.weight]
    optimizer = torch.optim.Muon(parameters, lr=0.02, momentum=0.9, nesterov=nesterov, weight_decay=0.0)
    for _ in range(8):
        f = body(x)
        loss = torch.nn.functional.cross_entropy(head(6**0.5 * f / f.norm(dim=1, keepdim=True)), torch.arange(6))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for found, first, now in ((W, start.W, head.weight), (F, start.F, body(x).T)):
        moved = now.detach().double().numpy() - first
        assert np.linalg.norm(found - now.detach().numpy()) < 0.15 * np.linalg.norm(moved)
        assert np.linalg.norm(moved) > 0.1
    wrong = dataclasses.replace(start, parts=dataclasses.replace(start.parts, kernels=start.parts.kernels[::-1] ** 2))
    _, F = take_steps(flow, wrong, 0.02 * np.array([0, 8]))[-1]
    assert np.linalg.norm(F - body(x).T.detach().numpy()) > 0.3 * np.linalg.norm(moved)  # control


def test_muons_iteration_is_between_two_orthogonal_factors():
    X = normal(3, 5, 4)
    left, s, right = np.linalg.svd(X, full_matrices=False)
    found = np.diag(left.T @ orthogonalised(X) @ right.T)
    assert found.min() > 0.65 and found.max() < 1.2 and s.max() / s.min() > 3
    np.testing.assert_allclose(orthogonalised(10 * X), orthogonalised(X), atol=1e-10)


HEADS = [
    {"optimizer": "sgd", "batch": 4, "schedule": "linear", "warmup": 4},
    {"optimizer": "momentum", "nesterov": True, "weight_decay_head": 0.3, "head_rate": 2.0},
    {"optimizer": "adamw", "weight_decay_head": 0.3, "head_rate": 2.0, "schedule": "cosine"},
    {"optimizer": "adamw", "betas": (0.5, 0.9), "smoothing": 0.2, "batch": 2},
    {"optimizer": "sign", "momentum": 0.9, "weight_decay_head": 0.3},
    {"optimizer": "sign", "batch": 2},
    {"optimizer": "muon", "schedule": "linear"},
]  # fmt: skip


@pytest.mark.parametrize("options", [o for o in HEADS if o["optimizer"] in ("sgd", "momentum", *ADAPTIVE)])
def test_with_a_frozen_body_the_map_is_the_run(tmp_path, options):
    """Every entry of the head is known: rules, decay, schedules and the very batches are the optimiser's own."""
    run = load_run(train("objects", tmp_path / "run", **SMALL | options, body_rate=0.0))
    start = Start.of(run)

    def error(**wrong):
        found = forecast(dataclasses.replace(start, **wrong), t=run.time, level="map").data["W"].values
        return float(np.abs(found - run.data["W"].values).mean())

    found, rough = error(), options["optimizer"] in ("muon", "sign")
    moved = np.abs(run.data["W"].values[-1] - run.data["W"].values[0]).mean()
    # Float32; signs turn roundings into steps, and Muon iterates in bfloat16.
    assert found <= (0.05 * moved if rough else 1e-5)
    parts = start.parts or KernelParts(start.kernel[None], np.array([1]), np.array([0]), ((1,),))
    assert error(optimizer="adamw" if start.optimizer == "sign" else "sign", parts=parts) > 2 * found
    controls = {"batches": None, "targets": None, "decay_head": 0.0, "betas": (0.8, 0.8), "momentum": 0.5}
    used = {"batch": "batches", "smoothing": "targets", "weight_decay_head": "decay_head", "betas": "betas",
            "nesterov": "momentum"}  # fmt: skip
    for name in [] if rough else [used[option] for option in options if option in used]:
        assert error(**{name: controls[name]}) > 2 * found
    if start.rates is not None and not rough:
        assert error(rates=np.full(30, 0.02)) > 2 * found


@pytest.mark.parametrize("momentum", [{}, {"optimizer": "momentum", "nesterov": True}])
@pytest.mark.parametrize("steps", [{"batch": 2}, {"batch": 4}, {"schedule": "cosine"}, {"warmup": 9}])
def test_scheduled_and_batched_steps_are_the_map_where_the_body_is_linear(tmp_path, steps, momentum):
    options = SMALL | {"layers": 1, "norm": "rmsnorm", "lr": 0.05} | steps | momentum
    run = load_run(train("objects", tmp_path / "run", **options))
    start = Start.of(run)

    def error(**wrong):
        found = forecast(dataclasses.replace(start, **wrong), t=run.time, level="map").data
        return max(float(np.abs(found[name].values - run.data[name].values).max()) for name in ("W", "H"))

    assert error() < 1e-4
    if start.batches is not None:
        assert error(batches=None) > 1e-3 and error(batches=lambda step: start.batches(step + 1)) > 1e-3
    if start.rates is not None:
        assert error(rates=np.full(30, 0.05)) > 1e-3


@given(name=st.sampled_from(["constant", "cosine", "linear", "exponential", "step"]), warmup=st.integers(0, 6),
       steps=st.integers(8, 40), data=st.data())  # fmt: skip
def test_rates_of_schedules_are_torchs(name, warmup, steps, data):
    options = {"warmup": warmup}
    if name in ("cosine", "linear", "exponential"):
        options["final_lr"] = data.draw(st.sampled_from([0.01, 0.1]))
    if name == "step":
        options |= {"drop_every": data.draw(st.integers(1, 8)), "drop_factor": 0.5}
    schedule = Schedule.of(name, lr=0.2, steps=steps, **options)
    theta = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([theta], lr=0.2)
    scheduler, seen = schedule.scheduler(optimizer, steps), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    np.testing.assert_allclose(schedule.rates(0.2, steps), seen, rtol=1e-9)
    if name in ("cosine", "linear", "exponential") or warmup:
        assert not np.allclose(seen, 0.2)


def small_start(seed, **options):
    kernel = element(dict(zip(ATTRIBUTES.names, 0.5 + normal(seed, 4) ** 2, strict=True)), ATTRIBUTES)
    return Start(ATTRIBUTES, None, kernel, 0.5 * normal(seed + 1, 6, 6), normal(seed + 2, 6, 6), **options)


@pytest.mark.parametrize("level", ["flow", "map", "modes"])
@pytest.mark.parametrize("seed", range(2))
def test_a_summed_loss_runs_m_times_as_fast(seed, level):
    mean = forecast(small_start(seed, lr=0.06), t=0.06 * np.arange(0, 31, 10), level=level).data
    summed = forecast(small_start(seed, lr=0.01, reduction="sum"), t=0.01 * np.arange(0, 31, 10), level=level).data
    for name in ("loss", "share_H"):  # losses stay means
        np.testing.assert_allclose(summed[name], mean[name], rtol=1e-4, atol=1e-6)
    other = forecast(small_start(seed, lr=0.01), t=0.01 * np.arange(0, 31, 10), level=level).data
    assert np.abs(other["loss"].values - mean["loss"].values).max() > 1e-2  # control


def test_a_record_tells_a_summed_loss():
    run = example_run()
    meta = run.meta | {"reduction": "sum", "lr": run.lr / 24}
    summed = Run(run.data.assign_coords(time=run.time / 24).assign_attrs(meta=json.dumps(meta)))
    found, plain = (forecast(r, level="modes") for r in (summed, run))
    np.testing.assert_allclose(found.data["loss"], plain.data["loss"], rtol=1e-5)


def batch_error(lr, start, draw):
    """Mean over draws of how far steps on batches of two end from the flow, at one flow time."""
    steps = round(1.2 / lr)
    flow = forecast(start, t=[0.0, steps * lr], level="flow").data["W"].values[-1]
    gaps = []
    for seed in range(12):
        rows = draw(np.random.default_rng(seed), steps)
        found = forecast(dataclasses.replace(start, lr=lr, batches=rows.__getitem__), t=[0.0, steps * lr], level="map")
        gaps.append(np.abs(found.data["W"].values[-1] - flow).max())
    return float(np.mean(gaps))


def test_batches_without_replacement_leave_the_flow_by_the_learning_rate():
    """Epochs sum to the whole gradient, so noise does not add up: errors of order lr; with replacement of its root."""

    def epochs(random, steps):
        return np.concatenate([random.permutation(6).reshape(3, 2) for _ in range(-(-steps // 3))])

    def with_replacement(random, steps):
        return random.integers(6, size=(steps, 2))

    start = small_start(5, lr=0.02)
    coarse, fine = (batch_error(lr, start, epochs) for lr in (0.04, 0.01))
    assert 2.8 < coarse / fine < 6
    loose, tight = (batch_error(lr, start, with_replacement) for lr in (0.04, 0.01))
    assert 1.4 < loose / tight < 2.7 and tight > 2 * fine


def test_steps_with_a_size_of_their_own_have_maps_alone():
    parts = KernelParts(np.eye(6)[None], np.array([36]), np.array([0]), ((6, 6),))
    start = small_start(0, lr=0.01, optimizer="adamw", parts=parts)
    assert start.levels() == ("map",) and dataclasses.replace(start, depth=2).levels() == ("map", "map_deep")
    assert designate(start, np.array([0.0, 0.1]), {})[0] == "map"
    with pytest.raises(InputError, match="'flow' is a flow's, and adamw takes steps of a size of its own"):
        forecast(start, t=[0.0, 0.1], level="flow")


@given(seed=st.integers(0, 1000))
def test_pulls_are_minus_the_gradient(seed):
    start = small_start(seed)
    flow = MatrixFlow.of(start.model)
    dW, q = pulls(flow, start.W, start.F)
    for which, pull in ((0, dW), (1, q)):
        direction = normal(seed + 9, *pull.shape)
        ends = []
        for sign in (1, -1):
            state = [start.W, start.F]
            state[which] = state[which] + sign * 1e-5 * direction
            ends.append(flow.loss(*state))
        assert -(pull * direction).sum() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-7)
