"""Ensembles: each member is what `simulate` makes of it, whatever the engine and its company."""

import numpy as np
import pytest
from ufmflow.numerics.ensemble import simulate_ensemble
from ufmflow.numerics.ensemble_native import compiler
from ufmflow.theory.errors import InputError

import ufmflow as uf

FORMULA = "a[3] * b[4]"
START = 1e-2
MODELS = {
    "free": uf.UFM(FORMULA, ridge=1e-3),
    "squared error": uf.UFM(FORMULA, loss="mse", ridge=1e-3),
    "sphere": uf.UFM(FORMULA, constraint="sphere", ridge=1e-3),
    "normalized": uf.UFM(FORMULA, constraint="normalized", width=30),
    "dropped labels": uf.UFM("(a[3] * b[2]) / c[2]", labels="a * b", ridge=1e-4),
    "chain": uf.UFM("k[3] / g[3] / s[2]", ridge=1e-3),
    "merged": uf.UFM("a[3]^4", ridge=1e-3),
}


def varied(model, members, seed=0):
    """Random kernels on two strata, a ridge and a start for each member."""
    random = np.random.default_rng(seed)
    first, last = model.label_attributes.names[1], model.label_attributes.names[-1]
    return {
        f"feature_kernel.{first}": np.exp(random.uniform(0, 1.5, members)),
        f"label_kernel.{last}": np.exp(random.uniform(-1, 1, members)),
        "ridge.W": 10 ** random.uniform(-4, -2.5, members),
        f"init.{first}": START * random.uniform(1, 1.3, members),
    }


def member(model, vary, i):
    """The model and the start of one member, by hand."""
    kernels = {side: dict(getattr(model, side)) for side in ("feature_kernel", "label_kernel")}
    start = dict.fromkeys(model.attributes.names, START)
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
        ridge=tuple(ridge), reduction=model.reduction, **kernels,
    )  # fmt: skip
    return own, start


@pytest.mark.parametrize("name", MODELS)
def test_each_member_is_what_simulate_makes_of_it(name):
    model, times = MODELS[name], [0.0, 3.0, 40.0 if name == "normalized" else 200.0]
    vary = varied(model, 4)
    members = [
        uf.simulate(own, times, init=start, rtol=1e-9).data for own, start in (member(model, vary, i) for i in range(4))
    ]
    for engine, method in (("numpy", "auto"), ("native", "auto")):
        if engine == "native" and compiler() is None:
            continue
        found = simulate_ensemble(
            model,
            times,
            vary,
            START,
            rtol=1e-8,
            method=method,
            engine=engine,
            summaries=("final", "trajectory", "window"),
        )
        assert set(found["status"].values) == {"done"}
        assert_members(found, members)


def assert_members(found, members):
    for i, one in enumerate(members):
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
    times = [0.0, 40.0]
    found = simulate_ensemble(model, times, vary, START, ("final", "trajectory"), rtol=1e-8, engine="numpy")
    members = [uf.simulate(*member(model, vary, i)[:1], times, init=member(model, vary, i)[1]).data for i in (1, 0)]
    with pytest.raises(AssertionError, match="Mismatched"):
        assert_members(found, members)


def test_a_grid_has_a_dimension_for_each_parameter():
    found = simulate_ensemble(
        MODELS["free"], 40.0, {"ridge": [1e-4, 1e-3], "feature_kernel.a": [1.0, 2.0, 3.0]}, grid=True, engine="numpy"
    )
    rows = simulate_ensemble(
        MODELS["free"], 40.0, {"ridge": [1e-3], "feature_kernel.a": [1.0, 2.0, 3.0]}, engine="numpy"
    )
    assert found["final_z"].dims == ("ridge", "feature_kernel.a", "stratum")
    np.testing.assert_allclose(found["final_z"].sel(ridge=1e-3).values, rows["final_z"].values, rtol=1e-14)
    assert rows["final_z"].dims == ("run", "stratum") and rows["feature_kernel.a"].dims == ("run",)


def test_a_member_that_cannot_be_integrated_says_so_and_leaves_the_others_alone():
    vary = {"init": [1e-3, 1e200, 1e-2]}
    for engine in ["numpy", *["native"] * (compiler() is not None)]:
        found = simulate_ensemble(MODELS["squared error"], 40.0, vary, engine=engine)
        alone = simulate_ensemble(MODELS["squared error"], 40.0, {"init": [1e-3]}, engine=engine)
        assert found["status"].values.tolist() == ["done", "step underflow", "done"]
        assert found["reached"].values[1] < 1e-100
        np.testing.assert_allclose(found["final_z"].values[0], alone["final_z"].values[0], rtol=1e-12)


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
        ({"engine": "cuda"}, "give device='cuda'"),
        ({"engine": "numpy", "device": "cuda"}, "runs on the CPU"),
        ({"model": uf.UFM("a[n]")}, "has no number"),
        ({"model": "a[3]"}, "is no UFM"),
        ({"model": uf.UFM(FORMULA, width=30), "vary": {"width": [30, 5]}}, "width: 5 of member 1"),
        ({"device": "tpu"}, "choose one of cpu"),
        ({"rtol": 1e-20}, "round-off"),
        ({"t": -1.0}, "end time"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(arguments, message):
    given = {"model": MODELS["free"], "t": 1.0, "vary": {"ridge": [1e-3]}} | arguments
    with pytest.raises(InputError, match=message):
        simulate_ensemble(**given)
