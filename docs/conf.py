"""The documentation site: `make docs` builds it strictly and offline into docs/_build/html.

Pages are the Markdown files of this folder, which read as well without Sphinx. Made at each build, and not kept: a page for
each claim of the theorem index, the commands' options, the public names, and the notebooks with their outputs.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import docstrings
import generated

import ufmflow

project = "ufmflow"
author = "The ufmflow developers"
project_copyright = author
version = release = ufmflow.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",
]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_build", "_ext", "_templates", "**.ipynb_checkpoints"]
templates_path = ["_templates"]
nitpicky = True

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True
nb_render_markdown_format = "myst"  # statements that a cell shows have formulas

autosummary_generate = ["api.md"]
autodoc_typehints = "none"  # docstrings say more: shapes, units, what is allowed
autodoc_member_order = "bysource"
default_role = "code"
smartquotes = False  # options begin with two hyphens

html_theme = "furo"
html_permalinks_icon = "#"
html_title = "ufmflow"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False


def setup(app):
    app.config.mathjax_path = "mathjax/tex-svg.js"  # SVG needs no font files, so that pages open from a disk too
    app.connect("builder-inited", generated.write_pages, priority=100)  # before autosummary looks for names
    app.connect("source-read", generated.to_the_site)
    app.connect("autodoc-process-docstring", docstrings.to_rst)
