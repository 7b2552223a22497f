"""The report: one page that needs nothing from outside, with equations, verdict, and Gram matrices at five times."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

from ufmflow.numerics.crosscheck import crosscheck
from ufmflow.numerics.report import write_report
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM

MATHML = "http://www.w3.org/1998/Math/MathML"


@pytest.fixture(scope="session")
def folder(flow_check, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "made" / "here"
    assert write_report(flow_check, folder) == folder / "index.html"
    return folder


@pytest.fixture(scope="session")
def page(folder):
    return (folder / "index.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every element with its attributes, and whether open and close tags match."""

    EMPTY = ("meta", "img", "br", "link", "input", "hr", "mspace")

    def __init__(self, page):
        super().__init__()
        self.found, self.open, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def outside_references(page: str) -> list[str]:
    """Addresses of anything but the MathML namespace, and elements or rules that could load something."""
    elements = Elements(page).found
    loading = [tag for tag, _ in elements if tag in ("script", "link", "iframe", "object", "embed", "base")]
    loadable = [value for _, attrs in elements for name, value in attrs.items() if name in ("src", "href", "srcset")]
    sources = [value for value in loadable if not value.startswith(("data:", "#"))]
    urls = [url for url in re.findall(r"https?://[^\"'\s<)]+", page) if url != MATHML]
    rules = re.findall(r"@import|url\((?!['\"]?data:)", page)
    return loading + sources + urls + rules


def test_the_page_needs_nothing_from_outside(page):
    assert outside_references(page) == []
    for planted in (
        "<script>1</script>", '<img src="x.png">', '<a href="https://x.org">x</a>', "<style>@import 'x'</style>",
        "<style>a{background:url(x.png)}</style>",
    ):  # fmt: skip
        assert outside_references(page.replace("</body>", planted + "</body>"))


def test_the_page_is_well_formed_and_complete(page, flow_check):
    elements = Elements(page)
    assert elements.open == [] and page.startswith("<!DOCTYPE html>")
    assert "{{" not in page and "{%" not in page and "None" not in elements.text and "nan" not in elements.text.split()
    assert all(attrs.get("alt") for tag, attrs in elements.found if tag == "img")


def test_the_equations_are_mathml(page):
    equations = re.findall(r"<math .*?</math>", page, flags=re.DOTALL)
    assert len(equations) >= 7  # w and phi on three strata, phi on the mean
    assert all(MATHML in equation for equation in equations)
    written = " ".join(equations)
    assert "LogPartition" not in written and "&ExponentialE;" in written and "log" in written


def test_the_verdict_and_its_numbers_are_there(page, flow_check, large_step_check, tmp_path):
    held = flow_check.forecasts["flow_deep"]
    assert "<strong>Confirmed.</strong>" in page and "flow_deep" in page and f"{held.share_rmse_mean:.4f}" in page
    assert f"{flow_check.baseline_etf:.4f}" in page and f"{flow_check.baseline_frozen:.4f}" in page
    for level, found in flow_check.forecasts.items():
        assert f"<code>{level}</code>" in page and f"{found.loss_log_ratio_median:.4f}" in page
    run = flow_check.run
    poor = crosscheck(run, simulate(UFM(run.attributes, constraint="normalized", width=64), run.time))
    assert "<strong>Not confirmed.</strong>" in write_report(poor, tmp_path / "poor").read_text()


def test_gram_matrices_are_drawn_at_five_times(folder, page):
    svg = (folder / "gram.svg").read_text()
    # matplotlib draws text as paths, and names each in a comment.
    assert len(re.findall(r"<!-- t = [\d.e+-]+ -->", svg)) == 5
    assert page.count("data:image/svg+xml;base64,") == 4


def test_numbers_and_figures_lie_beside_the_page(folder, flow_check):
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["check.json", "gram.svg", "index.html", "loss.svg", "shares.svg", "singular_values.svg"]
    assert json.loads((folder / "check.json").read_text()) == json.loads(json.dumps(flow_check.to_dict()))


def test_the_same_check_gives_the_same_numbers(folder, flow_check):
    before = (folder / "check.json").read_bytes()
    write_report(flow_check, folder)  # over the old one
    assert (folder / "check.json").read_bytes() == before


def test_text_from_a_run_is_escaped(flow_check, tmp_path):
    run = flow_check.run
    meta = json.dumps(run.meta | {"arch": "<script>alert(1)</script>"})
    named = dataclasses.replace(run, data=run.data.assign_attrs(meta=meta, name="<b>run</b>"))
    page = write_report(dataclasses.replace(flow_check, run=named), tmp_path / "escaped").read_text()
    assert "<script>" not in page and "<b>run" not in page and "&lt;script&gt;" in page


def test_a_folder_that_cannot_be_made_is_named(flow_check, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "report"):
        with pytest.raises(InputError, match="^out: the folder .* cannot be made"):
            write_report(flow_check, out)
    assert (tmp_path / "file").read_text() == "mine"
