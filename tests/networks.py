"""Small networks with random parameters, for comparison with the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import reference

import jaxmlp

NORMS = (None, "layer", "rms")


def make_config(**fields):
    return jaxmlp.MLPConfig(**{"in_features": 5, "out_features": 3} | fields)


def make_params(config, seed=0):
    """Random parameters as NumPy arrays of the config's type; no bias is zero, no scale is one."""
    shapes = jax.eval_shape(lambda key: jaxmlp.init_params(config, key=key), jax.random.key(0))
    dtype = jnp.dtype(config.param_dtype)
    return jax.tree.map(lambda a: a.astype(dtype), reference.random_like(shapes, seed))


def make_inputs(shape=(6, 5), dtype=np.float64):
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


def widened(tree):
    """The same numbers in float64."""
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)
