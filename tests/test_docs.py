"""The pages hold: every link leads somewhere, every command is accepted, and code prints what stands below it.

Code runs in blocks marked ```python, page by page in one namespace; a block marked ```text after it is what it prints. Blocks
that need PyTorch or a GPU are marked ```python torch and ```python gpu; the latter run on the CPU here. ```python sketch is
not run: it has names that the reader fills in. `make docs` builds the site strictly on top of this.
"""

import contextlib
import importlib
import importlib.util
import io
import json
import re
import shlex
from functools import cache
from pathlib import Path

import nbformat
import pytest

import ufmflow

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CODE_PAGES = (
    "tutorial", "ensembles", "how-to-checkpoints", "how-to-gpu", "how-to-structure", "how-to-theorem", "whole-matrices",
)  # fmt: skip
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def prose(text):
    """The text without its code, in which brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^(```|~~~).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL))


@cache
def anchors(text):
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)|`", r"\1", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


def broken(text, folder):
    """The links of a page that lead to no file, or to no heading of it."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = folder / path if path else None
        there = file is None or file.exists()
        if not there or (anchor and anchor not in anchors(file.read_text(encoding="utf-8") if file else text)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    assert broken(page.read_text(encoding="utf-8"), page.parent) == []


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda page: page.stem)
def test_links_of_notebooks_lead_somewhere(page):
    cells = nbformat.read(page, as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert broken(text, page.parent) == []


def test_a_broken_link_is_noticed():
    text = (
        "# One\n[a](no-such-page.md) [b](tutorial.md#no-such-heading) [c](#two) [d](#one) `[e](f)`\n```\n[g](h)\n```\n"
    )
    assert broken(text, DOCS) == ["no-such-page.md", "tutorial.md#no-such-heading", "#two"]


def run(text, name):
    """Run a page's code, and hold what it prints to what the page says that it prints."""
    namespace = {"__name__": name}
    blocks = [match.groups() for match in BLOCK.finditer(text)]
    ran = 0
    for (language, mark, code), (after, _, expected) in zip(blocks, [*blocks[1:], ("", "", "")], strict=True):
        if language != "python" or "sketch" in mark:
            continue
        code = code.replace('device="cuda"', 'device="cpu"') if "gpu" in mark else code
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, name, "exec"), namespace)
        if after == "text":
            assert printed.getvalue() == expected
        ran += 1
    return ran


@pytest.mark.parametrize("name", CODE_PAGES)
def test_code_prints_what_the_page_says(name, tmp_path, monkeypatch):
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    if "```python torch" in text:
        torch = pytest.importorskip("torch")
        monkeypatch.setattr(torch, "set_num_threads", torch.set_num_threads)
        torch.set_num_threads(1)  # a network this small gains nothing from more
    assert run(text, name) >= 1


def test_a_failing_block_and_a_wrong_number_are_noticed():
    with pytest.raises(ZeroDivisionError):
        run("```python\n1 / 0\n```\n", "failing")
    with pytest.raises(AssertionError):
        run("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n", "wrong")
    assert run('```python gpu\nassert "cu" + "da" not in str(dict(device="cuda"))\n```\n', "device") == 1


def test_every_page_with_code_is_run_by_a_test():
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    pages = [
        page for page in DOCS.glob("*.md") if re.search(r"^```python(?! sketch)", page.read_text("utf-8"), re.MULTILINE)
    ]
    assert [page.name for page in pages if page.stem not in CODE_PAGES and f'"{page.name}"' not in tests] == []


def test_every_page_is_in_the_sites_contents():
    contents = (DOCS / "index.md").read_text(encoding="utf-8").split("```{toctree}")[1:]
    listed = {line for tree in contents for line in tree.partition("```")[0].splitlines() if line and line[0] != ":"}
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} == {name for name in listed if "/" not in name}


def test_every_public_name_is_in_the_reference():
    listed = re.findall(r"^   (\w+)$", (DOCS / "api.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(set(ufmflow.__all__) - {"__version__"})


def group():
    from typer.main import get_command

    return get_command(importlib.import_module("ufmflow.cli").app)


def test_every_command_is_in_the_reference():
    page = (DOCS / "command-line.md").read_text(encoding="utf-8")
    assert [name for name in group().commands if f"`ufmflow {name}`" not in page] == []


def shown_commands(text):
    """Lines that a page shows to be typed: indented, in a code block, or after a prompt; one for each `&&`."""
    lines = re.findall(r"^(?:    |\$ )?(ufmflow .*)$", re.sub(r"\\\n\s*", "", text), flags=re.MULTILINE)
    return [part.strip() for line in lines for part in line.split("&&") if part.strip().startswith("ufmflow ")]


def refused(line):
    """Why the command line would not take a line; nothing is run."""
    command, *words = shlex.split(line.removeprefix("ufmflow ").partition(" > ")[0], comments=True)
    if command not in group().commands:
        return f"no command {command}"
    try:
        group().commands[command].make_context(command, words)
    except Exception as error:
        return str(error)
    except SystemExit:
        return "it ends"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_shown_commands_are_commands(page):
    lines = shown_commands(page.read_text(encoding="utf-8"))
    assert {line: why for line in lines if (why := refused(line))} == {}


def test_a_wrong_command_is_noticed():
    assert shown_commands("x\n\n    ufmflow derive 'a[2]' \\\n      --nope && ufmflow no\n") == [
        "ufmflow derive 'a[2]' --nope",
        "ufmflow no",
    ]
    assert refused("ufmflow derive 'a[2]' --nope") and refused("ufmflow no") and not refused("ufmflow derive 'a[2]'")


def test_corrected_claims_are_counted():
    from ufmflow.proofs.claims import index

    rows = [row for row in index() if row.status == "corrected"]
    page = " ".join((DOCS / "limits.md").read_text(encoding="utf-8").split())
    claims, numbers = len({row.number for row in index()}), len({row.number for row in rows})
    assert f"Of the {claims} claims that the work began with, {numbers} did not" in page
    assert f"; {len(rows)} of their parts are *corrected*" in page


def test_the_numbers_of_the_limits_are_those_of_the_forecasts():
    page, forecasts = ((DOCS / name).read_text(encoding="utf-8") for name in ("limits.md", "forecasts.md"))
    failures = page.partition("## Where forecasts fail")[2].partition("\n## ")[0]
    bound = re.search(r"within (0\.\d+) for transformers", failures)[1]
    known = set(re.findall(r"\d+\.\d+", forecasts)) | {bound}
    assert set(re.findall(r"\d+\.\d+", failures)) <= known
    worst = [float(row) for row in re.findall(r"^\| transformer[^|]*\| [\d.]+ \(([\d.]+)\)", forecasts, re.MULTILINE)]
    assert len(worst) >= 8 and 0.8 * float(bound) < max(worst) <= float(bound)
    kernel = ufmflow.Start.of(ufmflow.example_run()).kernel
    residual = importlib.import_module("ufmflow.numerics.strata").residual(kernel, ufmflow.example_run().attributes)
    assert f"({residual:.3f} of" in page


def test_the_table_of_forecasts_is_that_of_the_results():
    spec = importlib.util.spec_from_file_location("forecast_seeds", ROOT / "benchmarks" / "forecast_seeds.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    result = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))
    page = (DOCS / "forecasts.md").read_text(encoding="utf-8")
    assert (lines := benchmark.table(result)) in page and lines.count("\n") > 10
    row = result["rows"][0]
    row["levels"][row["designated"]]["share_rmse_mean"] += 0.1
    assert benchmark.table(result) not in page


def test_the_sites_pages_of_claims_link_to_each_other(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    generated = importlib.import_module("generated")
    overview, pages = generated.split_claims((DOCS / "theorems.md").read_text(encoding="utf-8"))
    assert len(pages) == 14 and all(f"_site/claims/{name}" in overview for name in pages)
    links = [(name, link) for name, text in pages.items() for link in re.findall(r"\]\(([^)\s]*#[^)\s]+)\)", text)]
    for name, link in links:
        page, _, anchor = link.partition("#")
        assert anchor in anchors(pages[page or name])
    assert any(link[0] != "#" for _, link in links) and len(links) > 100
    assert generated.to_site("theorems.md#9-ridge-limit") == "_site/claims/claim-09.md#9-ridge-limit"
    assert generated.from_root("docs/plan.md") == "../plan.md" and generated.from_root("https://a.b") == "https://a.b"
    with pytest.raises(KeyError, match="no-such"):
        generated.to_site("theorems.md#no-such")
