"""What the forward pass refuses, and how it says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import make_config, make_inputs, make_params

import jaxmlp

CONFIG = make_config(hidden_features=(6, 6), norm="layer")
X = make_inputs(dtype=np.float32)


@pytest.mark.bad_input
@pytest.mark.parametrize(("x", "got"), [([[0.0] * 5], "a list"), (1.0, "a float")])
def test_inputs_that_are_no_array_are_refused(x, got):
    with pytest.raises(TypeError, match=f"NumPy or JAX array; got {got}. jaxmlp.predict takes"):
        jaxmlp.apply(make_params(CONFIG), x, config=CONFIG)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("x", "got"),
    [
        (np.zeros((4, 5), np.complex64), "an array of complex64"),
    ],
)
def test_inputs_that_are_no_real_array_are_refused(x, got):
    message = f"x must be a floating or integer NumPy or JAX array; got {got}. Conv"
    with pytest.raises(TypeError, match=message):
        jaxmlp.apply(make_params(CONFIG), x, config=CONFIG)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("dtype", "compute_dtype"),
    [
        *((dtype, "float32") for dtype in (np.int32, np.uint32)),
        *((dtype, "float16") for dtype in (np.int16, np.uint16)),
        *((dtype, "bfloat16") for dtype in (np.int16, np.int32)),
    ],
)
def test_integers_that_may_lose_digits_are_refused(dtype, compute_dtype):
    config = make_config(hidden_features=(6,), compute_dtype=compute_dtype)
    message = f"integers {compute_dtype} holds exactly, .* an array of {dtype.__name__}. Conv"
    with pytest.raises(TypeError, match=message):
        jaxmlp.apply(make_params(config), np.zeros((4, 5), dtype), config=config)


@pytest.mark.bad_input
@pytest.mark.parametrize("function", [jaxmlp.apply, jaxmlp.intermediates])
class TestDropoutWithoutEffect:
    def test_a_rate_without_a_key_is_refused(self, function):
        message = r"dropout_rate needs key, .*; got dropout_rate=0\.9 and key=None\. Pass key="
        with pytest.raises(ValueError, match=message):
            function(make_params(CONFIG), X, config=CONFIG, dropout_rate=0.9)

    @pytest.mark.parametrize("key", [42, np.zeros(2, np.uint32), "0"])
    def test_what_is_no_key_is_refused_even_where_nothing_is_dropped(self, function, key):
        with pytest.raises(TypeError, match="apply needs a typed JAX random key; got"):
            function(make_params(CONFIG), X, config=CONFIG, key=key)

    @pytest.mark.parametrize("rate", ["a", (0.1,), np.array([0.1]), 1j])
    def test_a_rate_that_is_no_number_is_refused(self, function, rate):
        message = r"dropout_rate must be a number in \[0, 1\); got "
        with pytest.raises(TypeError, match=message):
            function(
                make_params(CONFIG), X, config=CONFIG, key=jax.random.key(0), dropout_rate=rate
            )


@pytest.mark.bad_input
@pytest.mark.parametrize("config", [None, {"in_features": 5}])
def test_what_is_no_config_is_refused(config):
    message = f"config must be a jaxmlp.MLPConfig; got a {type(config).__name__}."
    with pytest.raises(TypeError, match=message):
        jaxmlp.apply(make_params(CONFIG), X, config=config)


@pytest.mark.bad_input
@pytest.mark.parametrize("shape", [(4, 6), (5, 4), (4,), (5, 0)])
def test_inputs_with_another_number_of_features_are_refused(shape):
    message = (
        rf"x has {shape[-1]} features in its last axis, but the network was initialised for 5; "
        rf"got x\.shape=\({shape[0]},"
    )
    with pytest.raises(ValueError, match=message):
        jaxmlp.apply(make_params(CONFIG), np.zeros(shape, np.float32), config=CONFIG)


@pytest.mark.bad_input
def test_a_scalar_input_is_refused():
    message = r"x has no axes, but the network was initialised for 5; got x\.shape=\(\)"
    with pytest.raises(ValueError, match=message):
        jaxmlp.apply(make_params(CONFIG), np.float32(1), config=CONFIG)


@pytest.mark.bad_input
@pytest.mark.parametrize("params", [{"kernel": X}, None, (X, X)])
def test_params_that_are_no_jaxmlp_params_are_refused(params):
    message = (
        f"params must be the jaxmlp.Params of this config; got a {type(params).__name__}. "
        r"Draw them with jaxmlp\.init_params"
    )
    with pytest.raises(TypeError, match=message):
        jaxmlp.apply(params, X, config=CONFIG)


@pytest.mark.parametrize(
    "other",
    [
        {"hidden_features": (6,)},
        {"hidden_features": (6, 6, 6)},
        {"hidden_features": (6, 7)},
        {"hidden_features": (6, 6), "out_features": 2},
        {"hidden_features": (6, 6), "in_features": 4},
        {"hidden_features": (6, 6), "activation": "swiglu"},
        {"hidden_features": ()},
    ],
)
def test_params_of_a_config_with_other_kernels_are_refused(other):
    params = make_params(make_config(**other))
    message = (
        r"params must have kernels of shapes \[\(5, 6\), \(6, 6\), \(6, 3\)\] for this config; "
        r"got \[.*\]; draw them for this config\."
    )
    with pytest.raises(ValueError, match=message):
        jaxmlp.apply(params, X, config=CONFIG)


@pytest.mark.bad_input
def test_stacked_params_are_refused_with_a_hint_at_vmap():
    params = jax.tree.map(lambda a: np.stack([a, a]), make_params(CONFIG))
    with pytest.raises(ValueError, match=r"got \[\(2, 5, 6\), .*; use jax\.vmap over the member"):
        jaxmlp.apply(params, X, config=CONFIG)


@pytest.mark.parametrize(
    "other",
    [
        {"norm": None},
        {"norm": "rms"},
        {"norm": "layer", "use_bias": False},
        {"norm": None, "use_bias": False},
    ],
)
def test_params_of_a_config_with_other_biases_or_norms_are_refused(other):
    params = make_params(make_config(hidden_features=(6, 6), **other))
    message = (
        r"params must have the biases and norms of config\.use_bias=True and config\.norm='layer'; "
        r"got \(bias, norm, norm bias\) by layer = \[.*\] where \[\(True, True, True\), "
        r"\(True, True, True\), \(True, False, False\)\] are needed\. Draw them with init_params"
    )
    with pytest.raises(ValueError, match=message):
        jaxmlp.apply(params, X, config=CONFIG)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_single_layer_without_its_norm_is_refused(layer):
    params = make_params(CONFIG)
    hidden = list(params.hidden)
    hidden[layer] = hidden[layer]._replace(norm=None)
    with pytest.raises(ValueError, match="params must have the biases and norms of"):
        jaxmlp.apply(params._replace(hidden=tuple(hidden)), X, config=CONFIG)


def test_a_norm_on_the_output_is_refused():
    params = make_params(CONFIG)
    norm = jaxmlp.Norm(np.ones(3, np.float32), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="params must have the biases and norms of"):
        jaxmlp.apply(
            params._replace(output=params.output._replace(norm=norm)), X, config=CONFIG
        )  # fmt: skip


@pytest.mark.bad_input
def test_intermediates_refuse_what_apply_refuses():
    with pytest.raises(ValueError, match="x has 6 features in its last axis"):
        jaxmlp.intermediates(make_params(CONFIG), jnp.zeros((4, 6)), config=CONFIG)


def test_inputs_are_refused_under_jit_as_well():
    compiled = jax.jit(jaxmlp.apply, static_argnames="config")
    with pytest.raises(ValueError, match="x has 6 features in its last axis"):
        compiled(make_params(CONFIG), jnp.zeros((4, 6)), config=CONFIG)
