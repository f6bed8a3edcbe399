"""A network as one Python module: its numbers are the oracle's, and it needs NumPy alone."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_family import family, params_of, rounding, wanted_outputs

import jaxmlp
from jaxmlp.interchange import to_numpy
from jaxmlp.interchange.numpy_module import module_text
from jaxmlp.interchange.numpy_outputs import numpy_function
from jaxmlp.interchange.operations import member_operations, operations_of, widened

CONFIG = jaxmlp.MLPConfig(
    in_features=3, hidden_features=(4, 4), out_features=2, activation="gelu", norm="layer"
)
PARAMS = params_of(CONFIG, 0, standardised=True)
X = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)


def module(text):
    names = {}
    exec(compile(text, "network.py", "exec"), names)
    return names


@pytest.fixture
def written(tmp_path):
    def write(config, params):
        to_numpy(tmp_path / "network.py", config, params)
        return module((tmp_path / "network.py").read_text())

    return write


@pytest.mark.usefixtures("x64")
def test_outputs_of_the_family_equal_the_oracle():
    for net in family():
        wanted = wanted_outputs(net)
        operations = widened(operations_of(net.config, net.params))
        names = module(module_text((operations,), net.config, joins=False))
        outputs = names["predict"](net.x)
        assert outputs.dtype in (np.float32, np.float64)
        atol = rounding(operations, net.x, wanted)
        np.testing.assert_allclose(outputs, wanted, rtol=0, atol=atol, err_msg=str(net.config))


@pytest.mark.usefixtures("x64")
def test_arrays_are_those_of_the_network_bit_for_bit(written):
    for net in family(dtypes=("float32", "float64"), stop=200):
        if net.config.compute_dtype is None:
            names = written(net.config, net.params)
            for number, dense in enumerate((*net.params.hidden, net.params.output)):
                kernel = names[f"KERNEL_{number}"]
                assert (kernel.dtype, kernel.tobytes()) == (
                    dense.kernel.dtype, dense.kernel.tobytes()
                )  # fmt: skip


def test_numbers_that_are_not_finite_are_kept(written):
    params = jax.tree.map(lambda a: np.full_like(a, np.nan), PARAMS)
    assert np.isnan(written(CONFIG, params)["predict"](X)).all()


STACKED = jax.tree.map(lambda a: np.stack([a, 2 * a, -a]), PARAMS)


def test_an_ensemble_gives_the_mean_and_the_deviation_of_its_members(written):
    mean, deviation = written(CONFIG, STACKED)["predict"](X)
    members = [numpy_function(each, "float64")(X) for each in member_operations(CONFIG, STACKED)]
    # Rounding in float32 of numbers of size 1.
    np.testing.assert_allclose(mean, np.mean(members, axis=0), atol=1e-5)
    np.testing.assert_allclose(deviation, np.std(members, axis=0), atol=1e-5)


def test_an_ensemble_of_one_has_no_deviation(written):
    predict = written(CONFIG, jax.tree.map(lambda a: a[None], PARAMS))["predict"]
    mean, deviation = predict(X)
    np.testing.assert_array_equal(mean, written(CONFIG, PARAMS)["predict"](X))
    np.testing.assert_array_equal(deviation, 0)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 5, 3)])
def test_any_number_of_batch_axes_is_taken(written, shape):
    x = np.resize(X, shape)
    outputs = written(CONFIG, PARAMS)["predict"](x)
    # Products of one row are summed in another order.
    wanted = jaxmlp.apply(jax.tree.map(jnp.asarray, PARAMS), x, config=CONFIG)
    np.testing.assert_allclose(outputs, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("x", [np.zeros((2, 4)), np.zeros(()), np.zeros((3, 0))])
def test_rows_of_another_length_are_refused(written, x):
    with pytest.raises(ValueError, match="x must have 3 features in its last axis; got"):
        written(CONFIG, PARAMS)["predict"](x)


@pytest.mark.parametrize("activation", ["gelu_exact", "mish", "swiglu", "selu"])
def test_extreme_inputs_overflow_nowhere(written, activation):
    config = jaxmlp.MLPConfig(
        in_features=1, hidden_features=(2,), out_features=2, activation=activation,
        output_activation="softmax", param_dtype="float32",
    )  # fmt: skip
    x = np.array([[1e4], [-1e4], [0.0]], np.float32)
    outputs = written(config, params_of(config, 3))["predict"](x)
    np.testing.assert_allclose(outputs.sum(axis=-1), 1, rtol=1e-6)


def test_a_fresh_process_needs_numpy_alone(tmp_path):
    to_numpy(tmp_path / "network.py", CONFIG, PARAMS)
    np.save(tmp_path / "x.npy", X)
    script = (
        "import sys, numpy as np; before = set(sys.modules); import network; "
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before})); "
        "np.save('y.npy', network.predict(np.load('x.npy')))"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": "."},
    )  # fmt: skip
    assert set(eval(run.stdout)) <= {"network", "base64", "binascii", "struct", "_struct", "re"}
    outputs = np.load(tmp_path / "y.npy")
    np.testing.assert_array_equal(
        outputs, module((tmp_path / "network.py").read_text())["predict"](X)
    )


@pytest.mark.bad_input
def test_what_is_no_path_is_refused():
    with pytest.raises(TypeError, match="path must be a path"):
        to_numpy(3, CONFIG, PARAMS)


def test_a_function_of_the_user_s_own_is_refused(tmp_path):
    snake = jaxmlp.Activation("snake", jnp.sin)
    config = jaxmlp.MLPConfig(in_features=2, out_features=1, output_activation=snake)
    with pytest.raises(ValueError, match="activation 'snake' is a function of your own"):
        to_numpy(tmp_path / "network.py", config, params_of(config, 0))
