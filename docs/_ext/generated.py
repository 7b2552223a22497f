"""Pages that the site has and this folder does not: each is made at the build of what it tells about.

- `_site/claims/`: the theorem index, one page for each claim, from theorems.md;
- `_site/commands.md`: every command with its options, from the command line itself;
- `_site/notebooks/`: the notebooks, which are run as the site is built;
- `_site/NAME.md`: CONTRIBUTING and CHANGELOG of the repository's root.
"""

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
SITE = DOCS / "_site"
THEOREMS = DOCS / "theorems.md"
OUTSIDE = {"../notebooks/": "_site/notebooks/", "../README.md": "index.md", "../CONTRIBUTING.md": "_site/contributing.md",
           "../CHANGELOG.md": "_site/changelog.md"}  # fmt: skip
LINK = re.compile(r"\]\(([^)\s]+)\)")


def write_pages(app: Any) -> None:
    """Sphinx's hook: make all pages anew."""
    shutil.rmtree(SITE, ignore_errors=True)
    (SITE / "claims").mkdir(parents=True)
    shutil.copytree(ROOT / "notebooks", SITE / "notebooks", ignore=shutil.ignore_patterns("runs", ".*"))
    _, pages = split_claims(THEOREMS.read_text(encoding="utf-8"))
    for name, text in pages.items():
        (SITE / "claims" / name).write_text(text, encoding="utf-8")
    (SITE / "commands.md").write_text(commands_page(), encoding="utf-8")
    for name in ("CONTRIBUTING", "CHANGELOG"):
        if (ROOT / f"{name}.md").exists():
            text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
            (SITE / f"{name.lower()}.md").write_text(linked(text, from_root), encoding="utf-8")


def to_the_site(app: Any, docname: str, source: list[str]) -> None:
    """Sphinx's hook: a page's links to what lies elsewhere in the site than in the repository."""
    if docname == "theorems":
        source[0], _ = split_claims(source[0])
    elif docname.startswith("_site/notebooks/"):
        source[0] = linked(source[0], from_notebook)
    elif not docname.startswith("_site/"):
        source[0] = linked(source[0], to_site)


def linked(text: str, change: Callable[[str], str]) -> str:
    """The text with each link's target changed."""
    return LINK.sub(lambda link: f"]({change(link[1])})", text)


def to_site(target: str) -> str:
    """A page's link, in the site."""
    page, _, anchor = target.partition("#")
    if page == THEOREMS.name and anchor:
        return f"_site/claims/{claim_of(anchor)}#{anchor}"
    for outside, inside in OUTSIDE.items():
        if target.startswith(outside):
            return inside + target.removeprefix(outside)
    return target


def from_notebook(target: str) -> str:
    """A notebook's link, in the site, from `_site/notebooks`."""
    return f"../../{to_site(target.removeprefix('../docs/'))}" if target.startswith("../docs/") else target


def from_root(target: str) -> str:
    """A link of a page in the root, in the site, from `_site`."""
    if "://" in target or target.startswith("#"):
        return target
    return f"../{to_site(target.removeprefix('docs/') if target.startswith('docs/') else f'../{target}')}"


def slug(title: str) -> str:
    """The anchor of a heading, as Markdown viewers make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@cache
def claim_of(anchor: str) -> str:
    """The page of a claim, by the anchor of its title or of a theorem or counterexample of it."""
    for claim in re.split(r"^## ", THEOREMS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        if anchor in map(slug, [claim.partition("\n")[0], *re.findall(r"^### (.*)$", claim, flags=re.MULTILINE)]):
            return page_of(claim)
    raise KeyError(f"{THEOREMS.name} has no #{anchor}")


def page_of(claim: str) -> str:
    return f"claim-{int(claim.partition('.')[0]):02}.md"


def split_claims(text: str) -> tuple[str, dict[str, str]]:
    """The theorem index as an overview, and a page for each claim by its file's name."""
    head, *claims = re.split(r"^## ", text, flags=re.MULTILINE)
    rows, pages = [], {}
    for claim in claims:
        name, title = page_of(claim), claim.partition("\n")[0]

        def change(target: str, name: str = name) -> str:
            if target.startswith("#"):
                page = claim_of(target[1:])
                return target if page == name else page + target
            return f"../../{target}" if target.startswith("../") else target

        pages[name] = linked("# " + claim.replace("\n### ", "\n## "), change)
        rows.append(f"| [{title}](_site/claims/{name}) | {_statuses(claim)} |")
    tree = ["```{toctree}", ":hidden:", "", *(f"_site/claims/{name.removesuffix('.md')}" for name in pages), "```"]
    return "\n".join([head.rstrip(), "", "| claim | parts |", "|---|---|", *rows, "", *tree, ""]), pages


def _statuses(claim: str) -> str:
    statuses = re.findall(r"^\| [^|]* \| (proved|certified|corrected|open) \|", claim, flags=re.MULTILINE)
    return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))


def commands_page() -> str:
    """Every command: what it does, its examples, and its arguments and options."""
    from typer.main import get_command

    from ufmflow.cli import app

    lines = [
        "# Commands and options",
        "",
        "What `ufmflow COMMAND --help` prints, made from the command line itself.",
        "",
    ]
    lines += _commands(get_command(app), "ufmflow")
    return "\n".join(lines) + "\n"


def _commands(group: Any, path: str) -> list[str]:
    lines: list[str] = []
    for name, command in group.commands.items():
        full = f"{path} {name}"
        if hasattr(command, "commands"):
            lines += _commands(command, full)
            continue
        context = command.context_class(command, info_name=full)
        rows = [row for parameter in command.params if (row := parameter.get_help_record(context))]
        lines += [f"## {full}", "", *_help(command.help or ""), "", "| | |", "|---|---|"]
        lines += [f"| `{names}` | {_cell(meaning)} |" for names, meaning in rows]
        lines += [""]
    return lines


def _help(text: str) -> list[str]:
    """Prose as it is, examples as code."""
    prose, _, examples = re.sub(r"\n?\x08\n", "\n", text).partition("Example")
    commands = [line.strip() for line in examples.partition(":")[2].splitlines() if line.strip()]
    return [_plain(prose.strip()), *(["", "```", *commands, "```"] if commands else [])]


def _cell(text: str) -> str:
    return _plain(" ".join(text.split())).replace("|", "\\|")


def _plain(text: str) -> str:
    """Text whose characters stand for themselves in Markdown."""
    return re.sub(r"([*_<>$\[\]])", r"\\\1", text)
