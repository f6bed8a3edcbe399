"""Trains the digits with one library, as its user would; a program for `start_to_trained.py`.

    python trained.py FUNCTION digits.npz SEED

Prints when the first step and when the training ended, in seconds since 1970, and what it reached.
"""

import importlib
import json
import os
import sys
import time
from typing import Any

import numpy as np

TARGET = 0.97
EPOCHS = 200
BATCH = 32
LEARNING_RATE = 1e-3


def train_jaxmlp(data: dict[str, np.ndarray], seed: int) -> dict[str, float]:
    import jax
    import optax

    import jaxmlp

    if "JAXMLP_CACHE" in os.environ:
        jaxmlp.enable_compilation_cache(os.environ["JAXMLP_CACHE"])
    config = jaxmlp.MLPConfig(in_features=64, hidden_features=(64,), out_features=10)
    loss_fn = jaxmlp.make_loss(
        config,
        jaxmlp.losses.softmax_cross_entropy,
        metrics={"accuracy": jaxmlp.metrics.accuracy},
    )
    stamps: list[float] = []

    def on_epoch(_: jaxmlp.TrainState, metrics: Any) -> bool:
        stamps.append(time.time())
        return metrics["validation_accuracy"] >= TARGET

    result = jaxmlp.fit(
        loss_fn,
        optax.adam(LEARNING_RATE),
        jaxmlp.init_params(config, key=jax.random.key(2 * seed)),
        jaxmlp.DataLoader(data["x"], data["y"], batch_size=BATCH, shuffle=True, seed=seed),
        epochs=EPOCHS,
        key=jax.random.key(2 * seed + 1),
        validation=(data["x_test"], data["y_test"]),
        on_epoch=on_epoch,
    )
    reached = result.history["validation_accuracy"][-1]
    return {"first": stamps[0], "accuracy": float(reached), "epochs": len(stamps)}


def train_torch(data: dict[str, np.ndarray], seed: int) -> dict[str, float]:
    torch = importlib.import_module("torch")
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)
    x, y, x_test, y_test = (torch.from_numpy(data[k]) for k in ("x", "y", "x_test", "y_test"))
    y, y_test = y.long(), y_test.long()

    def mean_loss(x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(network(x), y)

    if "COMPILE" in os.environ:
        mean_loss = torch.compile(mean_loss)
    first, accuracy, epoch = 0.0, 0.0, 0
    while accuracy < TARGET and epoch < EPOCHS:
        order = torch.randperm(len(x))
        for batch_x, batch_y in zip(x[order].split(BATCH), y[order].split(BATCH), strict=True):
            loss = mean_loss(batch_x, batch_y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            first = first or time.time()
        with torch.inference_mode():
            accuracy = (network(x_test).argmax(1) == y_test).float().mean().item()
        epoch += 1
    return {"first": first, "accuracy": accuracy, "epochs": epoch}


def train_sklearn(data: dict[str, np.ndarray], seed: int) -> dict[str, float]:
    neural_network = importlib.import_module("sklearn.neural_network")
    # `partial_fit` trains one epoch.
    model = neural_network.MLPClassifier(
        hidden_layer_sizes=(64,),
        batch_size=BATCH,
        learning_rate_init=LEARNING_RATE,
        alpha=0.0,
        random_state=seed,
    )
    first, accuracy, epoch = 0.0, 0.0, 0
    while accuracy < TARGET and epoch < EPOCHS:
        model.partial_fit(data["x"], data["y"], classes=np.arange(10))
        first = first or time.time()
        accuracy = float(model.score(data["x_test"], data["y_test"]))
        epoch += 1
    return {"first": first, "accuracy": accuracy, "epochs": epoch}


def train_keras(data: dict[str, np.ndarray], seed: int) -> dict[str, float]:
    keras = importlib.import_module("keras")
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    stamps: list[float] = []

    def on_epoch_end(_: int, logs: Any) -> None:
        if logs["val_accuracy"] >= TARGET:
            model.stop_training = True

    history = model.fit(
        data["x"],
        data["y"],
        batch_size=BATCH,
        epochs=EPOCHS,
        validation_data=(data["x_test"], data["y_test"]),
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=on_epoch_end,
                on_train_batch_end=lambda *_, **__: stamps or stamps.append(time.time()),
            )
        ],
        verbose=0,
    )
    reached = history.history["val_accuracy"]
    return {"first": stamps[0], "accuracy": reached[-1], "epochs": len(reached)}


if __name__ == "__main__":
    _, function, path, seed = sys.argv
    with np.load(path) as file:
        arrays = dict(file)
    report = globals()[function](arrays, int(seed))
    assert report["accuracy"] >= TARGET, report
    print(json.dumps({**report, "trained": time.time()}))
