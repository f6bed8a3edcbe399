"""Turns a batch into the norm of each row's gradient, without any row's gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..config import MLPConfig
from ..forward import apply, intermediates
from ..losses.loss_function import Criterion
from ..types import Batch, Dense, Norm, Params


def per_example_grad_norms(
    params: Params,
    batch: Batch,
    *,
    config: MLPConfig,
    criterion: Criterion,
    key: PRNGKeyArray | None = None,
) -> Float[Array, " batch"]:
    """Computes the Euclidean norm of each row's gradient over all parameters.

    The kernel gradient of a row is the outer product of the layer's input h and the gradient d of
    its net input, so its norm is `|h| * |d|` (Goodfellow 2015, equation 4): one batched backward
    pass, and memory for activations only.

    Args:
        params: Parameters of `config`.
        batch: Rows, `x` of shape (batch, in_features); their weights are not applied.
        config: The network; static under `jax.jit`.
        criterion: `(outputs, targets) -> loss per row`.
        key: Random key for dropout; without it nothing is random.

    Returns:
        One norm per row, in units of loss per unit of parameter.

    Raises:
        ValueError: `x` has not exactly one batch axis.

    Example:
        >>> import numpy as np
        >>> from jaxmlp import init_params, losses
        >>> config = MLPConfig(in_features=2, out_features=1, use_bias=False)
        >>> params = init_params(config, key=jax.random.key(0))._replace(
        ...     output=Dense(jnp.zeros((2, 1)), None))
        >>> batch = Batch(np.array([[3.0, 4.0]], np.float32), np.array([1.0], np.float32))
        >>> norms = per_example_grad_norms(
        ...     params, batch, config=config, criterion=losses.squared_error)
        >>> norms.tolist()  # |-2 * (1 - 0) * x|
        [10.0]
    """
    if batch.x.ndim != 2:
        raise ValueError(
            "per_example_grad_norms needs x of shape (batch, in_features); got "
            f"x.shape={batch.x.shape}."
        )
    rows = batch.x.shape[0]
    # A bias of shape (batch, features) acts on each row alone, so its gradient is the row's d.
    biased = dataclasses.replace(config, use_bias=True)
    dense_layers = (*params.hidden, params.output)
    per_row = [_per_row_vectors(dense, rows, biased) for dense in dense_layers]

    def summed_loss(per_row: list[tuple[Array, Norm | None]]) -> Float[Array, ""]:
        *hidden, output = [
            Dense(dense.kernel, bias, norm)
            for dense, (bias, norm) in zip(dense_layers, per_row, strict=True)
        ]
        copies = params._replace(hidden=tuple(hidden), output=output)
        outputs = apply(copies, batch.x, config=biased, key=key)
        return jnp.sum(criterion(outputs, batch.y))

    gradients = jax.grad(summed_loss)(per_row)
    layers = intermediates(params, batch.x, config=config, key=key)
    total = jnp.zeros(rows, np.promote_types(config.param_dtype, "float32"))
    for layer, dense, (bias_grad, norm_grad) in zip(layers, dense_layers, gradients, strict=True):
        delta = _squared_norm(bias_grad, total.dtype)
        total += _squared_norm(layer.inputs, total.dtype) * delta
        if dense.bias is not None:
            total += delta
        if dense.norm is not None:
            total += _squared_norm(norm_grad.scale, total.dtype)
            if dense.norm.bias is not None:
                total += _squared_norm(norm_grad.bias, total.dtype)
    return jnp.sqrt(total).astype(config.param_dtype)


def _per_row_vectors(
    dense: Dense, rows: int, biased: MLPConfig
) -> tuple[Float[Array, "rows features"], Norm | None]:
    """Bias and norm parameters with one copy per row, zeros where the network has none."""
    shape = (rows, dense.kernel.shape[-1])
    zeros = jnp.zeros(shape, dense.kernel.dtype)
    bias = zeros if dense.bias is None else jnp.broadcast_to(dense.bias, shape)
    if dense.norm is None:
        return bias, None
    norm_bias = None
    if biased.norm == "layer":
        own = dense.norm.bias
        norm_bias = zeros if own is None else jnp.broadcast_to(own, shape)
    return bias, Norm(jnp.broadcast_to(dense.norm.scale, shape), norm_bias)


def _squared_norm(a: Float[Array, "rows features"], dtype: np.dtype) -> Float[Array, " rows"]:
    # Squares of float16 overflow at 256.
    return jnp.sum(jnp.square(a.astype(dtype)), axis=-1)
