"""Turns a list of public names into a table with a line for each, and their docstrings."""

import importlib
import inspect
import pkgutil
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from jaxmlp import Metric


class Names(SphinxDirective):
    """Shows the names in its lines, of the module that is its argument."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Returns a table of the names, then what each is."""
        module = importlib.import_module(self.arguments[0])
        names = [line.strip() for line in self.content if line.strip()]
        rows, entries = [], []
        for name in names:
            value, full = getattr(module, name), f"{module.__name__}.{name}"
            docstring = self.docstring(module, name, value)
            summary = " ".join(docstring.split("\n\n")[0].split())
            rows += [f"   * - :py:obj:`{name} <{full}>`", f"     - {summary}"]
            entries += [*entry(full, value, docstring), ""]
        table = [".. list-table::", "   :widths: 30 70", "", *rows]
        text = "\n".join(["````{eval-rst}", *table, "", *entries, "````"])
        return self.parse_text_to_nodes(text, allow_section_headings=False)

    def docstring(self, module: Any, name: str, value: Any) -> str:
        """Returns the text of an object, that of an instance from below its assignment."""
        if isinstance(value, Metric):
            for inner in pkgutil.iter_modules(getattr(module, "__path__", [])):
                analyzer = ModuleAnalyzer.for_module(f"{module.__name__}.{inner.name}")
                if lines := analyzer.find_attr_docs().get(("", name)):
                    return escape("\n".join(lines).strip())
        docstring = inspect.getdoc(value)
        if not docstring:
            raise self.error(f"{module.__name__}.{name} has no docstring.")
        return escape(docstring)


def entry(full: str, value: Any, docstring: str) -> list[str]:
    """Returns the directive, in reStructuredText, that documents an object."""
    if isinstance(value, Metric):
        return [f".. py:data:: {full}", "", *(f"   {line}" for line in docstring.splitlines())]
    if not isinstance(value, type):
        return [f".. autofunction:: {full}"]
    if issubclass(value, BaseException):
        return [f".. autoexception:: {full}"]
    methods = ", ".join(methods_of(value))
    return [f".. autoclass:: {full}", *([f"   :members: {methods}"] if methods else [])]


def methods_of(value: type) -> list[str]:
    """Returns what jaxmlp itself documents of a class; fields are told in the class's text."""
    fields = {*getattr(value, "_fields", ()), *getattr(value, "__dataclass_fields__", ())}
    ours = [base for base in value.__mro__ if base.__module__.startswith("jaxmlp")]
    found = {
        name: member
        for base in reversed(ours)
        for name, member in vars(base).items()
        if not name.startswith("_") and name not in fields
    }
    # Of scikit-learn's routing of metadata there is nothing of ours to tell.
    return [
        name
        for name, member in found.items()
        if getattr(member, "__doc__", None) and not re.fullmatch(r"set_\w+_request", name)
    ]


def escape(text: str) -> str:
    """Returns a docstring in which stars outside of code begin no emphasis, as in `(*batch, 2)`.

    A letter may follow a backtick, as in "`Array`s".
    """
    parts = re.split(r"(`[^`]*`|^ *>>>(?:.+\n?)*)", text, flags=re.MULTILINE)
    parts[::2] = [re.sub(r"^(?=\w)", r"\\ ", part.replace("*", r"\*")) for part in parts[::2]]
    return "".join(parts).removeprefix("\\ ")


def process(
    _app: Sphinx, _what: str, _name: str, _value: Any, _options: Any, lines: list[str]
) -> None:
    """Escapes a docstring in place, as autodoc asks for."""
    lines[:] = escape("\n".join(lines)).split("\n")


def shorten(
    _app: Sphinx,
    _what: str,
    _name: str,
    _value: Any,
    _options: Any,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Writes `str` for a choice of more than twelve words, which the page tells once."""
    choice = r"Literal\[(?:[^,\]]+, ){12,}[^\]]+\]"
    return signature and re.sub(choice, "str", signature), returned


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive `names`."""
    app.add_directive("names", Names)
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-process-docstring", process, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
