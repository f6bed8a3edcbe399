"""Tells the public names of jaxmlp: all that the reference has to hold."""

import functools
import importlib
import pkgutil
import types

import jaxmlp

# Modules and rooms whose names users get from `jaxmlp` itself; any other is public as it is.
INNER = {
    *("checks", "data", "fitting", "forward", "init", "inspection", "network"),
    *(
        "loading",
        "optimizers",
        "storage",
        "train_step",
        "training",
    ),
}


def public_modules() -> list[str]:
    """Returns the modules that users import, `jaxmlp` first."""
    found = sorted(module.name for module in pkgutil.iter_modules(jaxmlp.__path__))
    rooms = [f"jaxmlp.{name}" for name in found if name not in INNER]
    return ["jaxmlp", *rooms, "jaxmlp.interchange.orbax"]


def names_of(module: types.ModuleType) -> list[str]:
    """Returns a module's `__all__`, or, of one without, what it defines itself."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


@functools.cache
def public_names() -> dict[str, object]:
    """Returns every public name with its module in front, and the object; no modules."""
    modules = map(importlib.import_module, public_modules())
    found = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules
        for name in names_of(module)
    }
    return {name: value for name, value in found.items() if not isinstance(value, types.ModuleType)}
