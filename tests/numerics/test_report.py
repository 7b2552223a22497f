"""The report: one page that needs nothing from outside, with equations, verdict, and Gram matrices at five times."""

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from ufmflow.numerics.crosscheck import crosscheck
from ufmflow.numerics.gram_plots import centred_cosine
from ufmflow.numerics.report import write_report
from ufmflow.numerics.report_frames import frame_times
from ufmflow.numerics.runs import make_run
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM

from .explicit import normal

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
    """Every element with its attributes, the text, scripts apart, and whether open and close tags match."""

    EMPTY = ("meta", "img", "br", "wbr", "link", "input", "hr", "mspace")

    def __init__(self, page):
        super().__init__()
        self.found, self.open, self.text, self.scripts = [], [], "", []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append([dict(attrs), ""])
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1][1] += data
        else:
            self.text += data


def policy_of(page: str) -> str:
    """What the page allows itself to load and to run."""
    metas = [attrs for tag, attrs in Elements(page).found if tag == "meta"]
    return next(attrs["content"] for attrs in metas if attrs.get("http-equiv") == "Content-Security-Policy")


def foreign_scripts(page: str) -> list[str]:
    """Scripts that the page's policy does not know by their hash; data are no script."""
    known = re.findall(r"'sha256-([^']+)'", policy_of(page))
    code = [text for attrs, text in Elements(page).scripts if attrs.get("type") != "application/json"]
    return [text for text in code if base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() not in known]


def outside_references(page: str) -> list[str]:
    """Addresses of anything but the MathML namespace, and elements or rules that could load something."""
    elements = Elements(page).found
    loading = [tag for tag, _ in elements if tag in ("link", "iframe", "object", "embed", "base")] + foreign_scripts(page)
    loadable = [value for _, attrs in elements for name, value in attrs.items() if name in ("src", "href", "srcset")]
    sources = [value for value in loadable if not value.startswith(("data:", "#"))]
    urls = [url for url in re.findall(r"https?://[^\"'\s<)]+", page) if url != MATHML]
    rules = re.findall(r"@import|url\((?!['\"]?data:)", page)
    return loading + sources + urls + rules


def test_the_page_needs_nothing_from_outside(page):
    assert outside_references(page) == []
    for planted in (
        "<script>1</script>", '<script src="x.js"></script>', '<img src="x.png">', '<a href="https://x.org">x</a>', "<style>@import 'x'</style>",
        "<style>a{background:url(x.png)}</style>",
    ):  # fmt: skip
        assert outside_references(page.replace("</body>", planted + "</body>"))


def test_the_page_is_well_formed_and_complete(page, flow_check):
    elements = Elements(page)
    assert elements.open == [] and page.startswith("<!DOCTYPE html>")
    assert "{{" not in page and "{%" not in page and "None" not in elements.text and "nan" not in elements.text.split()
    assert all(attrs.get("alt") for tag, attrs in elements.found if tag == "img")


def test_the_policy_lets_nothing_in(page):
    rules = dict(rule.strip().split(" ", 1) for rule in policy_of(page).split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:" and rules["script-src"].count("'") == 2
    assert not [rule for rule in rules.values() if "http" in rule or "*" in rule or "self" in rule]


def test_every_control_has_one_name_and_every_id_is_one(page):
    elements = Elements(page).found
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    labels = [attrs["for"] for tag, attrs in elements if tag == "label"]
    inputs = [attrs for tag, attrs in elements if tag in ("input", "select", "textarea")]
    assert labels == [attrs["id"] for attrs in inputs] and [attrs["type"] for attrs in inputs] == ["range"]
    assert re.fullmatch(r"step \d+ of 40000, loss [\d.e-]+", inputs[0]["aria-valuetext"])
    # Without JavaScript nothing of the slider is there, and what needs it is hidden.
    moving = [attrs for tag, attrs in elements if tag == "canvas" or "live" in attrs.get("class", "").split()]
    assert len(moving) >= 6
    assert all("hidden" in attrs for _, attrs in elements if attrs.get("id") == "player")
    assert all("hidden" in attrs for _, attrs in elements if "live" in attrs.get("class", "").split())


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb by WCAG 2."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out_from_its_ground(page):
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", page))
    for name in ("ink", "soft", "good", "bad"):
        assert min(contrast(colors[name], "#ffffff"), contrast(colors[name], "#f6f8fa")) >= 4.5, name
    assert contrast(colors["ink"], "#bcd6ec") >= 4.5  # numbers on their bars
    assert contrast(colors["line"], "#ffffff") < 4.5  # a line is no text


def embedded(page: str) -> dict:
    return json.loads(next(text for attrs, text in Elements(page).scripts if attrs.get("id") == "frames"))


def test_the_slider_has_the_numbers_of_the_run(page, flow_check):
    frames, run = embedded(page), flow_check.run
    held = flow_check.trajectories[flow_check.designated]
    assert frames["steps"] == run.data["step"].values.tolist() and len(frames["captions"]) == len(run.time) == 39
    grams = np.frombuffer(base64.b64decode(frames["grams"]), np.uint8).reshape(2, 39, 24, 24) / 124 - 1
    for seen, source in zip(grams, (held, run), strict=True):
        for i in (0, 20, 38):
            np.testing.assert_allclose(seen[i], centred_cosine(source.gram(run.time[i])), atol=0.51 / 124)
    np.testing.assert_allclose(frames["observed"], run.shares(), atol=6e-5)
    np.testing.assert_allclose(frames["forecast"], held.shares(), atol=6e-5)
    assert [line[0] for line in frames["lines"]] == [0.25, 0.5, 0.75]
    for cursor in frames["cursors"].values():
        places = np.array(cursor["at"])
        assert np.all(np.diff(places) > 0) and 0 < places[0] < 0.3 and 0.9 < places[-1] <= 1
        assert 0 <= cursor["top"] < 0.2 and 0.1 < cursor["bottom"] < 0.3
    assert len(page) < 2e6


def test_long_records_and_many_contexts_are_thinned():
    times = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 400)])
    thinned = frame_times(times)
    assert 40 < len(thinned) <= 60 and thinned[0] == 0 and thinned[-1] == times[-1] and set(thinned) <= set(times)
    assert frame_times(times[:3]).tolist() == times[:3].tolist()


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
    assert "<script>alert" not in page and "<b>run" not in page and "&lt;script&gt;" in page
    assert foreign_scripts(page) == []


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """The page of a run of 500 contexts with three records that tells nothing of its network."""
    attributes = Attributes("size[10] * colour[10] * shape[5]")
    H = np.stack([normal(seed, 500, 8) for seed in range(3)])
    arrays = {"step": np.array([0, 10, 500]), "H": H, "W": H * 0.1, "loss": np.array([6.2, 3.0, 0.5]),
              "label": np.arange(500)}  # fmt: skip
    run = make_run(arrays, attributes, {"lr": 0.01}, "sparse.npz")
    check = crosscheck(run, simulate(UFM(attributes, constraint="normalized", width=500), run.time))
    return write_report(check, tmp_path_factory.mktemp("sparse")).read_text()


def test_many_contexts_and_few_records_make_a_page(sparse):
    frames = embedded(sparse)
    assert frames["steps"] == [0, 10, 500] and frames["side"] == 96 and len(sparse) < 2e6
    assert len(base64.b64decode(frames["grams"])) == 2 * 3 * 96 * 96
    # Nine thick lines between sizes; those between their colours are too many.
    assert [line for line in frames["lines"] if line[1] == 2] == [[k / 10, 2] for k in range(1, 10)]
    assert len(frames["lines"]) == 9
    text = Elements(sparse).text
    assert "means over blocks of neighbours" in text and "None" not in text and "Seed" not in text


def test_a_folder_that_cannot_be_made_is_named(flow_check, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "report"):
        with pytest.raises(InputError, match="^out: the folder .* cannot be made"):
            write_report(flow_check, out)
    assert (tmp_path / "file").read_text() == "mine"
