"""The house rules that a reader of the source relies on; docs/architecture.md tells them."""

import ast
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxmlp

ROOT = Path(__file__).parents[1]
# Where it is installed, if not in the checkout.
PACKAGE = Path(jaxmlp.__file__).parent

# Each entry of the top folder imports only what stands before it, and each file of a room only
# what stands before it in the reading order that the room's `__init__` tells.
TOP = (
    *("checks", "network", "init", "forward", "losses"),
    *("metrics", "optimizers", "train_step", "inspection", "storage", "sources", "loading"),
    *("data", "tabular", "fitting", "training", "ensembles", "interchange", "", "distributed"),
    *("tensorboard", "plot", "report", "sklearn"),
)

# The parts of the picture in docs/architecture.md, and the modules that are each of them.
PARTS = {
    "network": ("checks", "network", "init", "forward", "losses", "metrics"),
    "step": ("optimizers", "train_step"),
    "inspection": ("inspection",),
    "sources": ("sources",),
    "loading": ("loading",),
    "data": ("data",),
    "tabular": ("tabular",),
    "storage": ("storage",),
    "fitting": ("fitting",),
    "training": ("training",),
    "ensembles": ("ensembles",),
    "edges": ("distributed", "tensorboard", "plot", "report", "interchange", "sklearn"),
}
ROOMS = (
    *("checks", "distributed", "ensembles", "fitting", "inspection", "interchange", "loading"),
    *("interchange.c", "interchange.flax", "interchange.keras", "interchange.onnx"),
    *("interchange.scikit_learn", "interchange.torch"),
    *("losses", "metrics", "network"),
    *("plot", "report"),
    *("sklearn", "sklearn.tables", "sklearn.solvers", "sklearn.recipes", "sklearn.programs"),
    *("sklearn.export",),
    *("sources", "storage", "tabular"),
)
# The doors of a room are the names that its `__init__` lists in `__all__`. Four rooms are public
# as they are: there that is what users see, and these modules are the doors for the others.
DOOR_MODULES = {
    "ensembles": {"ensembles.planned"},
    "interchange": {"interchange.ahead_of_time", "interchange.onnx"},
    "losses": {"losses.accumulation", "losses.loss_function", "losses.weights"},
    "sources": {
        *("sources.choice", "sources.checks", "sources.columns", "sources.ingestion"),
        "sources.source",
    },
}
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = {
    ".".join(part for part in path.relative_to(PACKAGE).with_suffix("").parts if part != "__init__")
    for path in SOURCES
}
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def folder(room: str) -> Path:
    return PACKAGE.joinpath(*room.split("."))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@functools.cache
def imported_names(path: Path) -> set[tuple[str, str]]:
    """Modules within the package from which a file imports, and the names that it takes."""
    package = module_name(path).split(".") if path.name == "__init__.py" else None
    here = package if package is not None else module_name(path).split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [part for part in here if part][: len(here) - node.level + 1]
            base += node.module.split(".") if node.module else []
            found |= {(".".join(base), alias.name) for alias in node.names}
    return found


@functools.cache
def imported_modules(path: Path) -> set[str]:
    """Names, within the package, of the modules that a file imports."""
    joined = {(base, f"{base}.{name}".lstrip(".")) for base, name in imported_names(path)}
    return {whole if whole in MODULES else base for base, whole in joined}


@functools.cache
def reading_order(room: str) -> list[str]:
    """Files of a room in the order of the text of its `__init__`, which comes last itself."""
    text = ast.get_docstring(ast.parse((folder(room) / "__init__.py").read_text())) or ""
    listed = re.findall(r"`(\w+)`", text[text.index("n reading order:") :])
    return [f"{room}.{name}" for name in listed if f"{room}.{name}" in MODULES] + [room]


def rooms_of(module: str) -> list[str]:
    """The rooms in which a module stands, the outermost first; a room stands in itself."""
    parts = module.split(".")
    prefixes = [".".join(parts[: count + 1]) for count in range(len(parts))]
    return [prefix for prefix in prefixes if prefix in ROOMS]


def ways(module: str, other: str) -> tuple[list[str], str, str]:
    """What stands, in order, in the last room of both modules, and its entries that lead to them.

    A room itself leads to its `__init__`, which comes last.
    """
    both = [room for room in rooms_of(module) if room in rooms_of(other)]
    room = both[-1] if both else ""
    depth = len(room.split(".")) + 1 if room else 1
    entries = [".".join(name.split(".")[:depth]) for name in (module, other)]
    return reading_order(room) if room else list(TOP), *entries


def part_of(module: str) -> str:
    first = module.split(".")[0]
    return next(part for part, modules in PARTS.items() if first in modules)


def doors(room: str) -> set[str]:
    tree = ast.parse((folder(room) / "__init__.py").read_text())
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return set(ast.literal_eval(lists[0]))


def test_every_module_has_its_place():
    listed = [*TOP, *(module for room in ROOMS for module in reading_order(room)[:-1])]
    assert sorted(listed) == sorted(MODULES)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_go_in_one_direction(path):
    for other in imported_modules(path):
        order, here, there = ways(module_name(path), other)
        assert order.index(there) < order.index(here)


def test_the_import_check_sees_imports():
    assert imported_modules(PACKAGE / "train_step.py") == {
        *("checks", "losses.accumulation", "network", "optimizers")
    }
    assert {"losses", "metrics", "losses.loss_function"} <= imported_modules(
        PACKAGE / "__init__.py"
    )


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_rooms_are_entered_by_their_doors(path):
    for base, name in imported_names(path):
        others = [room for room in rooms_of(base) if room not in rooms_of(module_name(path))]
        if others:
            room = others[0]
            assert base in DOOR_MODULES.get(room, ()) or (base == room and name in doors(room))


@pytest.mark.parametrize(
    "room",
    [
        *("checks", "fitting", "inspection", "loading", "storage"),
        *(room for room in ROOMS if "." in room),
    ],
)
def test_every_door_is_used(room):
    others = [path for path in SOURCES if room not in rooms_of(module_name(path))]
    used = {name for path in others for base, name in imported_names(path) if base == room}
    assert doors(room) == used


def test_the_top_folder_fits_on_a_screen():
    entries = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()]
    assert len([path for path in entries if path.name != "__pycache__"]) <= 24


def test_arrows_between_parts_are_those_of_the_picture():
    text = (ROOT / "docs" / "architecture.md").read_text()
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)$", text, re.MULTILINE))
    found = {
        (part_of(module_name(path)), part_of(module))
        for path in SOURCES
        if module_name(path)
        for module in imported_modules(path)
    }
    # All stand on the network; the picture says so once.
    assert drawn == {(a, b) for a, b in found if a != b and b != "network"}


def test_every_entry_of_the_top_folder_is_told_in_the_picture_s_page():
    text = (ROOT / "docs" / "architecture.md").read_text()
    entries = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    told = set(re.findall(r"`(\w+)(?:\.py|/)`", text))
    assert entries - {"__pycache__"} <= told


def test_importing_jaxmlp_costs_little_more_than_jax_and_optax(tmp_path):
    """At most 1.1 times as long, by CPU time, which other processes hardly change.

    All are compiled to byte code, as pip does. The garbage collector is off: its one pause of some
    40 ms falls on whichever import crosses its threshold.
    """
    script = (
        "import gc, time; gc.disable(); begin = time.process_time(); import jax, optax; "
        "middle = time.process_time(); import jaxmlp; end = time.process_time(); "
        "print(middle - begin, end - middle)"
    )
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        for _ in range(10)
    ]
    # The first run compiles to byte code. What else the machine does only adds to the least.
    theirs, ours = zip(*(map(float, run.stdout.split()) for run in runs[1:]), strict=True)
    assert min(ours) / min(theirs) <= 0.1


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_package_imports_itself_relatively(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        assert not [name for name in names if name.split(".")[0] == "jaxmlp"]


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=lambda path: "/".join(path.parts[-2:]))
def test_files_are_under_300_lines(path):
    assert len(path.read_text().splitlines()) < 300


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_modules_open_with_one_sentence(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", "averaged."))


def test_no_module_has_the_name_of_a_function():
    functions = {
        node.name
        for path in SOURCES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    modules = {name.split(".")[-1] for name in MODULES} - {""}
    assert not functions & modules
