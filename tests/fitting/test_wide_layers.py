"""Tests of wide layers that are cut over devices: `fit` keeps where they lie; same numbers."""

import jax
import numpy as np
import pytest
from fits import assert_same
from mesh_fits import CONFIG, LOSS, OPTIMIZER, PARAMS, alone, assert_close, run_case, shown

import jaxmlp
from jaxmlp import param_shardings

SMALL = {"in_features": 4, "out_features": 3}


def make_mesh(kind="Explicit", shape=(1, 2)):
    types = (getattr(jax.sharding.AxisType, kind),) * 2
    return jax.make_mesh(shape, ("data", "model"), axis_types=types)


def specs(shardings):
    return jax.tree.map(lambda sharding: sharding.spec, shardings)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm": "rms"},
        {"norm": "layer"},
        {"use_bias": False},
        {"activation": "swiglu"},
        {"hidden_features": (8,)},
    ],
    ids=str,
)
def test_there_is_a_sharding_for_every_parameter(changes):
    config = jaxmlp.MLPConfig(**{**SMALL, "hidden_features": (8, 6, 4)} | changes)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    placed = jax.device_put(params, param_shardings(config, make_mesh()))
    first = placed.hidden[0].kernel
    assert first.sharding.shard_shape(first.shape) == (4, first.shape[1] // 2)


def test_layers_are_cut_by_units_and_by_inputs_in_turn():
    config = jaxmlp.MLPConfig(**SMALL, hidden_features=(8, 8, 8))
    cut = param_shardings(config, make_mesh())
    P = jax.P
    kernels = [layer.kernel.spec for layer in (*cut.hidden, cut.output)]
    assert kernels == [P(None, "model"), P("model", None), P(None, "model"), P("model", None)]
    biases = [layer.bias.spec for layer in (*cut.hidden, cut.output)]
    assert biases == [P("model"), P(), P("model"), P()]


def lies_so(leaf, sharding):
    return leaf.sharding.is_equivalent_to(sharding, leaf.ndim)


@pytest.mark.parametrize(
    ("driver", "kind"),
    [
        ("epochs", "Explicit"),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in [("epochs", "Auto"), ("step", "Explicit"), ("step", "Auto")]
        ),
    ],
)
def test_fit_keeps_where_they_lie_and_gives_what_one_device_gives(kind, driver):
    mesh = make_mesh(kind)
    wanted = param_shardings(CONFIG, mesh)
    params = jax.device_put(PARAMS, wanted)
    result = run_case("validation", jax.NamedSharding(mesh, jax.P("data")), driver, params=params)
    assert_close(shown(result), alone("validation"))
    for tree in (result.params, result.state.params):
        assert jax.tree.all(jax.tree.map(lies_so, tree, wanted))
    first = jaxmlp.init_state(params, OPTIMIZER, key=jax.random.key(1)).opt_state
    moments = result.state.opt_state
    same = jax.tree.map(lambda a, b: lies_so(a, b.sharding) or a.ndim == 0, moments, first)
    assert jax.tree.all(same)
    cut = [leaf for leaf in jax.tree.leaves(moments) if not leaf.is_fully_replicated]
    # Both moments of the kernels, of the first bias and of its norm.
    assert len(cut) == 2 * len([1 for spec in jax.tree.leaves(specs(wanted)) if any(spec)])


@pytest.mark.parametrize("driver", ["epochs", "step"])
@pytest.mark.parametrize("cuts_rows", [True, False])
def test_a_run_is_resumed_where_they_lie(tmp_path, driver, cuts_rows):
    mesh = make_mesh()
    wanted = param_shardings(CONFIG, mesh)
    sharding = jax.NamedSharding(mesh, jax.P("data")) if cuts_rows else None
    settings = {"params": jax.device_put(PARAMS, wanted), "ema_decay": 0.8}
    keep = {"checkpoint": tmp_path}
    run_case("validation", sharding, driver, **settings, **keep, epochs=2)
    resumed = run_case("validation", sharding, driver, **settings, **keep, resume=True)
    whole = run_case("validation", sharding, driver, **settings)
    for tree in (resumed.params, resumed.state.params):
        assert jax.tree.all(jax.tree.map(lies_so, tree, wanted))
    assert_same(resumed.state, whole.state)
    ours, theirs = (result.state.opt_state for result in (resumed, whole))
    assert jax.tree.all(jax.tree.map(lambda a, b: lies_so(a, b.sharding), ours, theirs))


def test_averages_lie_as_their_parameters():
    mesh = make_mesh()
    params = jax.device_put(PARAMS, param_shardings(CONFIG, mesh))
    sharding = jax.NamedSharding(mesh, jax.P("data"))
    result = run_case("exponential average", sharding, params=params)
    assert_close(shown(result), alone("exponential average"))
    assert lies_so(result.params.hidden[0].kernel, params.hidden[0].kernel.sharding)


def test_evaluate_and_predict_take_them():
    mesh = make_mesh()
    params = jax.device_put(PARAMS, param_shardings(CONFIG, mesh))
    x = np.ones((5, 4), np.float32)
    y = np.zeros(5, np.int32)
    expected = jaxmlp.evaluate(LOSS, PARAMS, (x, y))["loss"]
    # Sums in another order.
    np.testing.assert_allclose(jaxmlp.evaluate(LOSS, params, (x, y))["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(
        jaxmlp.predict(params, x, config=CONFIG),
        jaxmlp.predict(PARAMS, x, config=CONFIG),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.bad_input
def test_a_mesh_is_needed():
    with pytest.raises(TypeError, match=r"mesh must be a jax.sharding.Mesh, .* got a int"):
        param_shardings(CONFIG, 2)


def test_the_axis_must_be_one_of_the_mesh():
    with pytest.raises(ValueError, match=r"axis must be one of the mesh's, .*; got 'layers'"):
        param_shardings(CONFIG, make_mesh(), axis="layers")


def test_a_linear_network_has_nothing_to_cut():
    with pytest.raises(ValueError, match=r"needs a network with hidden layers, which it cuts"):
        param_shardings(jaxmlp.MLPConfig(**SMALL), make_mesh())


def test_devices_must_divide_the_units_that_they_cut():
    config = jaxmlp.MLPConfig(**SMALL, hidden_features=(7, 8))
    message = r"hidden_features\[0\] must be a multiple of the 2 devices along 'model', .* got 7"
    with pytest.raises(ValueError, match=message):
        param_shardings(config, make_mesh())
