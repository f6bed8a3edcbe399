"""What is promised to the outside: the names, and their documentation."""

import importlib
import inspect
import json
import re
import subprocess
import sys

import pytest

import jaxmlp
from jaxmlp import distributed, ensembles, interchange, losses, metrics, plot, sources, tabular


def public_callables():
    """Name and object of every public function and class, members of `losses` included."""
    for module in (
        jaxmlp,
        distributed,
        ensembles,
        interchange,
        losses,
        metrics,
        plot,
        sources,
        tabular,
    ):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and not isinstance(value, metrics.Metric):
                yield f"{module.__name__}.{name}", value
    methods = ("blocks", "epoch", "index", "load_state_dict", "numbered", "order", "read")
    for name in (*methods, "state_dict"):
        yield f"jaxmlp.DataLoader.{name}", getattr(jaxmlp.DataLoader, name)
    yield "jaxmlp.MLPConfig.from_json", jaxmlp.MLPConfig.from_json
    yield "jaxmlp.MembersResult.member", jaxmlp.MembersResult.member
    for result in (jaxmlp.FitResult, jaxmlp.MembersResult, jaxmlp.SearchResult):
        yield f"jaxmlp.{result.__name__}.to_frame", result.to_frame
    yield "jaxmlp.Metric.__call__", metrics.Metric.__call__
    yield "jaxmlp.LossFn.__call__", jaxmlp.LossFn.__call__
    permutation = importlib.import_module("jaxmlp.loading.order").permutation
    yield "jaxmlp.loading.order.permutation", permutation


PUBLIC_MODULES = {"ensembles", "losses", "metrics", "sources", "tabular"}
CALLABLES = dict(public_callables())
PROTOCOLS = (jaxmlp.LossFn, sources.Source)


def test_all_lists_exactly_the_public_names():
    public = {name for name in vars(jaxmlp) if not name.startswith("_")}
    public |= {name for names in jaxmlp._LAZY.values() for name in names}
    modules = {name for name in public if inspect.ismodule(getattr(jaxmlp, name))}
    imported = {"importlib", "TYPE_CHECKING", "Any"}
    assert public - modules - imported | PUBLIC_MODULES == set(jaxmlp.__all__) == set(dir(jaxmlp))
    assert list(jaxmlp.__all__) == sorted(jaxmlp.__all__)


def test_losses_all_lists_exactly_its_functions():
    functions = {name for name, value in vars(losses).items() if inspect.isfunction(value)}
    functions = {name for name in functions if not name.startswith("_")}
    assert functions == set(losses.__all__)


def test_metrics_all_lists_exactly_its_names():
    modules = {name for name, value in vars(metrics).items() if inspect.ismodule(value)}
    public = {name for name in vars(metrics) if not name.startswith("_")}
    assert public - modules == set(metrics.__all__)


def test_tabular_all_is_in_order_and_there():
    assert list(tabular.__all__) == sorted(tabular.__all__) == dir(tabular)
    assert all(hasattr(tabular, name) for name in tabular.__all__)


@pytest.mark.parametrize("name", CALLABLES)
def test_public_names_document_every_argument(name):
    value = CALLABLES[name]
    docstring = inspect.getdoc(value) or ""
    assert len(docstring.splitlines()[0]) > 15
    if isinstance(value, type) and (issubclass(value, tuple) or value in PROTOCOLS):
        return  # the fields of a NamedTuple are told in its text
    if value is jaxmlp.CheckpointError:
        return  # it takes a message, as every ValueError
    parameters = set(inspect.signature(value).parameters) - {"self"}
    section = re.search(r"^Args:\n((?:    .*\n|\n)*)", docstring + "\n", re.MULTILINE)
    documented = set(re.findall(r"^    (\w+):", section[1], re.MULTILINE)) if section else set()
    assert documented == parameters


@pytest.mark.parametrize(
    "name", [n for n, v in CALLABLES.items() if isinstance(v, type) and issubclass(v, tuple)]
)
def test_named_tuples_tell_their_fields(name):
    value = CALLABLES[name]
    docstring = inspect.getdoc(value)
    assert not docstring.startswith(f"{value.__name__}(")


def test_metrics_tell_their_units():
    names = [name for name, value in vars(metrics).items() if isinstance(value, metrics.Metric)]
    rooms = ("classification", "probability", "regression")
    modules = [importlib.import_module(f"jaxmlp.metrics.{room}") for room in rooms]
    source = "\n".join(map(inspect.getsource, modules))
    assert names
    for name in names:
        assert re.search(rf'^{name} = Metric\((?:.|\n)*?\)\n"""[A-Z]', source, re.MULTILINE)


def test_import_loads_no_edge_package():
    """Beyond what jax and optax load, only small typing packages come in: as fast as those two."""
    script = (
        "import json, sys, jax, optax; top = lambda: {m.split('.')[0] for m in sys.modules}; "
        "before = top(); import jaxmlp; print(json.dumps(sorted(top() - before)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout)) - set(sys.stdlib_module_names)
    assert loaded == {"jaxmlp", "jaxtyping", "wadler_lindig"}


@pytest.mark.parametrize("edge", ["interchange", "plot", "report", "sklearn", "tensorboard"])
def test_edge_modules_are_imported_when_first_asked_for(edge):
    script = f"import jaxmlp; print(jaxmlp.{edge}.__name__)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == f"jaxmlp.{edge}\n"
