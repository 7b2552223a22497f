"""Hypothesis strategies for the whole model family: formulas, structures, tables, elements of the algebra, models.

All numbers drawn are exact rationals, so that a property can be tested without rounding.  Sizes are small: a property
that holds on every structure up to a dozen contexts rarely fails on a larger one, and explicit matrices stay cheap.
Needs Hypothesis (`pip install ufmflow[test]`).
"""

import math
from itertools import product

import sympy as sp
from hypothesis import strategies as st

from ..theory.attributes import Attributes
from ..theory.formula import Crossing, Factor, Nesting, Node, join
from ..theory.model import CONSTRAINTS, LOSSES, REDUCTIONS, UFM

NAMES = ("color", "shape", "size", "kind", "tone")


def rationals(low: int = -3, high: int = 3, max_denominator: int = 6) -> st.SearchStrategy[sp.Rational]:
    """Exact rationals in [low, high].

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(rationals(0, 2))
    ... def lies_between(x):
    ...     assert x.is_Rational and 0 <= x <= 2
    >>> lies_between()
    """
    fractions = st.fractions(low, high, max_denominator=max_denominator)
    return fractions.map(lambda x: sp.Rational(x.numerator, x.denominator))


@st.composite
def structures(draw: st.DrawFn, max_cardinality: int = 24, max_factors: int = 4) -> Attributes:
    """Attribute structures: crossed, nested and mixed to any depth, with at most `max_cardinality` contexts.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(structures(max_cardinality=12, max_factors=3))
    ... def multiplicities_sum_to_the_number_of_contexts(attributes):
    ...     assert sum(attributes.multiplicities.values()) == attributes.cardinality <= 12
    >>> multiplicities_sum_to_the_number_of_contexts()
    """
    count = draw(st.integers(1, min(max_factors, len(NAMES), int(math.log2(max_cardinality)))))
    sizes: list[int] = []
    for left in reversed(range(count)):
        # What remains must leave room for two values of each factor still to come.
        sizes.append(draw(st.integers(2, max_cardinality // (math.prod(sizes) * 2**left))))
    parts: list[Node] = [Factor(name, sp.Integer(n)) for name, n in zip(NAMES, sizes, strict=False)]
    while len(parts) > 1:
        at = draw(st.integers(0, len(parts) - 2))
        joined = join(Crossing if draw(st.booleans()) else Nesting, parts[at : at + 2])
        assert joined is not None
        parts[at : at + 2] = [joined]
    return Attributes(str(parts[0]))


@st.composite
def formulas(draw: st.DrawFn, max_cardinality: int = 24, max_factors: int = 4) -> str:
    """Text of a structure's formula, with blanks wherever they are allowed and parentheses that may be superfluous.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(formulas())
    ... def has_a_canonical_form(text):
    ...     assert Attributes(str(Attributes(text))) == Attributes(text)
    >>> has_a_canonical_form()
    """
    blank = st.sampled_from(("", "", " ", "  ", "\t"))

    def written(node: Node) -> str:
        if isinstance(node, Factor):
            text = f"{node.name}{draw(blank)}[{draw(blank)}{node.size}{draw(blank)}]"
        else:
            sign = "*" if isinstance(node, Crossing) else "/"
            # Only a crossing within a nesting needs its parentheses.
            inner = [
                f"({written(part)})" if isinstance(node, Nesting) and isinstance(part, Crossing) else written(part)
                for part in node.parts
            ]
            text = f"{draw(blank)}{sign}{draw(blank)}".join(inner)
        return f"({draw(blank)}{text}{draw(blank)})" if draw(st.integers(0, 3)) == 0 else text

    return written(draw(structures(max_cardinality, max_factors)).tree)


@st.composite
def tables(draw: st.DrawFn, attributes: Attributes) -> dict[str, list[str]]:
    """The complete table of a structure, one row per context, with rows and columns in random order.

    A nested attribute's values are named with those it is nested in, so no name is used twice and the structure can be
    read off the table.

    Examples
    --------
    >>> from hypothesis import given
    >>> nested = Attributes("kingdom[2] / genus[3]")
    >>> @given(tables(nested))
    ... def shows_its_structure(table):
    ...     assert Attributes.from_table(table) == nested
    >>> shows_its_structure()
    """
    names = list(attributes.sizes)
    columns: dict[str, list[str]] = {name: [] for name in draw(st.permutations(names))}
    cells = list(product(*(range(n) for n in attributes.shape)))
    for cell in draw(st.permutations(cells)):
        value = dict(zip(names, cell, strict=True))
        for name in names:
            columns[name].append(".".join([name, *(str(value[k]) for k in attributes.named(attributes.closure(name)))]))
    return columns


def elements(
    attributes: Attributes, low: int = -3, high: int = 3, max_denominator: int = 6
) -> st.SearchStrategy[dict[str, sp.Rational]]:
    """Elements of the algebra: a rational for each stratum (or, read so, for each relation).

    Examples
    --------
    >>> from hypothesis import given
    >>> chain = Attributes("a[2] / b[2]")
    >>> @given(elements(chain))
    ... def is_recovered_from_its_entries(element):
    ...     assert chain.eigenvalues(chain.entries(element)) == element
    >>> is_recovered_from_its_entries()
    """
    return st.fixed_dictionaries({name: rationals(low, high, max_denominator) for name in attributes.names})


def kernels(attributes: Attributes, positive: bool = False) -> st.SearchStrategy[dict[str, sp.Rational]]:
    """Kernels: an eigenvalue >= 0 for each stratum, or > 0 when `positive`.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(kernels(Attributes("a[2] * b[3]"), positive=True))
    ... def has_an_inverse(kernel):
    ...     assert all(value > 0 for value in kernel.values())
    >>> has_an_inverse()
    """
    value = rationals(0, 4)
    return st.fixed_dictionaries({A: value.filter(bool) if positive else value for A in attributes.names})


@st.composite
def targets(draw: st.DrawFn, labels: Attributes, loss: str) -> dict[str, sp.Expr]:
    """Targets that the loss allows: co-occurrence probabilities for cross-entropy, for squared error any in [0, 2].

    The probabilities are drawn entry by entry, so strata with negative eigenvalues occur too.

    Examples
    --------
    >>> from hypothesis import given
    >>> labels = Attributes("a[2] * b[2]")
    >>> @given(targets(labels, "cross_entropy"))
    ... def are_probabilities(tau):
    ...     assert tau["1"] == 1 and min(labels.entries(tau).values()) >= 0
    >>> are_probabilities()
    """
    if loss == "mse":
        return draw(elements(labels, 0, 2)) | {"1": sp.Integer(1)}
    weights = draw(st.fixed_dictionaries({T: st.integers(0, 5) for T in labels.names}))
    weights[labels.names[-1]] += 1  # some weight on the label itself, so that the sum is not zero
    total = sum(relation.valency * weights[relation.name] for relation in labels.relations)
    return labels.eigenvalues({T: sp.Rational(weight) / total for T, weight in weights.items()})


@st.composite
def models(
    draw: st.DrawFn,
    losses: tuple[str, ...] = LOSSES,
    constraints: tuple[str, ...] = CONSTRAINTS,
    ridge: bool = True,
    one_hot: bool = False,
    positive_kernels: bool = False,
    replication: bool = True,
    max_cardinality: int = 12,
    max_factors: int = 3,
) -> UFM:
    """Models of the whole family, numbers exact.

    Parameters
    ----------
    losses, constraints : what to draw from
    ridge : whether a ridge may occur
    one_hot : whether targets are one-hot always
    positive_kernels : whether kernels are positive definite always
    replication : whether the label may drop attributes (r > 1 contexts per label)
    max_cardinality, max_factors : bounds of the structure

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(models(losses=("mse",), constraints=("free",)))
    ... def is_what_was_asked_for(model):
    ...     assert model.loss == "mse" and model.constraint == "free" and not model.free_symbols
    >>> is_what_was_asked_for()
    """
    attributes = draw(structures(max_cardinality, max_factors))
    labels = draw(st.sampled_from(attributes.ancestral_sets[1:])) if replication else frozenset(attributes.sizes)
    kept = attributes.keep(attributes.named(labels))
    loss = draw(st.sampled_from(losses))
    return UFM(
        attributes,
        labels=attributes.named(labels),
        loss=loss,
        targets=None if one_hot else draw(st.none() | targets(kept, loss)),
        feature_kernel=draw(kernels(attributes, positive_kernels)),
        label_kernel=draw(kernels(kept, positive_kernels)),
        ridge=draw(st.tuples(rationals(0, 1), rationals(0, 1))) if ridge else 0,
        constraint=draw(st.sampled_from(constraints)),
        width=draw(st.none() | st.integers(1, 20)),
        reduction=draw(st.sampled_from(REDUCTIONS)),
    )


@st.composite
def starts(draw: st.DrawFn, model: UFM, balanced: bool = False) -> dict[str, tuple[float, float]]:
    """Positive starts (w_A, h_A) for `simulate`, 0.01 to 1 in size; balanced ones have w^2/kW = h^2/kH.

    Balance is to rounding, and possible where neither kernel vanishes (`models(positive_kernels=True)`).

    Examples
    --------
    >>> from hypothesis import given
    >>> model = UFM("a[2] * b[2]", feature_kernel=4)
    >>> @given(starts(model, balanced=True))
    ... def are_balanced(start):
    ...     assert all(w > 0 and abs(h - 2 * w) < 1e-12 for w, h in start.values())
    >>> are_balanced()
    """
    size = st.integers(1, 100).map(lambda percent: percent / 100)
    start = {}
    for A in model.attributes.names:
        w, h = draw(size), draw(size)
        if balanced and A in model.targets:
            h = w * math.sqrt(model.feature_kernel[A] / model.label_kernel[A])
        start[A] = (w, h)
    return start


@st.composite
def times(draw: st.DrawFn, model: UFM, folds: float = 5.0, count: int = 6) -> list[float]:
    """Increasing times from 0 on, up to `folds` times the model's own time 1 / (scale * largest sqrt(kW kH)).

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(times(UFM("a[2] * b[3]"), folds=10))
    ... def begin_at_zero(t):
    ...     assert t[0] == 0 and t == sorted(set(t)) and t[-1] <= 60
    >>> begin_at_zero()
    """
    speeds = [float(k * model.feature_kernel[A]) for A, k in model.label_kernel.items()]
    natural = 1 / (float(model.scale) * math.sqrt(max([*speeds, 1e-2])))
    steps = draw(st.lists(st.integers(1, 1000), min_size=count, max_size=count, unique=True))
    return [0.0, *(folds * natural * step / 1000 for step in sorted(steps))]


def ridges(model: UFM) -> st.SearchStrategy[tuple[sp.Rational, sp.Rational]]:
    """Positive ridges so small that on one-hot labels every stratum survives: sqrt(lam_W lam_H) < sqrt(r) scale.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(ridges(UFM("a[2] * b[2]")))
    ... def are_small(ridge):
    ...     assert 0 < ridge[0] * ridge[1] < sp.Rational(1, 16)
    >>> are_small()
    """
    part = st.integers(1, 90).map(lambda percent: sp.Rational(percent, 100))
    pull = sp.sqrt(model.replication) * model.scale
    unit = sp.Rational(math.floor(float(pull) * 10**6), 10**6)
    return st.tuples(part, part).map(lambda pair: (pair[0] * unit, pair[1] * unit))
