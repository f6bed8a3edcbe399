"""Goes through a tiny network by hand, forward and backward, and checks it against JAX."""

# %% 64-bit numbers, so that finite differences are good to eight digits
import argparse
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import jaxmlp

parser = argparse.ArgumentParser(description="A forward and a backward pass by hand.")
parser.add_argument("--smoke", action="store_true", help="accepted; there is nothing to shorten")
parser.parse_args([] if "ipykernel" in sys.modules else None)
jax.config.update("jax_enable_x64", True)

# %% Two inputs, two hidden units, one output; a kernel has a row per input, a column per unit
config = jaxmlp.MLPConfig(
    in_features=2,
    hidden_features=(2,),
    out_features=1,
    activation="tanh",
    output_activation="sigmoid",
    param_dtype="float64",
)
hidden_kernel, hidden_bias = jnp.array([[0.5, -0.3], [0.2, 0.8]]), jnp.array([0.1, -0.1])
output_kernel, output_bias = jnp.array([[0.7], [-0.4]]), jnp.array([0.2])
params = jaxmlp.Params(
    hidden=(jaxmlp.Dense(hidden_kernel, hidden_bias),),
    output=jaxmlp.Dense(output_kernel, output_bias),
)
x, y = jnp.array([1.0, 2.0]), 1.0

# %% Forward: net inputs z = inputs @ kernel + bias, then activations f(z), layer by layer
hidden, output = jaxmlp.intermediates(params, x, config=config)
for name, letter, layer, kernel, bias in (
    ("hidden", "h", hidden, hidden_kernel, hidden_bias),
    ("output", "a", output, output_kernel, output_bias),
):
    print(f"{name} layer")
    for unit, (z, value) in enumerate(zip(layer.net_input, layer.activation, strict=True)):
        terms = [f"{v:.6g} * {w}" for v, w in zip(layer.inputs, kernel[:, unit], strict=True)]
        print(f"  z[{unit}] = {' + '.join(terms)} + {bias[unit]} = {z:.8f}")
        print(f"  {letter}[{unit}] = f(z[{unit}]) = {value:.8f}")


def loss_of(params: jaxmlp.Params) -> jax.Array:
    (a,) = jaxmlp.apply(params, x, config=config)
    return (a - y) ** 2


print(f"loss = (a - y)**2 = {loss_of(params):.8f}")

# %% Backward: the chain rule, one factor at a time, from the loss to a weight
h, (a,) = hidden.activation, output.activation
dl_da, da_dz = 2 * (a - y), a * (1 - a)  # sigmoid' = a (1 - a)
dz_dh, dh_dz = output_kernel[:, 0], 1 - h**2  # tanh' = 1 - h^2
output_weight = dl_da * da_dz * h[0]
hidden_weight = dl_da * da_dz * dz_dh[0] * dh_dz[0] * x[1]
print(
    "\noutput.kernel[0, 0]: dL/da * da/dz * dz/dw"
    f"\n  = {dl_da:.6f} * {da_dz:.6f} * {h[0]:.6f} = {output_weight:.8f}"
    "\nhidden[0].kernel[1, 0]: dL/da * da/dz * dz/dh[0] * dh[0]/dz[0] * dz[0]/dw"
    f"\n  = {dl_da:.6f} * {da_dz:.6f} * {dz_dh[0]} * {dh_dz[0]:.6f} * {x[1]} = {hidden_weight:.8f}"
)

# %% The same for all parameters at once, by hand, by JAX, and by central finite differences
output_delta = (dl_da * da_dz)[None]  # dL/dz of the output layer
hidden_delta = output_kernel @ output_delta * dh_dz  # dL/dz of the hidden layer
by_hand = jaxmlp.Params(
    hidden=(jaxmlp.Dense(jnp.outer(x, hidden_delta), hidden_delta),),
    output=jaxmlp.Dense(jnp.outer(h, output_delta), output_delta),
)
vector, unravel = ravel_pytree(params)
nudges = 1e-5 * np.eye(len(vector))
differences = [
    (loss_of(unravel(vector + nudge)) - loss_of(unravel(vector - nudge))) / 2e-5 for nudge in nudges
]
columns = [ravel_pytree(by_hand)[0], ravel_pytree(jax.grad(loss_of)(params))[0], differences]
names = [
    f"{jax.tree_util.keystr(path)[1:]}{list(index)}"
    for path, leaf in jax.tree.leaves_with_path(params)
    for index in np.ndindex(leaf.shape)
]
print(f"\n{'parameter':24}{'by hand':>14}{'jax.grad':>14}{'differences':>14}")
for name, *gradients in zip(names, *columns, strict=True):
    print(f"{name:24}" + "".join(f"{gradient:14.9f}" for gradient in gradients))
np.testing.assert_allclose(columns[1], columns[0], rtol=1e-12)
# Central differences err by step^2 / 6 * L''' + eps * L / step, about 1e-10 here.
np.testing.assert_allclose(columns[2], columns[0], atol=1e-9)
