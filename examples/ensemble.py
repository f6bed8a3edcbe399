"""Cross-validates a sweep in one program, then trains an ensemble and asks it how sure it is."""

# %% How much to train, and where the picture goes
import argparse
import sys
from pathlib import Path

import jax
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import jaxmlp
from jaxmlp import ensembles
from jaxmlp.plot import plot_search

parser = argparse.ArgumentParser(description="A cross-validated sweep, and an ensemble.")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the picture")
parser.add_argument("--smoke", action="store_true", help="two epochs, few members")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)
args.output.mkdir(parents=True, exist_ok=True)
epochs, folds, members = (2, 2, 3) if args.smoke else (30, 5, 20)
rates, dropout_rates = (1e-3, 3e-3, 1e-2), (0.0, 0.2, 0.5)

# %% 1,797 images of 8 x 8 pixels, a quarter of them for the test
images, digits = load_digits(return_X_y=True)
parts = train_test_split(np.arange(1797), test_size=0.25, stratify=digits, random_state=0)
x = ((images - images[parts[0]].mean()) / images[parts[0]].std()).astype(np.float32)
train, test = (jaxmlp.Batch(x[part], digits[part]) for part in parts)
loader = jaxmlp.DataLoader(train.x, train.y, batch_size=32, shuffle=True)

# %% What members share, and what each makes of its own numbers
config = jaxmlp.MLPConfig(in_features=64, hidden_features=(64,), out_features=10)


def init(key: jax.Array) -> jaxmlp.Params:
    return jaxmlp.init_params(config, key=key)


def make_loss(h: ensembles.Settings) -> jaxmlp.LossFn:
    criterion = jaxmlp.losses.softmax_cross_entropy
    return jaxmlp.make_loss(config, criterion, dropout_rate=h["dropout_rate"])


def make_optimizer(h: ensembles.Settings) -> optax.GradientTransformation:
    return optax.adamw(h["learning_rate"], weight_decay=1e-2, mask=jaxmlp.kernel_mask)


# %% Every setting on every fold: members of one program, each stopped where its own fold is best
found = jaxmlp.search(
    make_loss,
    make_optimizer,
    init,
    loader,
    candidates=ensembles.grid({"learning_rate": rates, "dropout_rate": dropout_rates}),
    folds=folds,
    stratify=train.y,
    epochs=epochs,
    patience=5,
    refit=False,
    key=jax.random.key(0),
)
columns = ("learning_rate", "dropout_rate", "score_mean", "score_std")
for rate, dropout_rate, mean, deviation in zip(*map(found.table.get, columns), strict=True):
    print(f"rate {rate:.3f}, dropout {dropout_rate:.1f}: {mean:.3f} +- {deviation:.3f}")
plot_search(found, x="learning_rate", hue="dropout_rate").savefig(args.output / "search.png")

# %% An ensemble with the best setting: initialisations, orders and dropout differ
chosen = {name: np.full(members, value) for name, value in found.best_settings.items()}
result = jaxmlp.fit_members(
    make_loss,
    make_optimizer,
    init,
    loader,
    epochs=epochs,
    keys=jax.random.split(jax.random.key(1), members),
    seeds=range(members),
    hyperparameters=chosen,
)
logits = ensembles.predict_members(result.params, test.x, config=config)
right = np.asarray(logits.argmax(axis=-1) == test.y)
together = np.asarray(ensembles.mean_probabilities(logits).argmax(axis=-1) == test.y)
print(f"test accuracy: {right.mean():.2%} alone, {together.mean():.2%} together")

# %% Where members disagree, they are more often wrong
entropy = np.asarray(ensembles.class_uncertainty(logits).total)
figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
axis = figure.subplots()
axis.hist([entropy[together], entropy[~together]], 20, label=["right", "wrong"], density=True)
axis.set(xlabel="Entropy of the mean probabilities (nats)", ylabel="Density")
axis.legend(title="Test images")
figure.savefig(args.output / "ensemble.png")
