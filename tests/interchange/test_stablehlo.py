"""A network as StableHLO: JAX alone runs it, for any number of rows, and differentiates it."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_family import network, params_of

import jaxmlp
from jaxmlp.interchange import from_stablehlo, to_stablehlo

CONFIG = jaxmlp.MLPConfig(
    in_features=3, hidden_features=(4, 4), out_features=2, activation="swiglu", norm="rms"
)
PARAMS = jax.tree.map(jnp.asarray, params_of(CONFIG, 0, standardised=True))
STACKED = jax.tree.map(lambda a: jnp.stack([a, 2 * a, -a]), PARAMS)
X = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("stablehlo") / "network"
    to_stablehlo(path, CONFIG, PARAMS, vjp_order=1, platforms=("cpu", "cuda"))
    return path


@pytest.mark.parametrize("rows", [1, 7])
def test_outputs_are_those_of_apply_bit_for_bit(path, rows):
    # Both are compiled by this JAX from the same operations.
    wanted = jax.jit(lambda x: jaxmlp.apply(PARAMS, x, config=CONFIG))(X[:rows])
    np.testing.assert_array_equal(from_stablehlo(path)(X[:rows]), wanted)


def test_the_derivative_is_in_the_file(path):
    got = jax.grad(lambda x: from_stablehlo(path)(x).sum())(jnp.asarray(X))
    wanted = jax.grad(lambda x: jaxmlp.apply(PARAMS, x, config=CONFIG).sum())(jnp.asarray(X))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_without_a_derivative_jax_says_so(tmp_path):
    to_stablehlo(tmp_path / "network", CONFIG, PARAMS)
    with pytest.raises(ValueError, match="No VJP is available"):
        jax.grad(lambda x: from_stablehlo(tmp_path / "network")(x).sum())(jnp.asarray(X))


def test_a_fresh_process_needs_jax_alone(path, tmp_path):
    np.save(tmp_path / "x.npy", X)
    script = (
        "import sys, jax, numpy as np; from jax import export; "
        f"function = export.deserialize(bytearray(open({str(path)!r}, 'rb').read())); "
        "np.save('y.npy', function.call(np.load('x.npy'))); assert 'jaxmlp' not in sys.modules; "
        "print(sorted(function.platforms))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == "['cpu', 'cuda']\n"
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), from_stablehlo(path)(X))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("number", [4, 17, 39, 52, 86])
def test_networks_of_the_family_come_out_bit_for_bit(number, tmp_path):
    net = network(number)
    params = jax.tree.map(jnp.asarray, net.params)
    to_stablehlo(tmp_path / "network", net.config, params)
    wanted = jax.jit(lambda x: jaxmlp.apply(params, x, config=net.config))(net.x)
    np.testing.assert_array_equal(from_stablehlo(tmp_path / "network")(net.x), wanted)


def test_an_ensemble_gives_the_mean_and_the_deviation_of_its_members(tmp_path):
    to_stablehlo(tmp_path / "network", CONFIG, STACKED)
    mean, deviation = from_stablehlo(tmp_path / "network")(X)
    members = jax.vmap(lambda p: jaxmlp.apply(p, X, config=CONFIG))(STACKED)
    np.testing.assert_allclose(mean, members.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(deviation, members.std(axis=0), rtol=1e-4, atol=1e-5)


def test_an_activation_of_the_user_s_own_goes_along(tmp_path):
    snake = jaxmlp.Activation("snake", jnp.sin)
    config = jaxmlp.MLPConfig(in_features=3, out_features=2, output_activation=snake)
    params = jax.tree.map(jnp.asarray, params_of(config, 0))
    to_stablehlo(tmp_path / "network", config, params)
    wanted = jaxmlp.apply(params, X, config=config)
    np.testing.assert_allclose(from_stablehlo(tmp_path / "network")(X), wanted, rtol=1e-5)


@pytest.mark.bad_input
@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 4), (1, 2, 3)])
def test_rows_of_another_shape_are_refused(path, shape):
    with pytest.raises(ValueError, match=r"x must have at least one row, shape \(rows, 3\); got"):
        from_stablehlo(path)(np.zeros(shape, np.float32))


@pytest.mark.bad_input
def test_rows_that_are_no_array_are_refused(path):
    with pytest.raises(TypeError, match="x must be an array of real numbers; got a list"):
        from_stablehlo(path)([[1.0, 2.0, 3.0]])


@pytest.mark.parametrize("content", [b"", b"StableHLO", bytes(range(256)) * 9])
def test_other_files_are_told(tmp_path, content):
    (tmp_path / "network").write_bytes(content)
    with pytest.raises(jaxmlp.CheckpointError, match=r"holds no function of rows that .* reads"):
        from_stablehlo(tmp_path / "network")


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"vjp_order": -1}, ValueError, "vjp_order must be an int of at least 0; got -1"),
        ({"platforms": "cpu"}, TypeError, r"platforms must be a tuple, as .*; got 'cpu'"),
        ({"platforms": ()}, ValueError, r"platforms must be some of .*; got \(\)"),
        ({"platforms": ("gpu",)}, ValueError, r"platforms must be some of .*; got \('gpu',\)"),
    ],
)
def test_bad_settings_are_refused(tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        to_stablehlo(tmp_path / "network", CONFIG, PARAMS, **settings)


@pytest.mark.bad_input
def test_wrong_types_are_named(tmp_path):
    with pytest.raises(TypeError, match="path must be a path"):
        to_stablehlo(3, CONFIG, PARAMS)
    with pytest.raises(TypeError, match=r"config must be a jaxmlp\.MLPConfig"):
        to_stablehlo(tmp_path / "network", {}, PARAMS)
    with pytest.raises(TypeError, match=r"params must be the jaxmlp\.Params of config; got dict"):
        to_stablehlo(tmp_path / "network", CONFIG, {})


@pytest.mark.parametrize("leading", [(1, 3), (0,)])
def test_members_have_one_axis_and_are_some(leading, tmp_path):
    params = jax.tree.map(lambda a: np.zeros((*leading, *a.shape), a.dtype), params_of(CONFIG, 0))
    message = (
        rf"one axis of at least one member in front, or none; got the leading axes \({leading[0]},"
    )
    with pytest.raises(ValueError, match=message):
        to_stablehlo(tmp_path / "network", CONFIG, params)


def test_a_missing_package_is_named_with_its_extra(monkeypatch, path):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(ImportError, match=r"flatbuffers.*pip install 'jaxmlp\[stablehlo\]'"):
        from_stablehlo(path)
