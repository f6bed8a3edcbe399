"""Turns parameters of narrow networks into those of one width, so that one program trains all.

A hidden unit whose kernels and bias are 0 has net input 0. Where f(0) = 0 it gives 0, no gradient
reaches it, and it stays as it is: the wide network is the narrow one, in training too.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ..network import Dense, MLPConfig, Params, as_activation, net_input_features, require_config


def pad_widths(params: Params, config: MLPConfig, hidden_features: tuple[int, ...]) -> Params:
    """Widens hidden layers by units of zeros, which change no output and stay zero in training.

    Networks of several widths can so be members of one `fit_members`, with the loss of the widest
    config and stacked parameters. Each is what it would be alone, up to rounding, under optimizers
    that leave a number alone which is zero and has no gradient: SGD, Adam, weight decay, clipping
    by the global norm, but none that adds noise or averages over a layer, as Adafactor. With
    dropout, masks are other draws than those of the narrow network.

    Every member then costs what the widest does, but one program is compiled instead of one per
    width, and members of different widths are computed together. On digits, with widths from 8 to
    64 or 64 to 512, that took about half the time of a group per width in sweeps of 10 to 100
    epochs with compilation, and 0.5 to 0.8 of it without (benchmarks/NOTES.md, 2 CPU cores). For
    networks so large that arithmetic decides, measure it against the configs as a
    hyperparameter, which make a group each.

    Args:
        params: Parameters of `config`, also with leading member axes.
        config: The narrow network, without a norm, whose mean over units would change; each
            activation that is widened has f(0) = 0.
        hidden_features: Width of each hidden layer, at least that of `config`.

    Returns:
        Parameters of `dataclasses.replace(config, hidden_features=hidden_features)`.

    Raises:
        TypeError: `params` are no `Params`, or `hidden_features` no tuple of ints.
        ValueError: The number of layers differs, a layer would shrink, padding would change what
            the network computes, or `params` are not those of `config`.

    Example:
        >>> from jaxmlp import init_params
        >>> config = MLPConfig(in_features=4, hidden_features=(2,), out_features=1)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> pad_widths(params, config, (8,)).hidden[0].kernel.shape
        (4, 8)
    """
    _require_params(params, config)
    wide = dataclasses.replace(config, hidden_features=hidden_features)
    _require_paddable(config, wide)
    _require_shapes(params, config)
    return _resize(params, old=config, new=wide, change=_pad)


def crop_widths(params: Params, config: MLPConfig) -> Params:
    """Takes the network of `config` out of a wider one: the inverse of `pad_widths`.

    Args:
        params: Padded parameters, trained or not, also with leading member axes.
        config: The narrow network that was padded.

    Returns:
        Parameters of `config`.

    Raises:
        TypeError: `params` are no `Params`.
        ValueError: The number of layers differs, `params` are narrower than `config`, or, outside
            `jax.jit`, what would be cut off is not zero.

    Example:
        >>> from jaxmlp import init_params
        >>> config = MLPConfig(in_features=4, hidden_features=(2,), out_features=1)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> crop_widths(pad_widths(params, config, (8,)), config).output.kernel.shape
        (2, 1)
    """
    _require_params(params, config)
    if len(params.hidden) != len(config.hidden_features):
        raise ValueError(
            f"params must have the {len(config.hidden_features)} hidden layers of config; got "
            f"{len(params.hidden)}."
        )
    widths = tuple(
        dense.kernel.shape[-1] // net_input_features(name, 1)
        for dense, name in zip(params.hidden, config.hidden_activations, strict=True)
    )
    wide = dataclasses.replace(config, hidden_features=widths)
    _require_paddable(config, wide)
    _require_shapes(params, wide)
    cropped = _resize(params, old=wide, new=config, change=_crop)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(params)):
        return cropped
    padded = jax.tree.leaves(_resize(cropped, old=config, new=wide, change=_pad))
    if not all(map(np.array_equal, padded, jax.tree.leaves(params))):
        raise ValueError(
            f"params must be zero beyond hidden_features={config.hidden_features}, as pad_widths "
            "makes them; what would be cut off is not. Give the config that was padded."
        )
    return cropped


# Jitted, since eager operations compile a program each.
@functools.partial(jax.jit, static_argnames=("old", "new", "change"))
def _resize(
    params: Params, *, old: MLPConfig, new: MLPConfig, change: Callable[..., Array]
) -> Params:
    """Changes the widths of hidden layers: `change(array, axis, parts, width)` does one axis."""
    layers = []
    before = zip(_layers(params, old), _layers(params, new), strict=True)
    for (dense, inputs, outputs, parts), (_, new_inputs, new_outputs, _) in before:
        kernel, bias = dense.kernel, dense.bias
        if new_inputs != inputs:
            kernel = change(kernel, -2, 1, new_inputs)
        if new_outputs != outputs:
            kernel = change(kernel, -1, parts, new_outputs)
            bias = None if bias is None else change(bias, -1, parts, new_outputs)
        layers.append(dense._replace(kernel=kernel, bias=bias))
    *hidden, output = layers
    return params._replace(hidden=tuple(hidden), output=output)


def _layers(params: Params, config: MLPConfig) -> Iterator[tuple[Dense, int, int, int]]:
    """Iterates over layers: arrays, inputs, outputs, and the parts of a kernel, two if gated."""
    features = (config.in_features, *config.hidden_features, config.out_features)
    parts = [*(net_input_features(name, 1) for name in config.hidden_activations), 1]
    yield from zip((*params.hidden, params.output), features[:-1], features[1:], parts, strict=True)


def _pad(array: Array, axis: int, parts: int, width: int) -> Array:
    def pad(part: Array) -> Array:
        widths = [(0, 0)] * part.ndim
        widths[axis] = (0, width - part.shape[axis])
        return jnp.pad(part, widths)

    return jnp.concatenate([pad(part) for part in jnp.split(array, parts, axis)], axis)


def _crop(array: Array, axis: int, parts: int, width: int) -> Array:
    return jnp.concatenate(
        [jax.lax.slice_in_dim(p, 0, width, axis=axis) for p in jnp.split(array, parts, axis)], axis
    )


def _require_params(params: Any, config: Any) -> None:
    require_config(config)
    if not isinstance(params, Params):
        raise TypeError(
            f"params must be jaxmlp.Params, whose layers have widths; got a "
            f"{type(params).__name__}."
        )


def _require_paddable(narrow: MLPConfig, wide: MLPConfig) -> None:
    """Refuses widths that do not fit, and layers that units of zeros would change."""
    before, after = narrow.hidden_features, wide.hidden_features
    if len(before) != len(after):
        raise ValueError(
            f"hidden_features must have one width for each of {len(before)} hidden layers; got "
            f"{after}."
        )
    for index, name in enumerate(narrow.hidden_activations):
        if before[index] > after[index]:
            raise ValueError(
                f"hidden_features[{index}] must be at least the width {before[index]} of config; "
                f"got {after[index]}."
            )
        if before[index] == after[index]:
            continue
        if narrow.norm is not None:
            raise ValueError(
                f"config must have no norm to be padded, since units of zeros change its means; "
                f"got norm={narrow.norm!r}. Train each width as a group of its own."
            )
        with jax.ensure_compile_time_eval():
            value = float(as_activation(name).function(jnp.zeros(2))[0])
        if value != 0:
            raise ValueError(
                "config must have activations with f(0) = 0 to be padded, so that units of zeros "
                f"give zeros; got {name!r} with f(0) = {value:g}. Train each width as a group of "
                "its own."
            )


def _require_shapes(params: Params, config: MLPConfig) -> None:
    got = [dense.kernel.shape[-2:] for dense in (*params.hidden, params.output)]
    features = (config.in_features, *config.hidden_features)
    names = config.hidden_activations
    widths = [
        *map(net_input_features, names, config.hidden_features),
        config.out_features,
    ]
    required = list(zip(features, widths, strict=True))
    if got != required:
        raise ValueError(
            f"params must have kernels of shapes {required} for this config, after member axes; "
            f"got {got}."
        )
