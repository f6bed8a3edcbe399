"""Turns what a reader's function returns into agreement with the right one, or into a complaint."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np


class Text(NamedTuple):
    """One text in both languages, with places for values."""

    en: str
    es: str


class Complaint(Exception):  # noqa: N818 - readers see WrongAnswerError
    """Why an answer is not right: a text, and the values for its places."""

    def __init__(self, text: Text, *values: object):
        super().__init__(text, *values)
        self.text, self.values = text, values

    def in_language(self, language: str) -> str:
        """Returns the sentence in "en" or "es"."""
        return getattr(self.text, language).format(*self.values)


NOTHING = Text(
    "Your function returns nothing; does it end with `return`?",
    "Tu función no devuelve nada; ¿termina con `return`?",
)
FAILED = Text("Your function stopped with {}: {}", "Tu función se detuvo con {}: {}")
NOT_FINITE = Text(
    "Your function returns NaN or infinity; which number becomes too large on the way?",
    "Tu función devuelve NaN o infinito; ¿qué número se hace demasiado grande por el camino?",
)
SHAPE = Text(
    "Your function returns the shapes {}, but they should be {}.",
    "Tu función devuelve las formas {}, pero deberían ser {}.",
)
VALUE = Text(
    "For the arguments\n{}\nyour function returns\n{}\nbut it should be\n{}",
    "Con los argumentos\n{}\ntu función devuelve\n{}\npero debería ser\n{}",
)


def require(is_right: bool, text: Text, *values: object) -> None:
    """Complains unless something is right."""
    if not is_right:
        raise Complaint(text, *values)


def call(answer: Callable[..., Any], *arguments: Any) -> Any:
    """Calls an answer with copies, so that one that changes its arguments harms nothing."""
    try:
        got = answer(*(a.copy() if isinstance(a, np.ndarray) else a for a in arguments))
    except Exception as error:
        raise Complaint(FAILED, type(error).__name__, error) from error
    require(got is not None, NOTHING)
    return got


def compare(
    answer: Callable[..., Any],
    right: Callable[..., Any],
    cases: list[tuple[Any, ...]],
    mistakes: dict[Callable[..., Any], Text],
) -> None:
    """Compares an answer with the right function on all cases; knows usual mistakes.

    Args:
        answer: The reader's function.
        right: What it should compute.
        cases: Arguments to try.
        mistakes: Usual wrong functions, and what to tell those who have written them.

    Raises:
        Complaint: The values differ in one case or more.
    """
    with np.errstate(all="ignore"):
        outputs = [_arrays(call(answer, *case)) for case in cases]
        for case, got in zip(cases, outputs, strict=True):
            wanted = _arrays(right(*case))
            if _agree(got, wanted):
                continue
            for mistake, hint in mistakes.items():
                made = [_arrays(mistake(*other)) for other in cases]
                require(not all(map(_agree, outputs, made)), hint)
            shapes = [", ".join(str(array.shape) for array in arrays) for arrays in (got, wanted)]
            require(shapes[0] == shapes[1], SHAPE, *shapes)
            require(all(np.isfinite(array).all() for array in got), NOT_FINITE)
            raise Complaint(VALUE, *("\n".join(map(str, part)) for part in (case, got, wanted)))


def _arrays(got: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(got)]


def _agree(got: list[np.ndarray], wanted: list[np.ndarray]) -> bool:
    # Answers in single precision err by some roundings of 1e-7, sums of a few terms by more.
    return len(got) == len(wanted) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-6)
        for a, b in zip(got, wanted, strict=True)
    )
