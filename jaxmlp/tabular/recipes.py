"""Settings under which networks for tables train well, as data."""

import dataclasses
from typing import Literal

from .network import TabularConfig

# Embeddings of more numbers cost more than they bring.
_MOST_EMBEDDED = 100
# Of a training, at the most.
_STEPS = 2500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network for tables, and how it is trained.

    Args:
        network: How it is built.
        members: Networks that are trained apart, of which predictions are averaged.
        folds: Parts into which rows are dealt; member k does not train on part k (modulo folds), on
            which it chooses its best epoch. 0 trains all on all rows, and keeps the last epoch.
        epochs: Passes over the rows.
        batch_size: Rows per step.
        learning_rate: Largest learning rate.
        schedule: What it is multiplied by, from the share of training that is done: "coslog4" or
            "flat_cos", or "constant".
        beta_2: Decay of the second moment of adam; that of the first is 0.9.
        epsilon: Added to the root of the second moment of adam.
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
    folds: int = 0
    epochs: int = 256
    batch_size: int = 256
    learning_rate: float = 0.2
    schedule: Literal["coslog4", "flat_cos", "constant"] = "coslog4"
    beta_2: float = 0.95
    epsilon: float = 1e-8
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
        folds=5,
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
        folds=5,
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
    """Returns the recipe for a table of some size: RealMLP's training of other networks.

    Numbers become piecewise-linear functions, which cost less than periodic ones and fit better in
    `benchmarks/NOTES.md`, and several smaller networks are averaged, each with its own held-out
    rows.

    Args:
        rows: Number of rows, at least 1.
        features: Number of columns.
        regression: Whether targets are numbers, and not classes.
    """
    few_features = features <= _MOST_EMBEDDED
    network = TabularConfig(
        hidden_features=(128, 128, 128),
        activation="mish" if regression else "selu",
        embedding="piecewise_linear" if few_features else None,
        embedded=4,
    )
    batch_size = 64 if rows <= 1024 else 128 if rows <= 8192 else 256 if rows <= 65536 else 512
    return Recipe(
        network=network,
        members=8 if rows <= 65536 else 4,
        folds=8,
        epochs=min(max(_STEPS * batch_size // rows, 16), 200),
        batch_size=batch_size,
        learning_rate=0.2 if regression else 0.04,
    )


def for_few_rows(recipe: Recipe) -> Recipe:
    """Returns a recipe without chance for tables of a few dozen rows, which are seen all at once.

    Adam's epsilon is large and its steps are small, so that rounding does not grow: a row of weight
    2 then trains the same network as two rows.
    """
    return dataclasses.replace(
        recipe, folds=0, batch_size=2**16, dropout_rate=0.0, learning_rate=0.02, epsilon=0.03
    )
