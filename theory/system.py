"""`derive(model)`: the mode equations of a model with what follows from them in closed form."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp
from numpy import errstate, isnan
from sympy.printing.mathml import mathml

from .closed_forms import ClosedForm, mse_closed_form
from .coarse import merged
from .cross_entropy_forms import FreeRay, HeldRay, cross_entropy_closed_form
from .errors import InputError
from .exact import rounded_constants
from .flow import TIME, ModeFlow, derive_flow
from .limits import limit
from .model import UFM
from .optimisers import optimizer_flow
from .partition import LogPartition
from .persistence import Persistence, Phase, persistence, phase_boundaries, staircase
from .slopes import jacobian_rows
from .spectrum import Rate, spectrum
from .starts import start_pair
from .transients import H0, W0, collapse_expression, emergence_expression
from .window import Window, window


@dataclass(frozen=True)
class System:
    """The derived flow of a model; made by `derive`.

    Attributes
    ----------
    model : UFM
    flow : ModeFlow
        Symbols, named quantities, and rates from which everything else is generated.
    optimizer : str
        Whose flow it is.  Closed forms, times, limits and persistence are those of gradient flow, "sgd", alone.
    """

    model: UFM
    flow: ModeFlow
    optimizer: str = "sgd"

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

    @cached_property
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
        """Whether the flow leaves a polynomial of the state constant: an identity of rational functions, g free."""
        if not value.free_symbols <= set(self.flow.state) | self.model.free_symbols:
            return False
        change = sp.sympify(sum(sp.diff(value, x) * self.flow.rates[x] for x in self.flow.state if value.has(x)))
        # One point refutes, and spares the expansion of what does not vanish; the identity proves, and may hold before
        # every quantity is written out.
        if abs(sp.N(self._somewhere(change), 30)) > sp.Float("1e-20"):
            return False
        steps = [(symbol, value) for symbol, value in self.flow.definitions if symbol not in self.flow.g.values()]
        while sp.expand(sp.fraction(sp.together(change))[0]) != 0:
            while steps and not change.has(steps[-1][0]):
                steps.pop()
            if not steps:
                return False
            change = change.xreplace(dict([steps.pop()]))
        return True

    def _somewhere(self, expression: sp.Expr) -> sp.Expr:
        """The expression at a rational point of state, parameters and g, through the named quantities that it needs."""
        needed, inner = set(expression.free_symbols), []
        for symbol, definition in reversed(self.flow.definitions):
            if symbol in needed and symbol not in self.flow.g.values():
                inner.append((symbol, definition))
                needed |= definition.free_symbols
        free = sorted(needed - {symbol for symbol, _ in inner}, key=str)
        point = {x: sp.Rational(sp.prime(i + 3), sp.prime(i + 1)) for i, x in enumerate(free)}
        for symbol, definition in reversed(inner):
            point[symbol] = definition.xreplace(point)
        return expression.xreplace(point)

    def closed_form(self, stratum: str) -> ClosedForm | FreeRay | HeldRay:
        """z_A(t) in closed form; `closed_form(A)(t, init=1e-3)` evaluates it on an array of times.

        Raises InputError where none is known; see `ufmflow.theory.closed_forms` for squared error and
        `ufmflow.theory.cross_entropy_forms` for cross-entropy.  Whole matrices from starts outside the symmetric ones
        (squared error, W^T W - H H^T = lambda I) are `ufmflow.riccati_solution`'s.

        Examples
        --------
        >>> from ufmflow.theory.model import UFM
        >>> form = derive(UFM("a[4]")).closed_form("a")
        >>> round(float(form(100.0, 1e-3)), 3), round(float(form.time_of(1.0, 1e-3)), 3)
        (6.611, 28.29)
        """
        self._check(stratum, self.model.targets, "closed_form")
        self._check_gradient_flow("closed_form")
        forms = {"mse": mse_closed_form, "cross_entropy": cross_entropy_closed_form}
        return forms[self.model.loss](self.model, stratum)

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
        self._check_gradient_flow("emergence_time")
        time = self._at(emergence_expression(self.model, stratum), init, "emergence_time")
        if not isinstance(time, sp.Expr) and isnan(time).any():
            raise InputError(f"init: {init} lies beyond where {stratum!r} ends, so it has no half-way; start lower.")
        return time

    def collapse_time(self, stratum: str, init: Any = None) -> Any:
        """E-folding time of the slowest part of a stratum's approach to its limit; called as `emergence_time` is.

        The start matters without ridge alone.  See `ufmflow.theory.transients.collapse_expression` for what is covered,
        and for the errors.  Units: learning rate x steps.

        Examples
        --------
        >>> from ufmflow.theory.model import UFM
        >>> system = derive(UFM("color[4] * shape[6]", loss="mse", ridge=1e-3))
        >>> round(float(system.collapse_time("color", 1e-3)), 3)
        500.0
        """
        self._check(stratum, self.model.attributes.names, "collapse_time")
        self._check_gradient_flow("collapse_time")
        return self._at(collapse_expression(self.model, stratum), init, "collapse_time")

    def _at(self, expression: sp.Expr, init: Any, method: str) -> Any:
        """An expression in `w0` and `h0` as it is, or at a start."""
        if init is None:
            return expression
        w0, h0 = start_pair(init)
        if isinstance(w0, sp.Expr) or isinstance(h0, sp.Expr):
            return expression.subs({W0: w0, H0: h0}, simultaneous=True)
        missing = expression.free_symbols - {W0, H0}
        if missing:
            raise InputError(f"{method}: {min(map(str, missing))} has no number; give the model numbers.")
        with errstate(invalid="ignore", divide="ignore"):
            time = sp.lambdify([W0, H0], rounded_constants(expression), ["scipy", "numpy"])(w0, h0)
            return time + 0.0 * w0 * h0  # oo, a constant, for each of the starts

    def window(self, init: Any = None) -> Window | None:
        """Onset, peak and end of the semantic window, from w_A(0) = h_A(0) = init (or a pair) on every stratum.

        Index and half-maximum are those of `Trajectory.window`.  Squared error: exact, low = high to rounding.
        Cross-entropy: proved brackets, of which the upper ends of peak and end are infinite.  None: no window, the
        index never exceeds 0.01 (cross-entropy: cannot be shown to).  Without `init`: bounds as expressions in `w0`,
        `h0` and the model's symbols, when the strata have two rates.  Units: learning rate x steps.

        Raises
        ------
        InputError
            Where nothing is known; the message says for which models something is.

        Examples
        --------
        >>> from ufmflow.theory.model import UFM
        >>> kernel = {"color": 2, "shape": 2, "color:shape": 1}
        >>> model = UFM("color[4] * shape[6]", loss="mse", feature_kernel=kernel, label_kernel=kernel)
        >>> found = derive(model).window(1e-3)
        >>> [round(time, 3) for time, _ in (found.onset, found.peak, found.end)]
        [16.153, 82.905, 153.251]
        """
        self._check_gradient_flow("window")
        return window(self.model, init)

    def limit(self) -> dict[str, tuple[sp.Expr, sp.Expr, sp.Expr]]:
        """(w, h, z) of each stratum as t -> infinity; see `ufmflow.theory.limits`.

        Examples
        --------
        >>> from ufmflow.theory.model import UFM
        >>> system = derive(UFM("color[4] * shape[6]", ridge=sp.Rational(1, 24000)))
        >>> round(float(system.limit()["color:shape"][2]), 4)
        10.0849
        """
        self._check_gradient_flow("limit")
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
        self._check_gradient_flow("persistence")
        return persistence(self.model)

    def staircase(self) -> tuple[Phase, ...]:
        """Every phase of persistence as sqrt(kW kH) of the main effects is multiplied by x, 0 < x < oo, exactly.

        Examples
        --------
        >>> from ufmflow.theory.model import UFM
        >>> [(phase.low, phase.phase) for phase in derive(UFM("color[4] * shape[6]")).staircase()[-2:]]
        [(4/5, 'collapsed'), (2, 'attributes only')]
        """
        self._check_gradient_flow("staircase")
        return staircase(self.model)

    def phase_boundaries(self) -> dict[str, tuple[sp.Basic, ...]]:
        """The inequalities in sizes and kernels under which the ETF, and attributes alone, persist.

        Examples
        --------
        >>> from ufmflow.theory.kernels import symbols_for
        >>> from ufmflow.theory.model import UFM
        >>> from ufmflow.theory.attributes import Attributes
        >>> k = symbols_for(Attributes("a[n1] * b[n2]"), "k")
        >>> system = derive(UFM("a[n1] * b[n2]", feature_kernel=k, label_kernel=k))
        >>> system.phase_boundaries()["attributes only"]
        (-1/k_b + 1/k_a__b - 1/k_a >= 0,)
        """
        self._check_gradient_flow("phase_boundaries")
        return phase_boundaries(self.model)

    def spectrum(self, at: str = "limit") -> tuple[Rate, ...]:
        """Rates of the linearised flow at the ridge's fixed point, or `at="zero"`; see `ufmflow.theory.spectrum`.

        Examples
        --------
        >>> from ufmflow.theory.model import UFM
        >>> system = derive(UFM("color[4] * shape[6]", ridge=sp.Rational(1, 24000)))
        >>> [(rate.motion, f"{float(rate.value):.4e}") for rate in system.spectrum()[:4:2]]
        [('together', '-8.3333e-05'), ('against', '-3.5017e-05')]
        """
        self._check_gradient_flow("spectrum")
        return spectrum(self.model, self.flow, self.jacobian(), at)

    def jacobian(self) -> sp.ImmutableMatrix:
        """d(rates)/d(state) by the chain rule, in terms of the state and the named quantities."""
        state = self.flow.state
        rows = jacobian_rows(self.flow)
        return sp.ImmutableMatrix(len(state), len(state), lambda i, j: rows[i].get(state[j], sp.S(0)))

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
        if self.optimizer == "sgd":
            lines += ["emergence time from w(0) = w0, h(0) = h0"]
            lines += [f"  {A}: {time}" for A, time in self._emergence_times.items()]
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
                "optimizer": self.optimizer,
                "strata": strata,
                "equations": {
                    A: {letter: str(eq.rhs) for letter, eq in pair.items()} for A, pair in self.equations.items()
                },
                "symbols": sorted(symbol.name for symbol in self._internal_symbols | self.model.free_symbols),
                "state": [str(symbol) for symbol in self.flow.state],
                "definitions": [[str(eq.lhs), str(eq.rhs)] for eq in self.definitions],
                "loss": str(self.flow.loss),
                "conserved": {name: str(value) for name, value in self.conserved.items()},
                "emergence_time": {A: str(time) for A, time in self._emergence_times.items()},
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

    @property
    def _emergence_times(self) -> dict[str, sp.Expr]:
        """For each stratum; empty where the flow is no gradient flow."""
        names = self.model.attributes.names if self.optimizer == "sgd" else ()
        return {A: emergence_expression(self.model, A) for A in names}

    def _check_gradient_flow(self, method: str) -> None:
        if self.optimizer != "sgd":
            raise InputError(
                f"{method}: known for gradient flow alone, and this is the flow of {self.optimizer!r}; simulate it, or "
                "derive the model with optimizer='sgd'."
            )

    def _check(self, stratum: str, allowed: Any, method: str) -> None:
        if stratum not in allowed:
            raise InputError(f"{method}: stratum {stratum!r} is unknown; choose one of {', '.join(allowed)}.")


def derive(model: UFM, optimizer: str = "sgd", coarse: bool = False) -> System:
    """Derive the flow of a model on its strata from the loss.

    Parameters
    ----------
    model : UFM
        Sizes, kernels, targets and ridge may be SymPy symbols.
    optimizer : "sgd", "normalized" or "muon"
        Gradient flow, steps of root mean square 1, or orthogonalised steps; see `ufmflow.theory.optimisers`.
    coarse : bool
        Merge the strata by order where the model allows it, see `ufmflow.theory.coarse`; the system's `model`, which
        `simulate` takes too, then has K + 1 strata.

    Returns
    -------
    System

    Raises
    ------
    InputError
        For what is no UFM, for other optimisers, for symbols of the model that the equations use for quantities of
        their own, and with `coarse` for a model that tells strata of one order apart.

    Examples
    --------
    >>> from ufmflow.theory.model import UFM
    >>> derive(UFM("color[n1] * shape[n2]", loss="mse")).equations["color"]["w"].rhs
    g_color*h_color
    >>> derive(UFM("color[n1] * shape[n2]", loss="mse"), optimizer="muon").equations["color"]["w"].rhs
    pW_color/sqrt(NW**2/250000 + pW_color**2)
    >>> derive(UFM("color[4] * shape[4] * size[4]"), coarse=True).model.attributes
    Exchangeable('attribute[4]^3')
    """
    if not isinstance(model, UFM):
        raise InputError(f"model: {type(model).__name__} is no UFM; make one with ufmflow.UFM(attributes, ...).")
    model = merged(model) if coarse else model
    system = System(model, optimizer_flow(model, derive_flow(model), optimizer), optimizer)
    taken = {symbol.name for symbol in system._internal_symbols}
    clash = sorted(symbol.name for symbol in model.free_symbols if symbol.name in taken)
    if clash:
        raise InputError(f"model: its symbol {clash[0]} also names a quantity of the equations; give it another name.")
    return system
