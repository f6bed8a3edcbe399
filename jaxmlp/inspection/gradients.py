"""Turns a batch into the gradients of its net inputs, and into the norm of each row's gradient."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ..checks import require_key
from ..forward import intermediates
from ..losses.loss_function import Criterion, make_loss
from ..network import Batch, Dense, MLPConfig, Norm, Params, require_config


def deltas(
    params: Params,
    batch: Batch,
    *,
    config: MLPConfig,
    criterion: Criterion,
    key: Key[Array, ""] | None = None,
) -> tuple[Float[Array, "*batch net_input_features"], ...]:
    """Computes dL/dz: the gradient of the loss with respect to the net input of every layer.

    They are what backpropagation passes from layer to layer (Rumelhart et al. 1986), beside the net
    inputs z that `intermediates` gives: a kernel's gradient is `inputs.T @ delta`, a bias's the sum
    of `delta` over rows.

    Args:
        params: Parameters of `config`.
        batch: Rows, `x` of shape (*batch, in_features); L is the mean of their losses by weight.
        config: The network; static under `jax.jit`.
        criterion: `(outputs, targets) -> loss per row`, as for `make_loss`.
        key: Random key for dropout; without it nothing is random.

    Returns:
        One array per hidden layer, then one for the output layer, each of the shape of the layer's
        `net_input`, in units of loss per unit of net input.

    Raises:
        TypeError: `batch` is no `Batch`.
        ValueError: What `make_loss` refuses: the criterion takes raw outputs, but the config names
            an output activation, or it does not give one loss per row.

    Example:
        >>> import numpy as np
        >>> from jaxmlp import init_params, losses
        >>> config = MLPConfig(in_features=2, out_features=1)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> params = jax.tree.map(jnp.zeros_like, params)
        >>> batch = Batch(np.ones((2, 2), np.float32), np.array([1.0, 3.0], np.float32))
        >>> (delta,) = deltas(params, batch, config=config, criterion=losses.squared_error)
        >>> delta.tolist()  # 2 * (output - target) / rows
        [[-1.0], [-3.0]]
    """
    _require_network("deltas", params, batch, config, key)
    gradients = _per_row_gradients(params, batch, config, criterion, key)
    return tuple(bias for bias, _ in gradients)


def per_example_grad_norms(
    params: Params,
    batch: Batch,
    *,
    config: MLPConfig,
    criterion: Criterion,
    key: Key[Array, ""] | None = None,
) -> Float[Array, " batch"]:
    """Computes the Euclidean norm of each row's gradient over all parameters.

    The kernel gradient of a row is the outer product of the layer's input h and the gradient d of
    its net input, so its norm is `|h| * |d|` (Goodfellow 2015, equation 4): one batched backward
    pass, and memory for activations only.

    Args:
        params: Parameters of `config`.
        batch: Rows, `x` of shape (batch, in_features); their weights are not applied.
        config: The network; static under `jax.jit`.
        criterion: `(outputs, targets) -> loss per row`, as for `make_loss`.
        key: Random key for dropout; without it nothing is random.

    Returns:
        One norm per row, in units of loss per unit of parameter.

    Raises:
        TypeError: `batch` is no `Batch`.
        ValueError: `x` has not exactly one batch axis, or what `make_loss` refuses: the criterion
            takes raw outputs, but the config names an output activation, or it does not give one
            loss per row.

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
    _require_network("per_example_grad_norms", params, batch, config, key)
    if np.ndim(batch.x) != 2:
        raise ValueError(
            "per_example_grad_norms needs x of shape (batch, in_features); got "
            f"x.shape={np.shape(batch.x)}."
        )
    rows = batch.x.shape[0]
    dense_layers = (*params.hidden, params.output)
    unweighted = batch._replace(weight=None)
    means = _per_row_gradients(params, unweighted, config, criterion, key)
    # The loss is a mean over the rows, which has each row's gradient divided by their number.
    gradients = jax.tree.map(lambda a: a * rows, means)
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


def _require_network(caller: str, params: Any, batch: Any, config: Any, key: Any) -> None:
    require_config(config)
    if not isinstance(params, Params):
        raise TypeError(
            f"params must be the jaxmlp.Params of config; got a {type(params).__name__}. Draw them "
            "with jaxmlp.init_params(config, key=key)."
        )
    if key is not None:
        require_key(caller, key)
    if not isinstance(batch, Batch):
        raise TypeError(
            f"{caller} needs a jaxmlp.Batch(x, y, weight); got a {type(batch).__name__}."
        )


def _per_row_gradients(
    params: Params,
    batch: Batch,
    config: MLPConfig,
    criterion: Criterion,
    key: Key[Array, ""] | None,
) -> list[tuple[Array, Norm | None]]:
    """Gradients of the mean loss over rows, by layer: of each row's net input, and of its norm."""
    # A bias of shape (*batch, features) acts on each row alone: its gradient is the row's delta.
    biased = dataclasses.replace(config, use_bias=True)
    loss_fn = make_loss(biased, criterion)
    dense_layers = (*params.hidden, params.output)
    rows = batch.x.shape[:-1]
    per_row = [_per_row_vectors(dense, rows, biased) for dense in dense_layers]

    def mean_loss(per_row: list[tuple[Array, Norm | None]]) -> Float[Array, ""]:
        *hidden, output = [
            Dense(dense.kernel, bias, norm)
            for dense, (bias, norm) in zip(dense_layers, per_row, strict=True)
        ]
        copies = params._replace(hidden=tuple(hidden), output=output)
        return loss_fn(copies, batch, key)[0]

    return jax.grad(mean_loss)(per_row)


def _per_row_vectors(
    dense: Dense, rows: tuple[int, ...], biased: MLPConfig
) -> tuple[Float[Array, "*rows features"], Norm | None]:
    """Bias and norm parameters with one copy per row, zeros where the network has none."""
    shape = (*rows, dense.kernel.shape[-1])
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
