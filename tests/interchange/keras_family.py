"""Networks of the family in Keras and back, under Keras' NumPy backend, which compiles nothing.

`KERAS_BACKEND=numpy python keras_family.py FIRST END` prints how many there were, and fails at the
first that differs.
"""

import sys
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from equal_networks import assert_comes_back, tolerance_of
from network_family import family, wanted_outputs

from jaxmlp.interchange import from_keras, to_keras


def is_refused(config):
    """Whether Keras cannot compute in the types of a network."""
    types = (config.param_dtype, config.compute_dtype or config.param_dtype)
    mixed = types in (("float32", "bfloat16"), ("float32", "float16"))
    return "float64" in types or (types[0] != types[1] and not mixed)


def check(net):
    """Whether a network is one that Keras has, once outputs and weights are found equal."""
    if is_refused(net.config):
        with pytest.raises(ValueError, match="for Keras"):
            to_keras(net.config, net.params)
        return False
    model = to_keras(net.config, net.params)
    x = net.x
    if net.params.standardization is None:
        x = x.astype(jnp.dtype(net.config.param_dtype))
    outputs = model(x)
    assert outputs.dtype.name == net.config.param_dtype
    tolerance = tolerance_of(net.config)
    if net.config.norm == "layer":
        # Keras takes the difference of z / deviation and mean / deviation, which cancel.
        tolerance /= net.config.norm_epsilon**0.5
    wanted = wanted_outputs(net._replace(x=np.asarray(x, np.float64)))
    np.testing.assert_allclose(
        outputs.astype(np.float64), wanted, rtol=tolerance, atol=tolerance, err_msg=repr(net.config)
    )
    assert_comes_back(from_keras(model), net)
    return True


if __name__ == "__main__":
    # Of infinities in 16 bits, and of a softmax over one output.
    warnings.simplefilter("ignore")
    first, end = map(int, sys.argv[1:])
    narrow = ("bfloat16", "float16", "float32")
    print(sum(map(check, family(dtypes=narrow, start=first, stop=end))))
