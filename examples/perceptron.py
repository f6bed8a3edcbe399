"""Shows what a perceptron can separate, the XOR that it cannot, and the hidden layer that can."""

# %% How long to train, and where the picture goes
import argparse
import sys
from pathlib import Path

import jax
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.datasets import load_iris

import jaxmlp

parser = argparse.ArgumentParser(description="Trains a perceptron on separable data and on XOR.")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the picture")
parser.add_argument("--smoke", action="store_true", help="ten steps per network")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)  # a notebook: the defaults
steps = 10 if args.smoke else 1000

# %% Two problems with two inputs: a straight line separates the first, and no line the second
# Any line leaves at least one XOR point on the wrong side (Minsky & Papert 1969), and what is most
# likely to a perceptron is "one half" everywhere: its kernel goes to zero.
petals, species = load_iris(return_X_y=True)
petals, species = np.asarray(petals)[:100, 2:], np.asarray(species)[:100]  # of two species
iris = jaxmlp.Batch(((petals - petals.mean(0)) / petals.std(0)).astype(np.float32), species)
corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
xor = jaxmlp.Batch(corners, np.array([0, 1, 1, 0]))

# %% One output is the log-odds of class 1: the decision boundary is where it is 0
perceptron = jaxmlp.MLPConfig(in_features=2, hidden_features=(), out_features=1)
hidden_layer = jaxmlp.MLPConfig(
    in_features=2, hidden_features=(8,), out_features=1, activation="tanh"
)


def train(config: jaxmlp.MLPConfig, batch: jaxmlp.Batch) -> tuple[jaxmlp.Params, float]:
    """Returns the parameters after training on all rows in every step, and their accuracy."""
    init_key, state_key = jax.random.split(jax.random.key(0))
    loss_fn = jaxmlp.make_loss(
        config,
        jaxmlp.losses.sigmoid_binary_cross_entropy,
        metrics={"accuracy": jaxmlp.metrics.accuracy},
    )
    optimizer = optax.adam(0.02)
    train_step = jaxmlp.make_train_step(loss_fn, optimizer)
    state = jaxmlp.init_state(jaxmlp.init_params(config, key=init_key), optimizer, key=state_key)
    for _ in range(steps):
        state, _ = train_step(state, batch)
    _, metrics = loss_fn(state.params, batch, None)
    return state.params, float(metrics["accuracy"])


# %% Train, and draw the probability of class 1 over the plane of the two inputs
figure = Figure(figsize=(12, 4.2), dpi=120, layout="constrained")
axes = figure.subplots(1, 3)
problems = (
    ("Iris petals, perceptron", perceptron, iris),
    ("XOR, perceptron", perceptron, xor),
    ("XOR, one hidden layer", hidden_layer, xor),
)
for axis, (title, config, batch) in zip(axes, problems, strict=True):
    params, accuracy = train(config, batch)
    print(f"{title:24}accuracy {accuracy:.0%}")
    limit = 1.3 * np.abs(batch.x).max()
    line = np.linspace(-limit, limit, 200, dtype=np.float32)
    plane = np.stack(np.meshgrid(line, line), axis=-1)  # (200, 200, 2)
    probability = jax.nn.sigmoid(jaxmlp.apply(params, plane, config=config)[..., 0])
    levels = np.linspace(0, 1, 21)
    axis.contourf(line, line, probability, levels=levels, cmap="RdBu_r", alpha=0.6)
    if np.ptp(probability) > 0.01:  # where all is one half, there is no boundary
        axis.contour(line, line, probability, levels=[0.5], colors="black")
    for label, color in ((0, "tab:blue"), (1, "tab:red")):
        points = batch.x[batch.y == label]
        axis.scatter(*points.T, color=color, edgecolor="white", s=60, zorder=2)
    axis.set(title=f"{title}: {accuracy:.0%} right", aspect="equal")
shades = axes[0].collections[0]
figure.colorbar(shades, ax=axes, label="Probability of class 1", ticks=[0, 0.5, 1])
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "perceptron.png")
