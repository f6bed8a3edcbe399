"""Networks go to Orbax checkpoints and come back, also those that others wrote."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import make_config, make_params

import jaxmlp
from jaxmlp import CheckpointError

ocp = pytest.importorskip("orbax.checkpoint")

from jaxmlp.interchange import orbax  # noqa: E402  # after the check that the package is there

CONFIG = make_config(hidden_features=(4,), norm="layer")
PARAMS = jax.tree.map(jnp.asarray, make_params(CONFIG))


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def write(path, tree):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("orbax") / "network"
    orbax.save(path, CONFIG, PARAMS)
    return path


def test_a_network_comes_back_bit_for_bit(saved):
    config, params = orbax.load(saved)
    assert config == CONFIG
    assert_same(params, PARAMS)


def test_from_and_to_our_own_files(saved, tmp_path):
    jaxmlp.save(tmp_path / "a", *orbax.load(saved))
    config, params = jaxmlp.load(tmp_path / "a")
    orbax.save(tmp_path / "b", config, params)
    assert_same(orbax.load(tmp_path / "b")[1], PARAMS)


def test_stacked_networks_without_biases_come_back_bit_for_bit(tmp_path):
    config = make_config(hidden_features=(4,), use_bias=False, param_dtype="bfloat16")
    params = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), make_params(config))
    orbax.save(tmp_path / "a", config, params)
    assert_same(orbax.load(tmp_path / "a")[1], params)


def test_orbax_itself_restores_what_was_saved(saved):
    with ocp.StandardCheckpointer() as checkpointer:
        assert_same(checkpointer.restore(saved, PARAMS), PARAMS)


@pytest.mark.parametrize("as_dicts", [False, True])
def test_a_checkpoint_of_others_is_loaded_with_a_config(tmp_path, as_dicts):
    norm = PARAMS.hidden[0].norm._asdict()
    dicts = {
        "hidden": [{**PARAMS.hidden[0]._asdict(), "norm": norm}],
        "output": {"kernel": PARAMS.output.kernel, "bias": PARAMS.output.bias},
    }
    write(tmp_path / "a", dicts if as_dicts else PARAMS)
    config, params = orbax.load(tmp_path / "a", CONFIG)
    assert config == CONFIG
    assert_same(params, PARAMS)


def test_without_a_config_it_is_asked_for(tmp_path):
    write(tmp_path / "a", PARAMS)
    with pytest.raises(ValueError, match="holds arrays only; give the config of their network"):
        orbax.load(tmp_path / "a")


def test_another_config_is_refused(saved):
    with pytest.raises(ValueError, match="holds another network than the config given"):
        orbax.load(saved, make_config())


def test_arrays_of_another_network_are_told(tmp_path):
    write(tmp_path / "a", {"w": jnp.zeros(2), "output": PARAMS.output})
    with pytest.raises(CheckpointError, match=r"hidden\.0\.bias is missing; .*; w is not expected"):
        orbax.load(tmp_path / "a", CONFIG)


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_what_is_no_checkpoint_is_told(tmp_path, kind):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=f"{kind} is not an Orbax checkpoint of arrays"):
        orbax.load(tmp_path / kind, CONFIG)


def test_an_existing_checkpoint_is_not_replaced(saved):
    with pytest.raises(ValueError, match="already exists"):
        orbax.save(saved, CONFIG, PARAMS)


def test_params_of_another_network_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"params must be those of config.*hidden.0.bias is not"):
        orbax.save(tmp_path / "a", make_config(), PARAMS)


@pytest.mark.bad_input
def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    monkeypatch.delitem(sys.modules, "jaxmlp.interchange.orbax")
    with pytest.raises(ImportError, match=r"orbax-checkpoint.*pip install 'jaxmlp\[orbax\]'"):
        import jaxmlp.interchange.orbax  # noqa: F401  (what is tested is the import)
