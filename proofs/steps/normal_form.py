"""Normal form of expressions over QQ: every exponential, logarithm, root and special function becomes a generator.

An expression is first rewritten exactly: exp(a + 2 b) = exp(a) exp(b)^2, log(x y) = log(x) + log(y) for positive x, y,
x^(p/q) = s^p with s^q = x, n^(K+1) = n n^K.  What is left is a rational function of symbols and generators, whose
numerator over QQ decides whether it vanishes.  Roots satisfy their defining relation; relations between symbols can be
added, and the numerator is then reduced by a Groebner basis of all relations.

A zero normal form proves that the expression vanishes wherever its denominators do not.  A nonzero one refutes it
when the generators are independent; `Identity` looks for a point of difference before it says so.
"""

from collections.abc import Iterable
from math import lcm
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.polys.groebnertools import groebner
from sympy.polys.orderings import lex

from ...theory.partition import LogPartition
from .quotient import quotient
from .verdict import Undecided

KEPT_WHOLE = (sp.Ei, sp.LambertW, AppliedUndef)  # functions whose values are generators


def remainder(expression: sp.Expr, relations: Iterable[sp.Expr] = ()) -> sp.Expr:
    """The numerator of `expression`, reduced by `relations` (each an expression that vanishes); 0 proves it zero.

    Raises
    ------
    Undecided
        For floats, and for heads without an exact rewriting (Max, Abs, Piecewise, unevaluated derivatives, ...).

    Examples
    --------
    >>> x, y = sp.symbols("x y", positive=True)
    >>> remainder(sp.exp(x + 2 * y) - sp.exp(x) * sp.exp(y) ** 2)
    0
    >>> remainder(1 / (sp.sqrt(x) - 1) - (sp.sqrt(x) + 1) / (x - 1))
    0
    >>> remainder(x**2 - 1, relations=[x - 1])
    0
    >>> remainder(x**2 - x)
    x**2 - x
    """
    expression, *relations = (_without_partitions(sp.sympify(x)) for x in (expression, *relations))
    generators = _Generators([expression, *relations])
    rational = generators.rewrite(expression)
    extra = [generators.rewrite(relation) for relation in relations]
    defining = [*generators.relations, *extra]
    named = sorted(generators.symbols, key=lambda s: -generators.symbols[s])
    free = sp.Add(rational, *defining, evaluate=False).free_symbols - set(named)
    symbols = [*named, *sorted(free, key=str)]
    if not symbols:
        return sp.together(rational)
    ring = sp.ring(symbols, sp.QQ, lex)[0]
    whole = quotient(ring, rational)
    basis = [polynomial for relation in defining if (polynomial := quotient(ring, relation).numerator)]
    if not basis:
        return generators.restore(whole.numerator.as_expr())
    basis = groebner(basis, ring)
    if any(not factor.rem(basis) for factor, _ in whole.denominator):
        raise Undecided("a denominator vanishes by the relations")
    return generators.restore(whole.numerator.rem(basis).as_expr())


class _Generators:
    """The generators of some expressions: named once, shared, each with the relation that defines it."""

    def __init__(self, expressions: Iterable[sp.Expr]):
        self.symbols: dict[sp.Symbol, int] = {}  # in the order in which they were made
        self.relations: list[sp.Expr] = []
        self._known: dict[Any, sp.Symbol] = {}
        self._meaning: dict[sp.Symbol, sp.Expr] = {}
        self._denominators: dict[Any, int] = {}
        for expression in expressions:
            self._survey(expression)

    def _survey(self, expression: sp.Expr) -> None:
        """The common denominators of exponents: exp(x/2) and exp(x/3) both are powers of exp(x/6)."""
        for node in sp.preorder_traversal(expression):
            if isinstance(node, sp.exp):
                for coefficient, monomial in _terms(node.args[0]):
                    self._note(("exp", monomial), coefficient.q)
            elif isinstance(node, sp.Pow) and node.exp.is_Rational and not node.exp.is_Integer:
                self._note(("root", node.base), node.exp.q)
            elif isinstance(node, sp.Pow) and not node.exp.is_Rational:
                for coefficient, monomial in _terms(node.exp):
                    self._note(("power", node.base, monomial), coefficient.q)

    def _note(self, key: Any, denominator: int) -> None:
        self._denominators[key] = lcm(self._denominators.get(key, 1), denominator)

    def _name(self, key: Any, meaning: sp.Expr) -> sp.Symbol:
        if key not in self._known:
            symbol = sp.Dummy(f"g{len(self.symbols)}")
            self._known[key] = symbol
            self._meaning[symbol] = meaning
            self.symbols[symbol] = len(self.symbols)
        return self._known[key]

    def restore(self, expression: sp.Expr) -> sp.Expr:
        """An expression in generators, in terms of what they stand for."""
        return expression.xreplace(self._meaning)

    def rewrite(self, x: sp.Expr) -> sp.Expr:
        """An expression as a rational function of symbols and generators."""
        if x.is_Rational:
            return x
        if x.is_Symbol:
            if not x.is_commutative:
                raise Undecided(f"{x} does not commute; use MatrixIdentity")
            return x
        if x.is_Add or x.is_Mul:
            return x.func(*(self.rewrite(part) for part in x.args))
        if x is sp.S.Exp1:
            return self._exponential(sp.S(1))
        if isinstance(x, sp.exp):
            return self._exponential(x.args[0])
        if x.is_Pow:
            return self._power(x.base, x.exp)
        if isinstance(x, sp.log):
            return self._logarithm(x)
        if isinstance(x, KEPT_WHOLE):
            return self._name(("function", x), x)
        raise Undecided(f"{type(x).__name__} in {x} has no exact rewriting here")

    def _exponential(self, argument: sp.Expr) -> sp.Expr:
        product = sp.S(1)
        for coefficient, monomial in _terms(argument):
            whole = self._denominators.setdefault(("exp", monomial), 1)
            product *= self._name(("exp", monomial), sp.exp(monomial / whole)) ** _integer(coefficient * whole)
        return product

    def _power(self, base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        if exponent.is_Integer:
            return self.rewrite(base) ** exponent
        if exponent.is_Rational:
            whole = self._denominators.get(("root", base), exponent.q)
            inside = self.rewrite(base)
            known = ("root", base) in self._known
            root = self._name(("root", base), base ** sp.Rational(1, whole))
            if not known:
                self.relations.append(root**whole - inside)
            return root ** _integer(exponent * whole)
        if not base.is_positive:
            raise Undecided(f"the power {base}**({exponent}) needs a positive base")
        product = sp.S(1)
        for coefficient, monomial in _terms(exponent):
            if monomial == 1:
                product *= self._power(base, coefficient) if coefficient.is_Integer else self._refuse(base, exponent)
            else:
                whole = self._denominators.get(("power", base, monomial), 1)
                key = ("power", base, monomial)
                product *= self._name(key, base ** (monomial / whole)) ** _integer(coefficient * whole)
        return product

    def _refuse(self, base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        raise Undecided(f"the power {base}**({exponent}) mixes a fraction with a symbol")

    def _logarithm(self, x: sp.Expr) -> sp.Expr:
        expanded = sp.expand_log(x)
        if expanded != x:
            return self.rewrite(expanded)
        argument = x.args[0]
        pulled = sp.factor(argument)  # so that log(2 x + 2) and log(x + 1) share a generator
        if pulled != argument and sp.expand_log(sp.log(pulled)) != x:
            return self.rewrite(sp.expand_log(sp.log(pulled)))
        return self._name(("log", argument), x)


def _without_partitions(expression: sp.Expr) -> sp.Expr:
    """Log-partitions written as logarithms, so that their exponentials become sums."""
    return expression.replace(LogPartition, lambda *args: LogPartition(*args).rewrite(sp.log))


def _integer(power: sp.Rational) -> int:
    if not power.is_Integer:
        raise Undecided(f"a power {power} of a generator, which was named for another denominator")
    return int(power)


def _terms(argument: sp.Expr) -> list[tuple[sp.Rational, sp.Expr]]:
    """The rational coefficient and the monomial of each term of an exponent."""
    return [term.as_coeff_Mul(rational=True) for term in sp.Add.make_args(sp.expand(argument)) if term != 0]
