"""Shows the inside of a run in one file: two moons, at the recorded epochs, in two languages."""

# %% How long to train, and where the pages go
import argparse
import sys
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import optax
from sklearn.datasets import make_moons

import jaxmlp
from jaxmlp import report

parser = argparse.ArgumentParser(description="Trains on two moons and writes its report.")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the pages")
parser.add_argument("--smoke", action="store_true", help="two epochs")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)  # a notebook: the defaults
epochs = 2 if args.smoke else 200

# %% Two half circles that no line separates, and a network of two hidden layers
x, y = make_moons(400, noise=0.15, random_state=0)
x, y = np.asarray(x, np.float32), np.asarray(y, np.int32)
x, x_validation, y, y_validation = jaxmlp.train_test_split(x, y, test_size=0.25, seed=0)
config = jaxmlp.MLPConfig(in_features=2, hidden_features=(8, 8), out_features=2, activation="tanh")
criterion = jaxmlp.losses.softmax_cross_entropy
params = jaxmlp.init_params(config, key=jax.random.key(0))

# %% The recorder keeps parameters at a few epochs; training is the same with it as without
recorder = jaxmlp.Recorder()
result = jaxmlp.fit(
    jaxmlp.make_loss(config, criterion, metrics={"accuracy": jaxmlp.metrics.accuracy}),
    optax.adam(0.01),
    params,
    jaxmlp.DataLoader(x, y, batch_size=32, shuffle=True, seed=0),
    epochs=epochs,
    key=jax.random.key(1),
    validation=(x_validation, y_validation),
    on_epoch=recorder,
)
print(f"recorded epochs: {[record.epoch for record in recorder.records]}")
print(f"accuracy at the end: {result.history['accuracy'][-1]:.1%}")

# %% A page in each language: it opens from the disk, without a network
args.output.mkdir(parents=True, exist_ok=True)
languages: dict[Literal["en", "es"], list[str]] = {
    "en": ["upper", "lower"],
    "es": ["arriba", "abajo"],
}
for language, names in languages.items():
    path = args.output / f"report_{language}.html"
    report.write_html(
        path,
        recorder,
        config,
        x,
        y,
        criterion=criterion,
        language=language,
        class_names=names,
        result=result,  # with it the curve of validation, and the best epoch
    )
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
