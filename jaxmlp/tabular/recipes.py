"""Settings under which networks for tables train well, as data."""

import dataclasses
from typing import Literal

from .network import TabularConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network for tables, and how it is trained.

    Args:
        network: How it is built.
        members: Networks that are trained apart, of which predictions are averaged.
        epochs: Passes over the rows.
        batch_size: Rows per step.
        learning_rate: Largest learning rate.
        schedule: What it is multiplied by, from the share of training that is done: "coslog4" or
            "flat_cos", or "constant".
        beta_2: Decay of the second moment of adam; that of the first is 0.9.
        weight_decay: Decoupled, times the learning rate, of kernels; it goes down with "flat_cos".
        dropout_rate: Share of hidden units that a step drops; it goes down with "flat_cos".
        scale_factor: On the learning rate of the scaling layer and of the scales of members.
        bias_factor: On the learning rate of biases.
        slope_factor: On the learning rate of the slopes of activations.
        embedding_factor: On the learning rate of embeddings of numbers.
        clip: Whether predictions of a regression stay within the targets of the training set.
    """

    network: TabularConfig
    members: int = 1
    epochs: int = 256
    batch_size: int = 256
    learning_rate: float = 0.2
    schedule: Literal["coslog4", "flat_cos", "constant"] = "coslog4"
    beta_2: float = 0.95
    weight_decay: float = 0.02
    dropout_rate: float = 0.15
    scale_factor: float = 6.0
    bias_factor: float = 0.1
    slope_factor: float = 0.1
    embedding_factor: float = 0.1
    clip: bool = True


def realmlp(*, regression: bool) -> Recipe:
    """Returns the recipe of RealMLP-TD.

    Label smoothing is left out, which betters the share of right classes and worsens probabilities.

    Args:
        regression: Whether targets are numbers, and not classes.

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (arXiv 2407.04491), section 3 and table A.1.
    """
    return Recipe(
        network=TabularConfig(activation="mish" if regression else "selu"),
        learning_rate=0.2 if regression else 0.04,
    )


def tabm(*, regression: bool) -> Recipe:
    """Returns the recipe of TabM with piecewise-linear embeddings, of 32 members.

    Args:
        regression: Whether targets are numbers, and not classes; both are trained alike.

    References:
        Gorishniy, Kotelnikov & Babenko 2024 (arXiv 2410.24210), section 3 and appendix.
    """
    del regression
    network = TabularConfig(
        hidden_features=(512, 512),
        activation="relu",
        parametric=False,
        embedding="piecewise_linear",
        embedded=16,
        members=32,
        scaling_layer=False,
        ntk=False,
        fit_start=False,
    )
    return Recipe(
        network=network,
        epochs=100,
        learning_rate=2e-3,
        schedule="flat_cos",
        beta_2=0.999,
        weight_decay=3e-4,
        dropout_rate=0.1,
        scale_factor=1.0,
        bias_factor=1.0,
        embedding_factor=1.0,
    )


def choose_recipe(rows: int, features: int, *, regression: bool) -> Recipe:
    """Returns the recipe for a table of some size: RealMLP's training of another network.

    Numbers become piecewise-linear functions in place of periodic ones, and several smaller
    networks are averaged.

    Args:
        rows: Number of rows.
        features: Number of columns.
        regression: Whether targets are numbers, and not classes.
    """
    network = TabularConfig(
        hidden_features=(128, 128, 128),
        activation="mish" if regression else "selu",
        embedding="piecewise_linear",
        bins=48,
        embedded=4,
    )
    return dataclasses.replace(
        realmlp(regression=regression), network=network, members=8, epochs=40
    )
