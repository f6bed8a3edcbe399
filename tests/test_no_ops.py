"""No parameter of a public name is without an effect: each changes the result, or raises."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import NamedTuple

import effects
import effects_of_rooms
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from public_calls import BATCH, CONFIG, KEY, PARAMS, STATE, X
from test_wrong_types import CALLS, call, name_of, public_names

import jaxmlp
from jaxmlp import metrics, sources
from jaxmlp.network import gain_of

OTHERS = effects.OTHERS | effects_of_rooms.OTHERS
# They train many networks; tests/ensembles/test_sweep_no_ops.py looks at their parameters.
SWEEPS = {jaxmlp.fit_members, jaxmlp.search}
CASES = [
    pytest.param(function, name, id=f"{name_of(function)}-{name}")
    for function, others in OTHERS.items()
    for name in others
]
SCORES = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
LABELS = np.arange(20) % 2


class Raised(NamedTuple):
    """What a call raised."""

    message: str


def seen(value):
    """What there is to see of a result, so that two can be compared."""
    match value:
        case jaxmlp.DataLoader():
            return [seen(batch) for batch in value]
        case jaxmlp.WeightedSampler() | jaxmlp.StratifiedSampler():
            return seen(value.order(0))
        case metrics.Metric():
            return value.name, seen(value(SCORES, LABELS))
        case jaxmlp.Activation():
            return value.name, gain_of(value), seen(value.function(jnp.ones(2)))
        case jaxmlp.MLPConfig():
            params = jaxmlp.init_params(value, key=KEY)
            x = np.ones((2, value.in_features), np.float32)
            return seen((params, jaxmlp.apply(params, x, config=value, key=KEY)))
        case jaxmlp.Recorder():
            for epoch in range(9):
                value(STATE, {"epoch": epoch})
            return seen(value.records)
        case sources.Source():
            return seen((value.read(np.arange(len(value))), value.chunks))
    if hasattr(value, "iterable"):
        return [seen(batch) for batch in value]
    if hasattr(value, "of_outputs"):
        return seen(value(PARAMS, BATCH, KEY))
    if getattr(value, "__qualname__", "").startswith("compile_predict"):
        return seen(value(X))
    if callable(value):
        return seen(value(jax.tree.map(jnp.copy, STATE), BATCH))
    return [(jax.tree_util.keystr(p), shown(a)) for p, a in jax.tree.leaves_with_path(value)]


def shown(leaf):
    if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if not hasattr(leaf, "dtype"):
        return repr(leaf)
    array = np.asarray(leaf)
    return type(leaf).__name__, str(array.dtype), array.shape, array.tobytes()


def outcome(function, arguments):
    """The result of a call, what it prints and the files that it leaves, or what it raises."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            result = seen(call(function, dict(arguments)))
        except (TypeError, ValueError, FloatingPointError, OSError) as error:
            return Raised("\n".join([str(error), *getattr(error, "__notes__", [])]))
    files = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    return result, printed.getvalue(), files, sorted(Path().rglob("*"))


def prepare():
    """Writes the files that the calls read."""
    jaxmlp.save("network.safetensors", CONFIG, PARAMS)
    jaxmlp.save("doubled.safetensors", CONFIG, effects.DOUBLED)
    jaxmlp.save_state("state.safetensors", STATE)
    jaxmlp.save_state("other.safetensors", STATE._replace(params=effects.DOUBLED))


@pytest.fixture
def _default_cache():
    """Puts JAX's compilation cache back to where it was."""
    names = ["dir", "persistent_cache_min"]
    kept = {n: v for n, v in jax.config.values.items() if "cache" in n and any(map(n.count, names))}
    yield
    for name, value in kept.items():
        jax.config.update(name, value)


@pytest.mark.bad_input
@pytest.mark.usefixtures("_default_cache")
@pytest.mark.parametrize(("function", "parameter"), CASES)
def test_a_parameter_changes_the_result_or_raises(function, parameter, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    other, situation = OTHERS[function][parameter], {}
    if isinstance(other, effects.In):
        other, situation = other
    arguments = {name: value for name, (value, _) in CALLS[function].items()} | situation
    outcomes = []
    for number, chosen in enumerate((arguments, arguments | {parameter: other})):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        monkeypatch.chdir(folder)
        prepare()
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
            outcomes.append(outcome(function, chosen))
    assert outcomes[0] != outcomes[1]
    if isinstance(outcomes[1], Raised):
        assert parameter in outcomes[1].message.lower()


@pytest.mark.parametrize("function", sorted(set(public_names()) - SWEEPS, key=name_of), ids=name_of)
def test_every_parameter_is_looked_at(function):
    assert set(OTHERS[function]) == set(CALLS[function])
