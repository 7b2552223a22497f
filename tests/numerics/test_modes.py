"""Generated array code against the derivation evaluated exactly, at random states and at margins of thousands."""

import dataclasses

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.numerics import modes
from ufmflow.numerics.modes import compile_modes, log_partition
from ufmflow.proofs.strategies import elements, models
from ufmflow.theory.errors import InputError
from ufmflow.theory.flow import derive_flow
from ufmflow.theory.model import CONSTRAINTS, LOSSES, UFM
from ufmflow.theory.system import derive

from .evaluate import DIGITS, exact_function, exact_jacobian, exact_rates
from .evaluate import log_partition as exact_log_partition

WORDS = UFM("(a[2] * b[3]) / c[2]", labels="a * b", width=7, ridge=("1/3", "1/5"),
            feature_kernel={"1": 3, "a": 2, "b": 1, "a:b": "1/2", "a:b:c": "1/3"})  # fmt: skip
# A rate is a sum of at most 40 products of at most 6 factors, nested three deep, each factor good to a few eps: some
# hundreds of eps = 1e-13 of the size of its terms.  A slope has a factor fewer and as many terms.
ROUNDING = 1e-12


def wide(model: UFM) -> UFM:
    """The same with a width, which normalized models need."""
    return model if model.width is not None else UFM(**(model.config() | {"width": 7}))


@st.composite
def states(draw, model: UFM) -> np.ndarray:
    """Any w; features whose norm does not vanish."""
    w, h = draw(elements(model.label_attributes)), draw(elements(model.attributes))
    last = model.attributes.names[-1]
    h[last] = h[last] or sp.Integer(1)
    return np.array([*(float(w[A]) for A in model.targets), *(float(h[A]) for A in model.attributes.names)])


def term_size(model: UFM, y: np.ndarray) -> float:
    """A bound, up to a small factor, of the terms that make up a rate: kernel (force * factor + ridge * factor)."""
    w, h = np.split(np.abs(y), [len(model.targets)])
    m = np.array([float(s.multiplicity) for s in model.attributes.strata])
    norm = np.sqrt(m @ h**2)  # of the features; each of them lies below
    gain = 1.0
    if model.constraint == "normalized":
        gain = np.sqrt(float(model.width) * m.sum()) / norm
    tau = max(float(t) for t in model.tau.values())
    z = w.max() * norm * gain
    force = float(model.scale) * (tau + (z if model.loss == "mse" else np.sqrt(float(model.replication))))
    kernel = max(1.0, *(float(k) for k in (*model.feature_kernel.values(), *model.label_kernel.values())))
    return kernel * (force + float(max(model.ridge))) * max(w.max(), 1.0) * max(norm, 1.0) * max(gain, 1.0) ** 2


def agrees(found: np.ndarray, expected, size: float) -> bool:
    return np.abs(found - np.array(expected, dtype=float)).max() <= ROUNDING * size


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
@given(data=st.data())
def test_rates_and_slopes_are_those_of_the_derivation(loss, constraint, data):
    model = wide(data.draw(models(losses=(loss,), constraints=(constraint,))))
    y = data.draw(states(model))
    compiled, flow = compile_modes(model), derive_flow(model)
    size = term_size(model, y)
    assert agrees(compiled.rhs(y), exact_rates(flow)(y), size)
    smallest = np.linalg.norm(y[len(model.targets) :])  # of a factor that a slope has the fewer
    assert agrees(compiled.jacobian(y), exact_jacobian(flow)(y), 10 * size * max(1.0, smallest**-2))


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_wrong_rates_and_slopes_are_noticed(constraint):
    model = UFM(**(WORDS.config() | {"constraint": constraint}))
    y = np.array([0.3, 1.0, -2.0, 1.5, 0.5, 2.0, 1.0, -1.0, 0.5])
    compiled, flow = compile_modes(model), derive_flow(model)
    size = term_size(model, y)
    right, slopes = exact_rates(flow)(y), np.array(exact_jacobian(flow)(y), dtype=float)
    assert agrees(compiled.rhs(y), right, size) and agrees(compiled.jacobian(y), slopes, size)
    x = flow.state[-1]
    wrong = dataclasses.replace(flow, rates=flow.rates | {x: flow.rates[x] * sp.Rational(1000001, 1000000)})
    assert not agrees(compiled.rhs(y), exact_rates(wrong)(y), size)
    assert not agrees(compiled.jacobian(y), slopes.T, size)
    assert not agrees(compiled.rhs(y), exact_rates(derive_flow(UFM(**(model.config() | {"ridge": "1/4"}))))(y), size)


def test_many_states_at_once_are_each_by_itself():
    compiled = compile_modes(WORDS)
    y = np.random.default_rng(0).standard_normal((9, 5))
    each = [(compiled.rhs(column), *compiled.read(column)) for column in y.T]
    for whole, parts in zip((compiled.rhs(y), *compiled.read(y)), zip(*each, strict=True), strict=True):
        np.testing.assert_array_equal(whole, np.stack(parts, axis=-1))


def test_what_is_read_off_are_the_singular_values_and_the_loss():
    w, h, z, loss = compile_modes(WORDS).read(np.array([0.3, 1.0, -2.0, 1.5, 0.5, 2.0, 1.0, -1.0, 0.5]))
    assert w.tolist() == [0.3, 1.0, -2.0, 1.5, 0.0] and h.tolist() == [0.5, 2.0, 1.0, -1.0, 0.5]
    np.testing.assert_allclose(z, w * h, rtol=1e-15)  # one product
    assert loss.shape == () and loss > 0


def close(found: float, expected: mpmath.mpf, relative: float) -> bool:
    """Relative closeness; what lies below the smallest normal number may be 0."""
    return bool(abs(mpmath.mpf(float(found)) - expected) <= relative * abs(expected) + mpmath.mpf(10) ** -300)


def naive_log_partition(*arguments):
    n = len(arguments) // 2
    with np.errstate(over="ignore"):
        return np.log(1 + sum(v * np.exp(-np.float64(M)) for M, v in zip(arguments[:n], arguments[n:], strict=True)))


@given(margins=st.lists(st.floats(-5000, 5000) | st.floats(-5, 60), min_size=1, max_size=5), data=st.data())
def test_the_log_partition_is_accurate_at_margins_of_either_sign(margins, data):
    valencies = data.draw(st.lists(st.integers(1, 1000), min_size=len(margins), max_size=len(margins)))
    with mpmath.workdps(DIGITS):
        expected = exact_log_partition(*map(mpmath.mpf, margins), *valencies)
    # The exponential of a margin that is off by eps |M| is off by as much, relatively: at most 745 eps = 1.7e-13 where
    # it does not underflow, and some eps more for the sum and the logarithm.
    assert close(log_partition(*margins, *valencies), expected, 1e-12)


def test_a_naive_log_partition_fails_the_same_check():
    for margin in (50.0, -5000.0):  # lost below rounding; overflow
        with mpmath.workdps(DIGITS):
            expected = exact_log_partition(mpmath.mpf(margin), 3)
        assert close(log_partition(margin, 3), expected, 1e-12)
        assert not close(naive_log_partition(margin, 3), expected, 1e-12)


@pytest.mark.parametrize("z", [5e-3, 1.0, 30.0, 600.0, 5000.0, -3000.0])
@pytest.mark.parametrize("soft", [False, True])
def test_the_loss_is_accurate_at_margins_of_thousands(z, soft):
    """Every stratum at z has margins of z: one-hot losses down to 1e-260, or of thousands where the signs are wrong."""
    targets = {"a": "3/4", "b": "1/2", "a:b": "1/3"} if soft else None
    model = UFM("a[2] * b[3]", targets=targets)
    y = np.array([abs(z)] * 4 + [np.sign(z)] * 4)
    flow = derive_flow(model)
    expected = exact_function(flow, [flow.loss])(y)[0]
    found = compile_modes(model).read(y)[3]
    # Margins are sums of at most four products, good to 4 eps; see above for what the exponential makes of it.
    assert close(found, expected, 1e-12)
    if 1e-290 < expected:
        assert not close(found, expected * (1 + mpmath.mpf(10) ** -11), 1e-12)


@pytest.mark.parametrize("head", [sp.sin, sp.Max, sp.Function("f"), sp.Abs, sp.log])
def test_functions_without_array_code_are_refused(head, monkeypatch):
    model = UFM("a[2] * b[2]")
    modes.compiled.cache_clear()

    def altered(model, optimizer):
        system = derive(model, optimizer)
        x = system.flow.state[0]
        rates = system.flow.rates | {x: head(x, 1) if head is sp.Max else head(x)}
        return dataclasses.replace(system, flow=dataclasses.replace(system.flow, rates=rates))

    monkeypatch.setattr(modes, "derive", altered)
    with pytest.raises(TypeError, match="no array code is known for"):
        compile_modes(model)
    monkeypatch.undo()
    compile_modes(model)


def test_models_without_numbers_are_named():
    with pytest.raises(InputError, match="^model: n has no number"):
        compile_modes(UFM("a[n] * b[2]"))
    with pytest.raises(InputError, match="^width: a normalized model needs it"):
        compile_modes(UFM("a[2] * b[2]", constraint="normalized"))


def operations(expressions, definitions=()) -> int:
    return sum(sp.count_ops(e) for e in (*expressions, *(value for _, value in definitions)))


def test_slopes_are_not_multiplied_out():
    """The chain rule multiplied out has 1.4 million operations for eight strata, and took minutes to compile."""
    assert operations(*modes.jacobian_entries(derive_flow(UFM("a[2] * b[2] * c[3]", constraint="normalized")))) < 10_000
    words = UFM("a[2] * b[2]", constraint="normalized")
    assert operations(*modes.jacobian_entries(derive_flow(words))) < operations(derive(words).jacobian()) / 4
