"""Turns names in single backticks into links where the reference has them, else into plain code."""

import functools
import importlib

from docutils import nodes
from public_names import public_names
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def resolve(
    app: Sphinx, env: BuildEnvironment, node: nodes.Element, contents: nodes.TextElement
) -> nodes.Node | None:
    """Resolves a reference to Python that Sphinx did not.

    Another path of a documented object, such as the module that defines it, leads to that object;
    one of ours that is not public, and what is no reference at all, stays code.
    """
    if node.get("refdomain") != "py":
        return None
    value = find(node["reftarget"])
    for name, public in public_names().items() if value is not None else ():
        entry = env.domains.python_domain.objects.get(name)
        if public is value and entry is not None:
            uri = app.builder.get_relative_uri(env.docname, entry.docname)
            reference = nodes.reference("", "", internal=True, refuri=f"{uri}#{entry.node_id}")
            reference += contents
            return reference
    return contents if value is not None or node.get("reftype") == "obj" else None


@functools.cache
def find(target: str) -> object:
    """Returns the object of that name, if it is one of jaxmlp's, else `None`."""
    module, _, name = target.rpartition(".")
    if not module.startswith("jaxmlp"):
        return None
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def read_home(app: Sphinx, docname: str, source: list[str]) -> None:
    """Puts the Spanish home page in the place of the English one."""
    if docname == "index":
        page = app.srcdir / "index.es.md"
        app.env.note_dependency(str(page))
        source[0] = page.read_text(encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connects them."""
    app.connect("missing-reference", resolve, priority=900)
    if app.tags.has("es"):
        app.connect("source-read", read_home)
    app.add_lexer("mermaid", TextLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
