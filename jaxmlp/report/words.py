"""Turns a language into the texts of the page by key, from one table for all languages."""

import importlib.resources
import json

LANGUAGES = ("en", "es")


def read_part(name: str) -> str:
    """Returns a file of `page/`, of which the page is made."""
    return (importlib.resources.files(__name__.rpartition(".")[0]) / "page" / name).read_text(
        encoding="utf-8"
    )


def texts(language: str) -> dict[str, str]:
    """Returns the texts of a language by key."""
    return {key: told[language] for key, told in json.loads(read_part("words.json")).items()}
