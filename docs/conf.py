"""How the site is built: `sphinx-build -W docs build/site`."""

import os
import posixpath
import re

import dfukit

project = "dfukit"
author = "The dfukit developers"
version = release = dfukit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"dfukit {release}"
html_show_copyright = False

myst_enable_extensions = ["tasklist"]
myst_heading_anchors = 4

# Docstrings write code between single backquotes, as Markdown does.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

LINK = re.compile(r"\[([^]]*)\]\((\.\.?/[^)#]+)(#[^)]*)?\)")


def without_links_to_the_repository(app, page, source):
    """Links to examples and the like hold on a code host; the site has only the documentation: there they are text."""

    def shown(found):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), found[2]))
        return found[1] if target.startswith(os.pardir) else found[0]

    source[0] = LINK.sub(shown, source[0])


def without_emphasis(app, what, name, obj, options, lines):
    """A star in a docstring is a star: "[n, *shape]"."""
    lines[:] = [
        "`".join(p if i % 2 else p.replace("*", r"\*") for i, p in enumerate(line.split("`"))) for line in lines
    ]


def setup(app):
    app.connect("autodoc-process-docstring", without_emphasis)
    app.connect("source-read", without_links_to_the_repository)
