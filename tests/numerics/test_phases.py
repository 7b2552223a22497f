"""Phase diagrams at small size: the field is what simulations did, the borders are the theory's, and they can disagree."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

matplotlib.use("Agg")

from ufmflow.numerics import phases
from ufmflow.numerics.phase_plots import RASTER, _best_place, phase_figure
from ufmflow.numerics.phases import NEVER, PARTLY, PERMANENT, TRANSIENT, phase_diagram
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM


@pytest.fixture(scope="module")
def survival():
    return phase_diagram("survival", formula="a[3] * b[3]", points=6)


@pytest.fixture(scope="module")
def emergence(tmp_path_factory):
    return phase_diagram("emergence", tmp_path_factory.mktemp("phase") / "sweep.zarr", formula="a[2] * b[3]", points=6)


def test_emergence_lies_on_its_exact_border(emergence):
    assert set(emergence.phase.ravel()) == {NEVER, TRANSIENT}
    found = emergence.disagreement()
    assert found["cells"] == found["beyond"] == 0 and found["log_start_largest"] < 0.2  # a cell is 1.7 high
    assert np.array_equal(emergence.unseen, emergence.phase == NEVER)


def test_a_cell_is_what_its_simulation_did(emergence):
    for row, column in ((1, 4), (5, 1)):
        ratio, start = emergence.x.values[column], emergence.y.values[row]
        kernel = {"1": 1, "a": ratio, "b": ratio, "a:b": 1}
        alone = simulate(UFM("a[2] * b[3]", loss="mse", feature_kernel=kernel, label_kernel=kernel), 240.0, init=start)
        seen = float(alone.data["semantic_index"].max()) >= 0.5
        assert (emergence.phase[row, column] == TRANSIENT) == seen


def test_survival_follows_the_release_of_the_interaction(survival):
    found = survival.disagreement()
    assert found["beyond"] == 0 and found["cells"] < 0.01
    # To first order in the interaction: the largest ridge, 0.3 of what kills all, is the worst.
    assert found["log_onset_largest"] < 0.01 and found["log_end_median"] < 0.05 and found["log_end_largest"] < 0.15
    assert (np.diff(survival.phase, axis=0) >= 0).all()  # not yet, seen, collapsed


def test_the_maximum_margin_programme_is_seen_from_a_large_start():
    found = phase_diagram("persistence", formula="a[2] * b[2] * c[2]", points=5)
    assert found.disagreement()["log_ratio_largest"] < np.log(found.x.values[1] / found.x.values[0])  # a cell
    assert np.array_equal(found.phase[-1], found.predicted[-1])
    assert set(found.phase[-1]) == {TRANSIENT, PARTLY, PERMANENT}
    assert sorted({float(line.x[0]) for line in found.lines}) == pytest.approx([1.5, 2.0, 3.0])


def test_a_bottleneck_keeps_what_came_first():
    found = phase_diagram("capacity", formula="a[2] * b[3]", points=4, workers=1)
    top = found.phase[-1]  # the largest kernel ratio, M = 3 and V - 1 = 5
    assert top.tolist() == [PERMANENT] * 3 + [PARTLY] + [TRANSIENT] * 3 == found.predicted[-1].tolist()
    assert found.numbers["index_largest"] < 1e-2


def test_disagreement_can_be_found(emergence):
    wrong = replace(emergence, predicted=np.full_like(emergence.predicted, NEVER))
    assert (
        wrong.disagreement()["cells"] == wrong.disagreement()["beyond"] == float((emergence.phase == TRANSIENT).mean())
    )
    beside = emergence.predicted.copy()
    row, column = np.argwhere(np.diff(emergence.predicted, axis=0))[0]
    beside[row, column] = beside[row + 1, column]
    shifted = replace(emergence, predicted=beside).disagreement()
    assert shifted["cells"] > 0 and shifted["beyond"] == 0


def test_a_wrong_border_is_far_from_the_field(monkeypatch):
    monkeypatch.setattr(phases, "survival", lambda model, init: (3.0, 50.0))
    found = phase_diagram("survival", formula="a[3] * b[3]", points=4).disagreement()
    assert found["beyond"] > 0.1 and found["log_end_largest"] > 2


def test_the_same_diagram_is_read_from_its_store(emergence, tmp_path, monkeypatch):
    out = tmp_path / "sweep.zarr"
    first = phase_diagram("emergence", out, formula="a[2] * b[2]", points=4)
    monkeypatch.setattr("ufmflow.numerics.sweep_members.simulate", None)  # nothing is computed again
    again = phase_diagram("emergence", out, formula="a[2] * b[2]", points=4)
    assert np.array_equal(first.phase, again.phase)


def luminance(color):
    r, g, b = matplotlib.colors.to_rgb(color)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("name", ["emergence", "survival"])
def test_the_figure_is_grey_with_shades_that_print_apart(name, request):
    found = request.getfixturevalue(name)
    fig, ax = phase_figure(found)
    (field,) = [mesh for mesh in ax.collections if isinstance(mesh, matplotlib.collections.QuadMesh)]
    shades = field.cmap(range(len(found.names)))[:, :3]
    assert (np.ptp(shades, axis=1) == 0).all()
    values = sorted(map(luminance, shades))
    assert min(np.diff(values)) >= 0.15
    assert all(luminance(line.get_color()) == 0 for line in ax.lines)
    named = {text.get_text().replace("\n", " ") for text in ax.texts}
    assert named == {n for code, n in enumerate(found.names) if (found.phase == code).sum() >= 6}
    matplotlib.pyplot.close(fig)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("collapse", {}, "name: 'collapse' is unknown"),
        ("emergence", {"points": 2}, "points: 2"),
        ("emergence", {"formula": "a[3] / b[2]"}, "no crossed attributes"),
        ("emergence", {"formula": "a[3]"}, "no crossed attributes"),
        ("survival", {"formula": "a[3] * b[4]"}, "of one size"),
    ],
)
def test_bad_diagrams_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        phase_diagram(name, **options)


def misplaced(ax) -> list[str]:
    """Names of phases whose box leaves the axes or meets another's."""
    ax.figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    inside = {name: ax.bbox.x0 <= b.x0 and b.x1 <= ax.bbox.x1 and ax.bbox.y0 <= b.y0 and b.y1 <= ax.bbox.y1
              for name, b in boxes.items()}  # fmt: skip
    return [a for a in boxes if not inside[a] or any(boxes[a].overlaps(boxes[b]) for b in boxes if b != a)]


@pytest.mark.parametrize("name", ["emergence", "survival"])
def test_names_of_phases_lie_within_the_axes_and_apart(name, request):
    found = request.getfixturevalue(name)
    ax = phase_figure(found)[1]
    assert len(ax.texts) == len(np.unique(found.phase)) and misplaced(ax) == []
    ax.texts[0].set_position((0.5, 0.0))  # half of it below the axis
    assert misplaced(ax) == [ax.texts[0].get_text()]
    plt.close("all")


def test_a_name_covers_its_own_phase_only_where_there_is_room():
    strip = np.zeros((RASTER, RASTER), dtype=bool)
    strip[:30] = True  # as the survival diagram's first phase: low and wide
    free = np.zeros(strip.shape)
    covered, x, y = _best_place(strip, free, width=0.3, height=0.05)
    assert covered == 0 and abs(x - 0.5) < 0.01 and 0.025 <= y <= 0.1
    assert _best_place(strip, free, width=0.3, height=0.25)[0] > 0.4  # no room for three lines
    lined = free.copy()
    lined[:, RASTER // 2] = 1
    covered, x, _ = _best_place(strip, lined, width=0.3, height=0.05)
    assert covered == 0 and abs(x - 0.5) > 0.15  # beside the border


def test_the_command_line(tmp_path):
    def ufmflow(*arguments):
        command = [str(Path(sys.executable).with_name("ufmflow")), "phase", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    done = ufmflow("emergence", "--formula", "a[2] * b[2]", "--points", "4", "--out", "figure.svg", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["disagreement"]["beyond"] == 0 and (tmp_path / "figure.svg").stat().st_size > 1000
    bad = ufmflow("emergence", "--out", "figure.doc")
    assert bad.returncode == 2 and "is no figure" in bad.stderr and len(list(tmp_path.iterdir())) == 1
