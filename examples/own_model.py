"""Trains a model of one's own, which learns the motion of a damped oscillator from its equation.

Nothing is known but u'' + 2 g u' + w^2 u = 0, u(0) = 1 and u'(0) = 0: a physics-informed network
(Raissi et al. 2019) with sine activations (Sitzmann et al. 2020), which MLPConfig does not offer.
"""

# %% How long to train, and where the picture goes
import argparse
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxmlp

parser = argparse.ArgumentParser(description="A physics-informed network.")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the picture")
parser.add_argument("--smoke", action="store_true", help="ten steps")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)  # a notebook: the defaults
steps = 10 if args.smoke else 5000
FREQUENCY, DAMPING, END = 2.0, 0.2, 10.0  # w, g, and the time until which the equation is to hold

# %% Parameters are any pytree of floating arrays: here a list of dicts
params_key, state_key = jax.random.split(jax.random.key(0))
params = []
for fan_in, fan_out in ((1, 32), (32, 32), (32, 1)):
    kernel_key, bias_key, params_key = jax.random.split(params_key, 3)
    kernel = jax.random.normal(kernel_key, (fan_in, fan_out)) / np.sqrt(fan_in)
    params.append({"kernel": kernel, "bias": jax.random.normal(bias_key, (fan_out,))})


# %% The model is any pure function of them; this one keeps u(0) = 1 and u'(0) = 0 whatever they are
def displacement(params: Any, time: jax.Array) -> jax.Array:
    """u(t) = 1 + tanh(t)^2 network(t), for one time."""
    a = time[None]
    for layer in params[:-1]:
        a = jnp.sin(a @ layer["kernel"] + layer["bias"])
    (output,) = a @ params[-1]["kernel"] + params[-1]["bias"]
    return 1 + jnp.tanh(time) ** 2 * output


velocity = jax.grad(displacement, argnums=1)  # du/dt
acceleration = jax.grad(velocity, argnums=1)  # a gradient of a gradient


def residual(params: Any, time: jax.Array) -> jax.Array:
    """By how much the motion misses the equation at one time."""
    friction = 2 * DAMPING * velocity(params, time)
    return acceleration(params, time) + friction + FREQUENCY**2 * displacement(params, time)


# %% The loss is any (params, batch, key) -> (loss, metrics): here the batch is a grid of times
cell = END / 64
grid = cell * jnp.arange(64)


def loss_fn(
    params: Any, batch: jax.Array, key: jax.Array | None
) -> tuple[jax.Array, dict[str, jax.Array]]:
    # Random times, one in each cell, so that no time is left out; the step hands down a fresh key.
    times = batch if key is None else batch + cell * jax.random.uniform(key, batch.shape)
    misses = jax.vmap(residual, in_axes=(None, 0))(params, times)
    return jnp.mean(misses**2), {"largest_residual": jnp.max(jnp.abs(misses))}


optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, decay_steps=steps))
train_step = jaxmlp.make_train_step(loss_fn, optimizer)
state = jaxmlp.init_state(params, optimizer, key=state_key)
for step in range(steps):
    state, metrics = train_step(state, grid)
    if (step + 1) % (steps // 10) == 0:
        print(f"step {step + 1:5}  " + "  ".join(f"{k} {v:.2e}" for k, v in metrics.items()))

# %% Compare with the exact solution
times = jnp.linspace(0, END, 501)
learned = jax.vmap(displacement, in_axes=(None, 0))(state.params, times)
damped = np.sqrt(FREQUENCY**2 - DAMPING**2)
exact = jnp.exp(-DAMPING * times) * (
    jnp.cos(damped * times) + DAMPING / damped * jnp.sin(damped * times)
)
error = jnp.abs(learned - exact)
print(f"largest error {error.max():.1e}, where the motion starts at 1")

figure = Figure(figsize=(9, 5), dpi=120, layout="constrained")
top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
top.plot(times, exact, color="0.7", linewidth=5, label="exact solution")
top.plot(times, learned, "--", color="C3", label="learned from the equation")
top.set(ylabel="Displacement")
top.legend()
bottom.semilogy(times, error, color="C3")
bottom.set(xlabel="Time", ylabel="Error")
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "own_model.png")
