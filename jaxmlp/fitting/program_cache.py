"""Turns functions into programs that are compiled once for all functions of the same content."""

import collections
import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from .code_contents import NoKeyError
from .content_keys import SCALARS, Place, Walk


def content_key(value: Any) -> Hashable:
    """Returns a key of all that a value's behaviour follows from.

    Args:
        value: Functions, settings, and trees of them.

    Raises:
        NoKeyError: There is something in it whose content cannot be seen.
    """
    return Walk(_WRITTEN).key(value)


# Places that functions write to while they are traced, such as a count of traces, with the owners,
# so that no other object gets their ids. What they hold does not count.
_WRITTEN: dict[Place, Any] = {}


@contextlib.contextmanager
def noting_writes(value: Any) -> Iterator[None]:
    """Finds out what functions write to while the `with` block traces them."""
    before = _places(value)
    yield
    after = _places(value)
    for place in before.keys() & after.keys():
        owner, held = before[place]
        if not _same_objects(held, after[place][1]):
            _WRITTEN[place] = owner


def _places(value: Any) -> dict[Place, tuple[Any, tuple[Any, ...]]]:
    walk = Walk(_WRITTEN)
    # What it has met by then is found, too.
    with contextlib.suppress(NoKeyError, RecursionError):
        walk.key(value)
    return walk.places


def _same_objects(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    if len(one) != len(other):
        return False
    return all(a is b or (type(a) in SCALARS and a == b) for a, b in zip(one, other, strict=True))


class ProgramCache:
    """Keeps programs by the content of what they were made of, those that were used last.

    It is bounded, since a program keeps what its functions close over.

    Args:
        most: How many programs to keep, at least 1.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: collections.OrderedDict[Hashable, Any] = collections.OrderedDict()
        self._lock = threading.RLock()

    def get(self, functions: Any, name: Hashable, make: Callable[[Callable[..., Any]], Any]) -> Any:
        """Returns the program that was made of such functions, or makes it.

        Args:
            functions: What it is made of.
            name: Which of the programs that are made of them.
            make: Makes it, given a decorator for the function that is traced.
        """
        place = self._place(functions, name)
        with self._lock:
            if place is not None and place in self._kept:
                self._kept.move_to_end(place)
                return self._kept[place]

        def traced(function: Callable[..., Any]) -> Callable[..., Any]:
            # Runs when JAX traces it. What is written to then is no part of the content after.
            def call(*arguments: Any, **named: Any) -> Any:
                with noting_writes(functions):
                    result = function(*arguments, **named)
                self._keep(self._place(functions, name), program)
                return result

            # By which profiles and logs call the program.
            call.__name__ = getattr(function, "func", function).__name__
            return call

        program = make(traced)
        self._keep(place, program)
        return program

    def _place(self, functions: Any, name: Hashable) -> Hashable | None:
        try:
            return name, content_key(functions)
        except (NoKeyError, RecursionError):
            return None

    def _keep(self, place: Hashable | None, program: Any) -> None:
        if place is None:
            return
        with self._lock:
            self._kept[place] = program
            self._kept.move_to_end(place)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
