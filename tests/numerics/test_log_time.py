"""Flows in logarithmic time: against plain time, closed forms at t beyond every float, and the limits of the max-margin problem."""

import mpmath as mp
import numpy as np
import pytest
from ufmflow.numerics.log_time import in_log_time, log_log_partition
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM
from ufmflow.theory.system import derive

KERNEL = {"1": 1.0, "a": 2.0, "b": 3.0, "a:b": 1.0}


@pytest.mark.parametrize("constraint", ["free", "sphere", "normalized"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_early_on_it_is_the_flow_in_plain_time(constraint, reduction):
    model = UFM("a[2] * b[3]", feature_kernel=KERNEL, constraint=constraint, width=8, reduction=reduction)
    times = np.array([0.0, 0.5, 10.0, 1e3, 1e5])
    init = {A: 0.1 + 0.05 * i for i, A in enumerate(KERNEL)}
    late = in_log_time(model, np.log1p(times), init)
    plain = simulate(model, times, init=init).data
    for name in ("w", "h", "z", "share_H"):
        np.testing.assert_allclose(getattr(late, name), plain[name].values, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(late.log_loss, np.log(plain["loss"].values), atol=1e-6)
    np.testing.assert_allclose(late.semantic_index, plain["semantic_index"].values, atol=1e-6)
    other = simulate(model, 1.01 * times, init=init).data
    assert np.abs(late.z - other["z"].values).max() > 1e-4


@pytest.mark.parametrize("log_time", [20.0, 1e3, 1e6])
def test_one_stratum_follows_its_closed_form_beyond_every_float(log_time):
    """t = (m / 2V) [Ei(z) - Ei(z0) + (V - 1) ln(z / z0)], theory.md 3.7, with 60 digits."""
    V = 5
    late = in_log_time(UFM(f"a[{V}]"), [log_time], init=0.1)
    with mp.workdps(60):
        z, z0 = mp.mpf(float(late.z[-1, 1])), mp.mpf("0.01")
        t = (mp.ei(z) - mp.ei(z0) + (V - 1) * mp.log(z / z0)) / 2
        assert abs(mp.log1p(t) - log_time) < 1e-7 * log_time
        loss = mp.log1p((V - 1) * mp.exp(-z))
        assert abs(mp.log(loss) - mp.mpf(float(late.log_loss[-1]))) < 1e-9 * log_time


def test_the_sphere_follows_its_closed_form_beyond_every_float():
    """e^z + (V - 1) z = h^2 V t / m + C."""
    V, log_time = 4, 5e4
    late = in_log_time(UFM(f"a[{V}]", constraint="sphere"), [log_time], init={"1": 0.0, "a": 0.5})
    with mp.workdps(60):
        z, h2 = mp.mpf(float(late.z[-1, 1])), mp.mpf("0.25")
        t = (mp.exp(z) + (V - 1) * z - mp.exp(h2) - (V - 1) * h2) / h2
        assert abs(mp.log1p(t) - log_time) < 1e-7 * log_time


@pytest.mark.parametrize(("ratio", "phase"), [(2.0, "collapsed"), (16.0, "attributes only")])
def test_limits_are_those_of_the_max_margin_problem(ratio, phase):
    model = UFM("a[2] * b[3]", feature_kernel={"1": 1.0, "a": ratio, "b": ratio, "a:b": 1.0})
    persistence = derive(model).persistence()
    assert persistence.phase == phase
    direction = np.array([float(persistence.direction[A]) for A in ("a", "b", "a:b")])
    early, late = in_log_time(model, [1e3, 1e7]).z[:, 1:]
    apart = [1 - z @ direction / np.linalg.norm(z) / np.linalg.norm(direction) for z in (early, late)]
    assert apart[1] < 1e-5 and (apart[1] < apart[0] or apart[0] < 1e-6)
    # At t = e^1000 the collapsed phase is far from its limit: it is reached at log-log speed.
    assert (apart[0] > 1e-2) == (phase == "collapsed")


def test_the_log_of_the_loss_is_had_where_the_loss_is_not():
    margins, valencies = np.array([3.0, 40.0, 1e5]), 2.0
    found = log_log_partition(margins, margins + 1, valencies, 1.0)
    with mp.workdps(40):
        exact = [mp.log(mp.log1p(2 * mp.exp(-mp.mpf(M)) + mp.exp(-mp.mpf(M) - 1))) for M in margins]
        assert max(abs(mp.mpf(float(x)) - y) for x, y in zip(found, exact, strict=True)) < 1e-8


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"loss": "mse"}, "loss: 'mse' settles"),
        ({"ridge": (1e-3, 0.0)}, "ridge: "),
        ({"targets": {"1": 1, "a": 0.9, "b": 0.9, "a:b": 0.8}}, "targets: soft ones"),
    ],
)
def test_flows_that_settle_otherwise_are_refused(change, why):
    with pytest.raises(InputError, match=why):
        in_log_time(UFM("a[2] * b[3]", **change), [10.0])
    with pytest.raises(InputError, match="increasing"):
        in_log_time(UFM("a[2] * b[3]"), [10.0, 1.0])
