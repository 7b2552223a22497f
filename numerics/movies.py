"""Movies of the embedding along time: GIF, MP4, or one self-contained HTML page with a slider."""

import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, FuncAnimation
from PIL import Image

from ..theory.errors import InputError
from .embedding_plots import Scatter, embedding_points, equal_axes, key_to_attributes
from .gram_plots import time_title
from .pages import image, render
from .plots import Plots, house_style, recorded_times

if TYPE_CHECKING:
    from .trajectory import Trajectory

ENDINGS = (".gif", ".mp4", ".html")
DPI = 90
COLOURS = 128  # of a frame; lines have shades at their edges


def write_movie(
    trajectory: "Trajectory",
    out: str | Path,
    observed: "Trajectory | None" = None,
    times: Any = None,
    method: str = "mds",
    fps: int = 6,
) -> Path:
    """Write the embedding along time as a movie, the semantic index with the time of each frame below it.

    Parameters
    ----------
    trajectory : what is drawn; the left panel where there are two
    out : .gif, .mp4 (needs ffmpeg) or .html (one self-contained page with a slider)
    observed : a second panel, turned onto the first
    times : the recorded times nearest to these; at most forty log-spaced ones if None
    method : "mds" or "pca", see `ufmflow.numerics.configurations.frames`
    fps : frames a second, 1 to 60

    Returns
    -------
    Path of the file, which is there whole or not at all

    Raises
    ------
    InputError
        For another ending, a missing folder, an unknown method, frames a second out of range, too many contexts, and
        for .mp4 where ffmpeg is missing.

    Examples
    --------
    >>> import tempfile
    >>> from ufmflow.numerics.runs import example_run
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_movie(example_run(), f"{folder}/run.gif", times=[0.1, 10]).name
    'run.gif'
    """
    import matplotlib.pyplot as plt

    target = _check_movie(out, fps)
    chosen = recorded_times(trajectory.time, times, 40)
    rows = {"": trajectory} if observed is None else {"forecast": trajectory, "observed": observed}
    points = embedding_points(rows, chosen, method)
    with house_style():
        fig, scatters, cursor = _stage(rows, points)
        film = _film(rows, chosen, method)

        def draw(i: int) -> list[Any]:
            for scatter, found in zip(scatters, points, strict=True):
                scatter.move(found[i])
            cursor.set_xdata([chosen[i], chosen[i]])
            fig.suptitle(film["captions"][i], fontsize=10, x=0.02, ha="left")
            return []

        try:
            animation = FuncAnimation(fig, draw, frames=len(chosen), init_func=list, interval=1000 / fps)
            _write(animation, target, fps, film)
        finally:
            plt.close(fig)
    return target


def _stage(rows: "dict[str, Trajectory]", points: list[np.ndarray]) -> tuple[Any, list[Scatter], Any]:
    """The figure of a movie: panels above, the semantic index below with a cursor at the frame's time."""
    import matplotlib.pyplot as plt

    first, *rest = rows.values()
    fig = plt.figure(figsize=(3.1 * len(rows) + 1.2, 4.9))
    above = fig.add_gridspec(2, len(rows), height_ratios=(3, 1))
    scatters = []
    for i, name in enumerate(rows):
        ax = fig.add_subplot(above[0, i])
        scatters.append(Scatter(ax, first.attributes))
        equal_axes(ax, points)
        ax.set_title(name, fontsize=9)
    key_to_attributes(fig, first.attributes)
    below = fig.add_subplot(above[1, :])
    Plots(first).window(rest[0] if rest else None, below)
    if (legend := below.get_legend()) is not None:
        legend.remove()
    fig.suptitle(" ")
    fig.draw_without_rendering()
    fig.set_layout_engine("none")  # laid out once: the panels must not move, and measuring text takes most of the time
    return fig, scatters, below.axvline(first.time[0], color="black", lw=1.2)


def _film(rows: "dict[str, Trajectory]", times: np.ndarray, method: str) -> dict[str, Any]:
    """What a page says of the frames: texts, the steps (times, where steps are unknown), and where to begin."""
    first = next(iter(rows.values()))
    data = first.data.sel(time=times)
    window = first.window()
    known = "step" in data.coords
    steps = data["step"].values.tolist() if known else times.tolist()
    return {
        "title": f"Representations through time: {first.attributes}",
        "alt": f"{int(np.prod(first.attributes.shape))} contexts as points of a plane ({method}), "
        + ("forecast beside observed; " if len(rows) > 1 else "")
        + f"colour and number: {first.attributes.factors[0].name}.",
        "captions": [
            (f"step {step}, " if known else "") + f"{time_title(time)}, loss {float(loss):.3g}"
            for step, time, loss in zip(steps, times, data["loss"].values, strict=True)
        ],
        "steps": steps,
        "at": int(np.argmin(np.abs(times - window.peak))) if window else 0,
    }


def _check_movie(out: str | Path, fps: int) -> Path:
    target = Path(out)
    if target.suffix not in ENDINGS:
        raise InputError(f"out: {str(out)!r} is no movie; end it in {', '.join(ENDINGS)}.")
    if not target.absolute().parent.is_dir():
        raise InputError(f"out: the folder of {str(out)!r} does not exist; make it first.")
    if not 1 <= fps <= 60:
        raise InputError(f"fps: {fps} frames a second cannot be shown; give 1 to 60.")
    if target.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise InputError(f"out: {str(out)!r} needs ffmpeg, which is not in the path; install it, or end out in .gif.")
    return target


def _write(animation: Any, target: Path, fps: int, film: dict[str, Any]) -> None:
    """Through a temporary file beside the target, so that no half of a movie is left."""
    handle, temporary = tempfile.mkstemp(dir=target.absolute().parent, prefix=".ufmflow-", suffix=target.suffix)
    os.close(handle)
    try:
        if target.suffix == ".mp4":
            animation.save(
                temporary, writer=FFMpegWriter(fps, codec="h264", extra_args=["-pix_fmt", "yuv420p"]), dpi=DPI
            )
        else:
            pages = _pictures(animation)
            if target.suffix == ".gif":
                _write_gif(pages, temporary, fps)
            else:
                Path(temporary).write_text(_page(pages, film, fps), encoding="utf-8")
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _pictures(animation: Any) -> list[Any]:
    """The frames as Pillow images."""
    kept = _Kept()
    animation.save("frames", writer=kept, dpi=DPI)
    return kept.pages


class _Kept(AbstractMovieWriter):
    """A writer that keeps the frames."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: list[Any] = []

    def setup(self, fig: Any, outfile: Any, dpi: float | None = None) -> None:
        super().setup(fig, outfile, dpi)

    def grab_frame(self, **savefig_kwargs: Any) -> None:
        buffer = io.BytesIO()
        self.fig.savefig(buffer, format="rgba", dpi=self.dpi, **savefig_kwargs)
        self.pages.append(Image.frombuffer("RGBA", self.frame_size, buffer.getvalue()).convert("RGB"))

    def finish(self) -> None:
        pass


def _write_gif(pages: list[Any], path: str, fps: int) -> None:
    """One palette for all frames, so that they do not flicker; the last stays for two seconds."""
    small = _indexed(pages)
    wait = [round(1000 / fps)] * (len(pages) - 1) + [2000]
    small[0].save(path, save_all=True, append_images=small[1:], duration=wait, loop=0, optimize=True)


def _indexed(pages: list[Any]) -> list[Any]:
    """The frames in the colours that some of them have most often, as they are: Pillow's own choice tints the white."""
    codes = [np.asarray(page, dtype=np.int64) @ [1 << 16, 1 << 8, 1] for page in pages]
    seen, counts = np.unique(np.stack(codes[:: max(1, len(pages) // 4)]), return_counts=True)
    palette = _rgb(seen[np.argsort(-counts, kind="stable")[:COLOURS]])
    made = []
    for code in codes:
        own, where = np.unique(code, return_inverse=True)
        nearest = np.argmin(np.sum((_rgb(own)[:, None] - palette[None]) ** 2, axis=-1), axis=1)
        page = Image.fromarray(nearest.astype(np.uint8)[where].reshape(code.shape))
        page.putpalette(palette.astype(np.uint8).tobytes())
        made.append(page)
    return made


def _rgb(codes: np.ndarray) -> np.ndarray:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)


def _page(pages: list[Any], film: dict[str, Any], fps: int) -> str:
    pictures = []
    for page in _indexed(pages):
        buffer = io.BytesIO()
        page.save(buffer, format="png", optimize=True)
        pictures.append(image(buffer.getvalue(), "png"))
    return render(
        "movie.html",
        scripts=("player.js", "movie.js"),
        film=film | {"pictures": pictures, "wait": round(1000 / fps)},
        title=film["title"],
        width=pages[0].width,
        height=pages[0].height,
    )
