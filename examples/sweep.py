"""Searches the depth and width of a network for digits: 20 architectures, 5 folds, one call."""

# %% What to search, and where the picture goes
import argparse
import sys
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import jaxmlp
from jaxmlp.ensembles import Settings, fold_weights

parser = argparse.ArgumentParser(description="A sweep over depth and width.")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the picture")
parser.add_argument("--smoke", action="store_true", help="four architectures, one epoch")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)  # a notebook: the defaults
depths, widths = ((1, 2), (8, 32)) if args.smoke else ((1, 2, 3, 4), (8, 16, 32, 64, 128))
folds, epochs = (2, 1) if args.smoke else (5, 60)

# %% 1,797 images of 8 x 8 pixels, and a member for every depth, width and fold
images, digits = load_digits(return_X_y=True)
x = np.asarray(images, np.float32) / 16
training, validation = fold_weights(1797, folds, seed=0, stratify=digits)
depth, width, fold = np.reshape(np.meshgrid(depths, widths, range(folds), indexing="ij"), (3, -1))

# %% Depth and width as numbers: units beyond are 0, layers beyond pass on what they are given
# 20 programs would compile longer than they train; inside a larger network one learns the same.
most, rooms = max(depths), np.maximum(width, 32).tolist()
configs = [
    jaxmlp.MLPConfig(in_features=64, hidden_features=(n,) * most, out_features=10) for n in rooms
]


def init(h: Settings, key: jax.Array) -> jaxmlp.Params:
    (first, *others), output, _ = jaxmlp.init_params(h["config"], key=key)
    used = jnp.arange(len(output.kernel)) < h["width"]
    scale = used[:, None] * jnp.sqrt(len(used) / h["width"])  # variance: inverse to the inputs
    hidden = [first._replace(kernel=first.kernel * used)]
    for number, layer in enumerate(others, start=1):
        kernel = jnp.where(number < h["depth"], layer.kernel * scale * used, jnp.eye(len(used)))
        hidden.append(layer._replace(kernel=kernel))
    return jaxmlp.Params(tuple(hidden), output._replace(kernel=output.kernel * scale))


def make_optimizer(h: Settings) -> optax.GradientTransformation:
    def freeze(updates, _):
        used = jnp.arange(most) < h["depth"]  # units of 0 stay it: their gradients are 0
        return updates._replace(hidden=tuple(map(optax.tree.scale, used, updates.hidden)))

    return optax.chain(optax.adam(3e-3), optax.stateless(freeze))


# %% Train all, and score each on its own fold
start = time.perf_counter()
result = jaxmlp.fit_members(
    lambda h: jaxmlp.make_loss(h["config"], jaxmlp.losses.softmax_cross_entropy),
    make_optimizer,
    init,
    jaxmlp.DataLoader(x, digits, batch_size=32, shuffle=True),
    epochs=epochs,
    keys=jax.random.split(jax.random.key(0), len(fold)),
    hyperparameters={"depth": depth, "width": width, "config": configs},
    row_weights=training[fold],
)
predict = jax.jit(jaxmlp.apply, static_argnames="config")
read = [predict(result.member(k), x, config=c).argmax(axis=-1) for k, c in enumerate(configs)]
scores = 100 * np.average(np.stack(read) == digits, axis=1, weights=validation[fold])
means = scores.reshape(len(depths), len(widths), folds).mean(axis=-1)
ours = time.perf_counter() - start

# %% A table, a picture of it, and the time of scikit-learn, of which one fold each is run
axis = (figure := Figure(figsize=(8, 4), dpi=120, layout="constrained")).subplots()
axis.matshow(means, cmap="YlGn", vmin=np.quantile(means, 0.1), aspect="auto", alpha=0.6)
warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")
times, seen = np.zeros_like(means), training[0] > 0
for (i, j), mean in np.ndenumerate(means):
    deep, wide = depths[i], widths[j]
    count = 65 * wide + (deep - 1) * (wide + 1) * wide + 10 * (wide + 1)
    print(f"{deep} hidden layers of {wide:3}: {count:6,} parameters, {mean:.1f} %")
    axis.text(j, i, f"{mean:.1f} %\n{count:,}", ha="center", va="center")
    model = MLPClassifier((wide,) * deep, max_iter=epochs).set_params(batch_size=32)
    start = time.perf_counter()
    model.fit(x[seen], digits[seen])
    times[i, j] = folds * (time.perf_counter() - start)
best = times.flat[means.argmax()]
print(f"time by that of scikit-learn {ours / times.sum():.2f}, for the best one {ours / best:.1f}")
axis.set(title="Unseen digits read, and parameters", xlabel="Width", ylabel="Hidden layers")
axis.set_xticks(range(len(widths)), map(str, widths))
axis.set_yticks(range(len(depths)), map(str, depths))
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "sweep.png")
