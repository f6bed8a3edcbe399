"""Makes what `jaxmlp.fit` needs for a workload, network, loss, optimizer and rows, and calls it."""

from typing import Any, NamedTuple

import jax
import optax
from workloads import LEARNING_RATE, Workload

import jaxmlp


class Training(NamedTuple):
    """The first arguments of `fit`, in their order, and the network's config."""

    loss_fn: jaxmlp.LossFn
    optimizer: optax.GradientTransformation
    params: jaxmlp.Params
    loader: jaxmlp.DataLoader
    config: jaxmlp.MLPConfig


def make_training(workload: Workload, *rows: Any) -> Training:
    """Takes the rows of the workload, or those given as a `DataLoader` takes them."""
    config = jaxmlp.MLPConfig(
        in_features=workload.in_features,
        hidden_features=workload.hidden_features,
        out_features=workload.out_features,
    )
    losses = jaxmlp.losses
    criterion = losses.softmax_cross_entropy if workload.classifies else losses.squared_error
    rows = rows or workload.make_data()
    return Training(
        loss_fn=jaxmlp.make_loss(config, criterion),
        optimizer=optax.adam(LEARNING_RATE),
        params=jaxmlp.init_params(config, key=jax.random.key(0)),
        loader=jaxmlp.DataLoader(*rows, batch_size=workload.batch_size, shuffle=True),
        config=config,
    )


def train(training: Training, epochs: int, **options: Any) -> jaxmlp.FitResult:
    """Runs `fit`, and returns when the device has done it."""
    result = jaxmlp.fit(
        training.loss_fn,
        training.optimizer,
        training.params,
        training.loader,
        epochs=epochs,
        key=jax.random.key(1),
        progress=False,
        **options,
    )
    jax.block_until_ready(result.state)
    return result
