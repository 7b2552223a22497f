"""Fewer modes: merging strata by order, and the flows of two families whose number of modes is a symbol.

Crossed attributes of one size that kernels, targets and start do not tell apart: to permute them is a symmetry, so
strata of one order flow alike.  With i the number of attributes on which two contexts differ and Krawtchouk characters
chi_j(i) = K_j(i) / m_j, order j of H(K, n) flows as a stratum of multiplicity m_j = C(K, j) (n - 1)^j.

A chain of nestings of depth K has K + 1 modes as it is.  With N_k the number of contexts in a block of level k, and Z_k
and S_k the entries of logits and softmax for contexts that share their first k levels, both transforms telescope:

    Z_k - Z_{k-1} = (z_k - z_{k+1}) / N_k,      pi_k - pi_{k+1} = N_k (S_k - S_{k-1}).

References: Delsarte 1973; Bailey, *Association Schemes*, 2004; Saxe et al. 2019 (hierarchies).
"""

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

from .errors import InputError
from .exchangeable import Exchangeable
from .flow import TIME
from .formula import Crossing, Factor, Nesting
from .model import LOSSES, UFM

KIND = "attribute"
DEPTH = sp.Symbol("K", integer=True, positive=True)
SIZE = sp.Symbol("n", integer=True, positive=True)
INDEX, OTHER, INNER = sp.symbols("j i s", integer=True, nonnegative=True)
LAM_W, LAM_H = sp.symbols("lambda_W lambda_H", nonnegative=True)
LOG_PARTITION = sp.Symbol("Lambda", real=True)
W, H, Z, G, KW, KH, TAU, M, S, SIZES = (
    sp.IndexedBase(letter, real=True) for letter in ("w", "h", "z", "g", "kappa_W", "kappa_H", "tau", "M", "S", "n")
)


def merged(model: UFM) -> UFM:
    """The model with its strata merged by order: K + 1 modes for K crossed attributes, whatever their number.

    A start that is equal within each order stays so, and its orders flow as those of the merged model.  A chain of
    nestings has one stratum for each order already, and is returned as it is.

    Raises
    ------
    InputError
        When attributes differ in size or are not crossed, when the label drops some, or when a kernel or the targets
        differ within an order.

    Examples
    --------
    >>> from ufmflow.theory.kernels import embedding_kernel
    >>> kernel = embedding_kernel(UFM("a[3] * b[3]").attributes, {"a": 1, "b": 1}, residual=2)
    >>> merged(UFM("a[3] * b[3]", feature_kernel=kernel)).feature_kernel
    {'1': 8, 'order1': 5, 'order2': 2}
    """
    tree = model.attributes.tree
    flat = isinstance(tree, (Crossing, Nesting)) and all(isinstance(part, Factor) for part in tree.parts)
    if isinstance(model.attributes, Exchangeable) or isinstance(tree, Factor) or (flat and isinstance(tree, Nesting)):
        return model
    sizes = set(model.attributes.sizes.values())
    if not flat or len(sizes) > 1:
        raise InputError(
            f"attributes: {model.attributes} is no crossing of attributes of one size; only such strata merge by order."
        )
    if model.labels is not None:
        raise InputError(f"labels: they keep {' * '.join(model.labels)}; strata merge when the label keeps all.")
    structure = Exchangeable(f"{KIND}[{sizes.pop()}]^{len(model.attributes.factors)}")
    config = model.config() | {"attributes": structure}
    for field in ("targets", "feature_kernel", "label_kernel"):
        config[field] = _by_order(model, field, structure)
    return UFM(**(config | {"ridge": model.ridge, "width": model.width}))


def _by_order(model: UFM, field: str, structure: Exchangeable) -> dict[str, sp.Expr]:
    values = getattr(model, field)
    found: dict[int, str] = {}
    for stratum in model.attributes.strata:
        first = found.setdefault(len(stratum.factors), stratum.name)
        if sp.cancel(values[first] - values[stratum.name]) != 0:
            raise InputError(
                f"{field}: stratum {first!r} has {values[first]} but {stratum.name!r} has {values[stratum.name]}; "
                "strata of as many attributes merge only when they have one value."
            )
    return {name: values[found[j]] for j, name in enumerate(structure.names)}


@dataclass(frozen=True)
class FamilyFlow:
    """The flow of a family of models with a symbol for the number of modes.

    Attributes
    ----------
    definitions : tuple of Eq, the named quantities in the order in which they can be computed from z[0..K]
    rates : tuple of Eq, dw[j]/dt and dh[j]/dt, for every j from 0 to K
    boundary : callable K -> mapping from Indexed beyond the family's ends to its value
    """

    definitions: tuple[sp.Eq, ...]
    rates: tuple[sp.Eq, ...]
    boundary: Callable[[sp.Expr], dict[sp.Indexed, sp.Expr]]

    def explicit(self, depth: int) -> dict[sp.Expr, sp.Expr]:
        """The rates of w[0], h[0], ..., w[depth], h[depth] in terms of these alone, every sum written out.

        Examples
        --------
        >>> hamming_flow("mse").explicit(2)[W[1]]
        (-lambda_W*w[1] + (-h[1]*w[1] + tau[1])*h[1]/n**2)*kappa_W[1]
        """
        ends = self.boundary(sp.Integer(depth))
        values = {Z[k]: W[k] * H[k] for k in range(depth + 1)} | ends

        def written(expression: sp.Expr, k: int) -> sp.Expr:
            return _written_out(expression.subs({DEPTH: depth, INDEX: k})).subs(ends).xreplace(values)

        for equation in self.definitions:
            ks = range(depth + 1) if equation.lhs.has(INDEX) else (0,)
            values |= {equation.lhs.subs(INDEX, k): written(equation.rhs, k) for k in ks}
        return {
            equation.lhs.expr.subs(INDEX, k): written(equation.rhs, k)
            for k in range(depth + 1)
            for equation in self.rates
        }

    def latex(self) -> str:
        """The equations and the quantities that they name, as a LaTeX `align*` environment."""
        body = " \\\\\n".join(f"{sp.latex(eq.lhs)} &= {sp.latex(eq.rhs)}" for eq in (*self.rates, *self.definitions))
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def _written_out(expression: sp.Expr) -> sp.Expr:
    """Sums and products over numbers written out, the outermost first, so that inner limits are numbers in turn."""
    if isinstance(expression, (sp.Sum, sp.Product)):
        (index, low, high), *_ = expression.limits
        parts = [_written_out(expression.function.subs(index, k)) for k in range(int(low), int(high) + 1)]
        return sp.Add(*parts) if isinstance(expression, sp.Sum) else sp.Mul(*parts)
    if not expression.has(sp.Sum, sp.Product):
        return expression
    return expression.func(*(_written_out(part) for part in expression.args))


def krawtchouk(j: sp.Expr, i: sp.Expr, depth: sp.Expr = DEPTH, size: sp.Expr = SIZE) -> sp.Expr:
    """K_j(i) of H(depth, size): a sum, written out when its order j is a number.

    Examples
    --------
    >>> sp.expand(krawtchouk(1, INDEX)).equals((SIZE - 1) * DEPTH - SIZE * INDEX)
    True
    """
    term = (-1) ** INNER * (size - 1) ** (j - INNER) * sp.binomial(i, INNER) * sp.binomial(depth - i, j - INNER)
    total = sp.Sum(term, (INNER, 0, j))
    return total.doit().expand(func=True) if sp.sympify(j).is_Integer else total


def hamming_flow(loss: str = "cross_entropy") -> FamilyFlow:
    """The flow of K exchangeable crossed attributes of n values: order j, with K and n symbols; mean over contexts.

    Examples
    --------
    >>> [str(equation.lhs) for equation in hamming_flow().definitions]
    ['M[j]', 'Lambda', 'S[j]', 'g[j]']
    """
    V = SIZE**DEPTH

    def count(j: sp.Expr) -> sp.Expr:
        return sp.binomial(DEPTH, j) * (SIZE - 1) ** j

    # m_j chi_j(i) = K_j(i), and v_i chi_j(i) = v_i K_j(i) / m_j.
    margin = sp.Sum((count(OTHER) - krawtchouk(OTHER, INDEX)) * Z[OTHER] / V, (OTHER, 0, DEPTH))
    softmax = sp.Sum(count(OTHER) * krawtchouk(INDEX, OTHER) / count(INDEX) * S[OTHER], (OTHER, 0, DEPTH))
    definitions = _softmax(margin, count(OTHER), (1, DEPTH))
    return _family(loss, V, definitions, softmax, lambda depth: {})


def chain_flow(loss: str = "cross_entropy") -> FamilyFlow:
    """The flow of a chain of nestings of depth K, level k of n[k] values within each of level k - 1; mean loss.

    Level K is identity, level 0 the mean; N_k = n[k+1] ... n[K] contexts share their first k levels.

    Examples
    --------
    >>> chain_flow().definitions[0]
    Eq(M[j], Sum((-z[i + 1] + z[i])/Product(n[s], (s, i + 1, K)), (i, j + 1, K)))
    """

    def block(k: sp.Expr) -> sp.Expr:
        return sp.Product(SIZES[INNER], (INNER, k + 1, DEPTH))

    margin = sp.Sum((Z[OTHER] - Z[OTHER + 1]) / block(OTHER), (OTHER, INDEX + 1, DEPTH))
    softmax = sp.Sum(block(OTHER) * (S[OTHER] - S[OTHER - 1]), (OTHER, INDEX, DEPTH))
    definitions = _softmax(margin, block(OTHER) - block(OTHER + 1), (0, DEPTH - 1))
    # No level is finer than identity, none coarser than the mean.
    return _family(loss, block(0), definitions, softmax, lambda depth: {Z[depth + 1]: sp.S(0), S[-1]: sp.S(0)})


def _softmax(margin: sp.Expr, valency: sp.Expr, others: tuple[sp.Expr, sp.Expr]) -> list[sp.Eq]:
    """Margins, the log-partition and softmax's entries; `others` bounds the relations other than identity."""
    total = 1 + sp.Sum(valency * sp.exp(-M[OTHER]), (OTHER, *others))
    return [
        sp.Eq(M[INDEX], margin),
        sp.Eq(LOG_PARTITION, sp.log(total)),
        sp.Eq(S[INDEX], sp.exp(-M[INDEX] - LOG_PARTITION)),
    ]


def _family(loss: str, V: sp.Expr, definitions: list, softmax: sp.Expr, boundary: Callable) -> FamilyFlow:
    if loss not in LOSSES:
        raise InputError(f"loss: {loss!r} is unknown; choose one of {', '.join(LOSSES)}.")
    pi = softmax if loss == "cross_entropy" else Z[INDEX]
    named = [*(definitions if loss == "cross_entropy" else []), sp.Eq(G[INDEX], (TAU[INDEX] - pi) / V)]
    w, h, g = W[INDEX], H[INDEX], G[INDEX]
    rates = (
        sp.Eq(sp.Derivative(w, TIME, evaluate=False), KW[INDEX] * (g * h - LAM_W * w), evaluate=False),
        sp.Eq(sp.Derivative(h, TIME, evaluate=False), KH[INDEX] * (g * w - LAM_H * h), evaluate=False),
    )
    return FamilyFlow(tuple(named), rates, boundary)
