"""What is equal between a network and the one that comes back from another library."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

# Names of one function come back as the first.
ALIASES = {"hard_swish": "hard_silu", "swish": "silu"}
# Roundings of some ten sums and functions; norms of few features magnify them.
ULPS = 128
FIELDS = (
    *("hidden_features", "norm", "norm_epsilon", "residual", "use_bias", "param_dtype"),
    *("dropout_rate", "compute_dtype"),
)


def plain(activation):
    return ALIASES.get(activation, activation)


def assert_same_params(got, wanted):
    """Weights are the same bit for bit."""
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        b = np.asarray(b)
        assert (a.dtype, a.shape, np.asarray(a).tobytes()) == (b.dtype, b.shape, b.tobytes())


def assert_comes_back(found, net, *, without=()):
    """Weights are the same bit for bit, and the config but for names of one function."""
    config, params = found
    assert_same_params(params, net.params)
    wanted = net.config
    assert list(map(plain, wanted.hidden_activations)) == list(config.hidden_activations)
    for field in FIELDS:
        if field not in without:
            assert getattr(config, field) == getattr(wanted, field)
    output = None if wanted.output_activation == "identity" else wanted.output_activation
    assert config.output_activation == plain(output)


def tolerance_of(config):
    """What outputs may differ by from float64 ones, relative and absolute."""
    types = {config.param_dtype, config.compute_dtype or config.param_dtype}
    return ULPS * max(float(jnp.finfo(dtype).eps) for dtype in types)


def digits(rows=400):
    x, y = load_digits(return_X_y=True)
    return x[:rows].astype(np.float32) / 16, y[:rows]
