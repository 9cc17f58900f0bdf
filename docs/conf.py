"""Sphinx configuration: MyST pages, executed at build, in the furo theme."""

import importlib.metadata
import os
import re

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # the examples are small; the pages look the same everywhere

project = "gmdsl"
author = "the gmdsl authors"
version = release = importlib.metadata.version("gmdsl")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
default_role = "literal"  # docstrings write `name` for code

html_theme = "furo"
html_title = f"gmdsl {version}"
html_static_path = ["_static"]
html_css_files = ["outputs.css"]
html_show_sourcelink = False
html_copy_source = False
toc_object_entries = False  # every object has a heading of its own

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Pages are executed from scratch at every build, so that no output is older than the library.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_execution_in_temp = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_typehints = "none"  # the Args sections say what is meant; shapes stay in the source
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Class attributes", "params_style"), ("Reference", "references")]


def render_math(app, what, name, obj, options, lines):  # noqa: ANN001, ANN201, PLR0913
    """Turns the `$...$` of docstrings into the math role of reStructuredText; doctests are left alone."""
    blocks = re.split(r"(\n\s*\n)", "\n".join(lines))
    for index, block in enumerate(blocks):
        if not block.lstrip().startswith(">>>"):
            blocks[index] = re.sub(r"\$([^$]+)\$", lambda m: f":math:`{' '.join(m[1].split())}`\\ ", block)
    lines[:] = "".join(blocks).split("\n")


def setup(app):  # noqa: ANN001, ANN201
    """Registers the hook after napoleon's own (its priority is 500)."""
    app.connect("autodoc-process-docstring", render_math, priority=600)
