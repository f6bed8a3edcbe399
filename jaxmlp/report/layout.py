"""Turns a run, figures and texts into one HTML file with its scripts and styles inside."""

import html
import string
from typing import Any

from .charts import bokeh_script
from .encoding import as_json
from .words import read_part

_SCRIPTS = ("functions.js", "network.js", "steps.js", "drawing.js", "charts.js", "main.js")
# The figures that there may be, and the keys of their titles.
_TITLES = {
    "curve": "activation",
    "losses": "losses",
    "metrics": "metrics",
    "gradient_norms": "gradient_norms",
    "update_ratios": "update_ratios",
    "units": "units",
    "histogram": "histogram",
    "regions": "regions",
    "residuals": "residuals",
}


def make_page(
    run: dict[str, Any], figures: list[dict[str, Any]], words: dict[str, str], arrays: str | None
) -> str:
    """Returns the page; names of the caller stand in it as text alone.

    Args:
        run: What the scripts read.
        figures: Bokeh's figures.
        words: The texts by key.
        arrays: HTML of all arrays, if they are to be in it.
    """
    told = {key: html.escape(text) for key, text in words.items()}
    drawn = {item["target_id"] for item in figures}
    parts = {
        f"figure_{name}": _place(name, told[title]) if f"figure-{name}" in drawn else ""
        for name, title in _TITLES.items()
    }
    parts |= {
        "style": read_part("style.css"),
        "scripts": "\n".join(map(read_part, _SCRIPTS)),
        "bokeh": bokeh_script(),
        "arrays": "" if arrays is None else _fold(told["raw_arrays"], arrays),
        "last": str(len(run["epochs"]) - 1),
        "errors_title": told["residuals" if run["classes"] is None else "confusion"],
        "run": as_json(run),
        "figures": as_json(figures),
    }
    return string.Template(read_part("page.html")).substitute(told | parts)


def _fold(title: str, content: str) -> str:
    """A section that is folded away till it is asked for."""
    return (
        f'<section id="arrays"><details><summary>{title}</summary>'
        f'<div class="paper">{content}</div></details></section>'
    )


def _place(name: str, title: str) -> str:
    """Where a figure goes, with its title as the text for those who cannot see it."""
    return (
        f'<figure><figcaption id="caption-{name}">{title}</figcaption>'
        f'<div id="figure-{name}" role="img" aria-labelledby="caption-{name}"></div></figure>'
    )
