"""Sphinx: `make docs` builds these pages into build/docs, and fails at the first warning."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import msgspec

from edge_config.wire.request_base import Request

project = "patchedge"
author = "the authors of patchedge"
release = metadata.version("patchedge")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["generate"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4  # [text](page.md#a-heading), as it works in a repository's own view
nitpicky = True
# Their pages are elsewhere, and nothing is downloaded for a build.
_OTHERS = r"(asyncio|collections\.abc|contextlib|msgspec|numpy|os|pathlib|types|zmq)\b.*"
nitpick_ignore_regex = [("py:.*", _OTHERS), ("py:.*", r".*\._\w+")]

autoclass_content = "both"  # what a class is, and what its constructor takes
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
default_role = "code"  # of `this` in docstrings
napoleon_use_ivar = True
napoleon_attr_annotations = False

html_theme = "furo"
html_title = f"patchedge {release}"
html_static_path = ["_static"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1d4ed8", "color-brand-content": "#1d4ed8"},
    "dark_css_variables": {"color-brand-primary": "#93c5fd", "color-brand-content": "#93c5fd"},
}
copybutton_prompt_text = "$ "

_PUBLIC = ("patchedge", "patchedge.requests", "patchedge.replies", "patchedge.teaching")
_OF_EVERY_REQUEST = {"schema", "id"}


def _as_imported(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Link a name of the code to the one that programs import: `edge_config.errors.MessageError` is defined inside."""
    name = node.get("reftarget", "").rpartition(".")[2]
    domain = env.get_domain("py")
    for module in _PUBLIC if node.get("refdomain") == "py" else ():
        if f"{module}.{name}" in domain.objects:
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"{module}.{name}", node, content)
    return None


def _signature(_app: Any, _what: str, _name: str, thing: Any, _options: Any, _given: str, _returns: str) -> Any:
    """Return a short signature of a message, a request or a reply: its types stand in the reference of the wire."""
    if not (isinstance(thing, type) and issubclass(thing, msgspec.Struct)):
        return None
    if not issubclass(thing, Request):
        return "", None  # programs receive these, and do not make them
    fields = [field for field in msgspec.structs.fields(thing) if field.name not in _OF_EVERY_REQUEST]
    given = [field.name if field.required else f"{field.name}={field.default!r}" for field in fields]
    return f"({', '.join(['*', *given]) if given else ''})", None


def setup(app: Any) -> None:
    """Connect the functions above."""
    app.connect("missing-reference", _as_imported)
    app.connect("autodoc-process-signature", _signature)
