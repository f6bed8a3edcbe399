"""A network and its config come back from one file, which others can read too."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from networks import make_config, make_params

import jaxmlp
from jaxmlp import CheckpointError, load, save
from jaxmlp.storage.container import encode, read

GOLDEN = Path(__file__).parents[1] / "data" / "format_1.safetensors"
GOLDEN_CONFIG = jaxmlp.MLPConfig(
    in_features=3, hidden_features=(4, 2), out_features=2, activation=("gelu", "swiglu"),
    norm="layer", dropout_rate=0.25, kernel_init="he_normal",
)  # fmt: skip
CONFIGS = {
    "plain": make_config(hidden_features=(4, 6)),
    "perceptron": make_config(),
    "norms": make_config(hidden_features=(4,), norm="layer", activation="swiglu"),
    "no bias": make_config(hidden_features=(4,), norm="rms", use_bias=False),
    "bfloat16": make_config(hidden_features=(4,), param_dtype="bfloat16", compute_dtype="float32"),
    "mup": make_config(hidden_features=(8,), kernel_init="mup", mup_base_width=4),
}


def golden_params():
    """Leaf number l, in the order of the tree, holds l, l + 1/8, l + 2/8, ..."""
    shapes = jax.eval_shape(
        lambda key: jaxmlp.init_params(GOLDEN_CONFIG, key=key), jax.random.key(0)
    )
    leaves, tree = jax.tree.flatten(shapes)
    return jax.tree.unflatten(
        tree,
        [
            (number + np.arange(leaf.size) / 8).astype(leaf.dtype).reshape(leaf.shape)
            for number, leaf in enumerate(leaves)
        ],
    )


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_network_comes_back_bit_for_bit(path, name):
    config, params = CONFIGS[name], make_params(CONFIGS[name])
    save(path, config, params)
    restored_config, restored = load(path)
    assert restored_config == config
    assert_same(restored, params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(restored))


@pytest.mark.usefixtures("x64")
def test_64_bit_networks_come_back_bit_for_bit(path):
    config = make_config(param_dtype="float64")
    save(path, config, make_params(config))
    assert_same(load(path)[1], make_params(config))


@pytest.mark.parametrize("members", [(7,), (2, 3), (1,)])
def test_stacked_networks_come_back_bit_for_bit(path, members):
    config = make_config(hidden_features=(4,), norm="layer")
    params = jax.tree.map(
        lambda a: np.random.default_rng(0).normal(size=members + a.shape).astype(a.dtype),
        make_params(config),
    )
    save(path, config, params)
    assert_same(load(path)[1], params)


def test_equal_networks_give_equal_files(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / name, CONFIGS["norms"], make_params(CONFIGS["norms"]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_path_may_be_text(path):
    save(str(path), CONFIGS["plain"], make_params(CONFIGS["plain"]))
    assert load(str(path))[0] == CONFIGS["plain"]


def test_the_versions_of_the_libraries_are_in_the_file(path):
    save(path, CONFIGS["plain"], make_params(CONFIGS["plain"]))
    versions = json.loads(read(path).metadata["jaxmlp.versions"])
    assert versions["jax"] == jax.__version__
    assert versions["jaxmlp"] == jaxmlp.__version__
    assert sorted(versions) == ["jax", "jaxlib", "jaxmlp", "numpy", "optax"]


class TestGolden:
    """The file was written by the first version of the format and is never written again."""

    def test_it_is_read(self):
        config, params = load(GOLDEN)
        assert config == GOLDEN_CONFIG
        assert_same(params, golden_params())

    def test_its_content_gives_its_bytes_today(self):
        contents = read(GOLDEN)
        assert b"".join(encode(contents.arrays, contents.metadata)) == GOLDEN.read_bytes()


class TestPlainFiles:
    CONFIG = CONFIGS["norms"]

    def test_weights_without_our_metadata_are_loaded_with_a_config(self, path):
        params = make_params(self.CONFIG)
        save(path, self.CONFIG, params)
        safetensors.numpy.save_file(safetensors.numpy.load_file(path), path)
        config, restored = load(path, self.CONFIG)
        assert config == self.CONFIG
        assert_same(restored, params)

    def test_without_a_config_it_is_asked_for(self, path):
        safetensors.numpy.save_file({"a": np.zeros(2)}, path)
        with pytest.raises(ValueError, match="holds arrays only; give the config of their network"):
            load(path)

    def test_arrays_of_another_network_are_all_told(self, path):
        safetensors.numpy.save_file({"a": np.zeros(2), "output.kernel": np.zeros((5, 3))}, path)
        message = (
            r"does not hold the parameters of its network: a is not expected; output\.bias is "
            r"missing; output\.kernel must have shape \(5, 3\) and type float32, but has \(5, 3\) "
            r"and float64\."
        )
        with pytest.raises(CheckpointError, match=message):
            load(path, make_config())


class TestErrors:
    CONFIG = CONFIGS["plain"]

    def test_another_config_than_the_stored_one_is_refused(self, path):
        save(path, self.CONFIG, make_params(self.CONFIG))
        assert load(path, self.CONFIG)[0] == self.CONFIG
        with pytest.raises(ValueError, match=r"holds another network than .*MLPConfig.*Leave it"):
            load(path, make_config())

    def test_params_of_another_network_are_refused(self, path):
        message = (
            r"params must be those of config, as init_params\(config, key=...\) makes them, or "
            r"stacked ones; got: hidden.1.bias must have shape \(7,\) and type float32, but has "
            r"\(6,\) and float32; hidden.1.kernel must have"
        )
        with pytest.raises(ValueError, match=message):
            save(path, make_config(hidden_features=(4, 7)), make_params(self.CONFIG))
        assert not path.exists()

    def test_params_of_fewer_layers_are_refused(self, path):
        with pytest.raises(ValueError, match=r"hidden.0.kernel is missing"):
            save(path, make_config(hidden_features=(4,)), make_params(make_config()))

    def test_params_of_another_type_are_refused(self, path):
        params = jax.tree.map(lambda a: a.astype(jnp.bfloat16), make_params(self.CONFIG))
        with pytest.raises(ValueError, match=r"type float32, but has \(4,\) and bfloat16"):
            save(path, self.CONFIG, params)

    def test_members_in_some_arrays_only_are_refused(self, path):
        params = make_params(make_config())
        stacked = params._replace(output=params.output._replace(kernel=np.zeros((2, 5, 3), "f4")))
        with pytest.raises(ValueError, match=r"output.bias must have shape \(2, 3\).*has \(3,\)"):
            save(path, make_config(), stacked)

    @pytest.mark.bad_input
    def test_arguments_in_another_order_are_told(self, path):
        with pytest.raises(TypeError, match=r"save takes \(path, config, params\), an MLPConfig"):
            save(path, make_params(self.CONFIG), self.CONFIG)

    @pytest.mark.bad_input
    def test_params_that_are_no_params_are_told(self, path):
        with pytest.raises(ValueError, match=r"'kernel' is not expected; output.bias is missing"):
            save(path, make_config(), {"kernel": np.zeros((5, 3), "f4"), "b": np.zeros(3, "f4")})

    def test_64_bit_networks_ask_for_64_bit_types(self, path):
        with jax.enable_x64(True):
            config = make_config(param_dtype="float64")
            save(path, config, make_params(config))
        with pytest.raises(ValueError, match=r"requires 64-bit JAX types, which are off; call"):
            load(path)

    def test_a_config_of_a_later_version_is_told(self, path):
        metadata = {"jaxmlp.config": self.CONFIG.to_json()[:-1] + ', "experts": 8}'}
        path.write_bytes(b"".join(encode({}, metadata)))
        with pytest.raises(CheckpointError, match=r"unknown \['experts'\].*by a newer jaxmlp"):
            load(path)

    def test_a_missing_file_is_told(self, path):
        with pytest.raises(FileNotFoundError, match=r"a\.safetensors"):
            load(path)
