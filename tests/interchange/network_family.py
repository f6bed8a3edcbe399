"""A family of networks in which everything that a config can describe occurs, with parameters.

It is the same at every run: network n depends on n alone. `family()` gives all of them;
`family(dtypes=("float32",))` those of some parameter types, for partners that have no others.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import reference

import jaxmlp
from jaxmlp.interchange.numpy_outputs import numpy_function
from jaxmlp.interchange.operations import with_types
from jaxmlp.network import (
    ELEMENTWISE_ACTIVATIONS,
    HIDDEN_ACTIVATIONS,
    Dense,
    Norm,
    Params,
    Standardization,
    net_input_features,
)

SIZE = 600
OUTPUTS = (None, "softmax", *ELEMENTWISE_ACTIVATIONS)
NORMS = (None, "layer", "rms")
EPSILONS = (1e-5, 1e-6, 1e-3, 0.25)
# More of the common type; the computed type is another in some.
DTYPES = (*("float32",) * 4, *("float64",) * 2, "float16", "bfloat16")
COMPUTED = (*(None,) * 5, "float32", "float16", "bfloat16", "float64")
# Rows per network.
ROWS = 5


class Network(NamedTuple):
    """A config, parameters of it as NumPy arrays, and rows in the type of its statistics."""

    number: int
    config: jaxmlp.MLPConfig
    params: Params
    x: np.ndarray


def config_of(number):
    rng = np.random.default_rng([14, number])
    depth = number % 7
    residual = depth > 1 and rng.random() < 0.4
    widths = rng.integers(1, 8, size=depth)
    if residual:
        widths[:] = widths[0]
    # Every activation is that of all layers in some, and of one layer in others.
    first = number // 7 % len(HIDDEN_ACTIVATIONS)
    activation = HIDDEN_ACTIVATIONS[first]
    if depth and rng.random() < 0.4:
        activation = tuple(str(name) for name in rng.choice(HIDDEN_ACTIVATIONS, size=depth))
    settings = {}
    if depth and (norm := NORMS[number % 3]):
        settings |= {"norm": norm, "norm_epsilon": EPSILONS[rng.integers(len(EPSILONS))]}
    if depth and rng.random() < 0.3:
        settings["dropout_rate"] = int(rng.integers(1, 100)) / 100
    param_dtype = str(rng.choice(DTYPES))
    computed = COMPUTED[rng.integers(len(COMPUTED))]
    return jaxmlp.MLPConfig(
        in_features=int(rng.integers(1, 7)),
        hidden_features=tuple(map(int, widths)),
        out_features=int(rng.integers(1, 6)),
        activation=activation,
        output_activation=OUTPUTS[number % len(OUTPUTS)],
        residual=bool(residual),
        use_bias=bool(rng.random() < 0.7),
        param_dtype=param_dtype,
        compute_dtype=None if computed == param_dtype else computed,
        **settings,
    )


def params_of(config, seed, *, standardised=False):
    """Parameters without a special value, as NumPy arrays of the config's type."""
    rng = np.random.default_rng(seed)
    dtype = jnp.dtype(config.param_dtype)

    def vector(features):
        return rng.uniform(0.5, 1.5, size=features).astype(dtype)

    def dense(fan_in, fan_out, norm):
        kernel = (rng.normal(size=(fan_in, fan_out)) / np.sqrt(fan_in)).astype(dtype)
        bias = vector(fan_out) if config.use_bias else None
        if norm is None:
            return Dense(kernel, bias)
        has_bias = norm == "layer" and config.use_bias
        return Dense(kernel, bias, Norm(vector(fan_out), vector(fan_out) if has_bias else None))

    hidden, fan_in = [], config.in_features
    for features, name in zip(config.hidden_features, config.hidden_activations, strict=True):
        hidden.append(dense(fan_in, net_input_features(name, features), config.norm))
        fan_in = features
    output = dense(fan_in, config.out_features, None)
    if not standardised:
        return Params(tuple(hidden), output)
    wide = np.promote_types(dtype, np.float32)
    mean = rng.normal(3, 5, size=config.in_features).astype(wide)
    scale = rng.uniform(0.5, 4, size=config.in_features).astype(wide)
    return Params(tuple(hidden), output, Standardization(mean, scale))


def network(number):
    config = config_of(number)
    rng = np.random.default_rng([15, number])
    params = params_of(config, number, standardised=bool(rng.random() < 0.4))
    statistics = params.standardization
    wide = np.promote_types(jnp.dtype(config.param_dtype), np.float32)
    x = rng.normal(size=(ROWS, config.in_features))
    if statistics is not None:
        x = x * statistics.scale + statistics.mean
    return Network(number, config, params, x.astype(wide))


def family(*, dtypes=("bfloat16", "float16", "float32", "float64"), start=0, stop=SIZE):
    """Networks of some parameter types, in the order of their numbers."""
    for number in range(start, stop):
        if config_of(number).param_dtype in dtypes:
            yield network(number)


def wanted_outputs(net):
    """Outputs of the oracle in float64."""

    def wide(array):
        return np.asarray(array, np.float64)

    x = wide(net.x)
    if net.params.standardization is not None:
        x = (x - wide(net.params.standardization.mean)) / wide(net.params.standardization.scale)
    arrays = reference.map_leaves(wide, net.params._replace(standardization=None))
    return reference.forward(arrays, x, net.config)


def rounding(operations, x, wanted):
    """How far outputs may be from the oracle's, where nothing is computed in 16 bits.

    What rounding to single precision changes tells how much a network magnifies it; sums in another
    order, and other libraries' functions, get room beside.
    """
    single = numpy_function(operations, "float32")(x)
    eps = float(np.finfo(np.float32).eps)
    error = 16 * np.abs(single - wanted).max() + 64 * eps * np.abs(wanted).max()
    types = {dtype for dtype, _ in with_types(operations)}
    return error if "float32" in types else error * float(np.finfo(np.float64).eps) / eps
