"""Makes contestants of the libraries that train by one call: jaxmlp, scikit-learn, Keras."""

import importlib
import math
import os
import time
import warnings
from typing import Any

from peers import Contestant
from workloads import LEARNING_RATE, Workload


def prepare_jaxmlp(workload: Workload) -> Contestant:
    """`fit` as it comes, or with the driver that the environment variable JAXMLP_DRIVER names.

    Where it hands back each epoch anyway, its set-up is left out.
    """
    from networks import make_training, train

    from jaxmlp.fitting.drivers import choose_driver

    training = make_training(workload)
    # A callback would change the driver where several epochs make one call: there, a run lasts
    # many epochs and its set-up (milliseconds) counts.
    driver: Any = os.environ.get("JAXMLP_DRIVER", "auto")
    automatic = choose_driver(training.params, training.loader, each_epoch=False)
    joins_epochs = (automatic if driver == "auto" else driver) == "epochs"

    def run_all(epochs: int) -> float:
        start = time.perf_counter()
        train(training, epochs, driver=driver)
        return time.perf_counter() - start

    def run_after_first(epochs: int) -> float:
        stamps: list[float] = []
        train(
            training,
            epochs + 1,
            driver=driver,
            on_epoch=lambda *_: stamps.append(time.perf_counter()),
        )
        return stamps[-1] - stamps[0]

    return Contestant(len(training.loader), run_all if joins_epochs else run_after_first)


def prepare_sklearn(workload: Workload) -> Contestant:
    """The MLP of scikit-learn on float32 rows, every stopping rule off."""
    neural_network = importlib.import_module("sklearn.neural_network")
    estimator = getattr(neural_network, "MLPClassifier" if workload.classifies else "MLPRegressor")
    x, y = workload.make_data()

    def run(epochs: int) -> float:
        model = estimator(
            hidden_layer_sizes=workload.hidden_features,
            batch_size=workload.batch_size,
            learning_rate_init=LEARNING_RATE,
            alpha=0.0,
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=epochs + 1,
            random_state=0,
        )
        start = time.perf_counter()
        # Training to a number of epochs is "unfinished" here.
        with warnings.catch_warnings(action="ignore"):
            model.fit(x, y)
        return time.perf_counter() - start

    return Contestant(math.ceil(workload.rows / workload.batch_size), run)


def prepare_keras(workload: Workload) -> Contestant:
    """`Sequential.fit` on NumPy arrays, compiled as Keras does by default."""
    keras = importlib.import_module("keras")
    x, y = workload.make_data()
    model = keras.Sequential(
        [
            keras.Input((workload.in_features,)),
            *(keras.layers.Dense(width, activation="relu") for width in workload.hidden_features),
            keras.layers.Dense(workload.out_features),
        ]
    )
    classes = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=classes if workload.classifies else "mse",
    )

    def run(epochs: int) -> float:
        start = time.perf_counter()
        model.fit(x, y, batch_size=workload.batch_size, epochs=epochs, shuffle=True, verbose=0)
        return time.perf_counter() - start

    return Contestant(math.ceil(workload.rows / workload.batch_size), run)
