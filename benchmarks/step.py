"""Asks what the jitted step costs beside one written by hand: nothing beyond noise.

    python3 run.py benchmarks/step.py

Both run the same arithmetic (dense ReLU layers, softmax cross-entropy, Adam) in a Python loop over
batches that are already on the device. Rounds are interleaved; the ratio is the median over rounds
of jaxmlp's time by the other's in the same round, its spread the middle half of the rounds.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import figures
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmlp

# name: in, hidden, out, batch size
WORKLOADS = {
    "W1 digits 64-64-10, batch 32": (64, (64,), 10, 32),
    "W3 MNIST-shaped 784-512-512-10, batch 128": (784, (512, 512), 10, 128),
}


def by_hand(layers: list[tuple[Any, Any]], x: jax.Array, y: jax.Array) -> jax.Array:
    """Loss of an MLP without any library: pairs of (kernel, bias)."""
    *hidden, (kernel, bias) = layers
    for hidden_kernel, hidden_bias in hidden:
        x = jax.nn.relu(x @ hidden_kernel + hidden_bias)
    return optax.losses.softmax_cross_entropy_with_integer_labels(x @ kernel + bias, y).mean()


def make_contestants(
    in_features: int, hidden: tuple[int, ...], out_features: int, batch_size: int
) -> dict[str, Callable[[int], None]]:
    """Returns, by name, functions that take n steps from where they stopped."""
    config = jaxmlp.MLPConfig(
        in_features=in_features, hidden_features=hidden, out_features=out_features
    )
    optimizer = optax.adam(1e-3)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.normal(size=(batch_size, in_features)), jnp.float32)
    y = jnp.asarray(generator.integers(0, out_features, batch_size), jnp.int32)
    batch = jaxmlp.Batch(x, y, jnp.ones(batch_size))

    train_step = jaxmlp.make_train_step(
        jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy), optimizer
    )
    library: dict[str, Any] = {"state": jaxmlp.init_state(params, optimizer, key=jax.random.key(1))}

    @jax.jit
    def hand_step(layers, opt_state, x, y):
        loss, grads = jax.value_and_grad(by_hand)(layers, x, y)
        updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(layers, updates), opt_state, loss

    layers: Any = [(dense.kernel, dense.bias) for dense in (*params.hidden, params.output)]
    hand: dict[str, Any] = {"state": (layers, optimizer.init(layers))}

    def run_library(steps: int) -> None:
        state = library["state"]
        for _ in range(steps):
            state, _ = train_step(state, batch)
        library["state"] = jax.block_until_ready(state)

    def run_by_hand(steps: int) -> None:
        layers, opt_state = hand["state"]
        for _ in range(steps):
            layers, opt_state, _ = hand_step(layers, opt_state, x, y)
        hand["state"] = jax.block_until_ready((layers, opt_state))

    return {"jaxmlp": run_library, "by hand": run_by_hand}


def measure(rounds: int, seconds: float) -> list[figures.Figure]:
    """Prints one line of a Markdown table per workload."""
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, {rounds} rounds\n")
    print("| workload | jaxmlp, us/step | by hand, us/step | ratio (middle half) |")
    print("|---|---|---|---|")
    found = []
    for name, sizes in WORKLOADS.items():
        contestants = make_contestants(*sizes)
        for run in contestants.values():
            run(3)
        start = time.perf_counter()
        contestants["by hand"](10)
        steps = max(1, int(seconds / ((time.perf_counter() - start) / 10)))
        times = {contestant: [] for contestant in contestants}
        for index in range(rounds):
            # Alternate who goes first: the second finds warmer caches.
            for contestant in sorted(contestants, reverse=bool(index % 2)):
                start = time.perf_counter()
                contestants[contestant](steps)
                times[contestant].append((time.perf_counter() - start) / steps * 1e6)
        ratio = np.array(times["jaxmlp"]) / np.array(times["by hand"])
        low, middle, high = np.percentile(ratio, (25, 50, 75))
        medians = [np.median(times[contestant]) for contestant in ("jaxmlp", "by hand")]
        print(
            f"| {name} | {medians[0]:.0f} | {medians[1]:.0f} | "
            f"{middle:.2f} ({low:.2f} to {high:.2f}) |"
        )
        task = name.split()[0]
        found.append(figures.Figure(task, "jaxmlp", medians[0] / 1e6, "s/step", 1.0))
        found.append(figures.from_ratios(task, "hand", medians[1] / 1e6, "s/step", 1 / ratio))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--seconds", type=float, default=0.5, help="per contestant and round")
    figures.add_option(parser)
    arguments = parser.parse_args()
    figures.write(arguments.json, measure(arguments.rounds, arguments.seconds))
