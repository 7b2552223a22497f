"""Make the figures of docs/gallery.md by running its code, block by block, in docs/images/gallery: `make gallery`.

    python docs/make_gallery.py [FOLDER]
"""

import os
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

PAGE = Path(__file__).with_name("gallery.md")


def blocks() -> list[str]:
    """The page's Python, in order."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def images() -> list[str]:
    """The names of the page's images, in order."""
    return re.findall(r"!\[[^\]]+\]\(images/gallery/([\w.-]+)\)", PAGE.read_text(encoding="utf-8"))


def make(folder: Path) -> None:
    """Run the page in a folder, and refuse images that the page does not make or does not show."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    namespace: dict[str, object] = {}
    for block in blocks():
        exec(compile(block, str(PAGE), "exec"), namespace)
    found = {path.name for path in Path().iterdir()}
    if found != set(images()):
        raise SystemExit(f"gallery: page and folder differ in {sorted(found ^ set(images()))}")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE.parent / "images" / "gallery")
