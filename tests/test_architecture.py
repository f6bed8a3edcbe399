"""The house rules that a reader of the source relies on."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxmlp"

# Each module imports only modules that stand before it.
LAYERS = (
    "versions",
    "compilation",
    "config",
    "types",
    "frozen",
    "activations",
    "init",
    "forward",
    "losses.targets",
    "losses.classification",
    "losses.regression",
    "losses",
    "losses.loss_function",
    "metrics",
    "gradients",
    "train_step",
    "order",
    "window_order",
    "samplers",
    "batching",
    "resume",
    "transforms",
    "placement",
    "sources.source",
    "sources.ingestion",
    "sources.checks",
    "sources.frames",
    "sources.memory",
    "sources.examples",
    "sources.datasets",
    "sources.iterables",
    "sources.files",
    "sources.values",
    "sources.arrays",
    "sources.columns",
    "sources.table_readers",
    "sources.table_rows",
    "sources.tables",
    "sources.text",
    "sources.choice",
    "sources",
    "thread_settings",
    "streaming",
    "reading",
    "epoch_order",
    "data",
    "splitting",
    "standardization",
    "inspection",
    "locks",
    "files",
    "container",
    "key_paths",
    "rotation",
    "checkpoint",
    "step_metrics",
    "program",
    "calls",
    "pace",
    "parts",
    "drivers",
    "nonfinite",
    "feeding",
    "progress",
    "settings",
    "run_files",
    "writer",
    "signals",
    "training",
    "ensembles.recipes",
    "ensembles.weights",
    "ensembles.widths",
    "ensembles.predictions",
    "ensembles.selection",
    "ensembles.programs",
    "ensembles.effects",
    "ensembles.runs",
    "ensembles.layout",
    "ensembles.memory",
    "ensembles.checks",
    "ensembles.sweeps",
    "ensembles.results",
    "ensembles.sweep_files",
    "ensembles.stages",
    "ensembles.members",
    "ensembles.candidates",
    "ensembles.scores",
    "ensembles.halving",
    "ensembles.trials",
    "ensembles.searching",
    "ensembles",
    "",
    "tensorboard",
    "plot",
    "orbax",
)
SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported_modules(path: Path) -> set[str]:
    """Names, within the package, of the modules that a file imports."""
    package = module_name(path).split(".") if path.name == "__init__.py" else None
    here = package if package is not None else module_name(path).split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [part for part in here if part][: len(here) - node.level + 1]
            base += node.module.split(".") if node.module else []
            names = [[*base, alias.name] for alias in node.names]
            for name in names:
                is_module = ".".join(name) in LAYERS
                found.add(".".join(name if is_module else base))
    return found


def test_every_module_has_its_layer():
    assert sorted(map(module_name, SOURCES)) == sorted(LAYERS)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_go_in_one_direction(path):
    earlier = LAYERS[: LAYERS.index(module_name(path))]
    assert imported_modules(path) <= set(earlier)


def test_the_import_check_sees_imports():
    assert imported_modules(PACKAGE / "train_step.py") == {"frozen", "init", "types"}
    assert {"losses", "metrics", "losses.loss_function"} <= imported_modules(
        PACKAGE / "__init__.py"
    )


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_package_imports_itself_relatively(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        assert not [name for name in names if name.split(".")[0] == "jaxmlp"]


@pytest.mark.parametrize(
    "path", [*SOURCES, *sorted(Path(__file__).parent.glob("*.py"))], ids=lambda p: p.name
)
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
    modules = {name.split(".")[-1] for name in LAYERS} - {""}
    assert not functions & modules
