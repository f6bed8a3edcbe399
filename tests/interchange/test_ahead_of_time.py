"""What is made ahead of time computes what `apply` does, and compiles nothing when called."""

import threading

import jax
import numpy as np
import pytest
from compilations import compilations
from networks import make_config, make_params

import jaxmlp

CONFIG = make_config(hidden_features=(6, 6), activation="gelu", norm="layer")
PARAMS = jax.tree.map(jax.numpy.asarray, make_params(CONFIG))
X = np.random.default_rng(0).normal(size=(41, 5)).astype(np.float32)
PREDICT = jaxmlp.compile_predict(PARAMS, config=CONFIG, batch_sizes=(8, 1))


@pytest.mark.parametrize("rows", [1, 2, 8, 9, 16, 41])
def test_any_number_of_rows_gives_the_outputs_of_apply(rows):
    outputs = PREDICT(X[:rows])
    assert isinstance(outputs, np.ndarray)
    wanted = jaxmlp.apply(PARAMS, X[:rows], config=CONFIG)
    # Programs of other sizes sum in another order.
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-5)


def test_rows_beside_a_row_change_nothing():
    alone = PREDICT(X[:2])
    np.testing.assert_array_equal(PREDICT(np.concatenate([X[:2], 1e6 * X[2:8]]))[:2], alone)
    np.testing.assert_array_equal(PREDICT(X[:40])[:2], alone)


def test_a_call_compiles_nothing():
    with compilations() as compiled:
        PREDICT(X[:1])
        PREDICT(X)
    assert not compiled


SWISH = jaxmlp.Activation("own", jax.nn.swish)
IN_NUMPY = {
    "relu": {},
    "gated, normed, with skips": {"activation": "geglu", "norm": "rms", "residual": True},
    "an activation for each layer": {"activation": ("tanh", "celu")},
    "probabilities and dropout": {"output_activation": "softmax", "dropout_rate": 0.5},
    "no biases": {"use_bias": False},
    "no hidden layer": {"hidden_features": ()},
}
COMPILED = {
    "an activation of one's own": {"activation": SWISH},
    "one in the output": {"output_activation": SWISH},
    "what NumPy lacks": {"activation": ("relu", "gelu_exact")},
    "16 bits": {"compute_dtype": "bfloat16"},
    "many layers": {"hidden_features": (6,) * 5},
}


@pytest.mark.parametrize("case", [*IN_NUMPY, *COMPILED])
def test_one_row_is_computed_in_numpy_where_that_is_sooner(case):
    fields = (IN_NUMPY | COMPILED)[case]
    config = make_config(**{"hidden_features": (6, 6)} | fields)
    params = jax.tree.map(jax.numpy.asarray, make_params(config))
    params = jaxmlp.with_standardization(params, X * 3 + 1)
    with compilations() as compiled:
        predict = jaxmlp.compile_predict(params, config=config, batch_sizes=(1,))
    assert sum(compiled.values()) == (case in COMPILED)
    outputs = predict(X)
    assert outputs.dtype == np.float32
    # Sums in another order, which bfloat16 may round apart: it keeps 2**-8 of a number, per layer.
    tolerance = 2e-2 if case == "16 bits" else 1e-5
    wanted = jaxmlp.apply(params, X, config=config)
    np.testing.assert_allclose(outputs, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", [1, 64])
def test_parameters_are_those_of_the_moment(size):
    config = make_config(hidden_features=(6,))
    params = make_params(config)
    predict = jaxmlp.compile_predict(params, config=config, batch_sizes=(size,))
    before = predict(X)
    for leaf in jax.tree.leaves(params):
        leaf += 1
    np.testing.assert_array_equal(predict(X), before)


@pytest.mark.parametrize("size", [1, 64])
def test_parameters_of_other_types_and_shapes_that_apply_takes_are_taken(size):
    config = make_config(hidden_features=(6,))
    doubles = make_params(config)
    doubles = jax.tree.map(lambda a: a.astype(np.float64), doubles)
    one_bias = doubles._replace(output=doubles.output._replace(bias=np.ones(1, np.float32)))
    halves = jax.tree.map(lambda a: a.astype(np.float16), doubles)
    for params in (doubles, one_bias, halves):
        predict = jaxmlp.compile_predict(params, config=config, batch_sizes=(size,))
        wanted = jaxmlp.apply(params, X, config=config)
        # Sums in another order.
        np.testing.assert_allclose(predict(X), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1, 8])
def test_a_row_is_computed_alike_wherever_it_lies(size):
    predict = jaxmlp.compile_predict(PARAMS, config=CONFIG, batch_sizes=(size,))
    wanted = predict(X)
    wide = np.zeros((2 * len(X), 10), np.float32)
    wide[::2, ::2] = X
    unaligned = np.ndarray(X.shape, np.float32, bytearray(X.nbytes + 1), 1)
    unaligned[...] = X
    for rows in (np.asfortranarray(X), wide[::2, ::2], X[:, ::-1].copy()[:, ::-1], unaligned):
        np.testing.assert_array_equal(predict(rows), wanted)


@pytest.mark.parametrize("size", [1, 8])
def test_what_is_not_finite_comes_out_as_apply_gives_it(size):
    rows = X[:6].copy()
    rows[0, 0], rows[1, 1], rows[2, 2], rows[3] = np.nan, np.inf, -np.inf, 3e38
    config = make_config(hidden_features=(6,), activation="relu")
    params = make_params(config)
    predict = jaxmlp.compile_predict(params, config=config, batch_sizes=(size,))
    wanted = np.asarray(jaxmlp.apply(params, rows, config=config))
    np.testing.assert_allclose(predict(rows), wanted, rtol=1e-5, atol=1e-5)
    assert np.isnan(wanted).any()


def test_integers_and_doubles_are_cast():
    np.testing.assert_array_equal(PREDICT(X.astype(np.float64)), PREDICT(X))
    np.testing.assert_array_equal(PREDICT(np.ones((2, 5), int)), PREDICT(np.ones((2, 5), "f4")))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("size", [1, 64])
def test_double_parameters_take_double_rows(size):
    config = make_config(hidden_features=(6,), param_dtype="float64")
    params = make_params(config)
    x = X.astype(np.float64)
    outputs = jaxmlp.compile_predict(params, config=config, batch_sizes=(size,))(x)
    assert outputs.dtype == np.float64
    np.testing.assert_allclose(outputs, jaxmlp.apply(params, x, config=config), rtol=1e-12)


def test_threads_share_a_function():
    wanted, got = PREDICT(X), {}
    threads = [
        threading.Thread(target=lambda n=number: got.setdefault(n, PREDICT(X))) for number in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 2
    for outputs in got.values():
        np.testing.assert_array_equal(outputs, wanted)


@pytest.mark.bad_input
@pytest.mark.parametrize("shape", [(), (5,), (0, 5), (2, 4), (2, 3, 5)])
def test_rows_of_another_shape_are_refused(shape):
    message = r"x must have at least one row, shape \(rows, 5\); got .*For a single row use x\[None"
    with pytest.raises(ValueError, match=message):
        PREDICT(np.zeros(shape, np.float32))


@pytest.mark.bad_input
@pytest.mark.parametrize("x", [[[1.0] * 5], "rows", np.array([["a"] * 5])])
def test_what_is_no_array_of_numbers_is_refused(x):
    with pytest.raises(TypeError, match="x must be an array of real numbers; got a"):
        PREDICT(x)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((), TypeError, r"batch_sizes must be a tuple of at least one int, .*; got \(\)"),
        (3, TypeError, "batch_sizes must be a tuple .*; got 3"),
        ((1, 0), ValueError, r"batch_sizes\[1\] must be an int of at least 1; got 0"),
        ((1.5,), TypeError, r"batch_sizes\[0\] must be an int of at least 1; got 1.5"),
    ],
)
def test_bad_sizes_are_refused(sizes, error, message):
    with pytest.raises(error, match=message):
        jaxmlp.compile_predict(PARAMS, config=CONFIG, batch_sizes=sizes)


def test_parameters_of_another_network_are_refused():
    with pytest.raises(ValueError, match="params must have kernels of shapes"):
        jaxmlp.compile_predict(PARAMS, config=make_config(hidden_features=(7,)))
