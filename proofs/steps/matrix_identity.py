"""Steps that are identities between matrices of any size: decided in the free algebra over QQ.

Matrices are noncommuting symbols, scalars commuting ones.  An expanded expression is a sum of words; two expressions
with equal words are equal for matrices of every size that makes them meaningful.  Rules such as Q' Q -> 1 (an
orthonormal frame) or P P -> P (a projector) shorten words before they are compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import sympy as sp

from .normal_form import remainder
from .verdict import Undecided, Verdict, holds, refuted

Word = tuple[sp.Expr, ...]
Rule = tuple[Word, sp.Expr]
MAX_REWRITINGS = 10_000


@dataclass(frozen=True)
class MatrixIdentity:
    """`left == right` for noncommuting symbols, modulo rules from words to shorter expressions.

    Attributes
    ----------
    says : what the step shows
    left, right : Expr in noncommuting symbols (matrices), commuting ones (scalars), and inverses of symbols
    rules : pairs of a word (tuple of letters) and what it equals
    where : pairs of scalars that are equal

    Examples
    --------
    >>> A, B = sp.symbols("A B", commutative=False)
    >>> MatrixIdentity("binomial", (A + B) ** 2, A**2 + A * B + B * A + B**2).decide().status
    'holds'
    >>> MatrixIdentity("they do not commute", (A + B) ** 2, A**2 + 2 * A * B + B**2).decide().status
    'refuted'
    >>> MatrixIdentity("idempotent", (1 - A) ** 2, 1 - A, rules=(((A, A), A),)).decide().status
    'holds'
    """

    says: str
    left: sp.Expr
    right: sp.Expr
    rules: tuple[Rule, ...] = ()
    where: tuple[tuple[sp.Expr, sp.Expr], ...] = ()
    kind: ClassVar[str] = "matrix identity"

    def decide(self) -> Verdict:
        for word, coefficient in words(self.left - self.right, self.rules).items():
            if remainder(coefficient, [left - right for left, right in self.where]) != 0:
                return refuted(f"the word {' '.join(map(str, word)) or '1'} is left over, {coefficient} times")
        return holds("every word cancels in the free algebra")


def words(expression: sp.Expr, rules: tuple[Rule, ...] = ()) -> dict[Word, sp.Expr]:
    """The words of an expression with their coefficients, after the rules have been applied until none fits."""
    found: dict[Word, sp.Expr] = {}
    waiting = [_word(term) for term in sp.Add.make_args(sp.expand(expression))]
    rewritings = 0
    while waiting:
        coefficient, word = waiting.pop()
        for pattern, replacement in rules:
            at = next((i for i in range(len(word)) if word[i : i + len(pattern)] == pattern), None)
            if at is not None:
                rewritings += 1
                before, after = sp.Mul(*word[:at]), sp.Mul(*word[at + len(pattern) :])
                replaced = sp.expand(coefficient * before * replacement * after)
                waiting += [_word(term) for term in sp.Add.make_args(replaced)]
                break
        else:
            found[word] = found.get(word, sp.S(0)) + coefficient
        if rewritings > MAX_REWRITINGS:
            raise Undecided(f"the rules still apply after {MAX_REWRITINGS} rewritings")
    return found


def derivative(expression: sp.Expr, rates: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """The time derivative of a polynomial in matrices and inverses by the product rule; other symbols are constant.

    Examples
    --------
    >>> A, F = sp.symbols("A F", commutative=False)
    >>> derivative(A**2, {A: F * A})
    A*F*A + F*A**2
    >>> sp.expand(derivative(A**-1, {A: F * A}))
    -A**(-1)*F
    """
    total = sp.S(0)
    for term in sp.Add.make_args(sp.expand(expression)):
        coefficient, word = _word(term)
        for i, letter in enumerate(word):
            if letter.is_Symbol:
                change = rates.get(letter, sp.S(0))
            elif letter.base.is_Symbol:  # an inverse
                change = -letter * rates.get(letter.base, sp.S(0)) * letter
            else:
                raise Undecided(f"the derivative of {letter} is not known")
            total += coefficient * sp.Mul(*word[:i]) * change * sp.Mul(*word[i + 1 :])
    return total


def _word(term: sp.Expr) -> tuple[sp.Expr, Word]:
    """The commuting coefficient and the letters; a power is spelled out, and an inverse is a letter of its own."""
    commuting, letters = term.args_cnc()
    word: list[sp.Expr] = []
    for letter in letters:
        base, exponent = letter.as_base_exp()
        if not exponent.is_Integer:
            raise Undecided(f"{letter} is no whole power")
        word += [base if exponent > 0 else base**-1] * abs(int(exponent))
    return sp.Mul(*commuting), tuple(word)
