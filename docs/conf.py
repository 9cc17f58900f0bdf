"""Sphinx configuration: MyST pages, executed at build, in the furo theme."""

import importlib.metadata
import os
import pathlib
import re

# The environment of the kernels that execute the pages: on the CPU, so that the pages look the same everywhere, and
# without tqdm's remark that Jupyter's widgets are missing (NumPyro imports tqdm).
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["GMDSL_EXAMPLES"] = str(pathlib.Path(__file__).parent.parent / "examples")
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")

project = "gmdsl"
author = "the gmdsl authors"
version = release = importlib.metadata.version("gmdsl")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build", "skeletons"]
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
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_typehints = "none"  # the Args sections say what is meant; shapes stay in the source
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [
    ("Attributes", "params_style"),
    ("Class attributes", "params_style"),
    ("Reference", "references"),
]
COLON = "\N{RATIO}"  # stands for a colon that napoleon must not take for the end of a type
MADE_BY_THE_LIBRARY = ("Model", "Density", "Capabilities", "Report", "Finding")


def shield_colons(app, what, name, obj, options, lines):
    """Hides the colons of properties and of `Returns:` sections, where the docstrings give no types."""
    hidden = what == "property"
    for index, line in enumerate(lines):
        hidden = hidden or line.strip() == "Returns:"
        if hidden and line.strip() not in ("Returns:", "Raises:"):
            lines[index] = line.replace(": ", f"{COLON} ")
        if not line.strip():
            hidden = False


def render_math(app, what, name, obj, options, lines):
    """Turns the `$...$` of docstrings into the math role of reStructuredText; doctests are left alone."""
    blocks = re.split(r"(\n\s*\n)", "\n".join(lines).replace(COLON, ":"))
    for index, block in enumerate(blocks):
        if not block.lstrip().startswith(">>>"):
            blocks[index] = re.sub(r"\$([^$]+)\$", lambda m: f":math:`{' '.join(m[1].split())}`\\ ", block)
    lines[:] = "".join(blocks).split("\n")


def hide_constructor(app, what, name, obj, options, signature, annotation):
    """Leaves out the arguments of classes that users do not call."""
    return ("", annotation) if what == "class" and name.split(".")[-1] in MADE_BY_THE_LIBRARY else None


def setup(app):
    """Registers the hooks before and after napoleon's own, whose priority is 500."""
    app.connect("autodoc-process-docstring", shield_colons, priority=400)
    app.connect("autodoc-process-docstring", render_math, priority=600)
    app.connect("autodoc-process-signature", hide_constructor)
