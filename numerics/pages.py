"""Self-contained HTML pages from the package's templates (no network, no scripts), and figures as SVG."""

import base64
import io
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from ..theory.errors import InputError


def render(template: str, **values: Any) -> str:
    """The page of a template; text is escaped, and a name that the template misses is an error."""
    loader = jinja2.FunctionLoader(lambda name: files(__package__).joinpath(name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, loader=loader)
    return environment.get_template(template).render(**values)


def svg_of(figure: Any) -> bytes:
    """A matplotlib figure as SVG without a date, so that equal figures are equal bytes; the figure is closed."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return buffer.getvalue()


def image(svg: bytes) -> str:
    """The address of an image that a page carries with it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def folder_for(out: str | Path) -> Path:
    """The folder, made if it does not exist.

    Raises
    ------
    InputError
        When it cannot be made or is a file.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out: the folder {str(folder)!r} cannot be made: {error.strerror}.") from None
    return folder
