"""Predicts how far diabetes has progressed after a year, with a standard deviation per person."""

# %% How long to train, and where the picture goes
import argparse
import sys
from pathlib import Path

import jax
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import jaxmlp

parser = argparse.ArgumentParser(description="A regression that says how sure it is.")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the picture")
parser.add_argument("--smoke", action="store_true", help="ten steps")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)  # a notebook: the defaults
steps = 10 if args.smoke else 100

# %% 442 people with ten features; a quarter is for the test, and takes no part in standardisation
features, progression = map(np.asarray, load_diabetes(return_X_y=True))
train_rows, test_rows = train_test_split(range(442), test_size=0.25, random_state=0)
x_mean, x_std = features[train_rows].mean(axis=0), features[train_rows].std(axis=0)
y_mean, y_std = progression[train_rows].mean(), progression[train_rows].std()
x = ((features - x_mean) / x_std).astype(np.float32)
y = ((progression - y_mean) / y_std).astype(np.float32)
train, test = (jaxmlp.Batch(x[rows], y[rows]) for rows in (train_rows, test_rows))

# %% Two outputs, mean and raw scale: the Gaussian likelihood teaches both
# So few rows need a small network and much weight decay: both were chosen by cross-validation on
# the training rows.
config = jaxmlp.MLPConfig(in_features=10, hidden_features=(16,), out_features=2, activation="tanh")
loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.gaussian)
learning_rate = optax.cosine_decay_schedule(1e-2, decay_steps=steps)
optimizer = optax.adamw(learning_rate, weight_decay=1.0, mask=jaxmlp.kernel_mask)
train_step = jaxmlp.make_train_step(loss_fn, optimizer)
init_key, state_key = jax.random.split(jax.random.key(0))
state = jaxmlp.init_state(jaxmlp.init_params(config, key=init_key), optimizer, key=state_key)
for _ in range(steps):
    state, _ = train_step(state, train)


# %% Compare with a baseline that knows no features: one mean and one deviation for everybody
def predict(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation per row, in units of the data."""
    outputs = jaxmlp.apply(state.params, x, config=config)
    mean, std = jaxmlp.losses.gaussian_parameters(outputs)
    return y_mean + y_std * np.asarray(mean[:, 0]), y_std * np.asarray(std[:, 0])


HALF_BAND = 1.645  # a Gaussian is within 1.645 standard deviations of its mean 90 % of the time
observed = progression[test_rows]
mean, std = predict(test.x)
print(f"{'on the test rows':20}{'NLL (nats)':>12}{'RMSE':>8}{'in the 90 % band':>20}")
for name, m, s in (("network", mean, std), ("mean and deviation", y_mean, y_std)):
    nll = -np.mean(jax.scipy.stats.norm.logpdf(observed, m, s))
    rmse = np.sqrt(np.mean((observed - m) ** 2))
    covered = np.mean(np.abs(observed - m) < HALF_BAND * s)
    print(f"{name:20}{nll:12.3f}{rmse:8.1f}{covered:20.0%}")

# %% Draw the band over the test rows by predicted mean, and over body mass index alone
figure = Figure(figsize=(12, 4.5), dpi=120, layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
by_mean = np.argsort(mean)
average = np.zeros((100, 10), np.float32)  # everything else is average, 0 when standardised
average[:, 2] = np.linspace(x[:, 2].min(), x[:, 2].max(), 100)
for axis, position, inputs in (
    (left, np.arange(len(mean)), test.x[by_mean]),
    (right, average[:, 2], average),
):
    middle, deviation = predict(inputs)
    low, high = middle - HALF_BAND * deviation, middle + HALF_BAND * deviation
    axis.fill_between(position, low, high, alpha=0.25, label="90 % band")
    axis.plot(position, middle, label="predicted mean")
left.scatter(np.arange(len(mean)), observed[by_mean], color="black", s=12, label="observed")
right.scatter(test.x[:, 2], observed, color="black", s=12)
left.set(xlabel="Test rows, by predicted mean", ylabel="Progression after a year")
right.set(xlabel="Body mass index (standard deviations), all other features average")
left.legend(loc="upper left")
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "regression.png")
