"""Tests of what a step hands an optimizer beside gradients, and what it says where that fails."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax_names import KEY, batches, loss_fn, params

import jaxmlp

SAM = optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.05), opaque_mode=True)


def take_step(optimizer, params=params, loss_fn=loss_fn, **settings):
    state = jaxmlp.init_state(params(), optimizer, key=KEY)
    return jaxmlp.make_train_step(loss_fn, optimizer, **settings)(state, batches()[0])[0]


def recording(update, seen):
    """An optimizer that notes what it is handed."""

    def init(_):
        return optax.EmptyState()

    def noting(grads, state, params=None, **extra):
        del params
        seen.update(extra)
        return update(grads, extra), state

    return optax.GradientTransformationExtraArgs(init, noting)


def test_the_functions_it_is_handed_are_those_of_the_batch_micro_batches_and_key():
    def noisy(params, batch, key):
        return jnp.sum(batch.x * jax.random.normal(key, batch.x.shape) @ params["kernel"]), {}

    def differences(_, extra):
        value = extra["value_fn"](params()) - extra["value"]
        return jax.tree.map(
            lambda a, b: a - b + value, extra["grad_fn"](params(), 0), extra["grad"]
        )

    after = take_step(recording(differences, {}), loss_fn=noisy, accumulate_steps=3).params
    # The same micro-batches and keys: the same numbers up to their order.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after, params())


def test_it_is_handed_those_that_its_signature_names():
    def update(grads, state, params=None, *, value):
        del params
        return jax.tree.map(lambda g: g * value, grads), state

    optimizer = optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)
    assert int(take_step(optimizer).step) == 1


def test_a_part_that_takes_fewer_keeps_the_others_from_those_that_need_them():
    with pytest.raises(TypeError, match="value") as caught:
        take_step(optax.chain(optax.polyak_sgd(0.5), SAM))
    assert "does not take value, so that no part" in "".join(caught.value.__notes__)


def test_an_argument_that_no_step_has_is_named():
    def update(grads, state, params=None, *, hessian, **_):
        del params, hessian
        return grads, state

    with pytest.raises(TypeError, match="'hessian'") as caught:
        take_step(optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update))
    assert "these arguments: grad, grad_fn, obj_fn, value, value_fn" in caught.value.__notes__[0]


def test_lookahead_without_the_fast_gradient_is_told_the_way():
    optimizer = optax.lookahead(optax.sgd(0.1), 3, 0.5)
    with pytest.raises((TypeError, ValueError), match=r".") as caught:
        take_step(
            optimizer,
            lambda: optax.LookaheadParams.init_synced(params()),
            lambda params, batch, key: loss_fn(params.fast, batch, key),
        )
    assert "inner.update(grads.fast, state, params)" in "".join(caught.value.__notes__)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (lambda g, _: jax.tree.map(jnp.sum, g), r"at \['bias'\] it is \(\) for \(2,\)"),
        (lambda g, _: g["kernel"], "an update for each parameter, in the structure"),
    ],
)
def test_updates_have_the_shapes_of_the_parameters(update, message):
    with pytest.raises(ValueError, match=message):
        take_step(recording(update, {}))


def test_an_optimizer_keeps_the_structure_of_its_state():
    growing = optax.GradientTransformation(lambda _: (), lambda g, s, _: (g, (*s, jnp.zeros(()))))
    with pytest.raises(TypeError, match="must keep the structure of its state"):
        take_step(growing)
