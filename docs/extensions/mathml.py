"""Turns formulas into MathML, which browsers draw by themselves: no script, no font."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

# A function's name stands apart from its argument, if that is in no parentheses.
_FUNCTION = re.compile(r"(<mi>(?:log|ln|exp|max|min|sin|cos|tanh)</mi>)(?=<m[inrsf])")


def formula(text: str, display: str) -> str:
    """Returns a formula in LaTeX as MathML, "inline" or as a "block"."""
    return _FUNCTION.sub(r'\1<mspace width="0.167em" />', convert(text, display=display))


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Writes a formula in a line of text."""
    translator.body.append(formula(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Writes a formula of its own, with its number if it has one."""
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    name = f' id="equation-{node["label"]}"' if node.get("label") else ""
    shown = formula(node.astext(), "block")
    translator.body.append(f'<div class="math"{name}>{number}{shown}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Makes it the way in which HTML shows formulas."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
