"""`derive(model)`: the mode equations of a model with what follows from them in closed form."""

import json
from dataclasses import dataclass
from typing import Any

import sympy as sp
from numpy import errstate, isnan
from sympy.printing.mathml import mathml

from .closed_forms import ClosedForm, mse_closed_form
from .errors import InputError
from .exact import rounded_constants
from .flow import TIME, ModeFlow, derive_flow
from .limits import Persistence, limit, persistence
from .model import UFM
from .partition import LogPartition
from .transients import H0, W0, emergence_expression


@dataclass(frozen=True)
class System:
    """The derived flow of a model; made by `derive`.

    Attributes
    ----------
    model : UFM
    flow : ModeFlow
        Symbols, named quantities, and rates from which everything else is generated.
    """

    model: UFM
    flow: ModeFlow

    @property
    def equations(self) -> dict[str, dict[str, sp.Eq]]:
        """For each stratum, the equations of its W part ("w", where the label has it) and of its H part ("h")."""
        found: dict[str, dict[str, sp.Eq]] = {A: {} for A in self.model.attributes.names}
        features = self.flow.state[len(self.flow.w) :]
        for letter, symbols in (("w", self.flow.w.items()), ("h", zip(found, features, strict=True))):
            for A, symbol in symbols:
                found[A][letter] = sp.Eq(
                    sp.Derivative(symbol, TIME, evaluate=False), self.flow.rates[symbol], evaluate=False
                )
        return found

    @property
    def definitions(self) -> list[sp.Eq]:
        """The named quantities in the equations, in the order in which they can be computed from the state."""
        return [
            sp.Eq(
                symbol, value.replace(LogPartition, lambda *args: LogPartition(*args).rewrite(sp.log)), evaluate=False
            )
            for symbol, value in self.flow.definitions
        ]

    @property
    def conserved(self) -> dict[str, sp.Expr]:
        """Conserved quantities by name (a stratum, or `norm`); each is checked to have no time derivative.

        Free, no ridge: w^2/kW - h^2/kH on each stratum of the labels, h on the others.  Sphere: sum_A m_A h_A^2.
        """
        candidates: dict[str, sp.Expr] = {}
        m = self.model.attributes.multiplicities
        for A, h in self.flow.h.items():
            kW, kH = self.model.label_kernel.get(A), self.model.feature_kernel[A]
            if A not in self.flow.w:
                candidates[A] = h
            elif kW != 0 and kH != 0:
                candidates[A] = self.flow.w[A] ** 2 / kW - h**2 / kH
        candidates["norm"] = sum(m[A] * h**2 for A, h in self.flow.h.items())
        return {name: value for name, value in candidates.items() if self._is_constant(value)}

    def _is_constant(self, value: sp.Expr) -> bool:
        """Whether the flow leaves a polynomial of the state constant: an identity of rational functions, g left free."""
        if not value.free_symbols <= set(self.flow.state) | self.model.free_symbols:
            return False
        change = sum(sp.diff(value, x) * self.flow.rates[x] for x in self.flow.state if value.has(x))
        steps = [change]
        for symbol, definition in reversed(self.flow.definitions):
            if symbol not in self.flow.g.values() and change.has(symbol):
                change = change.xreplace({symbol: definition})
                steps.append(change)
        # One point refutes, and spares the expansion of what does not vanish; the identity proves, and may hold before
        # every quantity is written out.
        symbols = sorted(change.free_symbols, key=str)
        somewhere = change.xreplace({x: sp.Rational(sp.prime(i + 3), sp.prime(i + 1)) for i, x in enumerate(symbols)})
        if abs(sp.N(somewhere, 30)) > sp.Float("1e-20"):
            return False
        return any(sp.cancel(step) == 0 for step in steps)

    def closed_form(self, stratum: str) -> ClosedForm:
        """z_A(t) in closed form; `closed_form(A)(t, init=1e-3)` evaluates it on an array of times.

        Raises InputError where none is known; see `ufmflow.theory.closed_forms`.
        """
        self._check(stratum, self.model.targets, "closed_form")
        return mse_closed_form(self.model, stratum)

    def emergence_time(self, stratum: str, init: Any = None) -> Any:
        """When a stratum emerges, from w_A(0) = h_A(0) = init (numbers, arrays, or a pair w, h).

        Without `init`, the SymPy expression in `w0` and `h0`.  See `ufmflow.theory.transients` for what it means under
        each loss and constraint.  Units: learning rate x steps.

        Examples
        --------
        >>> from ufmflow.theory.model import UFM
        >>> system = derive(UFM("color[4] * shape[6]", loss="mse"))
        >>> round(float(system.emergence_time("color", 1e-3)), 3)
        165.786
        """
        self._check(stratum, self.model.attributes.names, "emergence_time")
        expression = emergence_expression(self.model, stratum)
        if init is None:
            return expression
        w0, h0 = init if isinstance(init, (tuple, list)) else (init, init)
        if isinstance(w0, sp.Expr) or isinstance(h0, sp.Expr):
            return expression.subs({W0: w0, H0: h0}, simultaneous=True)
        missing = expression.free_symbols - {W0, H0}
        if missing:
            raise InputError(f"emergence_time: {sorted(map(str, missing))[0]} has no number; give the model numbers.")
        with errstate(invalid="ignore", divide="ignore"):
            time = sp.lambdify([W0, H0], rounded_constants(expression), "numpy")(w0, h0)
            time = time + 0.0 * w0 * h0  # oo, a constant, for each of the starts
        if isnan(time).any():
            raise InputError(f"init: {init} lies beyond where {stratum!r} ends, so it has no half-way; start lower.")
        return time

    def limit(self) -> dict[str, tuple[sp.Expr, sp.Expr, sp.Expr]]:
        """(w, h, z) of each stratum as t -> infinity; see `ufmflow.theory.limits`.

        Examples
        --------
        >>> from ufmflow.theory.model import UFM
        >>> system = derive(UFM("color[4] * shape[6]", ridge=sp.Rational(1, 24000)))
        >>> round(float(system.limit()["color:shape"][2]), 4)
        10.0849
        """
        return limit(self.model)

    def persistence(self) -> Persistence:
        """Direction and phase of the limit without ridge, by exact linear programming.

        Examples
        --------
        >>> from ufmflow.theory.model import UFM
        >>> kernel = {"color": 10, "shape": 10, "color:shape": 1}
        >>> derive(UFM("color[4] * shape[4]", feature_kernel=kernel, label_kernel=kernel)).persistence().phase
        'attributes only'
        """
        return persistence(self.model)

    def jacobian(self) -> sp.ImmutableMatrix:
        """d(rates)/d(state) by the chain rule, in terms of the state and the named quantities."""
        state = self.flow.state
        rows: dict[sp.Symbol, dict[sp.Symbol, sp.Expr]] = {x: {x: sp.S(1)} for x in state}

        def gradient(expression: sp.Expr) -> dict[sp.Symbol, sp.Expr]:
            total: dict[sp.Symbol, sp.Expr] = {}
            for symbol in expression.free_symbols & rows.keys():
                slope = sp.diff(expression, symbol)
                for x, inner in rows[symbol].items():
                    total[x] = total.get(x, sp.S(0)) + slope * inner
            return total

        for symbol, definition in self.flow.definitions:
            rows[symbol] = gradient(definition)
        by_row = [gradient(self.flow.rates[x]) for x in state]
        return sp.ImmutableMatrix(len(state), len(state), lambda i, j: by_row[i].get(state[j], sp.S(0)))

    def text(self) -> str:
        """The strata with their multiplicities, the equations, the quantities that they name, and what is conserved."""
        model = self.model
        lines = [str(model.attributes) + (f", labels keep {' * '.join(model.labels)}" if model.labels else "")]
        lines += [f"  {s.name}: dimension {s.multiplicity}" for s in model.attributes.strata]
        lines += ["equations"]
        lines += [f"  d/dt {eq.lhs.expr} = {eq.rhs}" for pair in self.equations.values() for eq in pair.values()]
        lines += ["with", *(f"  {eq.lhs} = {eq.rhs}" for eq in self.definitions)]
        if self.conserved:
            lines += ["conserved", *(f"  {name}: {value}" for name, value in self.conserved.items())]
        lines += ["emergence time from w(0) = w0, h(0) = h0"]
        lines += [f"  {A}: {emergence_expression(model, A)}" for A in model.attributes.names]
        return "\n".join(lines)

    def latex(self) -> str:
        """The equations and the quantities that they name, as a LaTeX `align*` environment."""
        names = self.symbol_names()
        lines = [eq for pair in self.equations.values() for eq in pair.values()] + self.definitions
        body = " \\\\\n".join(
            f"{sp.latex(eq.lhs, symbol_names=names)} &= {sp.latex(eq.rhs, symbol_names=names)}" for eq in lines
        )
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"

    def symbol_names(self) -> dict[sp.Symbol, str]:
        """LaTeX for the symbols that carry a stratum or relation."""
        greek = {"phi": r"\varphi"}
        found = {}
        symbols = {s for symbol, value in self.flow.definitions for s in {symbol} | value.free_symbols}
        for symbol in symbols | set(self.flow.state) | self.model.free_symbols:
            letter, _, term = symbol.name.partition("_")
            if term.replace("__", ":") in self.model.attributes.names:
                upright = term.replace("__", "{:}").replace("_", r"\_")
                found[symbol] = rf"{greek.get(letter, sp.latex(sp.Symbol(letter)))}_{{\mathrm{{{upright}}}}}"
        return found

    def mathml(self, equation: sp.Eq) -> str:
        """One equation as presentation MathML, which browsers render by themselves."""
        spelled = {
            symbol: sp.Symbol(symbol.name.replace("__", ":")) for symbol in equation.free_symbols if "__" in symbol.name
        }
        body = mathml(equation.xreplace(spelled), printer="presentation")
        return f'<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">{body}</math>'

    def to_json(self) -> str:
        """The model, strata, equations, named quantities and conserved quantities as JSON text.

        Expressions are in SymPy's notation, and `a:b` is written `a__b` in symbols.  `symbols` names them all, since
        SymPy has meanings of its own for some: `sympify(text, {name: Symbol(name) for name in symbols})` reads one.
        """
        strata = [{"name": s.name, "multiplicity": str(s.multiplicity)} for s in self.model.attributes.strata]
        return json.dumps(
            {
                "model": self.model.config(),
                "strata": strata,
                "equations": {
                    A: {letter: str(eq.rhs) for letter, eq in pair.items()} for A, pair in self.equations.items()
                },
                "symbols": sorted(symbol.name for symbol in self._internal_symbols | self.model.free_symbols),
                "state": [str(symbol) for symbol in self.flow.state],
                "definitions": [[str(eq.lhs), str(eq.rhs)] for eq in self.definitions],
                "loss": str(self.flow.loss),
                "conserved": {name: str(value) for name, value in self.conserved.items()},
                "emergence_time": {A: str(emergence_expression(self.model, A)) for A in self.model.attributes.names},
            },
            indent=1,
        )

    @property
    def _internal_symbols(self) -> set[sp.Symbol]:
        """The symbols that the derivation brings in, beside the model's own."""
        defined = {symbol for symbol, _ in self.flow.definitions}
        expressions = [value for _, value in self.flow.definitions] + list(self.flow.rates.values())
        used = set().union(*(expression.free_symbols for expression in expressions))
        own = defined | set(self.flow.state) | {TIME, W0, H0}
        return own | (used - self.model.free_symbols)

    def _check(self, stratum: str, allowed: Any, method: str) -> None:
        if stratum not in allowed:
            raise InputError(f"{method}: stratum {stratum!r} is unknown; choose one of {', '.join(allowed)}.")


def derive(model: UFM) -> System:
    """Derive the gradient flow of a model on its strata from the loss.

    Parameters
    ----------
    model : UFM
        Sizes, kernels, targets and ridge may be SymPy symbols.

    Returns
    -------
    System

    Raises
    ------
    InputError
        For what is no UFM, and for symbols of the model that the equations use for quantities of their own.

    Examples
    --------
    >>> from ufmflow.theory.model import UFM
    >>> derive(UFM("color[n1] * shape[n2]", loss="mse")).equations["color"]["w"].rhs
    g_color*h_color
    """
    if not isinstance(model, UFM):
        raise InputError(f"model: {type(model).__name__} is no UFM; make one with ufmflow.UFM(attributes, ...).")
    system = System(model, derive_flow(model))
    taken = {symbol.name for symbol in system._internal_symbols}
    clash = sorted(symbol.name for symbol in model.free_symbols if symbol.name in taken)
    if clash:
        raise InputError(f"model: its symbol {clash[0]} also names a quantity of the equations; give it another name.")
    return system
