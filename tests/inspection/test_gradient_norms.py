"""Per-example gradient norms against the norms of gradients taken row by row."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import reference_losses
from networks import make_config, make_inputs, make_params, widened

import jaxmlp
from jaxmlp import losses

ROWS = 6
NETWORKS = {
    "linear": {},
    "linear_without_bias": {"use_bias": False},
    "plain": {"hidden_features": (6, 4)},
    "no_bias": {"hidden_features": (6, 4), "use_bias": False},
    "layer_norm": {"hidden_features": (6, 4), "norm": "layer"},
    "layer_norm_without_bias": {"hidden_features": (6, 4), "norm": "layer", "use_bias": False},
    "rms_norm": {"hidden_features": (6, 4), "norm": "rms"},
    "rms_norm_without_bias": {"hidden_features": (6, 4), "norm": "rms", "use_bias": False},
    "residual": {"hidden_features": (6, 6, 6), "residual": True},
    "gated": {"hidden_features": (6, 4), "activation": "swiglu", "norm": "layer"},
    "several_activations": {"hidden_features": (6, 4), "activation": ("swiglu", "tanh")},
    "softmax_output": {"hidden_features": (6,), "output_activation": "softmax"},
}


# Compiled, since operation by operation takes three times as long.
compiled_norms = jax.jit(
    jaxmlp.per_example_grad_norms, static_argnames=("config", "criterion")
)  # fmt: skip


def make_batch(dtype):
    targets = np.random.default_rng(2).normal(size=(ROWS, 3)).astype(dtype)
    return jaxmlp.Batch(make_inputs((ROWS, 5), dtype), targets)


def norm_of(gradient):
    return np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))


def norms_by_oracle(params, batch, config, oracle=reference_losses.squared_error):
    """Norm of the gradient of every row alone."""
    params, norms = widened(params), []
    for index in range(ROWS):
        x, y = np.asarray(batch.x[[index]], np.float64), batch.y[[index]]
        _, d_outputs = oracle(reference.forward(params, x, config), y)
        norms.append(norm_of(reference.backward(params, x, config, d_outputs)))
    return np.array(norms)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NETWORKS)
def test_norms_equal_those_of_gradients_row_by_row(name):
    config = make_config(**NETWORKS[name], param_dtype="float64")
    params, batch = make_params(config), make_batch(np.float64)
    got = compiled_norms(params, batch, config=config, criterion=losses.squared_error)
    # Sums of squares, without cancellation: 100 roundings and the backward pass's own.
    rtol = 256 * np.finfo(np.float64).eps
    np.testing.assert_allclose(got, norms_by_oracle(params, batch, config), rtol=rtol)


@pytest.mark.usefixtures("x64")
def test_norms_with_dropout_equal_those_of_the_rows_of_the_jacobian():
    config = make_config(
        hidden_features=(6, 6), dropout_rate=0.5, residual=True, param_dtype="float64"
    )
    params, batch, key = make_params(config), make_batch(np.float64), jax.random.key(0)

    def row_losses(params):
        # The whole batch at once, so that every row has its own mask.
        outputs = jaxmlp.apply(params, batch.x, config=config, key=key)
        return losses.squared_error(outputs, batch.y)

    jacobian = widened(jax.jit(jax.jacrev(row_losses))(params))
    wanted = [norm_of(jax.tree.map(lambda leaf: leaf[i], jacobian)) for i in range(ROWS)]  # noqa: B023
    got = compiled_norms(params, batch, config=config, criterion=losses.squared_error, key=key)
    np.testing.assert_allclose(got, wanted, rtol=256 * np.finfo(np.float64).eps)


@pytest.mark.usefixtures("x64")
def test_norms_of_integer_targets_equal_those_of_gradients_row_by_row():
    config = make_config(hidden_features=(6,), activation="gelu", param_dtype="float64")
    params = make_params(config)
    batch = jaxmlp.Batch(make_inputs((ROWS, 5)), np.arange(ROWS) % 3)
    got = compiled_norms(params, batch, config=config, criterion=losses.softmax_cross_entropy)
    wanted = norms_by_oracle(params, batch, config, reference_losses.softmax_cross_entropy)
    np.testing.assert_allclose(got, wanted, rtol=256 * np.finfo(np.float64).eps)


@pytest.mark.parametrize(
    ("compute_dtype", "eps"),
    [("float32", np.finfo(np.float32).eps), ("bfloat16", jnp.finfo(jnp.bfloat16).eps)],
)
def test_norms_are_float32_to_the_accuracy_of_the_compute_dtype(compute_dtype, eps):
    config = make_config(
        hidden_features=(6, 4), activation="swiglu", norm="layer", compute_dtype=compute_dtype
    )
    params, batch = make_params(config), make_batch(np.float32)
    got = compiled_norms(params, batch, config=config, criterion=losses.squared_error)
    assert got.dtype == np.float32
    # Three layers forward and backward, each of a few roundings.
    np.testing.assert_allclose(got, norms_by_oracle(params, batch, config), rtol=8 * float(eps))


@pytest.mark.parametrize("param_dtype", ["float16", "bfloat16"])
def test_norms_of_16_bit_params_are_summed_in_float32(param_dtype):
    config = make_config(in_features=64, out_features=1, use_bias=False, param_dtype=param_dtype)
    batch = jaxmlp.Batch(np.full((2, 64), 100, np.float32))
    got = compiled_norms(
        make_params(config), batch, config=config, criterion=lambda outputs, _: outputs[:, 0]
    )
    assert got.dtype == jnp.dtype(param_dtype)
    # |x| = sqrt(64) 100, of squares that float16 cannot hold and bfloat16 cannot add up.
    np.testing.assert_array_equal(widened(got), [800, 800])


def test_weights_are_not_applied():
    config = make_config(hidden_features=(6,), norm="layer")
    params, batch = make_params(config), make_batch(np.float32)
    norms = functools.partial(
        compiled_norms, params, config=config, criterion=losses.squared_error
    )  # fmt: skip
    weighted = batch._replace(weight=np.arange(ROWS, dtype=np.float32))
    np.testing.assert_array_equal(norms(weighted), norms(batch))


def test_norms_under_jit_equal_those_without():
    config = make_config(hidden_features=(6,), norm="layer")
    params, batch = make_params(config), make_batch(np.float32)
    options = {"config": config, "criterion": losses.squared_error}
    compiled = compiled_norms(params, batch, **options)
    eager = jaxmlp.per_example_grad_norms(params, batch, **options)
    # Fused operations round in another order.
    np.testing.assert_allclose(compiled, eager, rtol=64 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 5)])
def test_inputs_with_another_number_of_batch_axes_are_refused(shape):
    config = make_config()
    batch = jaxmlp.Batch(make_inputs(shape, np.float32), np.zeros(3, np.float32))
    message = r"per_example_grad_norms needs x of shape \(batch, in_features\); got x\.shape="
    with pytest.raises(ValueError, match=message):
        jaxmlp.per_example_grad_norms(
            make_params(config), batch, config=config, criterion=losses.squared_error
        )
