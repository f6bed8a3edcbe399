"""Makes contestants that a JAX user writes by hand: plain JAX twice, Flax NNX, Equinox.

All leave out the last, short batch of an epoch, as is usual where shapes are compiled. Rows lie on
the device and the host draws the order: a permutation on the device takes longer than an epoch of
W1. Batches are gathered inside the compiled step, which measured no slower than once per epoch.
"""

import functools
import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from peers import Contestant
from workloads import LEARNING_RATE, Workload


def prepare_scan(workload: Workload) -> Contestant:
    """The expert's version: the state donated, Adam written out, an epoch in one call."""
    x, y = map(jnp.asarray, workload.make_data())
    step = make_step(workload)

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, x: jax.Array, y: jax.Array, index: jax.Array) -> tuple[Any, jax.Array]:
        return jax.lax.scan(lambda state, rows: step(state, x[rows], y[rows]), state, index)

    def train(epochs: int) -> Any:
        state = init_state(workload)
        for index in _orders(workload, epochs):
            state, _ = epoch(state, x, y, index)
        return state

    return _contestant(workload, train)


def prepare_jit(workload: Workload) -> Contestant:
    """The same step, jitted by itself and called in a Python loop."""
    x, y = map(jnp.asarray, workload.make_data())
    pure_step = make_step(workload)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: Any, x: jax.Array, y: jax.Array, rows: jax.Array) -> tuple[Any, jax.Array]:
        return pure_step(state, x[rows], y[rows])

    def train(epochs: int) -> Any:
        state = init_state(workload)
        for index in _orders(workload, epochs):
            for rows in index:
                state, _ = step(state, x, y, rows)
        return state

    return _contestant(workload, train)


def prepare_nnx(workload: Workload) -> Contestant:
    """Flax NNX with `nnx.jit`, its arguments cached as its performance guide advises."""
    nnx = importlib.import_module("flax.nnx")

    class Network(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.layers = nnx.List([nnx.Linear(*shape, rngs=rngs) for shape in workload.layers])

        def __call__(self, x: jax.Array) -> jax.Array:
            *hidden, output = self.layers
            for layer in hidden:
                x = jax.nn.relu(layer(x))
            return output(x)

    x, y = map(jnp.asarray, workload.make_data())

    @nnx.jit
    def step(model: Any, optimizer: Any, x: jax.Array, y: jax.Array, rows: jax.Array) -> jax.Array:
        def loss_fn(model: Any) -> jax.Array:
            return mean_loss(workload, model(x[rows]), y[rows])

        loss, grads = nnx.value_and_grad(loss_fn)(model)
        optimizer.update(model, grads)
        return loss

    # Made once: a new optimizer would be compiled anew.
    model = Network(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(LEARNING_RATE), wrt=nnx.Param)
    cached_step = nnx.cached_partial(step, model, optimizer)

    def train(epochs: int) -> Any:
        for index in _orders(workload, epochs):
            for rows in index:
                cached_step(x, y, rows)
        return nnx.state(model)

    return _contestant(workload, train)


def prepare_equinox(workload: Workload) -> Contestant:
    """Equinox with `filter_jit`, donating the model and the optimizer's state."""
    eqx = importlib.import_module("equinox")
    optimizer = optax.adam(LEARNING_RATE)
    x, y = map(jnp.asarray, workload.make_data())

    class Network(eqx.Module):
        layers: list[Any]

        def __call__(self, x: jax.Array) -> jax.Array:
            *hidden, output = self.layers
            for layer in hidden:
                x = jax.nn.relu(layer(x))
            return output(x)

    @functools.partial(eqx.filter_jit, donate="all-except-first")
    def step(
        batch: tuple[jax.Array, jax.Array, jax.Array], model: Any, opt_state: Any
    ) -> tuple[Any, Any, jax.Array]:
        x, y, rows = batch

        def loss_fn(model: Any) -> jax.Array:
            return mean_loss(workload, jax.vmap(model)(x[rows]), y[rows])

        loss, grads = eqx.filter_value_and_grad(loss_fn)(model)
        updates, opt_state = optimizer.update(grads, opt_state)
        return eqx.apply_updates(model, updates), opt_state, loss

    def train(epochs: int) -> Any:
        keys = jax.random.split(jax.random.key(0), len(workload.layers))
        model = Network(
            [eqx.nn.Linear(*s, key=k) for s, k in zip(workload.layers, keys, strict=True)]
        )
        opt_state = optimizer.init(eqx.filter(model, eqx.is_array))
        for index in _orders(workload, epochs):
            for rows in index:
                model, opt_state, _ = step((x, y, rows), model, opt_state)
        return eqx.filter(model, eqx.is_array)

    return _contestant(workload, train)


def init_state(workload: Workload) -> Any:
    """Returns pairs of (kernel, bias), Adam's two moments of them, and its step count."""
    keys = jax.random.split(jax.random.key(0), len(workload.layers))
    layers = [
        (jax.random.normal(key, (inputs, outputs)) * (2 / inputs) ** 0.5, jnp.zeros(outputs))
        for key, (inputs, outputs) in zip(keys, workload.layers, strict=True)
    ]
    zeros = functools.partial(jax.tree.map, jnp.zeros_like)
    return layers, zeros(layers), zeros(layers), jnp.zeros((), jnp.int32)


def make_step(workload: Workload) -> Callable[[Any, jax.Array, jax.Array], tuple[Any, jax.Array]]:
    """Returns the pure step `(state, x, y) -> (state, loss)` on `init_state`'s state."""

    def loss_fn(layers: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        *hidden, (kernel, bias) = layers
        for hidden_kernel, hidden_bias in hidden:
            x = jnp.maximum(x @ hidden_kernel + hidden_bias, 0)
        return mean_loss(workload, x @ kernel + bias, y)

    def step(state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, jax.Array]:
        layers, means, squares, count = state
        loss, grads = jax.value_and_grad(loss_fn)(layers, x, y)
        count = count + 1
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, grads)
        squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, grads)
        # Kingma & Ba 2015, section 2: the bias corrections as two scalars.
        rate = LEARNING_RATE / (1 - 0.9**count)
        correction = jax.lax.rsqrt(1 - 0.999**count)
        layers = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) * correction + 1e-8),
            layers,
            means,
            squares,
        )
        return (layers, means, squares, count), loss

    return step


def mean_loss(workload: Workload, outputs: jax.Array, y: jax.Array) -> jax.Array:
    if workload.classifies:
        return optax.losses.softmax_cross_entropy_with_integer_labels(outputs, y).mean()
    return jnp.mean((outputs[:, 0] - y) ** 2)


def _orders(workload: Workload, epochs: int) -> Iterator[np.ndarray]:
    """Draws each epoch's row numbers, shape (steps, batch)."""
    generator = np.random.default_rng(0)
    steps = workload.rows // workload.batch_size
    for _ in range(epochs):
        order = generator.permutation(workload.rows).astype(np.int32)
        yield order[: steps * workload.batch_size].reshape(steps, -1)


def _contestant(workload: Workload, train: Callable[[int], Any]) -> Contestant:
    def run(epochs: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(train(epochs))
        return time.perf_counter() - start

    return Contestant(workload.rows // workload.batch_size, run)
