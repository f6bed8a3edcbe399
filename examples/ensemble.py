"""Cross-validates a sweep in one program, then trains an ensemble and asks it how sure it is."""

# %% How much to train, and where the picture goes
import argparse
import itertools
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

parser = argparse.ArgumentParser(description="A cross-validated sweep, and an ensemble.")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the picture")
parser.add_argument("--smoke", action="store_true", help="two epochs, few members")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)
args.output.mkdir(parents=True, exist_ok=True)
epochs, folds, members = (2, 2, 3) if args.smoke else (30, 5, 20)

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


# %% A member for every setting and fold; each stops where its own fold is best
settings = list(itertools.product((1e-3, 3e-3, 1e-2), (0.0, 0.2, 0.5)))
rates, dropout_rates = np.repeat(settings, folds, axis=0).T
training, validation = ensembles.fold_weights(len(train.x), folds, seed=0, stratify=train.y)
sweep = jaxmlp.fit_members(
    make_loss,
    make_optimizer,
    init,
    loader,
    epochs=epochs,
    keys=jax.random.split(jax.random.key(0), len(rates)),
    hyperparameters={"learning_rate": rates, "dropout_rate": dropout_rates},
    row_weights=np.tile(training, (len(settings), 1)),
    validation=loader,
    validation_weights=np.tile(validation, (len(settings), 1)),
    patience=5,
)
losses = sweep.best_value.reshape(-1, folds)
for (rate, dropout_rate), row in zip(settings, losses, strict=True):
    print(f"rate {rate:.3f}, dropout {dropout_rate:.1f}: {row.mean():.3f} +- {row.std():.3f}")
best_rate, best_dropout = settings[int(losses.mean(axis=1).argmin())]

# %% An ensemble with the best setting: initialisations, orders and dropout differ
chosen = {
    "learning_rate": np.full(members, best_rate),
    "dropout_rate": np.full(members, best_dropout),
}
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
logits = jax.vmap(lambda params: jaxmlp.apply(params, test.x, config=config))(result.params)
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
