"""Learns to read handwritten digits: test accuracies, a picture, and a network in a file."""

# %% How many networks, and where the results go
import argparse
import functools
import sys
from pathlib import Path

import jax
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

import jaxmlp

parser = argparse.ArgumentParser(description="Learns to read handwritten digits.")
parser.add_argument("--seeds", type=int, default=5, help="number of networks to train")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the results")
parser.add_argument("--smoke", action="store_true", help="one network, two epochs")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)  # a notebook: the defaults
seeds, epochs = (1, 2) if args.smoke else (args.seeds, 40)

# %% 1,797 images of 8 x 8 pixels: a quarter is for the test, a tenth of the rest for validation
images, digits = load_digits(return_X_y=True)
rows, test_rows = train_test_split(range(1797), test_size=0.25, stratify=digits, random_state=0)
parts = train_test_split(rows, test_size=0.1, stratify=digits[rows], random_state=0)
x = ((images - images[parts[0]].mean()) / images[parts[0]].std()).astype(np.float32)
train, validation, test = (jaxmlp.Batch(x[part], digits[part]) for part in (*parts, test_rows))

# %% Network and optimizer, their settings chosen by cross-validation on the training rows
config = jaxmlp.MLPConfig(
    in_features=64, hidden_features=(256, 256), out_features=10, dropout_rate=0.2
)
criterion = functools.partial(jaxmlp.losses.softmax_cross_entropy, label_smoothing=0.1)
loss_fn = jaxmlp.make_loss(config, criterion, metrics={"accuracy": jaxmlp.metrics.accuracy})
loader = jaxmlp.DataLoader(train.x, train.y, batch_size=64, shuffle=True)
learning_rate = optax.cosine_decay_schedule(3e-3, decay_steps=epochs * len(loader))
optimizer = optax.adamw(learning_rate, weight_decay=0.1, mask=jaxmlp.kernel_mask)

# %% Train one network per seed: it draws the parameters, the order of the rows and the dropout
networks, curves, accuracies = [], [], []
for seed in range(seeds):
    init_key, dropout_key = jax.random.split(jax.random.key(seed))
    result = jaxmlp.fit(
        loss_fn,
        optimizer,
        jaxmlp.init_params(config, key=init_key),
        jaxmlp.DataLoader(train.x, train.y, batch_size=64, shuffle=True, seed=seed),
        epochs=epochs,
        key=dropout_key,
        validation=validation,
    )
    networks.append(result.params)
    curves.append(result.history)
    logits = jaxmlp.apply(result.params, test.x, config=config)
    accuracies.append(float(jaxmlp.metrics.accuracy(logits, test.y)))
    print(f"seed {seed}: test accuracy {accuracies[-1]:.2%} (best epoch {result.best_epoch})")
print(f"mean test accuracy: {np.mean(accuracies):.2%} (seeds: {seeds})")

# %% One file for the first network: `config, params = jaxmlp.load(path)` needs nothing else
args.output.mkdir(parents=True, exist_ok=True)
jaxmlp.save(args.output / "digits.safetensors", config, networks[0])

# %% Curves of every seed and their mean; confusions and misread digits of the first network
figure = Figure(figsize=(13, 6.5), dpi=120, layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=(2.5, 1), squeeze=False).flat
*plots, table = top.subplots(1, 3)
titles = ("Loss on smoothed labels (nats per row)", "Accuracy")
for axis, title, name in zip(plots, titles, ("loss", "accuracy"), strict=True):
    for label, color, key in (("training", "C0", name), ("validation", "C1", f"validation_{name}")):
        runs = np.array([history[key] for history in curves])
        axis.plot(range(1, epochs + 1), runs.T, color, alpha=0.25, linewidth=1)
        axis.plot(range(1, epochs + 1), runs.mean(axis=0), color, label=label)
    axis.set(title=title, xlabel="Epoch")
    axis.legend()
chances = np.asarray(jax.nn.softmax(jaxmlp.apply(networks[0], test.x, config=config)))
guesses = chances.argmax(axis=-1)
ConfusionMatrixDisplay.from_predictions(
    test.y, guesses, ax=table, cmap="Blues", colorbar=False, im_kw={"norm": "symlog"}
)
for text in table.texts:
    text.set_visible(text.get_text() != "0")
table.set(title="Test digits, and what they were read as", xlabel="Read as", ylabel="Digit")
misread = np.flatnonzero(guesses != test.y)
shown = misread[:8]
bottom.suptitle(f"{len(misread)} of {len(guesses)} misread, {len(shown)} shown with the confidence")
for column, row in enumerate(shown):
    axis = bottom.add_subplot(1, len(shown), column + 1)
    axis.imshow(images[test_rows[row]].reshape(8, 8), cmap="gray_r")
    axis.set_title(f"{test.y[row]} read as {guesses[row]} ({chances[row].max():.0%})", size=10)
    axis.set_axis_off()
figure.savefig(args.output / "digits.png")
