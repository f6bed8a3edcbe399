"""The checks of the built site (docs/check.py) see what they are for; the reference is whole."""

import importlib
import re
import runpy
import zlib
from pathlib import Path

import pytest

from jaxmlp.network import activations

ROOT = Path(__file__).parents[1]
CHECK = runpy.run_path(str(ROOT / "docs" / "check.py"))
PUBLIC = runpy.run_path(str(ROOT / "docs" / "extensions" / "public_names.py"))


def complaints(check, folder, **files):
    """What a check says of a site of these pages, `_` in a name being a dot."""
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return list(CHECK[check](folder))


def test_every_public_name_is_once_in_the_reference_and_nothing_else_is():
    listed = []
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        for module, names in re.findall(r"```\{names\} (\S+)\n(.*?)```", page.read_text(), re.S):
            listed += [f"{module}.{name}" for name in names.split()]
    public = PUBLIC["public_names"]()
    assert sorted(set(listed)) == sorted(listed)
    assert set(listed) <= set(public)
    told = [public[name] for name in listed]
    missing = [name for name, value in public.items() if not any(value is t for t in told)]
    assert missing == []


def test_the_reference_lists_all_activations():
    page = (ROOT / "docs" / "reference" / "network.md").read_text()
    table = page.split("## Activations")[1].split("\n## ")[0]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(
        {*activations.HIDDEN_ACTIVATIONS, *activations.OUTPUT_ACTIVATIONS}
    )


PAGES = sorted((ROOT / "docs").rglob("*.md"))
# What these tell is of the past or of the house itself.
OWN = {"architecture.md", "benchmarks_notes.md", "changelog.md"}


def is_public(dotted):
    """Whether a name, `jaxmlp` left out, is public or belongs to something that is."""
    modules = {name.partition(".")[2] for name in PUBLIC["public_modules"]()}
    parts = dotted.split(".")
    value = importlib.import_module("jaxmlp")
    for number, part in enumerate(parts):
        path = ".".join(parts[: number + 1])
        if path in modules:
            value = importlib.import_module(f"jaxmlp.{path}")
            continue
        if part not in {*getattr(value, "__all__", [part]), "__version__"}:
            return False
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True


@pytest.mark.parametrize(
    "path", [p for p in PAGES if p.name not in OWN], ids=lambda p: str(p.relative_to(ROOT / "docs"))
)
def test_pages_name_only_what_is_public(path):
    text = re.sub(r"https?://\S+", "", path.read_text())
    named = set(re.findall(r"(?<![\w/.-])jaxmlp\.([a-zA-Z_]\w*(?:\.[a-zA-Z_]\w*)*)", text))
    rooms = r"`(?:\(\w+, )?((?:losses|metrics|ensembles|sources|tabular)\.[a-z]\w*)"
    named |= set(re.findall(rooms, text))
    assert [name for name in sorted(named) if not is_public(name)] == []


def test_a_name_that_is_not_public_is_seen():
    assert is_public("losses.huber")
    assert is_public("DataLoader.epoch")
    assert not is_public("fitting.calls")
    assert not is_public("losses.hubert")


def test_modules_that_are_not_inner_are_public():
    modules = PUBLIC["public_modules"]()
    assert {"jaxmlp", "jaxmlp.losses", "jaxmlp.sklearn", "jaxmlp.plot"} <= set(modules)
    assert "jaxmlp.fitting" not in modules


def test_links_to_no_file_and_to_no_anchor_are_found(tmp_path):
    page = '<a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="c.html">3</a>'
    found = complaints("broken_links", tmp_path, a_html=page, b_html='<p id="there">')
    assert found == [
        "a.html: 'b.html#gone' leads to no anchor.",
        "a.html: 'c.html' leads to no file.",
    ]


def test_links_within_a_page_and_to_other_hosts_are_in_order(tmp_path):
    page = '<p id="x"><a href="#x">1</a><a href="https://docs.jax.dev/no.html#no">2</a>'
    assert complaints("broken_links", tmp_path, a_html=page) == []


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://host.org/a.js"></script>',
        '<link rel="stylesheet" href="//host.org/a.css">',
        '<img srcset="a.png 1x, https://host.org/b.png 2x">',
        "<style>@import 'https://host.org/a.css';</style>",
        "<style>p { background: url(https://host.org/a.png) }</style>",
        "<script>fetch('https://host.org/a.json')</script>",
        '<script>image.src = "https://host.org/a.png"</script>',
    ],
)
def test_requests_to_other_hosts_are_found(page, tmp_path):
    assert len(complaints("foreign_requests", tmp_path, a_html=page)) == 1


def test_links_for_readers_and_local_files_are_no_requests(tmp_path):
    page = '<a href="https://host.org">1</a><img src="a.png"><script>fetch("a.json")</script>'
    assert complaints("foreign_requests", tmp_path, a_html=page) == []


def inventory(folder, *names):
    lines = "".join(f"{name} py:function 1 page.html#$ -\n" for name in names)
    lines += "jaxmlp.training.fit py:function -1 page.html#jaxmlp.fit -\n"
    head = b"# Sphinx inventory version 2\n# Project: p\n# Version: 1\n# compressed by zlib\n"
    (folder / "objects.inv").write_bytes(head + zlib.compress(lines.encode()))


def test_names_that_are_missing_and_names_that_are_not_public_are_found(tmp_path):
    public = PUBLIC["public_names"]()
    inventory(tmp_path, *(name for name in public if name != "jaxmlp.apply"), "jaxmlp.inner")
    assert list(CHECK["missing_names"](tmp_path)) == [
        "jaxmlp.apply is public, but on no page of docs/reference/.",
        "jaxmlp.inner is on a page, but not public.",
    ]


TEMPLATE = 'msgid "layer"\nmsgstr ""\n\nmsgid "unit"\nmsgstr ""\n'


@pytest.mark.parametrize(
    ("translated", "told"),
    [
        ('msgid "layer"\nmsgstr "capa"\n\nmsgid "unit"\nmsgstr "unidad"\n', []),
        ('msgid "layer"\nmsgstr "capa"\n', ["no translation of 'unit'"]),
        ('msgid "layer"\nmsgstr "capa"\n\nmsgid "unit"\nmsgstr ""\n', ["no translation of 'unit'"]),
        (
            'msgid "layer"\nmsgstr "capa"\n\n#, fuzzy\nmsgid "unit"\nmsgstr "unido"\n',
            ["'unit' is marked as fuzzy"],
        ),
        (
            'msgid "layer"\nmsgstr "capa"\n\nmsgid "unit"\nmsgstr "unidad"\n\n'
            'msgid "old"\nmsgstr "viejo"\n',
            ["nothing says 'old' any more"],
        ),
    ],
)
def test_translations_that_are_missing_doubtful_or_superfluous_are_found(
    translated, told, tmp_path
):
    pytest.importorskip("babel")
    for folder, name, text in (("pot", "a.pot", TEMPLATE), ("po", "a.po", translated)):
        (tmp_path / folder / "course").mkdir(parents=True)
        (tmp_path / folder / "course" / name).write_text(text)
    found = list(CHECK["missing_translations"](tmp_path / "pot", tmp_path / "po"))
    assert len(found) == len(told)
    assert all(part in line for part, line in zip(told, found, strict=True))


def test_ci_builds_and_checks_the_site():
    assert '"$default" run.py docs/build.py --without-outputs' in (ROOT / ".ci" / "run").read_text()
