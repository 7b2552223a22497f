"""Closed forms of the spectrum against eigenvalues of the Jacobian by finite differences, in 50 digits."""

import mpmath
import pytest
import sympy as sp

from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM
from ufmflow.theory.system import derive

from .evaluate import rates

KERNEL = {"a": 3, "b": 2, "a:b": 1}
RIDGE = ("1/50", "1/30")
MODELS = [
    UFM("a[2] * b[3]", ridge=RIDGE),
    UFM("a[5]", ridge=RIDGE),
    UFM("(a[2] * b[3]) / c[2]", labels="a * b", ridge=("1/50", "1/60"), feature_kernel=3, label_kernel=2),
    UFM("a[2] * b[3]", ridge=RIDGE, feature_kernel=KERNEL),
    UFM("a[2] * b[3]", ridge=RIDGE, targets={"a": "1/2", "b": "1/10", "a:b": "3/10"}),
    UFM("a[2] * b[3]", ridge=RIDGE, loss="mse", feature_kernel=KERNEL, targets={"a": 1, "b": "1/10", "a:b": 2}),
    UFM("(a[2] / b[2]) * c[2]", labels="a * c", ridge=RIDGE, loss="mse", reduction="sum"),
    UFM("a[2] * b[2]", ridge="1/2"),  # nothing survives
]


def differenced(model: UFM, point: dict) -> list:
    """Eigenvalues of the central-difference Jacobian: 50 digits, steps 1e-17, so errors near 1e-33 relative."""
    system = derive(model)
    function = rates(system.flow, "mpmath")
    step = mpmath.mpf(10) ** -17
    state = [*(point[A][0] for A in system.flow.w), *(point[A][1] for A in system.flow.h)]
    state = [mpmath.mpf(str(sp.N(x, 50))) for x in state]
    columns = []
    for i in range(len(state)):
        ends = [function([x + sign * step * (i == j) for j, x in enumerate(state)]) for sign in (1, -1)]
        columns.append([(up - down) / (2 * step) for up, down in zip(*ends, strict=True)])
    values = mpmath.eig(mpmath.matrix(columns).T, left=False, right=False)
    assert max(abs(mpmath.im(x)) for x in values) < mpmath.mpf(10) ** -12
    return sorted((mpmath.re(x) for x in values), reverse=True)


def agree(found: list, expected: list) -> bool:
    """To 1e-11: coinciding eigenvalues of a matrix known to 1e-30 are found to its square root or better."""
    return len(found) == len(expected) and all(abs(a - b) < mpmath.mpf(10) ** -11 for a, b in zip(found, expected))


@pytest.mark.parametrize("where", ["limit", "zero"])
@pytest.mark.parametrize("model", MODELS)
def test_rates_are_the_eigenvalues_of_the_jacobian(model, where):
    system = derive(model)
    nowhere = {A: (sp.S(0),) * 3 for A in model.attributes.names}
    with mpmath.workdps(50):
        found = [
            mpmath.mpf(str(sp.N(rate.value, 40))) for rate in system.spectrum(where) for _ in range(rate.multiplicity)
        ]
        expected = differenced(model, system.limit() if where == "limit" else nowhere)
        assert agree(sorted(found, reverse=True), expected)
        assert not agree(sorted([found[0] * 1.001, *found[1:]], reverse=True), expected)
    if where == "limit":
        assert max(found) < 0


def test_strata_are_coupled_at_the_etf():
    """The curvature of the common motion is not that of the differences, so strata do not stand alone."""
    together, _, against, _ = derive(UFM("a[4] * b[6]", ridge="1/240")).spectrum()[:4]
    assert (together.motion, against.motion, against.multiplicity) == ("together", "against", 2)
    assert float(together.value) < 1.5 * float(against.value) < 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: derive(UFM("a[2]", ridge=1)).spectrum("there"), "^at: 'there' is unknown; choose one of limit, zero"),
        (lambda: derive(UFM("a[2]")).spectrum(), "^spectrum: ridge .* leaves no isolated fixed point"),
        (lambda: derive(UFM("a[2]", constraint="sphere")).spectrum(), "^spectrum: constraint sphere leaves no"),
        (
            lambda: derive(
                UFM("a[2] * b[2]", ridge=(sp.Symbol("p", positive=True), 1), feature_kernel=KERNEL)
            ).spectrum(),
            "^spectrum: strata with different kernels are coupled .* p has no number",
        ),
    ],
)
def test_what_has_no_spectrum_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
