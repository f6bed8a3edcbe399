"""Turns the examples, scripts of `# %%` cells, into the pages of sphinx-gallery."""

import re
from pathlib import Path
from typing import Any

import jax
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

# Those that take minutes are run with `--smoke`, and their pages say so.
SHORTENED = {"streaming", "sweep"}
NOTE = """
.. note::

   What stands here was made with ``--smoke``, in seconds; the whole takes some minutes:
   ``python3 run.py examples/{name}.py``.
"""
HEAD = """
The examples
============

Scripts of a checkout of the repository, which ``python3 run.py examples/NAME.py`` runs. What they
print and draw here was made when this page was built.

"""


def settings(root: Path) -> dict[str, Any]:
    """Returns the settings of sphinx-gallery, after writing what it reads.

    Args:
        root: The checkout.
    """
    sources = root / "output" / "gallery"
    write_sources(root / "examples", sources)
    thumbnail = draw_thumbnail(sources / "words.png")
    return {
        "examples_dirs": str(sources),
        "gallery_dirs": "gallery",
        "filename_pattern": r"\.py$",
        "within_subsection_order": "FileNameSortKey",
        "default_thumb_file": str(thumbnail),
        "image_scrapers": (scrape_figures,),
        "reset_modules": (reset_jax,),
        "reset_argv": arguments,
        "abort_on_example_error": True,
        "only_warn_on_example_error": False,
        "download_all_examples": False,
        "show_memory": False,
        "write_computation_times": False,
        "remove_config_comments": True,
    }


def write_sources(examples: Path, folder: Path) -> None:
    """Writes every example with its name as a title, and the titles of cells as headings.

    Args:
        examples: Where they are.
        folder: Where those of sphinx-gallery go; what is the same already is left, for its cache.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(examples.glob("*.py")):
        title = path.stem.replace("_", " ").capitalize()
        docstring, rest = path.read_text(encoding="utf-8").removeprefix('"""').split('"""', 1)
        note = NOTE.format(name=path.stem) if path.stem in SHORTENED else ""
        cells = re.sub(r"^# %% (.*)$", heading, rest, flags=re.MULTILINE)
        head = f'"""\n{title}\n{"=" * len(title)}\n\n{docstring}\n{note}"""'
        _write(folder / path.name, head + cells)
    _write(folder / "GALLERY_HEADER.rst", HEAD)


def draw_thumbnail(path: Path) -> Path:
    """Draws what stands for an example that prints and draws nothing, and returns its path."""
    figure = Figure(figsize=(4, 2.8))
    figure.text(0.5, 0.5, ">>> print", family="monospace", size=28, color="0.4", ha="center")
    figure.savefig(path, dpi=100)
    return path


def heading(match: re.Match[str]) -> str:
    """Returns a cell's line with its title as a heading below it."""
    return f"# %%\n# {match[1]}\n# {'-' * len(match[1])}\n"


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def scrape_figures(_block: Any, variables: dict[str, Any], conf: dict[str, Any]) -> str:
    """Saves the figures that a cell assigned; the examples make them without pyplot."""
    seen = variables["example_globals"].setdefault("_seen_figures", [])
    paths = []
    for value in list(variables["example_globals"].values()):
        if isinstance(value, Figure) and not any(value is other for other in seen):
            seen.append(value)
            path = next(variables["image_path_iterator"])
            value.savefig(path, dpi=120)
            paths.append(path)
    return figure_rst(paths, conf["src_dir"])


def arguments(conf: dict[str, Any], script: dict[str, Any]) -> list[str]:
    """Returns the command line of an example: where it writes, if it does, and whether in short."""
    path = Path(script["src_file"])
    writes = '"--output"' in path.read_text(encoding="utf-8")
    folder = Path(conf["src_dir"]).parent / "output" / "gallery" / "files"
    smoke = ["--smoke"] if path.stem in SHORTENED else []
    return [*smoke, "--output", str(folder)] if writes else smoke


def reset_jax(_conf: dict[str, Any], _name: str) -> None:
    """Takes back what an example sets for all of JAX."""
    jax.config.update("jax_enable_x64", False)
    jax.config.update("jax_default_matmul_precision", None)
