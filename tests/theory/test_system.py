"""What `derive` gives beside the flow: equations, Jacobian, conserved quantities, LaTeX, JSON; also for symbols."""

import json
import re

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ufmflow.proofs.strategies import models
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import symbols_for
from ufmflow.theory.model import CONSTRAINTS, LOSSES, UFM
from ufmflow.theory.system import System, derive

from .evaluate import function_of_state, rates

SIZES = ["1/3", "5/7", "-2/5", "3/4", "9/8", "-1/2", "4/9", "6/5"]


def with_width(model: UFM) -> UFM:
    return model if model.width is not None else UFM(**(model.config() | {"width": 7}))


def point(system: System) -> list[mpmath.mpf]:
    """A state with no two components alike."""
    return [mpmath.mpf(sp.Rational(SIZES[i % 8]).p) / sp.Rational(SIZES[i % 8]).q + mpmath.mpf(i) / 50
            for i in range(len(system.flow.state))]


def is_jacobian(system: System, matrix: sp.Matrix) -> bool:
    """Against central differences with 50 digits: step 1e-15 leaves 1e-30, rounding 1e-35; 1e-20 is ample."""
    with mpmath.workdps(50):
        here, step = point(system), mpmath.mpf(10) ** -15
        values = function_of_state(system.flow, list(matrix), "mpmath")(here)
        function = rates(system.flow, "mpmath")
        n = len(here)
        for j in range(n):
            up, down = (function([x + sign * step * (i == j) for i, x in enumerate(here)]) for sign in (1, -1))
            slopes = [(u - d) / (2 * step) for u, d in zip(up, down, strict=True)]
            if any(abs(slopes[i] - values[i * n + j]) > mpmath.mpf(10) ** -20 for i in range(n)):
                return False
    return True


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@settings(max_examples=10)
@given(data=st.data())
def test_the_jacobian_is_the_derivative_of_the_rates(constraint, data):
    system = derive(with_width(data.draw(models(constraints=(constraint,), max_factors=2))))
    assert is_jacobian(system, system.jacobian())


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_wrong_jacobian_is_noticed(loss, constraint):
    model = UFM("a[2] / b[3]", loss=loss, constraint=constraint, width=7, feature_kernel={"a": 2, "a:b": 1})
    system = derive(model)
    matrix = system.jacobian()
    assert is_jacobian(system, matrix)
    assert not is_jacobian(system, matrix.T)
    assert not is_jacobian(system, -matrix)


def test_the_jacobian_is_that_of_the_expanded_rates():
    system = derive(UFM("a[n] * b[2]", loss="mse", ridge=sp.Symbol("lam", positive=True)))
    state = list(system.flow.state)
    expanded = sp.Matrix([system.flow.expand(system.flow.rates[x]) for x in state]).jacobian(state)
    assert system.jacobian().applyfunc(system.flow.expand).applyfunc(sp.expand) == expanded.applyfunc(sp.expand)


def rate_of(system: System, quantity: sp.Expr) -> mpmath.mpf:
    """Its time derivative at a point, with 40 digits, relative to the size of its terms."""
    with mpmath.workdps(40):
        terms = [sp.diff(quantity, x) * system.flow.rates[x] for x in system.flow.state]
        values = function_of_state(system.flow, terms, "mpmath")(point(system))
        return abs(mpmath.fsum(values)) / (1 + mpmath.fsum(map(abs, values)))


@settings(max_examples=15)
@given(models(ridge=False))
def test_conserved_quantities_do_not_change(model):
    system = derive(with_width(model))
    for quantity in system.conserved.values():
        assert rate_of(system, quantity) < 1e-30


@given(models(constraints=("free",), ridge=False, positive_kernels=True))
def test_free_without_ridge_every_stratum_conserves_its_balance(model):
    system = derive(model)
    assert set(model.attributes.names) <= set(system.conserved)
    for A, w in system.flow.w.items():
        h = system.flow.h[A]
        kW, kH = model.label_kernel[A], model.feature_kernel[A]
        assert sp.expand(system.conserved[A] - (w**2 / kW - h**2 / kH)) == 0
        wrong = w**2 / kW + h**2 / kH
        assert rate_of(system, wrong) > 1e-6 or model.tau[A] == 0 or A == "1"
    for A in set(system.flow.h) - set(system.flow.w):
        assert system.conserved[A] == system.flow.h[A]


@pytest.mark.parametrize("ridge", [(1, 0), (0, 1), (1, 2), sp.Symbol("lam", positive=True)])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_ridge_leaves_nothing_conserved(loss, ridge):
    assert derive(UFM("a[2] * b[3]", loss=loss, ridge=ridge)).conserved == {}
    assert len(derive(UFM("a[2] * b[3]", loss=loss)).conserved) == 4


def test_what_is_conserved_with_the_norm_held():
    assert list(derive(UFM("a[p] * b[q]", constraint="sphere")).conserved) == ["norm"]
    ridged = UFM("a[2] / b[3]", constraint="sphere", ridge=1, feature_kernel={"a": 2, "a:b": 1})
    assert list(derive(ridged).conserved) == ["norm"]
    assert derive(UFM("a[2] / b[3]", constraint="normalized", width=5)).conserved == {}


def names_in(data: dict) -> dict[str, sp.Symbol]:
    return {name: sp.Symbol(name) for name in data["symbols"]}


def reads_back(system: System, data: dict) -> bool:
    """Whether the expressions of the JSON text are the flow's, symbol by name."""
    names = names_in(data)

    def bare(expression: sp.Expr) -> sp.Expr:
        return expression.xreplace({x: names[x.name] for x in expression.free_symbols})

    written = [sp.sympify(text, names) for pair in data["equations"].values() for text in pair.values()]
    derived = [bare(eq.rhs) for pair in system.equations.values() for eq in pair.values()]
    written += [sp.sympify(text, names) for pair in data["definitions"] for text in pair]
    derived += [bare(side) for eq in system.definitions for side in eq.args]
    known = set(names.values())
    return all(sp.simplify(a - b) == 0 and a.free_symbols <= known for a, b in zip(written, derived, strict=True))


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("formula", ["a[2] * b[3]", "S[N1] / E[q]", "N[3]"])
def test_json_is_read_back(formula, loss, constraint):
    system = derive(UFM(formula, loss=loss, constraint=constraint, ridge=(1, "1/2"), feature_kernel="1/3"))
    data = json.loads(system.to_json())
    assert data["model"] == system.model.config() and UFM(**data["model"]) == system.model
    assert [s["name"] for s in data["strata"]] == list(system.model.attributes.names)
    assert data["state"] == [x.name for x in system.flow.state]
    assert set(data["conserved"]) == set(system.conserved)
    assert reads_back(system, data)
    first = next(iter(data["equations"]))
    data["equations"][first]["w"] = "-(" + data["equations"][first]["w"] + ") + 1"
    assert not reads_back(system, data)


def is_balanced(text: str) -> bool:
    """Braces match, and every \\left has its \\right."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0 and len(re.findall(r"\\left\b", text)) == len(re.findall(r"\\right\b", text))


@settings(max_examples=10)
@given(models())
def test_latex_is_balanced_and_complete(model):
    system = derive(model)
    text = system.latex()
    lines = text.count("\\\\\n") + 1
    assert is_balanced(text) and not is_balanced(text + "{") and not is_balanced("}" + text)
    assert text.startswith("\\begin{align*}") and text.endswith("\\end{align*}")
    assert lines == text.count("&=") == len(system.flow.state) + len(system.flow.definitions)
    assert "__" not in text and "LogPartition" not in text


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_three_crossed_attributes_with_symbolic_sizes(loss, constraint):
    system = derive(UFM("a[n1] * b[n2] * c[n3]", loss=loss, constraint=constraint))
    assert len(system.equations) == 8 and all(len(pair) == 2 for pair in system.equations.values())
    assert system.jacobian().shape == (16, 16)
    assert len(system.conserved) == {"free": 8, "sphere": 1, "normalized": 0}[constraint]
    # Sizes put in afterwards give what sizes put in before give.
    sizes = {x: n for x, n in zip(sorted(system.model.free_symbols, key=str), (2, 3, 2), strict=True)}
    numbers = derive(UFM("a[2] * b[3] * c[2]", loss=loss, constraint=constraint))
    flow, other = system.flow, numbers.flow
    state = {x: sp.Rational(SIZES[i % 8]) + sp.Rational(i, 50) for i, x in enumerate(flow.state)}
    width = {sp.Symbol("d", positive=True): sp.Integer(7)}

    def values(model_flow) -> list[sp.Float]:
        known = state | sizes | width
        for symbol, definition in model_flow.definitions:
            known[symbol] = definition.xreplace(known).evalf(30)
        return [model_flow.rates[x].xreplace(known).evalf(30) for x in model_flow.state]

    there, here = values(flow), values(other)
    assert all(abs(x - y) < 1e-25 for x, y in zip(there, here, strict=True))
    assert any(abs(x - y) > 1e-6 for x, y in zip(there, here[::-1], strict=True))


def test_symbolic_kernels_and_targets():
    attributes = UFM("a[2] / b[3]").attributes
    kappa, tau = symbols_for(attributes, "kappa"), symbols_for(attributes, "tau") | {"1": 1}
    system = derive(UFM(attributes, loss="mse", feature_kernel=kappa, targets=tau))
    flow = system.flow
    expected = kappa["a"] * flow.w["a"] * (tau["a"] - flow.w["a"] * flow.h["a"]) / 6
    assert sp.expand(flow.expand(flow.rates[flow.h["a"]]) - expected) == 0
    assert sp.expand(flow.expand(flow.rates[flow.h["a"]]) - 6 * expected) != 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: derive("a[2]"), "^model: str is no UFM"),
        (lambda: derive(UFM("a[c] * b[2]", constraint="sphere")), "^model: its symbol c also names a quantity"),
        (lambda: derive(UFM("a[N]", constraint="normalized")), "^model: its symbol N also names a quantity"),
        (lambda: derive(UFM("a[t]")), "^model: its symbol t also names a quantity"),
        (lambda: derive(UFM("a[2]", feature_kernel={"a": sp.Symbol("w_a")})), "^model: its symbol w_a also names"),
    ],
)
def test_bad_models_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
