"""Mutation testing: small changes to theory/ and the integrators, each of which some test should notice.

A mutant changes one operator, comparison, constant, sign or condition of one module; texts, annotations and what an
error says are left alone.  The tests of the module run on it in a child of this process, the changed source in place of
the module's own; a mutant on which all of them pass has survived.  `EXPLAINED` says why those that are known do.
"""

import ast
import importlib.abc
import importlib.util
import os
import random as randoms
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 240.0  # seconds of the clock for one mutant: more counts as noticed only if the unchanged module takes far less
TESTS = {
    "theory/formula.py": ["theory/test_formula.py"],
    "theory/attributes.py": ["theory/test_attributes.py"],
    "theory/kernels.py": ["theory/test_kernels.py"],
    "theory/table.py": ["theory/test_table.py"],
    "theory/closed_forms.py": ["theory/test_closed_forms.py"],
    "theory/ray_times.py": ["theory/test_cross_entropy_forms.py"],
    "theory/cross_entropy_forms.py": ["theory/test_cross_entropy_forms.py"],
    "theory/flow.py": ["theory/test_flow.py"],
    "theory/ridge.py": ["theory/test_ridge.py"],
    "theory/soft_labels.py": ["theory/test_soft_labels.py"],
    "theory/value.py": ["theory/test_value.py"],
    "theory/exchangeable.py": ["theory/test_coarse.py"],
    "theory/transients.py": ["theory/test_transients.py"],
    "numerics/integrate.py": ["numerics/test_integrate.py"],
    "numerics/tableaux.py": ["numerics/test_tableaux.py"],
    "numerics/explicit_pairs.py": ["numerics/test_solve.py"],
    "numerics/solve.py": ["numerics/test_solve.py"],
    "numerics/stabilised.py": ["numerics/test_stabilised.py"],
    "numerics/rosenbrock.py": ["numerics/test_ensemble.py"],
    "numerics/riccati.py": ["numerics/test_riccati.py"],
    "numerics/strata.py": ["numerics/test_strata.py"],
    "numerics/matrices.py": ["numerics/test_matrices.py"],
}
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Add,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
# (module, line as it stands in the source, change): why no test can or need notice.
EXPLAINED: dict[tuple[str, str, str], str] = {}


def sites(tree: ast.Module) -> list[tuple[ast.AST, str]]:
    """What can be changed in a module: nodes, and how."""
    found: list[tuple[ast.AST, str]] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)):
            return
        if isinstance(node, ast.BinOp) and type(node.op) in SWAPS and not _is_text(node):
            found.append((node, "operator"))
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            found.append((node, "comparison"))
        elif isinstance(node, ast.BoolOp):
            found.append((node, "junction"))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
            found.append((node, "sign"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and node.value is not None:
            found.append((node, "constant"))
        elif isinstance(node, ast.If):
            found.append((node, "condition"))
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "format_spec"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    visit(child)

    for statement in tree.body:
        # Type aliases are no code.
        if not (
            isinstance(statement, ast.Assign)
            and isinstance(statement.value, (ast.Subscript, ast.BinOp))
            and _is_type(statement)
        ):
            visit(statement)
    return found


def _is_text(node: ast.BinOp) -> bool:
    def text(side: ast.AST) -> bool:
        return isinstance(side, ast.JoinedStr) or isinstance(side, ast.Constant) and isinstance(side.value, str)

    return text(node.left) or text(node.right)


def _is_type(statement: ast.Assign) -> bool:
    target = statement.targets[0]
    return isinstance(target, ast.Name) and target.id[:1].isupper() and not target.id.isupper()


def mutant(source: str, number: int) -> tuple[str, int, str]:
    """The source with one site changed, the site's line, and the change in words."""
    tree = ast.parse(source)
    node, how = sites(tree)[number]
    before = ast.unparse(node)[:80]
    if how == "operator":
        node.op = SWAPS[type(node.op)]()
    elif how == "comparison":
        node.ops[0] = SWAPS[type(node.ops[0])]()
    elif how == "junction":
        node.op = SWAPS[type(node.op)]()
    elif how == "constant":
        node.value = (not node.value) if isinstance(node.value, bool) else node.value + 1
    elif how == "condition":
        node.test = ast.UnaryOp(ast.Not(), node.test)
        before = before.splitlines()[0]
    after = ast.unparse(node)
    if how == "sign":  # the operand stands in the node's place
        after = ast.unparse(node.operand)
        tree = _Replace(node, node.operand).visit(tree)
    changed = f"{before} -> {after.splitlines()[0][:80]}"
    return ast.unparse(ast.fix_missing_locations(tree)), node.lineno, changed


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module the changed source."""

    def __init__(self, name: str, path: Path, source: str):
        self.name, self.path, self.source = name, path, source

    def find_spec(self, name: str, path: object = None, target: object = None):
        if name != self.name:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(self.path))

    def exec_module(self, module) -> None:
        module.__file__ = str(self.path)
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


def tests_pass(module: str, source: str | None) -> str:
    """How the tests of a module end with a changed source in its place (None: its own): passed, failed, slow."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = 99
        try:
            import pytest

            sys.dont_write_bytecode = True
            os.chdir(ROOT)
            if source is not None:
                name = "ufmflow." + module.removesuffix(".py").replace("/", ".")
                sys.meta_path.insert(0, _Loader(name, ROOT / module, source))
            files = [str(ROOT / "tests" / file) for file in TESTS[module]]
            code = int(pytest.main(["-n0", "-q", "-x", "-p", "no:cacheprovider", "-W", "ignore", *files]))
        finally:
            os._exit(code)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            if os.WIFSIGNALED(status):
                return "failed"
            code = os.WEXITSTATUS(status)
            # A module that cannot be loaded ends pytest with 4 where a conftest needs it.
            if code in (5, 99) or code == 4 and source is None:
                raise RuntimeError(f"the tests of {module} did not run: exit code {code}")
            return "passed" if code == 0 else "failed"
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "slow"


def campaign(number: int, until: float, only: str | None = None) -> None:
    """So many mutants, the modules in turn; written down after each."""
    import run

    # What is loaded here, children share; ufmflow itself is loaded anew in each.
    for library in (
        "numpy",
        "scipy.integrate",
        "scipy.linalg",
        "sympy",
        "mpmath",
        "hypothesis",
        "pytest",
        "xarray",
        "flint",
    ):
        importlib.import_module(library)
    chosen = only.split(",") if only else list(TESTS)
    sources = {module: (ROOT / module).read_text(encoding="utf-8") for module in chosen}
    drawn = {}
    for module, source in sources.items():
        order = list(range(len(sites(ast.parse(source)))))
        randoms.Random(f"mutants:{module}").shuffle(order)
        drawn[module] = order
    found = run.read("mutants")
    rows = found.get("mutants", [])
    known = {(row["module"], row["site"]) for row in rows}
    unchanged = dict(found.get("unchanged_seconds", {}))
    turn = 0
    while len(rows) < number and time.time() < until and any(drawn.values()):
        module = chosen[turn % len(chosen)]
        turn += 1
        if not drawn[module]:
            continue
        site = drawn[module].pop(0)
        if (module, site) in known:
            continue
        if module not in unchanged:
            begun = time.monotonic()
            ended = tests_pass(module, None)
            if ended != "passed":
                print(f"left out: the tests of {module} end with {ended} on the unchanged module", flush=True)
                drawn[module] = []
                continue
            unchanged[module] = round(time.monotonic() - begun, 1)
        source, line, change = mutant(sources[module], site)
        begun = time.monotonic()
        row = {"module": module, "site": site, "line": sources[module].splitlines()[line - 1].strip(), "change": change}
        rows.append(row | {"ended": tests_pass(module, source), "seconds": round(time.monotonic() - begun, 1)})
        print(rows[-1], flush=True)
        totals = {name: len(sites(ast.parse(text))) for name, text in sources.items()}
        run.write(
            "mutants", {"sites": found.get("sites", {}) | totals, "unchanged_seconds": unchanged, "mutants": rows}
        )


def explained(row: dict) -> str | None:
    """Why a survivor is none to worry about; None where that is not known."""
    return EXPLAINED.get((row["module"], row["line"], row["change"]))
