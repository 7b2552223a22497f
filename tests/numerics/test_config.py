"""A simulation described in TOML: what it means, and one sentence for each way to get it wrong."""

import pytest
import sympy as sp

from ufmflow.numerics.config import MODEL_KEYS, SIMULATE_KEYS, model_of, read_config
from ufmflow.numerics.simulate import Gaussian, simulate
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import cooccurrence_targets, embedding_kernel
from ufmflow.theory.model import UFM

CROSSED = Attributes("color[4] * shape[6]")
MODEL = 'attributes = "color[4] * shape[6]"\n'


def read(folder, model=MODEL, simulate="t = 10\n", whole=None):
    path = folder / "config.toml"
    content = f"[model]\n{model}\n[simulate]\n{simulate}" if whole is None else whole
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_config(path)


def test_every_key_reaches_the_model_and_the_simulation(tmp_path):
    model, arguments = read(
        tmp_path,
        MODEL + """
        labels = "color * shape"
        loss = "mse"
        cooccurrence = { eps = 0.5, color = 0.25, shape = 0.75 }
        kernel = { color = 1.0, shape = 2, residual = 0.1 }
        label_kernel = { color = 2, shape = 1, "color:shape" = 0.5 }
        ridge = [1e-3, 2e-3]
        constraint = "sphere"
        width = 30
        reduction = "sum"
        """,
        "t = [0, 1, 10]\ninit = 0.01\nfull = true\nrtol = 1e-6\natol = 1e-9\nseed = 4\n",
    )
    assert model == UFM(
        CROSSED, loss="mse", targets=cooccurrence_targets(CROSSED, 0.5, {"color": 0.25, "shape": 0.75}),
        feature_kernel=embedding_kernel(CROSSED, {"color": 1, "shape": 2}, 0.1),
        label_kernel={"color": 2, "shape": 1, "color:shape": 0.5}, ridge=(1e-3, 2e-3), constraint="sphere", width=30,
        reduction="sum",
    )  # fmt: skip
    assert arguments == {"t": [0, 1, 10], "init": 0.01, "full": True, "rtol": 1e-6, "atol": 1e-9, "seed": 4}
    assert model.ridge[0] == sp.Rational(1, 1000)


def test_what_a_file_describes_can_be_simulated(tmp_path):
    model, arguments = read(tmp_path, MODEL + "width = 5", "t = 1.0\ngaussian = 0.1\nfull = true")
    assert arguments["init"] == Gaussian(0.1)
    assert simulate(model, **arguments).data["W"].shape == (201, 24, 5)


def test_targets_and_kernels_may_be_given_by_stratum(tmp_path):
    model, _ = read(tmp_path, MODEL + 'loss = "mse"\ntargets = { color = 0.5, shape = 1, "color:shape" = 0 }\n'
                    'feature_kernel = { color = 2, shape = 3, "color:shape" = 1 }')  # fmt: skip
    assert model.targets["color"] == sp.Rational(1, 2) and model.feature_kernel["shape"] == 3
    assert model_of({"attributes": "a[2]", "feature_kernel": 2}).feature_kernel == {"1": 2, "a": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"whole": ""}, r"^config: .* has no \[model\] table"),
        ({"whole": "[model]\n" + MODEL}, r"^config: .* has no \[simulate\] table"),
        ({"whole": "model = 3\n[simulate]\nt = 1"}, r"^config: .* has no \[model\] table"),
        ({"whole": "[model\n"}, "^config: .* is no valid TOML: .*line 1"),
        ({"whole": "[model]\na = 1\na = 2\n"}, "^config: .* is no valid TOML: .*line 3"),
        ({"whole": b"\xff\xfe"}, "^config: .* is no valid TOML"),
        ({"whole": f"[model]\n{MODEL}[simulate]\nt = 1\n[plot]\nx = 1"}, "^config: unknown table or key 'plot'"),
        ({"whole": f"seed = 1\n[model]\n{MODEL}[simulate]\nt = 1"}, "^config: unknown table or key 'seed'"),
        ({"model": ""}, r"^config: \[model\] needs attributes"),
        ({"model": "attributes = 3"}, "^formula: 3 is not text"),
        ({"model": 'attributes = "color[4"'}, "^formula 'color.4', position"),
        ({"model": MODEL + "kernels = 3"}, r"^config: \[model\] has no key 'kernels', perhaps 'kernel' is meant; its keys are attr"),
        ({"model": MODEL + "kernel = 3"}, "^config: kernel is 3; give a table"),
        ({"model": MODEL + "kernel = { size = 1 }"}, "^weights: 'size' is no attribute"),
        ({"model": MODEL + 'kernel = { color = "x" }'}, r"^weights\[color\]: 'x' is no number"),
        ({"model": MODEL + "kernel = { color = 1 }\nfeature_kernel = 1"}, r"^config: \[model\] has both kernel"),
        ({"model": MODEL + "cooccurrence = 0.5"}, "^config: cooccurrence is 0.5; give a table"),
        ({"model": MODEL + "cooccurrence = { eps = 0.5, color = 0.5 }"}, "^weights: they sum to 1/2"),
        ({"model": MODEL + "cooccurrence = { color = 1 }\ntargets = { color = 1 }"}, "^config: .* has both cooc"),
        ({"model": MODEL + 'loss = "hinge"'}, "^loss: 'hinge' is unknown"),
        ({"model": MODEL + "ridge = [1, 2, 3]"}, "^ridge: .* has 3 numbers"),
        ({"model": MODEL + "ridge = nan"}, "^ridge lam_W: nan is not finite"),
        ({"model": MODEL + "width = 0"}, "^width: 0 is not"),
        ({"model": MODEL + 'labels = "size"'}, "^labels: 'size' is no attribute"),
        ({"model": MODEL + "labels = 3"}, "^labels: 3 names no attributes"),
        ({"model": MODEL + "labels = 3\ncooccurrence = { color = 1 }"}, "^labels: 3 names no attributes"),
        ({"model": MODEL + "constraint = 1"}, "^constraint: 1 is unknown"),
        ({"model": MODEL + "reduction = 1"}, "^reduction: 1 is unknown"),
        ({"model": MODEL + "label_kernel = -1"}, r"^label_kernel\[1\]: -1 is negative"),
        ({"model": MODEL + "feature_kernel = 1979-05-27"}, "^feature_kernel: .* is no real number"),
        ({"simulate": ""}, r"^config: \[simulate\] needs t"),
        ({"simulate": "t = 1\nsteps = 3"}, r"^config: \[simulate\] has no key 'steps'"),
        ({"simulate": "t = 1\ninit = 1\ngaussian = 1"}, r"^config: \[simulate\] has both init and gaussian"),
        ({"simulate": "t = 1\ngaussian = -1"}, "^scale: -1 is no standard deviation"),
        ({"simulate": 't = 1\ngaussian = "wide"'}, "^scale: 'wide' is no number"),
    ],
)
def test_each_mistake_is_named_in_one_sentence(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, **content)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [("t = -1", "^t: "), ('t = "soon"', "^t: "), ("t = [1, 0]", "^t: "), ("t = 1\ninit = nan", "^init"),
     ('t = 1\ninit = "x"', "^init"), ("t = 1\ninit = { color = 1 }", "^init"), ("t = 1\nrtol = 0", "^rtol"),
     ('t = 1\nrtol = "x"', "^rtol"), ("t = 1\natol = -1", "^atol"), ("t = 1\nseed = 0.5", "^seed"),
     ('t = 1\nseed = "x"', "^seed"), ('t = 1\nfull = "no"', "^full")],
)  # fmt: skip
def test_bad_arguments_of_the_simulation_are_named(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        model, arguments = read(tmp_path, simulate=line)
        simulate(model, **arguments)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="^config: cannot read"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(InputError, match="^config: cannot read"):
        read_config(tmp_path)


def test_the_keys_are_the_arguments():
    import inspect

    model, run = set(inspect.signature(UFM.__init__).parameters), set(inspect.signature(simulate).parameters)
    assert set(MODEL_KEYS) - {"kernel", "cooccurrence"} == model - {"self"}
    assert set(SIMULATE_KEYS) - {"gaussian"} == run - {"model", "device", "out", "progress"}
