"""Turns a reader's answer to the exercise of a chapter into "right", or into a hint.

Hints are in English or Spanish: as the environment says (LANGUAGE, LC_ALL, LC_MESSAGES, LANG), or
by `exercises.language = "es"`.
"""

import os
from collections.abc import Callable
from typing import Any

from answers import CHECKS
from comparing import Complaint, Text

_SET = [os.environ.get(name, "") for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")]
language = "es" if next(filter(None, _SET), "").startswith("es") else "en"

_RIGHT = Text("Chapter {}: right!", "Capítulo {}: ¡correcto!")


class WrongAnswerError(Exception):
    """The answer is not right yet; the message says why."""


def check(chapter: int, answer: Callable[..., Any]) -> None:
    """Says that an answer is right, or what may be wrong with it.

    Args:
        chapter: Number of the chapter, 1 to 12.
        answer: The function that its exercise asks for.

    Raises:
        ValueError: There is no such chapter, or `language` is neither "en" nor "es".
        TypeError: `answer` is no function.
        WrongAnswerError: The answer is not right; the message has a hint.

    Example:
        >>> check(1, lambda w, b, x1: -(x1 * w[0] + b) / w[1])
        Chapter 1: right!
    """
    if language not in Text._fields:
        raise ValueError(f"exercises.language must be 'en' or 'es'; got {language!r}.")
    if chapter not in CHECKS:
        raise ValueError(f"chapter must be one of 1 to {len(CHECKS)}; got {chapter!r}.")
    if not callable(answer):
        raise TypeError(
            f"answer must be the function itself; got {answer!r}. Pass its name, without ()."
        )
    try:
        CHECKS[chapter](answer)
    except Complaint as complaint:
        cause = complaint.__cause__
        raise WrongAnswerError(complaint.in_language(language)) from cause
    print(getattr(_RIGHT, language).format(chapter))
