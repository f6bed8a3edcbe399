"""Trains with a schedule, averaged parameters, early stopping and a callback; draws the curves."""

# %% Where the picture goes
import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import jaxmlp

parser = argparse.ArgumentParser(description="A schedule, averaging, early stopping, a callback.")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the picture")
parser.add_argument("--smoke", action="store_true", help="three epochs")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)
args.output.mkdir(parents=True, exist_ok=True)
epochs = 3 if args.smoke else 100

# %% 569 tumours, 30 measurements each, malignant (0) or benign (1); scaled by the training rows
measurements, benign = map(np.asarray, load_breast_cancer(return_X_y=True))
parts = train_test_split(np.arange(len(benign)), test_size=0.3, stratify=benign, random_state=0)
mean, scale = measurements[parts[0]].mean(axis=0), measurements[parts[0]].std(axis=0)
x = ((measurements - mean) / scale).astype(np.float32)
train, validation = ((x[part], benign[part]) for part in parts)

# %% Each class counts as much as the other, whatever its number of rows
weight = jaxmlp.class_weights(train[1])
loader = jaxmlp.DataLoader(*train, weight, batch_size=32, shuffle=True)

# %% The learning rate rises over 5 epochs, then falls along a cosine; gradients are clipped
schedule = optax.warmup_cosine_decay_schedule(
    0.0, 1e-3, warmup_steps=5 * len(loader), decay_steps=max(epochs, 6) * len(loader)
)
optimizer = optax.chain(
    optax.clip_by_global_norm(1.0),
    optax.adamw(schedule, weight_decay=0.3, mask=jaxmlp.kernel_mask),
)
config = jaxmlp.MLPConfig(
    in_features=30, hidden_features=(64, 64), out_features=1, activation="gelu", dropout_rate=0.5
)
loss_fn = jaxmlp.make_loss(
    config,
    jaxmlp.losses.sigmoid_binary_cross_entropy,
    metrics={"accuracy": jaxmlp.metrics.accuracy, "auc": jaxmlp.metrics.roc_auc},
)


# %% A callback sees every epoch; it could stop the run by returning True
def report(state: jaxmlp.TrainState, metrics: Mapping[str, float]) -> None:
    if metrics["epoch"] % 10 == 0:
        rate, loss, auc = (
            schedule(state.step),
            metrics["validation_loss"],
            metrics["validation_auc"],
        )
        print(f"epoch {metrics['epoch']:3}: rate {rate:.1e}, loss {loss:.4f}, AUC {auc:.4f}")


# %% With and without averaging: the same start, the same order, the same dropout
results = {}
for name, ema_decay in (("last parameters", None), ("averaged parameters", 0.98)):
    print(name)
    results[name] = jaxmlp.fit(
        loss_fn,
        optimizer,
        jaxmlp.init_params(config, key=jax.random.key(0)),
        loader,
        epochs=epochs,
        key=jax.random.key(1),
        validation=validation,
        patience=20,
        ema_decay=ema_decay,
        on_epoch=report,
    )
    best = {key: values[results[name].best_epoch] for key, values in results[name].history.items()}
    print(
        f"stopped by {results[name].stopped_by}; best epoch {best['epoch']}: validation loss "
        f"{best['validation_loss']:.4f}, accuracy {best['validation_accuracy']:.1%}"
    )

# %% Curves: loss of the parameters that are validated, and the schedule
figure = Figure(figsize=(11, 4), dpi=120, layout="constrained")
losses, rates = figure.subplots(1, 2)
for color, (name, result) in zip(("C0", "C1"), results.items(), strict=True):
    history, best = result.history, result.best_epoch
    losses.plot(history["epoch"], history["validation_loss"], color, label=name)
    losses.plot(best, history["validation_loss"][best], f"{color}o")
losses.set(title="Validation loss (dot: best epoch)", xlabel="Epoch", yscale="log")
losses.legend()
rates.plot([schedule(epoch * len(loader)) for epoch in range(epochs)])
rates.set(title="Learning rate at the start of each epoch", xlabel="Epoch")
figure.savefig(args.output / "schedules.png")
