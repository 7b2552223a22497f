"""Self-contained HTML pages from the package's templates, and figures as SVG.

A page loads nothing: its policy allows images that it carries, and the one script that the package put there, known by
its hash.  Whatever text a run brings, no other script runs.
"""

import base64
import hashlib
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from ..theory.errors import InputError
from .plots import house_style


def render(template: str, scripts: Sequence[str] = (), **values: Any) -> str:
    """The page of a template; text is escaped, and a name that the template misses is an error.

    Parameters
    ----------
    template : file of the package
    scripts : files of the package that make the page's script, in this order
    values : what the template names
    """

    def read(name: str) -> str:
        return files(__package__).joinpath(name).read_text(encoding="utf-8")

    script = "".join(map(read, scripts))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        + (f"script-src 'sha256-{digest}'" if script else "script-src 'none'")
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.FunctionLoader(read)
    )
    return environment.get_template(template).render(script=script, policy=policy, **values)


def svg_of(figure: Any) -> bytes:
    """A matplotlib figure as SVG without a date, so that equal figures are equal bytes; the figure is closed."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return buffer.getvalue()


def image(content: bytes, kind: str = "svg+xml") -> str:
    """The address of an image (`svg+xml` or `png`) that a page carries with it."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()


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
