"""How Sphinx builds these pages: offline, with every warning an error. What needs more than a setting has a file in `_ext/`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import socklens

project = "socklens"
author = "the socklens maintainers"
project_copyright = "the socklens maintainers; MIT OR Apache-2.0"
release = version = socklens.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "course", "prose", "signatures"]
exclude_patterns = ["_*", "**/.ipynb_checkpoints"]
# A widget is an output that a page cannot show; a still picture stands beside it.
suppress_warnings = ["mystnb.mime_priority"]

html_theme = "furo"
html_title = f"socklens {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sourcelink = False
smartquotes = False  # a quotation mark is often a piece of code
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Each notebook, and each page with cells, is run at every build, in one kernel of its own. A cell that raises is a warning, so an error.
nb_execution_mode = "force"
nb_execution_timeout = 60
nb_execution_show_tb = True
# A live picture has a still one beside it, and a page has no kernel: without this, scripts would be fetched for it.
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
