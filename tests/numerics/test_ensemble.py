"""Ensembles: each member is what `simulate` makes of it, whatever the engine and its company."""

import numpy as np
import pytest

import ufmflow as uf
from ufmflow.numerics.ensemble import simulate_ensemble
from ufmflow.theory.errors import InputError

FORMULA = "a[3] * b[4]"
MODELS = {
    "free": uf.UFM(FORMULA, ridge=1e-3),
    "squared error": uf.UFM(FORMULA, loss="mse", ridge=1e-3),
    "sphere": uf.UFM(FORMULA, constraint="sphere", ridge=1e-3),
    "normalized": uf.UFM(FORMULA, constraint="normalized", width=30, reduction="sum"),
    "dropped labels": uf.UFM("(a[3] * b[2]) / c[2]", labels="a * b", ridge=1e-4),
    "chain": uf.UFM("k[3] / g[3] / s[2]", ridge=1e-3),
    "merged": uf.UFM("a[3]^5", ridge=1e-3),
}


def varied(model, members, seed=0):
    """Random kernels on two strata, a ridge and a start for each member."""
    random = np.random.default_rng(seed)
    first, last = model.label_attributes.names[1], model.label_attributes.names[-1]
    return {
        f"feature_kernel.{first}": np.exp(random.uniform(0, 1.5, members)),
        f"label_kernel.{last}": np.exp(random.uniform(-1, 1, members)),
        "ridge.W": 10 ** random.uniform(-4, -2.5, members),
        f"init.{first}": 1e-3 * random.uniform(1, 1.3, members),
    }


def member(model, vary, i):
    """The model and the start of one member, by hand."""
    kernels = {side: dict(getattr(model, side)) for side in ("feature_kernel", "label_kernel")}
    start = dict.fromkeys(model.attributes.names, 1e-3)
    ridge = list(model.ridge)
    for name, values in vary.items():
        side, _, stratum = name.partition(".")
        if side in kernels:
            kernels[side][stratum] = float(values[i])
        elif name == "ridge.W":
            ridge[0] = float(values[i])
        else:
            start[stratum] = float(values[i])
    own = uf.UFM(
        model.attributes, labels=model.labels, loss=model.loss, constraint=model.constraint, width=model.width,
        ridge=tuple(ridge), **kernels,
    )  # fmt: skip
    return own, start


@pytest.mark.parametrize("method", ["auto", "rosenbrock"])
@pytest.mark.parametrize("name", MODELS)
def test_each_member_is_what_simulate_makes_of_it(name, method):
    model, times = MODELS[name], [0.0, 3.0, 40.0, 700.0]
    vary = varied(model, 4)
    found = simulate_ensemble(model, times, vary, rtol=1e-8, method=method, summaries=("final", "trajectory", "window"))
    assert set(found["status"].values) == {"done"}
    for i in range(4):
        own, start = member(model, vary, i)
        one = uf.simulate(own, times, init=start, rtol=1e-9).data
        for variable in ("w", "h", "z", "share_H", "share_W", "loss", "semantic_index"):
            np.testing.assert_allclose(
                found[f"trajectory_{variable}"].values[i], one[variable].values, rtol=3e-6, atol=3e-7, err_msg=variable
            )
            np.testing.assert_allclose(
                found[f"final_{variable}"].values[i], one[variable].values[-1], rtol=3e-6, atol=3e-7
            )


def test_another_members_numbers_are_not_its_own():
    """The control of the test above: a member's neighbour is seen to differ."""
    model = MODELS["free"]
    vary = varied(model, 2)
    found = simulate_ensemble(model, 40.0, vary, rtol=1e-8)
    one = uf.simulate(member(model, vary, 0)[0], 40.0, init=member(model, vary, 0)[1]).data
    assert not np.allclose(found["final_z"].values[1], one["z"].values[-1], rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vary": {}}, "holds no parameter"),
        ({"vary": {"ridge": [[1.0]]}}, "shape"),
        ({"vary": {"ridge": ["x"]}}, "no number"),
        ({"vary": {"ridge": [np.nan]}}, "NaN"),
        ({"vary": {"ridge": [-1.0]}}, "negative"),
        ({"vary": {"rigde": [1.0]}}, "unknown; choose from feature_kernel.1"),
        ({"vary": {"ridge": [1.0, 2.0], "init": [1.0, 2.0, 3.0]}}, "grid=True"),
        ({"vary": {"width": [3]}}, "no width"),
        ({"summaries": ("windows",)}, "choose from window"),
        ({"method": "euler"}, "choose one of auto"),
        ({"engine": "abacus"}, "choose one of auto"),
        ({"device": "tpu"}, "choose one of cpu"),
        ({"rtol": 1e-20}, "round-off"),
        ({"t": -1.0}, "end time"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(arguments, message):
    given = {"model": MODELS["free"], "t": 1.0, "vary": {"ridge": [1e-3]}} | arguments
    with pytest.raises(InputError, match=message):
        simulate_ensemble(**given)
