"""Tests that the training step says what is wrong with a loss, params, a key or an optimizer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import init_state, make_train_step

PARAMS = {"w": jnp.ones(3)}
KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("params", "got"),
    [
        ({"w": jnp.arange(3)}, r"got Array\(\[0, 1, 2\], dtype=int32\) at \['w'\]"),
        ({"w": jnp.ones(3), "mask": np.ones(3, bool)}, r"got array\(.*\) at \['mask'\]"),
        ({"w": [jnp.ones(3, jnp.complex64)]}, r"got Array\(.*, dtype=complex64\) at \['w'\]\[0\]"),
        ({"w": jnp.ones(3), "activation": "relu"}, r"got 'relu' at \['activation'\]"),
        ({"w": 1.0}, r"got 1.0 at \['w'\]"),
        ({"w": jax.random.key(0)}, r"got Array.* at \['w'\]"),
    ],
)
def test_params_must_be_floating_arrays(params, got):
    with pytest.raises(TypeError, match=f"(?s)params must be floating arrays; {got}.*frozen conf"):
        init_state(params, optax.sgd(0.1), key=KEY)


@pytest.mark.parametrize("params", [{}, (), None, {"w": None}])
def test_params_must_hold_an_array(params):
    with pytest.raises(ValueError, match="params must hold at least one array; got"):
        init_state(params, optax.sgd(0.1), key=KEY)


@pytest.mark.bad_input
@pytest.mark.parametrize("key", [0, None, np.zeros(2, np.uint32), jnp.zeros(2, jnp.uint32)])
def test_the_key_must_be_typed(key):
    message = r"init_state needs a typed JAX random key; got .* Make one with jax.random.key\(0\)"
    with pytest.raises(TypeError, match=message):
        init_state(PARAMS, optax.sgd(0.1), key=key)


@pytest.mark.bad_input
@pytest.mark.parametrize("shape", [(1,), (2,), (2, 3)])
def test_the_key_must_be_one_key(shape):
    message = r"init_state needs one key; got an array of keys of shape \(.*Use jax.vmap"
    with pytest.raises(TypeError, match=message):
        init_state(PARAMS, optax.sgd(0.1), key=jax.random.split(KEY, shape))


def run_one_step(loss_fn, **settings):
    optimizer = optax.sgd(0.1)
    step = make_train_step(loss_fn, optimizer, **settings)
    return step(init_state(PARAMS, optimizer, key=KEY), jnp.ones((4, 3)))


def scalar_loss(params):
    return jnp.sum(params["w"] ** 2)


ACCUMULATED = pytest.mark.parametrize("accumulate_steps", [1, 2])


@ACCUMULATED
@pytest.mark.parametrize(
    "result",
    [
        scalar_loss,
        lambda params: (scalar_loss(params), {}, {}),
        lambda params: [scalar_loss(params), {}],
        lambda params: (scalar_loss(params), jnp.zeros(())),
        lambda params: (scalar_loss(params), None),
    ],
    ids=["bare", "three", "list", "array", "none"],
)
def test_a_loss_function_must_return_loss_and_metrics(result, accumulate_steps):
    with pytest.raises(TypeError, match=r"loss_fn must return \(loss, metrics\), metrics a dict; "):
        run_one_step(lambda params, *_: result(params), accumulate_steps=accumulate_steps)


@ACCUMULATED
@pytest.mark.parametrize("shape", [(1,), (4,), (2, 2)])
def test_a_loss_must_be_a_scalar(shape, accumulate_steps):
    def loss_fn(params, *_):
        return jnp.full(shape, scalar_loss(params)), {}

    message = r"loss_fn must return a scalar loss; got one of shape \(.*Average over rows"
    with pytest.raises(TypeError, match=message):
        run_one_step(loss_fn, accumulate_steps=accumulate_steps)


@ACCUMULATED
def test_no_metric_may_be_named_loss(accumulate_steps):
    def loss_fn(params, *_):
        return scalar_loss(params), {"loss": jnp.zeros(())}

    with pytest.raises(TypeError, match="loss_fn must not name a metric 'loss'"):
        run_one_step(loss_fn, accumulate_steps=accumulate_steps)


def test_an_optimizer_must_keep_the_type_of_its_state():
    optimizer = optax.GradientTransformation(
        lambda _: jnp.zeros((), jnp.float16),
        lambda grads, state, _=None: (grads, state.astype(jnp.float32)),
    )
    step = make_train_step(lambda params, *_: (scalar_loss(params), {}), optimizer)
    message = "The optimizer changed its state from float16 to float32, which would compile every"
    with pytest.raises(TypeError, match=message):
        step(init_state(PARAMS, optimizer, key=KEY), None)


@pytest.mark.parametrize("accumulate_steps", [0, -1])
def test_accumulate_steps_must_be_at_least_1(accumulate_steps):
    message = f"accumulate_steps must be an int of at least 1; got {accumulate_steps}"
    with pytest.raises(ValueError, match=message):
        make_train_step(lambda *_: None, optax.sgd(0.1), accumulate_steps=accumulate_steps)


def test_accumulate_steps_must_divide_the_batch():
    message = r"accumulate_steps=3 must divide the leading axis.*; got one of shape \(4, 3\)"
    with pytest.raises(ValueError, match=message):
        run_one_step(lambda params, *_: (scalar_loss(params), {}), accumulate_steps=3)


def test_every_array_of_an_accumulated_batch_needs_rows():
    step = make_train_step(
        lambda params, *_: (scalar_loss(params), {}), optax.sgd(0.1), accumulate_steps=2
    )
    batch = {"x": jnp.ones((4, 3)), "temperature": jnp.ones(())}
    with pytest.raises(ValueError, match=r"must divide the leading axis.*; got one of shape \(\)"):
        step(init_state(PARAMS, optax.sgd(0.1), key=KEY), batch)


def sum_of_squares(params, batch, key):
    del batch, key
    return scalar_loss(params), {}


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("state", "kind"), [(PARAMS, "dict"), ((PARAMS,), "tuple"), (jnp.ones(3), ".*Tracer")]
)
def test_the_state_must_be_one(state, kind):
    step = make_train_step(sum_of_squares, optax.sgd(0.1))
    message = f"state must be a jaxmlp.TrainState; got a {kind}.*init_state.*state, metrics ="
    with pytest.raises(TypeError, match=message):
        step(state, jnp.ones((4, 3)))


def test_a_state_can_be_given_twice_only_as_a_copy():
    optimizer = optax.sgd(0.1)
    step = make_train_step(sum_of_squares, optimizer)
    state = init_state(PARAMS, optimizer, key=KEY)
    first, _ = step(jax.tree.map(jnp.copy, state), jnp.ones((4, 3)))
    second, _ = step(state, jnp.ones((4, 3)))
    np.testing.assert_array_equal(first.params["w"], second.params["w"])
    # JAX's words, by where it finds out; the docstring of the step quotes them.
    with pytest.raises((ValueError, RuntimeError), match="has been deleted"):
        step(state, jnp.ones((4, 3)))
