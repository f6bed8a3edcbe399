"""Turns a run, figures and texts into one HTML file with its scripts and styles inside."""

import html
import importlib.resources
from typing import Any

from .encoding import as_json
from .figures import bokeh_script

_SCRIPTS = ("functions.js", "network.js", "steps.js", "drawing.js", "charts.js", "main.js")


def make_page(run: dict[str, Any], figures: list[dict[str, Any]], words: dict[str, str]) -> str:
    """Returns the page; names of the caller stand in it as text alone."""
    told = {key: html.escape(text) for key, text in words.items()}
    names = [item["target_id"] for item in figures]
    folder = importlib.resources.files(__package__) / "page"
    scripts = "\n".join((folder / name).read_text("utf-8") for name in _SCRIPTS)
    style = (folder / "style.css").read_text("utf-8")
    return f"""<!DOCTYPE html>
<html lang="{told["language"]}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{told["title"]}</title>
<style>{style}</style>
<script>{bokeh_script()}</script>
</head>
<body>
<header>
<h1>{told["title"]}</h1>
<p class="note">{told["keys"]}</p>
</header>
<nav aria-label="{told["epoch"]}">
<button id="rewind" type="button" title="{told["rewind"]}" aria-label="{told["rewind"]}">&#x23EE;&#xFE0E;</button>
<button id="play" type="button">{told["play"]}</button>
<label class="wide">{told["epoch"]} <output id="epoch-text"></output>
<input id="epoch" type="range" min="0" max="{len(run["epochs"]) - 1}" step="1" value="0"></label>
<label>{told["row"]} <input id="row" type="number" min="0" value="0"></label>
<label>{told["layer"]} <select id="layer"></select></label>
<label>{told["weight"]} <select id="from"></select></label>
<label>&#8594; {told["unit"]} <select id="to"></select></label>
<label>{told["theme"]} <select id="theme">
<option value="auto">{told["auto"]}</option><option value="light">{told["light"]}</option>
<option value="dark">{told["dark"]}</option></select></label>
</nav>
<main>
{_section("network", told, '<div id="network-drawing"></div>')}
{
        _section(
            "forward",
            told,
            '<div class="two"><div id="forward-steps"></div>'
            f'{_figure("curve", told, names)}</div>'
            f'<details><summary>{told["all_units"]}</summary><div id="layer-table"></div></details>',
        )
    }
{_section("chain", told, '<div id="chain-steps"></div>')}
{
        _section(
            "over_epochs",
            told,
            '<div class="grid">'
            + "".join(
                _figure(name, told, names)
                for name in ("losses", "gradient_norms", "update_ratios", "units", "histogram")
            )
            + f'</div><p class="note">{told["units_text"]}</p>',
        )
    }
{_section("regions", told, f'<p id="plane-text"></p>{_figure("regions", told, names)}')}
{_section("confusion" if run["classes"] else "residuals", told, f'<div id="errors"></div>{_figure("residuals", told, names)}')}
{_section("settings", told, '<div id="settings-table"></div>')}
</main>
<footer class="note">{told["licence"]}</footer>
<script type="application/json" id="run">{as_json(run)}</script>
<script type="application/json" id="figures">{as_json(figures)}</script>
<script type="application/json" id="shown">{{}}</script>
<script>{scripts}</script>
</body>
</html>
"""


def _section(name: str, told: dict[str, str], content: str) -> str:
    text = told.get(f"{name}_text")
    note = f'<p class="note">{text}</p>' if text else ""
    return f'<section id="{name}" aria-labelledby="h-{name}"><h2 id="h-{name}">{told[name]}</h2>{note}{content}</section>'


def _figure(name: str, told: dict[str, str], names: list[str]) -> str:
    """A figure with its title as the text for those who cannot see it."""
    if f"figure-{name}" not in names:
        return ""
    titles = {"curve": "activation"}
    title = told[titles.get(name, name)]
    return (
        f'<figure><figcaption id="caption-{name}">{title}</figcaption>'
        f'<div id="figure-{name}" role="img" aria-labelledby="caption-{name}"></div></figure>'
    )
