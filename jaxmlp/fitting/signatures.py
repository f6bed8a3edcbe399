"""Gives settings that several functions take as `**settings` one home: type, default and text.

`fit`, `fit_members` and `search` share them; each shows them all in its signature and its help.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, get_type_hints

from ..checks import unknown_setting

Function = TypeVar("Function", bound=Callable[..., Any])


class SettingsGroup(NamedTuple):
    """A `TypedDict`, whose docstring tells its entries under "Args:", and their defaults."""

    kinds: type
    defaults: Mapping[str, Any]


def spelled_out(*groups: SettingsGroup) -> Callable[[Function], Function]:
    """Shows the entries of groups in place of a function's `**settings`, in signature and help."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        *own, _ = signature.parameters.values()  # **settings, which is last
        shared = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=group.defaults[name],
                annotation=kind,
            )
            for group in groups
            for name, kind in get_type_hints(group.kinds).items()
        ]
        function.__signature__ = signature.replace(parameters=[*own, *shared])  # pyright: ignore[reportFunctionMemberAccess]
        if function.__doc__:  # python -OO leaves docstrings out
            # From Python 3.13 on, the compiler takes their indentation away.
            before, after = inspect.cleandoc(function.__doc__).split("\n\nReturns:\n", 1)
            texts = [_entries(group.kinds) for group in groups]
            function.__doc__ = "\n".join([before, *texts]) + "\n\nReturns:\n" + after
        return function

    return decorate


def complete(caller: str, given: Mapping[str, Any], *groups: SettingsGroup) -> dict[str, Any]:
    """Returns all settings of some groups, those that are not given by their defaults.

    Raises:
        TypeError: There is no such setting.
    """
    known = {name: value for group in groups for name, value in group.defaults.items()}
    for name in given:
        if name not in known:
            raise unknown_setting(caller, name, known)
    return {**known, **given}


def _entries(kinds: type) -> str:
    _, entries = inspect.cleandoc(kinds.__doc__ or "").split("\nArgs:\n", 1)
    return entries.rstrip()
