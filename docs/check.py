"""Checks a built site: its names, links, requests and translations, and opens it in Chromium.

    python3 run.py docs/check.py output/site

`docs/build.py` calls it after building. Each check returns its complaints, one line each.
"""

import re
import sys
import zlib
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

DOCS = Path(__file__).parent
# What a browser loads by itself; an <a href> is followed by readers only.
LOADED = {
    "src": None,
    "srcset": None,
    "poster": None,
    "data": {"object"},
    "href": {"link", "image", "use", "script", "feImage"},
    "action": {"form"},
}
# In scripts, a call that loads from another host.
LOADERS = r"(?:fetch|import|importScripts|\.open|WebSocket|EventSource)\s*\([^)]{0,40}?"
CALLS = rf"""(?:\.src\s*=\s*|{LOADERS})["'`](?:https?:|wss?:)?//[\w.-]+"""


class Page(HTMLParser):
    """Reads of an HTML page its anchors, its links and what it loads.

    Args:
        path: The page.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what a tag names, links to and loads."""
        for name, value in attrs:
            if value is None:
                continue
            if name in ("id", "name"):
                self.anchors.add(value)
            name = name.removeprefix("xlink:")
            if tag == "a" and name == "href":
                self.links.append(value)
            elif name in LOADED and (LOADED[name] is None or tag in LOADED[name]):
                is_link = tag != "link" or dict(attrs).get("rel") != "canonical"
                self.loaded += value.split(",") if name == "srcset" else [value] * is_link


def pages_of(site: Path) -> dict[Path, Page]:
    """Returns the HTML pages of a site."""
    found = (path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts)
    return {path.resolve(): Page(path) for path in found}  # in _static is a template of the theme


def broken_links(site: Path) -> Iterator[str]:
    """Tells of links and loaded files that lead to no file or no anchor of the site."""
    pages = pages_of(site)
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link.strip())
            if parts.scheme or parts.netloc or link.startswith("data:"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            where = f"{path.relative_to(site.resolve())}: {link!r}"
            if not target.is_file():
                yield f"{where} leads to no file."
            elif target in pages and unquote(parts.fragment) not in {"", *pages[target].anchors}:
                yield f"{where} leads to no anchor."


def foreign_requests(site: Path) -> Iterator[str]:
    """Tells of what a browser would load from another host, or ask one for."""
    foreign = r"^\s*(?:https?:|wss?:)?//"
    for path, page in pages_of(site).items():
        for url in page.loaded:
            if re.match(foreign, url):
                yield f"{path.relative_to(site.resolve())} loads {url!r}."
    for path in sorted(site.rglob("*")):
        if path.suffix not in (".html", ".css", ".js", ".svg", ".mjs"):
            continue
        text = path.read_text(encoding="utf-8")
        found = [match[2] for match in re.finditer(r"(url\(|@import)\s*[\"']?([^\"')\s;]+)", text)]
        found = [url for url in found if re.match(foreign, url)]
        if path.suffix in (".html", ".js", ".mjs"):
            found += [match[0] for match in re.finditer(CALLS, text)]
        for url in found:
            yield f"{path.relative_to(site)} loads {url!r}."


def documented_names(inventory: Path) -> set[str]:
    """Returns the names of Python objects in an inventory, by which other sites link to this."""
    content = inventory.read_bytes()
    *_, packed = content.split(b"\n", 4)
    lines = zlib.decompress(packed).decode().splitlines()
    found = (re.match(r"(\S+) py:(\w+) (-?\d+) ", line) for line in lines)
    # A priority of -1 marks the module in which a public object happens to be defined.
    return {entry[1] for entry in found if entry and entry[3] != "-1" and entry[2] != "module"}


def missing_names(site: Path) -> Iterator[str]:
    """Tells of public names that no page documents, and of documented ones that are not public."""
    from public_names import public_names  # pyright: ignore[reportMissingImports]

    names, documented = public_names(), documented_names(site / "objects.inv")
    told = [value for name, value in names.items() if name in documented]
    for name, value in names.items():
        if not any(value is other for other in told):
            yield f"{name} is public, but on no page of docs/reference/."
    for name in documented:
        # A method stands under its class.
        if name not in names and name.rpartition(".")[0] not in names:
            yield f"{name} is on a page, but not public."


def missing_translations(templates: Path, locales: Path) -> Iterator[str]:
    """Tells of messages of the course that have no translation, a doubtful or a superfluous one.

    Args:
        templates: Where Sphinx's gettext builder wrote its `.pot` files.
        locales: The folder of a language with its `.po` files, as docs/locales/es/LC_MESSAGES.
    """
    from babel.messages.pofile import read_po

    for template in sorted(templates.glob("course/**/*.pot")):
        path = locales / template.relative_to(templates).with_suffix(".po")
        if not path.exists():
            yield f"{path} is missing."
            continue
        with template.open("rb") as wanted, path.open("rb") as there:
            messages, catalog = read_po(wanted), read_po(there)
        for message in messages:
            known = catalog.get(message.id) if message.id else None
            if message.id and (known is None or not known.string):
                yield f"{path}: no translation of {message.id!r}."
            elif known is not None and known.fuzzy:
                yield f"{path}: the translation of {message.id!r} is marked as fuzzy."
        for message in catalog:
            if message.id and messages.get(message.id) is None:
                yield f"{path}: nothing says {message.id!r} any more."


def main() -> int:
    """Runs the checks on the site that is named, prints complaints, and returns 1 if any."""
    from browser import console_errors, find_chromium

    site = Path(sys.argv[1])
    checks: list[Callable[[Path], Iterator[str]]] = [broken_links, foreign_requests, missing_names]
    complaints = [complaint for check in checks for complaint in check(site)]
    templates = site.parent / "gettext"
    complaints += missing_translations(templates, DOCS / "locales" / "es" / "LC_MESSAGES")
    if browser := find_chromium():
        complaints += console_errors(site, browser)
    else:
        print("Chromium: not here, so no page was opened")
    print("\n".join(complaints) or f"{site}: names, links, requests and translations are in order")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
