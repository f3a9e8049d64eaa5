"""Sphinx: `make docs` builds these pages into build/docs, and fails at the first warning."""

from importlib import metadata

project = "patchedge"
author = "the authors of patchedge"
release = metadata.version("patchedge")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["generate"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4  # [text](page.md#a-heading), as it works in a repository's own view
nitpicky = True
autodoc_typehints = "description"
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = "patchedge"
html_static_path = ["_static"]
html_copy_source = False
html_show_sourcelink = False
copybutton_prompt_text = "$ "
