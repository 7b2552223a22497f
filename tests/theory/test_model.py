"""The model family: what a model resolves to, and one sentence for each bad field."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given

from ufmflow.proofs.strategies import models
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.exact import exact
from ufmflow.theory.model import UFM

from .scheme import relation_names, scaled_projectors

WORDS = Attributes("(a[2] * b[2]) / word[3]")


def target_matrix(model: UFM) -> sp.Matrix:
    """T (V x m), written out: contexts are sorted by label, so each column of the co-occurrence is repeated r times."""
    labels = model.label_attributes
    Y = labels.entries(model.targets)
    contexts = list(np.ndindex(model.attributes.shape))
    axes = [i for i, k in enumerate(model.attributes.sizes) if k in labels.sizes]
    label = [int(np.ravel_multi_index([cell[i] for i in axes], labels.shape)) for cell in contexts]
    relations = relation_names(labels)
    return sp.Matrix(len(relations), len(contexts), lambda i, j: Y[relations[i, label[j]]])


def are_singular_values(model: UFM, tau: dict[str, sp.Expr]) -> bool:
    """T' T P_A = tau_A^2 P_A on every stratum of the contexts, exactly; and the columns of T sum to one."""
    T = target_matrix(model)
    gram = (T.T * T).to_DM().convert_to(sp.QQ)
    columns_sum_to_one = sp.ones(1, T.rows) * T == sp.ones(1, T.cols)
    return columns_sum_to_one and all(
        gram * sp.Matrix(P.tolist()).to_DM().convert_to(sp.QQ)
        == sp.Matrix((P * tau[A] ** 2).tolist()).to_DM().convert_to(sp.QQ)
        for A, P in ((A, P.astype(object)) for A, P in scaled_projectors(model.attributes).items())
    )


@given(models(max_cardinality=16, max_factors=4))
def test_tau_are_the_singular_values_of_the_targets(model):
    assert are_singular_values(model, model.tau)
    assert model.replication * model.label_count == model.contexts


def test_wrong_singular_values_are_noticed():
    tau = {"a": sp.Rational(1, 2), "b": 1, "a:b": sp.Rational(1, 3)}
    model = UFM(WORDS, labels="a * b", loss="mse", targets=tau)
    assert model.tau["a"] == sp.sqrt(3) / 2 and model.tau["a:b:word"] == 0
    assert are_singular_values(model, model.tau)
    assert not are_singular_values(model, model.tau | {A: tau for A, tau in model.targets.items()})  # without sqrt(r)
    assert not are_singular_values(model, model.tau | {"a": model.tau["b"], "b": model.tau["a"]})
    assert not are_singular_values(model, model.tau | {"a:b:word": sp.Integer(1)})


@given(models())
def test_a_model_is_rebuilt_from_its_configuration(model):
    config = model.config()
    assert UFM(**config) == model and hash(UFM(**config)) == hash(model)
    other = "sum" if model.reduction == "mean" else "mean"
    assert UFM(**(config | {"reduction": other})) != model


@given(models())
def test_fields_are_exact_and_complete(model):
    kept = model.label_attributes
    assert set(model.targets) == set(model.label_kernel) == set(kept.names)
    assert set(model.feature_kernel) == set(model.tau) == set(model.attributes.names)
    assert not model.free_symbols
    assert all(value.is_Rational for value in (*model.targets.values(), *model.feature_kernel.values(), *model.ridge))
    with pytest.raises(AttributeError):
        model.loss = "mse"


def test_defaults_are_the_plain_model():
    model = UFM("color[4] * shape[6]")
    assert model.labels is None and model.replication == 1 and model.scale == sp.Rational(1, 24)
    assert set(model.targets.values()) == set(model.feature_kernel.values()) == set(model.label_kernel.values()) == {1}
    assert UFM("a[2] * b[3]", reduction="sum").scale == 1
    assert UFM("a[2] * b[3]", labels=["b", "a"]) == UFM("a[2] * b[3]")
    assert UFM("a[2] * b[3]", ridge=0.1) == UFM("a[2] * b[3]", ridge=(sp.Rational(1, 10), "1/10"))


def test_symbols_stay_symbols():
    n, kappa = sp.Symbol("n", integer=True, positive=True), sp.Symbol("kappa", positive=True)
    model = UFM("a[n] * b[3]", labels="a", feature_kernel={"a": kappa, "b": 1, "a:b": 1}, ridge=(kappa, 0))
    assert model.free_symbols == {n, kappa} and model.replication == 3 and model.contexts == 3 * n


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, sp.Rational(1, 10)),
        (np.float64(0.1), sp.Rational(1, 10)),
        (np.float32(0.5), sp.Rational(1, 2)),
        (np.int64(3), sp.Integer(3)),
        (1e-150, sp.Rational(1, 10**150)),
        ("2/3", sp.Rational(2, 3)),
        (sp.Float("0.1"), sp.Rational(1, 10)),
        (sp.sqrt(2), sp.sqrt(2)),
    ],
)
def test_a_number_is_what_its_digits_write(value, expected):
    assert exact(value, "x") == expected
    assert exact(value, "x") != expected + sp.Rational(1, 10**170)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attributes": "a[1]"}, "^formula 'a.1.', position 2"),
        ({"attributes": 5}, "^attributes: 5 is no formula"),
        ({"labels": "word"}, "^labels: word is nested in a, which the label drops"),
        ({"labels": "color"}, "^labels: 'color' is no attribute"),
        ({"labels": 5}, "^labels: 5 names no attributes"),
        ({"labels": ()}, r"^labels: \(\) names no attributes"),
        ({"loss": "hinge"}, "^loss: 'hinge' is unknown; choose one of cross_entropy, mse"),
        ({"loss": []}, r"^loss: \[\] is unknown"),
        ({"constraint": None}, "^constraint: None is unknown; choose one of free, sphere, normalized"),
        ({"reduction": "max"}, "^reduction: 'max' is unknown; choose one of mean, sum"),
        ({"targets": {"a": 1}}, "^targets: stratum 'b' has no value"),
        ({"targets": {"a": 1, "b": 1, "a:b": 1, "a:b:word": 1, "c": 1}}, "^targets: stratum 'c' is unknown"),
        ({"targets": {"a": 1, "b": 1, "a:b": 1, "a:b:word": 1, "1": 2}}, r"^targets\[1\]: 2 is not 1"),
        ({"targets": {"a": 3, "b": 1, "a:b": 1, "a:b:word": 1}}, "^targets: they make the probability -1/6"),
        ({"targets": 0.5}, r"^targets\[1\]: 1/2 is not 1"),
        ({"targets": {"a": 1, "b": "x", "a:b": 1, "a:b:word": 1}}, r"^targets\[b\]: 'x' is no number"),
        ({"feature_kernel": -1}, r"^feature_kernel\[1\]: -1 is negative"),
        ({"feature_kernel": {"a": 1, "b": -0.5, "a:b": 1, "a:b:word": 1}}, r"^feature_kernel\[b\]: -1/2 is negative"),
        ({"feature_kernel": {"a": 1}}, "^feature_kernel: stratum 'b' has no value"),
        ({"feature_kernel": None}, "^feature_kernel: None is no real number"),
        ({"feature_kernel": float("nan")}, "^feature_kernel: nan is not finite"),
        ({"label_kernel": float("inf")}, "^label_kernel: inf is not finite"),
        ({"label_kernel": {"word": 1}}, "^label_kernel: stratum 'word' is unknown"),
        ({"label_kernel": 1j}, "^label_kernel: 1j is no real number"),
        ({"label_kernel": sp.I}, "^label_kernel: I is not a finite real number"),
        ({"label_kernel": sp.oo}, "^label_kernel: oo is not a finite real number"),
        ({"ridge": -1}, "^ridge lam_W: -1 is negative"),
        ({"ridge": (0, -1)}, "^ridge lam_H: -1 is negative"),
        ({"ridge": (1, 2, 3)}, r"^ridge: \(1, 2, 3\) has 3 numbers"),
        ({"ridge": "little"}, "^ridge lam_W: 'little' is no number"),
        ({"ridge": None}, "^ridge lam_W: None is no real number"),
        ({"width": 0}, "^width: 0 is not a whole number"),
        ({"width": 2.5}, "^width: 2.5 is not a whole number"),
        ({"width": "wide"}, "^width: 'wide' is no number"),
    ],
)
def test_each_bad_field_is_named_in_one_sentence(fields, message):
    UFM(**{"attributes": WORDS})
    with pytest.raises(InputError, match=message) as caught:
        UFM(**({"attributes": WORDS} | fields))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
