"""The report and the movie's page in headless Chromium: they render, the slider moves what it should, nothing complains."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ufmflow.numerics.crosscheck import crosscheck
from ufmflow.numerics.forecast import forecast
from ufmflow.numerics.movies import write_movie
from ufmflow.numerics.report import write_report
from ufmflow.numerics.runs import example_run

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium in the path: pages are not tried in a browser")

# What a reader does, by the events that a browser would send; the outcome goes where --dump-dom shows it.
READER = """<script>
const look = () => ({
  text: document.getElementById("frame").getAttribute("aria-valuetext"),
  pictures: [...document.querySelectorAll("canvas")].map((c) => c.toDataURL()).concat(
    [...document.querySelectorAll("#screen")].map((i) => i.src + i.alt)),
  cursors: [...document.querySelectorAll(".cursor")].map((c) => c.getBoundingClientRect().left),
  shares: [...document.querySelectorAll("td[data-share]")].map((c) => c.textContent),
});
const slider = document.getElementById("frame");
const seen = [0, Math.floor(0.55 * slider.max)].map((frame) => {
  slider.value = frame;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  return look();
});
document.getElementById("play").click();
setTimeout(() => {
  seen.push(look());
  document.getElementById("play").click();
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
}, 900);
</script>"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = example_run()
    check = crosscheck(run, forecast(run, level="modes"))
    return write_report(check, tmp_path_factory.mktemp("report")).read_text(encoding="utf-8")


def browse(page: str, folder: Path, *flags: str, fragment: str = "") -> tuple[str, list[str]]:
    """The page's document after its scripts ran, and what the console says."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr",
         *(flags or ("--virtual-time-budget=3000", "--dump-dom")), file.as_uri() + fragment],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return done.stdout, re.findall(r"CONSOLE[^\"]*\"(.*)\"", done.stderr)


def read_by(page: str, folder: Path) -> list[dict]:
    """What a reader sees: at first, with the slider moved, and after some time of playing."""
    open_to_us = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    document, console = browse(open_to_us.replace("</body>", READER + "</body>"), folder)
    assert console == []
    return json.loads(re.search(r'<pre id="seen">(.*?)</pre>', document, re.DOTALL)[1])


def test_the_report_opens_at_a_step_and_the_console_stays_silent(report, tmp_path):
    document, console = browse(report, tmp_path, fragment="#step=400")
    assert console == []
    assert re.search(r'id="player" class="player"(?! hidden)', document)
    assert "hidden" not in re.search(r'<button[^>]*id="play"[^>]*>', document)[0]
    steps = json.loads(re.search(r'id="frames">(.*?)</script>', document, re.DOTALL)[1])["steps"]
    nearest = min(steps, key=lambda step: abs(step - 400))
    assert f'aria-valuetext="step {nearest} of 40000' in document and f">step {nearest} of 40000" in document
    assert f'aria-label="Gram matrix, observed, at step {nearest}' in document


def test_the_slider_moves_every_picture_and_number(report, tmp_path):
    first, moved, played = read_by(report, tmp_path)
    assert len(first["pictures"]) == 2 and len(first["cursors"]) == 3 and len(first["shares"]) == 6
    for before, after in ((first, moved), (moved, played)):
        assert before["text"] != after["text"]
        for what in ("pictures", "cursors"):
            assert all(a != b for a, b in zip(before[what], after[what], strict=True)), what
        assert before["shares"] != after["shares"]
        assert all(a < b for a, b in zip(before["cursors"], after["cursors"], strict=True))


def test_the_slider_of_a_movie_changes_its_picture(tmp_path):
    run = example_run()
    page = write_movie(run, tmp_path / "movie.html", times=run.time[::8]).read_text(encoding="utf-8")
    first, moved, played = read_by(page, tmp_path)
    assert len({first["pictures"][0], moved["pictures"][0], played["pictures"][0]}) == 3
    assert moved["text"] in moved["pictures"][0]  # the alternative text tells the frame


def test_a_broken_or_foreign_script_is_seen(report, tmp_path):
    # A script that is not the package's is refused, and the page falls back on its figures.
    document, console = browse(report.replace('"use strict";', '"use strict"; undefinedName();'), tmp_path)
    assert any("Content Security Policy" in line for line in console)
    assert re.search(r'id="player" class="player" hidden', document)
    # Where scripts are let in, an error is on the console.
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report)
    _, console = browse(bare.replace('"use strict";', '"use strict"; undefinedName();'), tmp_path)
    assert any("undefinedName is not defined" in line for line in console)


def test_who_wants_little_motion_gets_no_play_button(report, tmp_path):
    document, console = browse(
        report, tmp_path, "--force-prefers-reduced-motion", "--virtual-time-budget=1000", "--dump-dom"
    )
    assert console == [] and re.search(r'<button[^>]*id="play"[^>]*hidden', document)


def test_print_leaves_the_slider_out(report, tmp_path):
    def pictures(page):
        browse(page, tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", "--virtual-time-budget=1000")
        written = (tmp_path / "page.pdf").read_bytes()
        assert written.startswith(b"%PDF")
        return written.count(b"/Subtype /Image")

    rule = ".player, .live, .cursor { display: none !important; }"
    assert rule in report
    assert pictures(report.replace(rule, "")) - pictures(report) >= 2  # the two canvases
