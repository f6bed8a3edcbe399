"""Which cases of a test run: some, and each value of each of its parameters among them."""

import math
from zlib import crc32

import pytest


def choose(cases: list[pytest.Item], every: int) -> set[str]:
    """Chooses of one test's cases about every Nth, as names.

    Each value of each parameter of a test with several is chosen at least once ("each choice":
    Ammann and Offutt, Introduction to Software Testing, 2nd ed., section 6.2), which every Nth in
    order would not do: of `[a, b]` within another parameter it would be `a` alone. Of a single
    parameter's values every Nth is chosen. The choice is the same in every process.
    """
    parts = {case.nodeid: _parts(case) for case in cases}
    unseen = {part for of_case in parts.values() for part in of_case}
    if len({name for name, _ in unseen}) < 2:
        return {case.nodeid for case in cases[::every]}
    # Names in no order that a parameter could follow.
    left = sorted(parts, key=lambda name: (crc32(name.encode()), name))
    chosen = []
    while unseen:
        best = max(left, key=lambda name: len(unseen & parts[name]))
        unseen -= parts[best]
        left.remove(best)
        chosen.append(best)
    more = max(0, math.ceil(len(cases) / every) - len(chosen))
    return {*chosen, *left[:more]}


def _parts(case: pytest.Item) -> set[tuple[str, object]]:
    """Returns each parameter's name and value; those of one `parametrize` are one parameter."""
    spec = getattr(case, "callspec", None)
    if spec is None:
        return set()
    together = {
        name: str(mark.args[0])
        for mark in case.iter_markers("parametrize")
        for name in _names(mark.args[0])
    }
    values: dict[str, tuple[int, ...]] = {}
    for name, value in spec.params.items():
        group = together.get(name, name)
        # Values may be arrays; one value of a list is one object in all cases.
        values[group] = (*values.get(group, ()), id(value))
    return set(values.items())


def _names(given) -> list[str]:
    return [n.strip() for n in given.split(",")] if isinstance(given, str) else list(given)
