"""Points of a plane along time: distances that stand for cosines, frames that turn no more than they must, movies."""

import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ufmflow.numerics import movies
from ufmflow.numerics.configurations import frames, metric_scaling, procrustes
from ufmflow.numerics.gram_plots import centred_cosine
from ufmflow.numerics.movies import write_movie
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM

from .explicit import normal

KERNEL = {"1": 12, "color": 5, "shape": 4, "color:shape": 1}


def orthogonal(seed: int, k: int) -> np.ndarray:
    """A rotation or, for odd seeds, a reflection."""
    Q, _ = np.linalg.qr(normal(seed, k, k))
    return Q * np.where(np.arange(k) == 0, np.sign(np.linalg.det(Q)) * (-1.0) ** seed, 1.0)


@given(seed=st.integers(0, 99), m=st.integers(4, 12), k=st.integers(2, 3))
def test_procrustes_undoes_rotations_and_reflections(seed, m, k):
    points, Q = normal(seed, m, k), orthogonal(seed, k)
    assert np.sign(np.linalg.det(Q)) == (-1.0) ** seed
    np.testing.assert_allclose(procrustes(points @ Q, points), points, atol=1e-12)
    # No other turn comes nearer to points that are not the same.
    other = normal(seed + 1000, m, k)
    least = np.linalg.norm(procrustes(points, other) - other)
    turns = [np.linalg.norm(points @ orthogonal(s, k) - other) for s in range(20)]
    assert least <= min(turns) and not np.allclose(points @ Q, points)


def turning_cosines(count: int) -> list[np.ndarray]:
    """Cosines that change little from frame to frame, whose first two principal axes change places half way."""
    around = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.stack([np.cos(around), np.sin(around), 0.5 * np.cos(3 * around + 0.4)], axis=1)
    stretched = (ring * [1 + t, 1 - t, 1] for t in np.linspace(-0.2, 0.2, count))
    return [centred_cosine(points @ points.T) for points in stretched]


def jump(found: np.ndarray) -> float:
    """The largest move of a point between frames, relative to the points' extent."""
    return float(np.linalg.norm(np.diff(found, axis=0), axis=-1).max() / np.abs(found).max())


@pytest.mark.parametrize("method", ["mds", "pca"])
def test_aligned_frames_do_not_jump_and_unaligned_ones_do(method):
    cosines = turning_cosines(16)
    assert jump(frames(cosines, method)) < 0.3
    assert jump(frames(cosines, method, aligned=False)) > 0.8


@pytest.mark.parametrize("method", ["mds", "pca"])
def test_the_same_matrices_give_the_guide(method):
    cosines = turning_cosines(6)
    guide = frames(cosines, method) @ orthogonal(1, 2)
    np.testing.assert_allclose(frames(cosines, method, guide=guide), guide, atol=0.02 if method == "mds" else 1e-10)


def test_scaling_finds_points_of_the_plane_again_and_spreads_a_simplex():
    points = normal(5, 9, 2)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    found = metric_scaling(apart, points + 0.1 * normal(6, 9, 2))
    np.testing.assert_allclose(np.linalg.norm(found[:, None] - found[None], axis=-1), apart, atol=0.05)
    # Three points that coincide at the start part: a triangle has all its distances in the plane.
    triangle = metric_scaling(1 - np.eye(3), np.zeros((3, 2)))
    np.testing.assert_allclose(np.linalg.norm(triangle[:, None] - triangle[None], axis=-1), 1 - np.eye(3), atol=0.01)


@pytest.fixture(scope="module")
def trajectories():
    times = np.array([0.0, *np.geomspace(0.1, 1e4, 12)])
    models = (UFM("color[3] * shape[4]", feature_kernel=KERNEL, ridge=ridge) for ridge in ("1/1200", "1/800"))
    return tuple(simulate(model, times) for model in models)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(ax) -> np.ndarray:
    """Points of a panel that are drawn as markers."""
    return np.concatenate([line.get_xydata() for line in ax.get_lines() if line.get_linestyle() == "None"])


def test_every_context_is_a_point_of_its_colour_and_marker(trajectories):
    trajectory, observed = trajectories
    fig, axes = trajectory.plot.embedding(observed=observed)
    assert axes.shape == (2, 5) and axes[0, 0].figure is fig
    times = [float(ax.get_title().removeprefix("t = ")) for ax in axes[0]]
    assert np.all(np.diff(times) > 0)
    for ax in axes.flat:
        assert len(drawn(ax)) == 12 and ax.get_xlim() == axes[0, 0].get_xlim()
        dots = [line for line in ax.get_lines() if line.get_linestyle() == "None"]
        assert len({(line.get_color(), line.get_marker()) for line in dots}) == 12  # three colours, four markers
        assert sorted(text.get_text() for text in ax.texts) == ["1", "2", "3"]
        left, right = ax.get_xlim()
        assert np.all((left < drawn(ax)) & (drawn(ax) < right))
    keys = [text.get_text() for text in fig.legends[0].get_texts()]
    assert keys == ["color 1", "color 2", "color 3", "shape 1", "shape 2", "shape 3", "shape 4"]


def test_points_move_with_the_geometry(trajectories):
    """At the window's peak contexts of one colour or shape are near; in the collapse all are equally far."""
    trajectory, _ = trajectories
    _, axes = trajectory.plot.embedding(times=[trajectory.window().peak, 1e4])
    color = np.repeat(np.arange(3), 4)

    def ratio(ax):
        """Mean distance within a colour over that between colours."""
        points = np.concatenate([line.get_xydata() for line in ax.get_lines() if line.get_linestyle() == "None"])
        apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
        same = color[:, None] == color[None]
        return apart[same & ~np.eye(12, dtype=bool)].mean() / apart[~same].mean()

    assert ratio(axes[0, 0]) < 0.8 * ratio(axes[0, 1])


@pytest.mark.parametrize("formula", ["one[5]", "many[9] * more[10]"])
def test_few_or_many_values_are_drawn(formula):
    trajectory = simulate(UFM(formula), [1.0, 10.0])
    fig, axes = trajectory.plot.embedding()
    assert axes.shape == (1, 2) and len(drawn(axes[0, 0])) == np.prod(Attributes(formula).shape)
    fig.draw_without_rendering()


def test_a_gif_has_its_frames(trajectories, tmp_path):
    out = write_movie(trajectories[0], tmp_path / "run.gif", times=[0.1, 10, 1e4], fps=4)
    with Image.open(out) as movie:
        assert movie.n_frames == 3 and movie.info["loop"] == 0
        pages = []
        for i in range(3):
            movie.seek(i)
            pages.append(np.asarray(movie.convert("L"), dtype=int))
            assert movie.convert("RGB").getpixel((1, 1)) == (255, 255, 255)  # white stays white
            assert movie.info["duration"] == (2000 if i == 2 else 250)
    assert all(np.abs(a - b).max() > 100 for a, b in zip(pages, pages[1:], strict=False))
    assert [path.name for path in tmp_path.iterdir()] == ["run.gif"]


def test_a_page_carries_its_frames(trajectories, tmp_path):
    out = write_movie(trajectories[0], tmp_path / "run.html", trajectories[1], times=[0.1, 1e4])
    page = out.read_text(encoding="utf-8")
    film = json.loads(re.search(r'<script type="application/json" id="film">(.*?)</script>', page, re.DOTALL)[1])
    assert len(film["pictures"]) == 2 and len(set(film["pictures"])) == 2
    assert film["captions"][1].startswith("t = 10000, loss ") and film["steps"] == [0.1, 1e4]
    assert 'type="range"' in page and "http://" not in page and "https://" not in page
    assert not re.findall(r"src=\"(?!data:)", page)


def test_an_mp4_is_written_or_refused_in_one_sentence(trajectories, tmp_path, monkeypatch):
    if movies.FFMpegWriter.isAvailable():
        out = write_movie(trajectories[0], tmp_path / "run.mp4", times=[0.1, 10])
        assert out.read_bytes()[4:8] == b"ftyp"
    monkeypatch.setattr(movies.FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(InputError, match="needs ffmpeg, which is not in the path; install it, or end out in .gif"):
        write_movie(trajectories[0], tmp_path / "other.mp4")
    assert not (tmp_path / "other.mp4").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"out": "run.avi"}, "is no movie; end it in .gif, .mp4, .html"),
        ({"out": "no/folder/run.gif"}, "the folder of .* does not exist"),
        ({"fps": 0}, "0 frames a second cannot be shown; give 1 to 60"),
        ({"method": "tsne"}, "method: 'tsne' is unknown; choose mds"),
        ({"times": []}, "holds no finite times"),
        ({"times": [float("nan")]}, "holds no finite times"),
        ({"observed": simulate(UFM("color[3]"), [1.0])}, "give runs of one structure"),
    ],
)
def test_bad_movies_are_refused_and_leave_nothing(trajectories, tmp_path, options, message):
    options = {"out": "run.gif", **options}
    with pytest.raises(InputError, match=message):
        write_movie(trajectories[0], tmp_path / options.pop("out"), **options)
    assert list(tmp_path.iterdir()) == []


def test_a_movie_that_fails_half_way_leaves_nothing(trajectories, tmp_path, monkeypatch):
    monkeypatch.setattr(movies, "_write_gif", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    (tmp_path / "run.gif").write_text("the old one")
    with pytest.raises(OSError, match="disk full"):
        write_movie(trajectories[0], tmp_path / "run.gif", times=[0.1])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the old one"]


def test_too_many_contexts_are_refused():
    trajectory = simulate(UFM("a[40] * b[40]"), [1.0])
    with pytest.raises(InputError, match="1600 contexts; points are drawn for at most 1024"):
        trajectory.plot.embedding()
