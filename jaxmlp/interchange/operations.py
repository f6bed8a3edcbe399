"""Turns a network into a list of plain operations on NumPy arrays, for others to write down."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import Float

from ..network import (
    GATED_ACTIVATIONS,
    Activation,
    MLPConfig,
    Params,
    require_config,
)
from ..storage import named_params

# Every operation has a `label`: what a partner calls it, for errors.


class Standardise(NamedTuple):
    """`(x - mean) / scale` by feature, in the type of the statistics: float32 or float64."""

    mean: Float[np.ndarray, " features"]
    scale: Float[np.ndarray, " features"]
    label: str | None = None


class Cast(NamedTuple):
    """Rounds, or widens, to a type; no `Cast` stands where it would change nothing."""

    dtype: str
    label: str | None = None


class Affine(NamedTuple):
    """`h @ kernel + bias`, kernel (in, out), both cast to the type of `h`."""

    kernel: Float[np.ndarray, "in_features out_features"]
    bias: Float[np.ndarray, " out_features"] | None
    label: str | None = None


class Normalise(NamedTuple):
    """`unit(z) * scale + bias` over features, in at least float32, and back to the type of z.

    For `kind` "layer" `unit(z) = (z - mean(z)) / sqrt(mean((z - mean(z))**2) + epsilon)`; for "rms"
    it is `z / sqrt(mean(z**2) + epsilon)`. A scale or bias of `None` is left out.
    """

    kind: str
    scale: Float[np.ndarray, " features"] | None
    bias: Float[np.ndarray, " features"] | None
    epsilon: float
    label: str | None = None


class Activate(NamedTuple):
    """An elementwise activation by one of our names, or "softmax" over features."""

    name: str
    label: str | None = None


class Gate(NamedTuple):
    """`value * f(gate)` of the first and the second half of the features, by one of our names."""

    name: str
    label: str | None = None


class Dropout(NamedTuple):
    """Drops units in training, at a rate in [0, 1); does nothing in predictions."""

    rate: float
    label: str | None = None


class StartSkip(NamedTuple):
    """Keeps what flows here for the next `AddSkip`."""

    label: str | None = None


class AddSkip(NamedTuple):
    """Adds what the `StartSkip` before it kept: `kept + h`."""

    label: str | None = None


Operation: TypeAlias = (
    Standardise | Cast | Affine | Normalise | Activate | Gate | Dropout | StartSkip | AddSkip
)
Operations: TypeAlias = tuple[Operation, ...]


def operations_of(config: MLPConfig, params: Params) -> Operations:
    """Lists what a network does to its rows, in order.

    Args:
        config: The network.
        params: Its parameters.

    Returns:
        `[Standardise] [Cast]`, then per hidden layer `[StartSkip] Affine [Normalise]`, `Activate`
        or `Gate`, `[Dropout] [AddSkip]`, then `Affine [Cast] [Activate]`. Arrays are copies, in
        the types in which the network holds them.

    Raises:
        TypeError: `config` is no `MLPConfig`, or `params` are no `Params`.
        ValueError: `params` are not those of one network of `config`, or an activation is a
            function of the user's own.

    Example:
        >>> from jaxmlp import init_params
        >>> config = MLPConfig(in_features=2, hidden_features=(3,), out_features=1)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> [type(operation).__name__ for operation in operations_of(config, params)]
        ['Affine', 'Activate', 'Affine']
    """
    arrays = _arrays_of(config, params)
    if arrays.output.kernel.ndim != 2:
        raise ValueError(
            "params must be those of one network; got an ensemble, whose kernels have the shapes "
            f"{[dense.kernel.shape for dense in (*arrays.hidden, arrays.output)]}. Take a member: "
            "jax.tree.map(lambda a: a[0], params)."
        )
    return tuple(_operations(config, arrays))


def member_operations(config: MLPConfig, params: Params) -> tuple[Operations, ...]:
    """Lists the operations of every member of an ensemble; of one network, as of its one member.

    Args:
        config: The network.
        params: Its parameters, or those of an ensemble with a leading member axis.

    Raises:
        TypeError: `config` is no `MLPConfig`, or `params` are no `Params`.
        ValueError: `params` are not those of `config`, have several leading axes or no member, or
            an activation is a function of the user's own.
    """
    arrays = _arrays_of(config, params)
    leading: tuple[int, ...] = arrays.output.kernel.shape[:-2]
    if not leading:
        return (tuple(_operations(config, arrays)),)
    if len(leading) > 1 or 0 in leading:
        raise ValueError(
            "params must be those of one network or have one axis of at least one member in front; "
            f"got the leading axes {leading}. Join them: jax.tree.map(lambda a: "
            f"a.reshape(-1, *a.shape[{len(leading)}:]), params)."
        )
    members = [jax.tree.map(lambda a, at=number: a[at], arrays) for number in range(*leading)]
    return tuple(tuple(_operations(config, member)) for member in members)


def is_ensemble(params: Params) -> bool:
    """Whether parameters have a leading member axis."""
    return params.output.kernel.ndim > 2


def input_dtype(operations: Operations) -> str:
    """Returns the type in which rows come in: that of the statistics, else of the parameters."""
    first = operations[0]
    if isinstance(first, Standardise):
        return first.mean.dtype.name
    return next(o for o in operations if isinstance(o, Affine)).kernel.dtype.name


def with_types(operations: Operations) -> Iterator[tuple[str, Operation]]:
    """Gives, with each operation, the type of the numbers that it is given."""
    dtype = input_dtype(operations)
    for operation in operations:
        yield dtype, operation
        if isinstance(operation, Cast):
            dtype = operation.dtype


def widened(
    operations: Operations, narrow: tuple[str, ...] = ("bfloat16", "float16")
) -> Operations:
    """Returns operations that compute in float32 where others compute in a narrow type.

    Parameters keep their values, since float32 holds all of these types' numbers; outputs differ
    by the rounding that is not done.

    Args:
        operations: Any operations.
        narrow: The types to be widened: those that a partner lacks or computes badly.
    """

    def widen(array: Any) -> Any:
        is_narrow = isinstance(array, np.ndarray) and array.dtype.name in narrow
        return array.astype(np.float32) if is_narrow else array

    wide = [type(operation)(*map(widen, operation)) for operation in operations]
    dtype, kept = input_dtype(tuple(wide)), []
    for operation in wide:
        if isinstance(operation, Cast):
            target = "float32" if operation.dtype in narrow else operation.dtype
            if target == dtype:
                continue
            operation, dtype = operation._replace(dtype=target), target
        kept.append(operation)
    return tuple(kept)


def _arrays_of(config: MLPConfig, params: Any) -> Any:
    """Parameters as NumPy arrays, once they are found to be those of a network of our parts."""
    require_config(config)
    if not isinstance(params, Params):
        raise TypeError(
            f"params must be the jaxmlp.Params of config; got a {type(params).__name__}."
        )
    named_params(config, params)
    used = (*config.hidden_activations, config.output_activation)
    if own := [each.name for each in used if isinstance(each, Activation)]:
        raise ValueError(
            f"activation {own[0]!r} is a function of your own, of which nobody else knows the "
            "formula; use one of ours, or write the network by jaxmlp.save, whose files name it, "
            "or by jaxmlp.interchange.to_stablehlo, which compiles it."
        )
    return jax.tree.map(np.array, params)


def _operations(config: MLPConfig, params: Any) -> Iterator[Operation]:
    compute_dtype = config.compute_dtype or config.param_dtype
    dtype = config.param_dtype
    if params.standardization is not None:
        yield Standardise(*params.standardization)
        dtype = params.standardization.mean.dtype.name
    if dtype != compute_dtype:
        yield Cast(compute_dtype)
    for index, (dense, name) in enumerate(
        zip(params.hidden, config.hidden_activations, strict=True)
    ):
        skips = config.residual and index > 0
        if skips:
            yield StartSkip()
        yield from _hidden(config, dense, str(name))
        if config.dropout_rate:
            yield Dropout(config.dropout_rate)
        if skips:
            yield AddSkip()
    yield Affine(params.output.kernel, params.output.bias)
    if compute_dtype != config.param_dtype:
        yield Cast(config.param_dtype)
    if config.output_activation is not None:
        yield Activate(str(config.output_activation))


def _hidden(config: MLPConfig, dense: Any, activation: str) -> Iterator[Operation]:
    yield Affine(dense.kernel, dense.bias)
    if dense.norm is not None:
        yield Normalise(str(config.norm), dense.norm.scale, dense.norm.bias, config.norm_epsilon)
    yield Gate(activation) if activation in GATED_ACTIVATIONS else Activate(activation)
