"""Trains deep ensembles that predict a mean and a variance, and checks how honest they are."""

# %% How much to train, and where the picture goes
import argparse
import sys
from pathlib import Path

import jax
import numpy as np
import optax
from jax.scipy.special import logsumexp
from jax.scipy.stats import norm
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes

import jaxmlp
from jaxmlp import ensembles

parser = argparse.ArgumentParser(description="Deep ensembles against single networks.")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the picture")
parser.add_argument("--smoke", action="store_true", help="two folds, three members, one epoch")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)  # a notebook: the defaults
folds, members, epochs = (2, 3, 1) if args.smoke else (20, 10, 40)

# %% 442 people with ten features: each fold is the test of an ensemble that trains on the others
features, progression = map(np.asarray, load_diabetes(return_X_y=True))
x = (features * np.sqrt(442)).astype(np.float32)  # comes centred, with squares that sum to 1
y = ((progression - 150) / 75).astype(np.float32)
training, testing = ensembles.fold_weights(442, folds, seed=0)

# %% Every member of every ensemble in one call: members differ by initialisation and order
# One hidden layer of 50 units and 40 epochs, as in Lakshminarayanan et al. 2017.
config = jaxmlp.MLPConfig(in_features=10, hidden_features=(50,), out_features=2)
result = jaxmlp.fit_members(
    jaxmlp.make_loss(config, jaxmlp.losses.gaussian),
    optax.adam(3e-3),
    lambda key: jaxmlp.init_params(config, key=key),
    jaxmlp.DataLoader(x, y, batch_size=64, shuffle=True),
    epochs=epochs,
    keys=jax.random.split(jax.random.key(0), folds * members),
    seeds=range(folds * members),
    row_weights=np.repeat(training, members, axis=0),
)


def predict(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation, shape (folds, members, rows), in units of the data."""
    outputs = ensembles.predict_members(result.params, x, config=config)
    mean, deviation = jaxmlp.losses.gaussian_parameters(outputs)
    shape = folds, members, len(x)
    return 150 + 75 * np.reshape(mean, shape), 75 * np.reshape(deviation, shape)


# %% People as their own ensembles see them, which they took no part in: shape (members, people)
fold, person = testing.argmax(axis=0), np.arange(442)
mean, deviation = (values[fold, :, person].T for values in predict(x))
below = np.asarray(norm.cdf(progression, mean, deviation))
log_density = np.asarray(norm.logpdf(progression, mean, deviation))
# An ensemble is the mixture of its members: it has their mean density and mean distribution.
mixture = np.asarray(logsumexp(log_density, axis=0)) - np.log(members)
gains = [np.mean((mixture - log_density)[:, fold == k]) for k in range(folds)]
levels = np.linspace(0.05, 0.95, 19)
kept = {}
print(" " * 13, "NLL (nats)  calibration error  inside 50 %   80 %   90 %   95 % intervals")
for name, densities, parts in (
    ("one network", log_density, below),
    ("ensemble", mixture, below.mean(axis=0, keepdims=True)),
):
    # The central interval of probability q lies between the quantiles (1 - q) / 2 and (1 + q) / 2.
    inside = (abs(parts - 0.5)[..., None] <= levels / 2).mean(axis=1)
    kept[name] = inside.mean(axis=0)
    shares = "".join(f"{np.interp(q, levels, kept[name]):7.0%}" for q in (0.5, 0.8, 0.9, 0.95))
    error = abs(inside - levels).mean()
    print(f"{name:13} {-densities.mean():11.3f} {error:18.3f}     {shares}")
print(f"The ensemble has the smaller NLL in {np.sum(np.array(gains) > 0)} of {folds} folds.")

# %% Left: what members call noise, and what they disagree about. Right: promised, and kept
figure = Figure(figsize=(12, 4.8), dpi=120, layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
inputs = np.zeros((200, 10), np.float32)  # all features but body mass index are average, 0
bmi = inputs[:, 2] = np.linspace(-4, 6, 200)
mean, deviation = (values[0, ..., None] for values in predict(inputs))
parts = ensembles.mixture_moments(mean, deviation**2)
middle, noise, disagreement = (np.asarray(part)[:, 0] for part in parts)
pictured = {"noise (aleatoric)": noise, "disagreement (epistemic)": disagreement}
for (name, variance), color, alpha in zip(pictured.items(), ("C0", "C1"), (0.2, 0.6), strict=True):
    half = 1.645 * np.sqrt(variance)
    left.fill_between(bmi, middle - half, middle + half, color=color, alpha=alpha, lw=0, label=name)
left.plot(bmi, middle, "black", label="mean of the ensemble")
left.scatter(x[:, 2], progression, color="black", s=6, alpha=0.4)
left.set(xlabel="Body mass index (deviations), all else average", ylabel="Progression in a year")
left.legend(loc="upper left")
right.plot([0, 1], [0, 1], "black", linestyle=":", label="as promised")
for (name, shares), color in zip(kept.items(), ("C1", "C0"), strict=True):
    right.plot(levels, shares, color, marker="o", label=name)
right.set(xlabel="Probability of an interval", ylabel="Share of people inside", aspect="equal")
right.legend()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "deep_ensemble.png")
