"""Lets Optuna propose learning rates and dropout, sixteen at a time, and trains them together."""

# %% How much to train
import argparse
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import jaxmlp
from jaxmlp import ensembles

parser = argparse.ArgumentParser(description="A search whose candidates Optuna proposes.")
parser.add_argument("--smoke", action="store_true", help="two epochs, two batches of trials")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)
epochs, batches, together = (2, 2, 4) if args.smoke else (30, 6, 16)

# %% 1,797 images of 8 x 8 pixels: a quarter to test with, a quarter of the rest to choose by
images, digits = map(np.asarray, load_digits(return_X_y=True))
rest, test = train_test_split(np.arange(1797), test_size=0.25, stratify=digits, random_state=0)
x = ((images - images[rest].mean()) / images[rest].std()).astype(np.float32)
train, chosen_by = train_test_split(rest, test_size=0.25, stratify=digits[rest], random_state=0)
loader = jaxmlp.DataLoader(x[train], digits[train], batch_size=32, shuffle=True)

# %% What each trial makes of its own numbers; numbers are traced, so all trials share a program
config = jaxmlp.MLPConfig(in_features=64, hidden_features=(64,), out_features=10)


def init(key: jax.Array) -> jaxmlp.Params:
    return jaxmlp.init_params(config, key=key)


def make_loss(h: ensembles.Settings) -> jaxmlp.LossFn:
    criterion = jaxmlp.losses.softmax_cross_entropy
    return jaxmlp.make_loss(config, criterion, dropout_rate=h["dropout_rate"])


def make_optimizer(h: ensembles.Settings) -> optax.GradientTransformation:
    return optax.adamw(h["learning_rate"], weight_decay=h["weight_decay"])


# %% Optuna learns from each batch of trials what to propose in the next
optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
best_loss, best_params = np.inf, init(jax.random.key(0))
for batch in range(batches):
    trials = [study.ask() for _ in range(together)]
    proposed = {
        "learning_rate": [t.suggest_float("learning_rate", 1e-4, 1e-1, log=True) for t in trials],
        "weight_decay": [t.suggest_float("weight_decay", 1e-5, 1.0, log=True) for t in trials],
        "dropout_rate": [t.suggest_float("dropout_rate", 0.0, 0.6) for t in trials],
    }
    members = jaxmlp.fit_members(
        make_loss,
        make_optimizer,
        init,
        loader,
        epochs=epochs,
        # The same key for all: trials differ by their numbers, not by luck.
        keys=jnp.repeat(jax.random.key(0), together),
        hyperparameters=proposed,
        validation=(x[chosen_by], digits[chosen_by]),
        patience=5,
    )
    for trial, value in zip(trials, members.best_value.tolist(), strict=True):
        # A loss that was never finite is NaN, which Optuna takes as a failure.
        failed = np.isnan(value)
        state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
        study.tell(trial, None if failed else value, state)
    print(f"after {(batch + 1) * together} trials: validation loss {study.best_value:.4f}")
    if study.best_value < best_loss:
        best_loss = study.best_value
        best_params = members.member(int(np.nanargmin(members.best_value)))

# %% The best network on rows that the search has not seen
for name, number in study.best_params.items():
    print(f"{name} {number:.2g}")
logits = jaxmlp.apply(best_params, x[test], config=config)
accuracy = np.mean(np.asarray(logits.argmax(axis=-1)) == digits[test])
print(f"test accuracy: {accuracy:.2%}")
