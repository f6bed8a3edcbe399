"""The Spanish catalogs have every text of the course, whole and with its code and letters."""

import html
import re
import subprocess
import sys

import chapters
import pytest

pofile = pytest.importorskip("babel.messages.pofile", reason="needs the packages of the site")
pytest.importorskip("myst_nb", reason="needs the packages of the site")

CATALOGS = chapters.ROOT / "docs" / "locales" / "es" / "LC_MESSAGES" / "course"
PAGES = [chapters.COURSE / "index.md", *chapters.CHAPTERS]
CONF = """
extensions = ["myst_nb", "sphinx_design"]
include_patterns = ["course/*"]
root_doc = "course/index"
gettext_compact = False
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"
"""
SPANISH = f"""
language = "es"
locale_dirs = [{str(chapters.ROOT / "docs" / "locales")!r}]
"""


def build(builder, folder, conf):
    """Has Sphinx build the course without running its cells, and returns where the pages are."""
    (folder / "conf.py").write_text(conf)
    subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-q", "-W", "-b", builder, "-c", folder),
            *("-d", folder / "doctrees", chapters.ROOT / "docs", folder / "out"),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder / "out" / "course"


def translations(page):
    with (CATALOGS / f"{page.stem}.po").open("rb") as file:
        return [message for message in pofile.read_po(file, locale="es") if message.id]


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """The messages of each page, as Sphinx finds them."""
    built = build("gettext", tmp_path_factory.mktemp("gettext"), CONF)
    found = {}
    for page in PAGES:
        with (built / f"{page.stem}.pot").open("rb") as file:
            found[page] = [message.id for message in pofile.read_po(file) if message.id]
    return found


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_s_texts_and_no_others_are_in_its_catalog(page, templates):
    assert [message.id for message in translations(page)] == templates[page]


@pytest.fixture(scope="module")
def spanish_pages(tmp_path_factory):
    """The letters and digits that each page of the Spanish course shows."""
    # It puts a catalog's compiled form beside it, where it stays out of the repository.
    built = build("html", tmp_path_factory.mktemp("html"), CONF + SPANISH)
    shown = {}
    for page in PAGES:
        text = re.sub(r"<[^>]+>", "", (built / f"{page.stem}.html").read_text())
        shown[page] = re.sub(r"\W+", "", html.unescape(text))
    return shown


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_translation_is_shown(page, spanish_pages):
    # Sphinx parses each by itself, and leaves out without a word what is no paragraph then.
    for message in translations(page):
        assert re.sub(r"\W+", "", message.string) in spanish_pages[page], message.string


def test_there_are_no_catalogs_of_other_pages():
    assert {path.stem for path in CATALOGS.glob("*")} == {page.stem for page in PAGES}


def parts_to_keep(text):
    """Code and mathematics, but for the words within it, and the addresses of links."""
    text = re.sub(r"\\text\{[^}]*\}", r"\\text{}", text)
    return sorted(re.findall(r"`[^`]+`|\$[^$]+\$|\]\([^)]*\)", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_translations_are_whole_and_keep_code_and_letters(page):
    for message in translations(page):
        assert message.string
        assert not message.fuzzy
        assert parts_to_keep(message.string) == parts_to_keep(message.id), message.id
        # Sentences, but not formulas and names, differ between the languages.
        if (
            len(
                re.findall(
                    r"\b[a-z]{3,}\b", re.sub(r"`[^`]+`|\$[^$]+\$|\\\w+|\{.*?\}", "", message.id)
                )
            )
            > 3
        ):
            assert message.string != message.id


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_formulas_that_stand_alone_are_not_translated(page):
    # Sphinx would parse a changed one as a literal block of reStructuredText, and show "::".
    alone = re.findall(r"^\$\$(.*?)\$\$", page.read_text(), re.MULTILINE | re.DOTALL)
    strings = {message.id: message.string for message in translations(page)}
    assert [strings[formula] for formula in alone] == alone


# Each term of the lesson has one translation.
TERMS = {
    r"net inputs?": "entradas? netas?",
    r"hidden layers?": "capas? ocultas?",
    r"backpropagation": "propagación hacia atrás",
    r"gradient descent": "descenso por gradiente",
    r"learning rates?": "tasas?( de aprendizaje)?",
    r"overfitting": "sobreajuste",
    r"early stopping": "parada temprana",
    r"chain rule": "regla de la cadena",
    r"squared error": "error cuadrático",
    r"cross-entropy": "entropía cruzada",
    r"biases|bias": "sesgos?",
    r"epochs?": "épocas?",
    r"weights": "pesos|multiplica|pondera",
}


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_translated_by_one_word(term):
    found = 0
    for page in PAGES:
        for message in translations(page):
            if re.search(rf"\b({term})\b", re.sub(r"`[^`]*`", "", message.id), re.IGNORECASE):
                found += 1
                assert re.search(TERMS[term], message.string, re.IGNORECASE), message.id
    assert found
