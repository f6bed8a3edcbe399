"""An activation function of one's own: as good as ours, and saved by its name."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxmlp
from jaxmlp import Activation, MLPConfig
from jaxmlp.network import ACTIVATIONS, ELEMENTWISE_ACTIVATIONS, gain_of


def snake(z):
    return z + jnp.sin(z) ** 2


SNAKE = Activation("snake", snake)
CONFIG = MLPConfig(
    in_features=3, hidden_features=(8, 8), out_features=2, activation=(SNAKE, "tanh"),
    output_activation=SNAKE,
)  # fmt: skip
KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


def params_of(config):
    return jaxmlp.init_params(config, key=KEY)


class TestIdentity:
    def test_equal_names_and_functions_are_equal(self):
        assert Activation("snake", snake) == SNAKE
        assert hash(SNAKE) == hash(Activation("snake", snake))

    @pytest.mark.parametrize(
        "other",
        [Activation("worm", snake), Activation("snake", jnp.sin), Activation("snake", snake, 2.0)],
    )
    def test_another_name_function_or_gain_is_another(self, other):
        assert other != SNAKE

    def test_equal_configs_with_it_share_one_trace(self):
        traces = []

        @functools.partial(jax.jit, static_argnames="config")
        def outputs(params, x, config):
            traces.append(config)
            return jaxmlp.apply(params, x, config=config)

        for config in (CONFIG, dataclasses.replace(CONFIG, activation=(SNAKE, "tanh"))):
            outputs(params_of(CONFIG), X, config)
        assert len(traces) == 1


class TestOutputs:
    def test_are_those_of_the_formula(self):
        params = jax.tree.map(lambda a: np.asarray(a, np.float64), params_of(CONFIG))
        first, second = params.hidden

        def formula(z):
            return z + np.sin(z) ** 2

        h = np.tanh(formula(X @ first.kernel + first.bias) @ second.kernel + second.bias)
        wanted = formula(h @ params.output.kernel + params.output.bias)
        got = jaxmlp.apply(params_of(CONFIG), X, config=CONFIG)
        # Rounding of float32 over three layers.
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)

    def test_of_a_copy_of_relu_are_those_of_relu(self):
        own = Activation("copy", jax.nn.relu, ACTIVATIONS["relu"].gain)
        ours, theirs = (
            MLPConfig(in_features=3, hidden_features=(8,), out_features=2, activation=a)
            for a in ("relu", own)
        )
        np.testing.assert_array_equal(
            jaxmlp.apply(params_of(ours), X, config=ours),
            jaxmlp.apply(params_of(theirs), X, config=theirs),
        )


class TestGain:
    @pytest.mark.parametrize("name", [n for n in ELEMENTWISE_ACTIVATIONS if n != "identity"])
    def test_computed_is_that_of_our_table(self, name):
        own = Activation("own", ACTIVATIONS[name].function)
        # The table has six decimals; at a kink the rule errs by the square of its step, 1e-6.
        assert gain_of(own) == pytest.approx(ACTIVATIONS[name].gain, rel=0, abs=3e-6)

    def test_given_is_taken(self):
        assert gain_of(Activation("snake", snake, 2.5)) == 2.5

    @given(st.floats(0.01, 100))
    def test_of_a_linear_function_is_one_over_its_slope(self, slope):
        assert gain_of(Activation("line", lambda z: slope * z)) == pytest.approx(
            1 / slope, rel=1e-5
        )

    def test_sets_the_scale_of_kernels(self):
        config = MLPConfig(
            in_features=100, hidden_features=(100,) * 2, out_features=1, kernel_init="he_normal",
            activation=Activation("half", lambda z: z / 2),
        )  # fmt: skip
        kernel = np.asarray(params_of(config).hidden[1].kernel)
        # The standard deviation of 10000 draws is known to 1 / sqrt(20000).
        assert kernel.std() == pytest.approx(2 / math.sqrt(100), rel=0.03)

    @pytest.mark.parametrize("function", [jnp.sum, lambda z: 0 * z, lambda z: z / 0.0])
    def test_of_a_function_that_has_none_is_refused(self, function):
        config = dataclasses.replace(CONFIG, activation=Activation("bad", function))
        with pytest.raises(ValueError, match=r"bad.*must return finite numbers, not all 0"):
            params_of(config)


class TestStorage:
    def test_json_names_it_and_is_read_with_it(self):
        read = MLPConfig.from_json(CONFIG.to_json(), activations={"snake": SNAKE})
        assert read == CONFIG

    def test_a_file_is_read_with_it(self, tmp_path):
        path = tmp_path / "network.safetensors"
        jaxmlp.save(path, CONFIG, params_of(CONFIG))
        config, params = jaxmlp.load(path, activations={"snake": SNAKE})
        assert config == CONFIG
        assert jax.tree.all(jax.tree.map(np.array_equal, params, params_of(CONFIG)))

    def test_a_file_is_read_with_the_config_that_holds_it(self, tmp_path):
        path = tmp_path / "network.safetensors"
        jaxmlp.save(path, CONFIG, params_of(CONFIG))
        assert jaxmlp.load(path, CONFIG)[0] == CONFIG

    def test_a_file_of_another_network_says_so(self, tmp_path):
        path = tmp_path / "network.safetensors"
        other = MLPConfig(in_features=3, out_features=2)
        jaxmlp.save(path, other, params_of(other))
        with pytest.raises(ValueError, match=r"holds another network than the config given"):
            jaxmlp.load(path, CONFIG)

    def test_a_file_without_it_asks_for_it(self, tmp_path):
        path = tmp_path / "network.safetensors"
        jaxmlp.save(path, CONFIG, params_of(CONFIG))
        with pytest.raises(jaxmlp.CheckpointError, match=r"give it: activations=\{'snake': "):
            jaxmlp.load(path)

    def test_one_that_the_config_does_not_name_is_refused(self):
        text = MLPConfig(in_features=3, out_features=2).to_json()
        with pytest.raises(ValueError, match=r"activations \['snake'\] have no effect"):
            MLPConfig.from_json(text, activations={"snake": SNAKE})

    @pytest.mark.bad_input
    @pytest.mark.parametrize("activations", [{"snake": snake}, {"worm": SNAKE}])
    def test_what_is_not_the_activation_of_that_name_is_refused(self, activations):
        with pytest.raises(TypeError, match=r"must be the jaxmlp.Activation of that name"):
            MLPConfig.from_json(CONFIG.to_json(), activations=activations)


def test_it_is_trained():
    config = dataclasses.replace(CONFIG, output_activation=None)
    y = X[:, :2] ** 2
    result = jaxmlp.fit(
        jaxmlp.make_loss(config, jaxmlp.losses.squared_error),
        optax.adam(1e-2),
        params_of(config),
        jaxmlp.DataLoader(X, y, batch_size=20),
        epochs=100,
        key=KEY,
    )
    assert result.history["loss"][-1] < 0.2 * result.history["loss"][0]


def test_its_name_stands_in_the_summary(capsys):
    jaxmlp.summary(CONFIG)
    assert "snake" in capsys.readouterr().out


@pytest.mark.parametrize("function", [lambda z: jnp.sum(z), lambda z: z.astype(jnp.float16)])
def test_a_function_that_does_not_keep_shape_and_type_is_refused(function):
    config = dataclasses.replace(CONFIG, output_activation=Activation("bad", function, 1.0))
    with pytest.raises(ValueError, match=r"'bad'.*must keep shape and type"):
        jaxmlp.apply(params_of(config), X, config=config)


@pytest.mark.bad_input
def test_a_bare_function_is_told_to_be_given_a_name():
    with pytest.raises(TypeError, match=r"activation must be a name; .*jaxmlp.Activation"):
        dataclasses.replace(CONFIG, activation=snake)


@pytest.mark.parametrize("name", ["relu", "swiglu", "softmax"])
def test_a_name_of_ours_is_refused(name):
    with pytest.raises(ValueError, match=r"must have a name of its own"):
        dataclasses.replace(CONFIG, output_activation=Activation(name, snake))


def test_two_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"two of the name 'snake'"):
        dataclasses.replace(CONFIG, output_activation=Activation("snake", jnp.sin))


@pytest.mark.parametrize("name", ["", "my act", "2nd"])
def test_a_name_that_is_no_identifier_is_refused(name):
    with pytest.raises(ValueError, match=r"name must be an identifier"):
        Activation(name, snake)
