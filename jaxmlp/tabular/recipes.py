"""Settings under which networks for tables train well, as data."""

import dataclasses
import sys
from typing import Literal, TypeAlias, get_args

from ..checks import require_bool, require_int, require_name, require_number
from .network import TabularConfig

Schedule: TypeAlias = Literal["coslog4", "flat_cos", "constant"]

# Embeddings of more numbers cost more than they bring, and those of fewer rows fit their noise.
_MOST_EMBEDDED = 100
_FEWEST_EMBEDDED_ROWS = 512
# Tables of fewer are learned by heart with the first, or not at all with the last.
_DECAYS_OF_FEW = (0.02, 0.5)
# Regressions of more rows are fitted better without dropout.
_MOST_DROPPED = 4096
# Of a training, at the most.
_STEPS = 5000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network for tables, and how it is trained.

    Args:
        network: How it is built.
        members: Networks that are trained apart, of which predictions are averaged, at least 1;
            each may have `network.members` that share kernels.
        folds: Parts into which rows are dealt, at least 2; member k does not train on part k
            (modulo folds), by the loss on which it chooses its best epoch. 0 trains all on all
            rows, and keeps the last epoch; so do fewer rows than folds.
        patience: Training ends before all epochs where each member has held-out rows, and more than
            `3 * best + patience` epochs are over, at least 0; `best` is the median of the members'
            best epochs. `None` never ends it.
        epochs: Passes over the rows, at least 1.
        batch_size: Rows per step, at least 1.
        learning_rate: Largest learning rate, finite and at least 0.
        schedule: What it is multiplied by, from the share of training that is done: "coslog4" or
            "flat_cos", or "constant".
        beta_2: Decay of the second moment of Adam, in [0, 1); that of the first is 0.9.
        epsilon: Added to the root of the second moment of Adam, finite and above 0.
        weight_decay: Decay of kernels, tables of categories and the scaling layer, finite and at
            least 0. It is decoupled, times their learning rate, and goes down with "flat_cos". Of
            several, in a tuple, each trains all members, and the one is kept by which the mean loss
            of held-out rows is least after some epoch; the first where no rows are held out.
        dropout_rate: Share of hidden units that a step drops, in [0, 1); it goes down with
            "flat_cos".
        scale_factor: On the learning rate of the scaling layer and of the scales of members, finite
            and at least 0, as are the next three.
        bias_factor: On the learning rate of biases.
        slope_factor: On the learning rate of the slopes of activations.
        embedding_factor: On the learning rate of embeddings of numbers, their biases included.
        clip: Whether predictions of a regression stay within the targets of the training set.

    Raises:
        TypeError: A field has the wrong type.
        ValueError: A field is out of its range, or unknown by name.

    Example:
        >>> Recipe(network=TabularConfig(hidden_features=(64,)), epochs=50).batch_size
        256
    """

    network: TabularConfig
    members: int = 1
    folds: int = 0
    patience: int | None = None
    epochs: int = 256
    batch_size: int = 256
    learning_rate: float = 0.2
    schedule: Schedule = "coslog4"
    beta_2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float | tuple[float, ...] = 0.02
    dropout_rate: float = 0.15
    scale_factor: float = 6.0
    bias_factor: float = 0.1
    slope_factor: float = 0.1
    embedding_factor: float = 0.1
    clip: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.network, TabularConfig):
            raise TypeError(f"network must be a TabularConfig; got {self.network!r}.")
        least = {"members": 1, "epochs": 1, "batch_size": 1, "folds": 0}
        least |= {} if self.patience is None else {"patience": 0}
        for name, lowest in least.items():
            number = require_int(name, getattr(self, name), lowest, None)
            object.__setattr__(self, name, number)
        if self.folds == 1:
            raise ValueError(
                "folds must be 0 or at least 2, since of one part none is left to train on; got 1."
            )
        require_name("schedule", self.schedule, get_args(Schedule))
        for name in ("beta_2", "dropout_rate"):
            require_number(name, getattr(self, name), "in [0, 1)", lambda v: 0 <= v < 1)
        require_number(
            "epsilon", self.epsilon, "finite and above 0", lambda v: 0 < v <= sys.float_info.max
        )
        for name in ("learning_rate", "scale_factor", "bias_factor", "slope_factor"):
            _require_size(name, getattr(self, name))
        _require_size("embedding_factor", self.embedding_factor)
        if self.weight_decay == ():
            raise ValueError("weight_decay must have at least one number; got ().")
        for each in self.weight_decays:
            _require_size("weight_decay", each)
        require_bool("clip", self.clip)

    @property
    def weight_decays(self) -> tuple[float, ...]:
        """The weight decays that are tried, of which one is kept."""
        return self.weight_decay if isinstance(self.weight_decay, tuple) else (self.weight_decay,)


def _require_size(name: str, value: float) -> None:
    require_number(name, value, "finite and at least 0", lambda v: 0 <= v <= sys.float_info.max)


def realmlp(*, regression: bool) -> Recipe:
    """Returns the recipe of RealMLP-TD, of one network.

    What differs from the authors' program: labels are not smoothed, which betters the share of
    right classes and worsens probabilities. The best epoch is the first of lowest loss on a fifth
    of the rows, not the last of fewest errors. Columns of few categories are not scaled, and what
    is unknown in a column of many begins at 0. Slopes and embeddings of numbers do not decay, which
    they hardly do there, and the scaling layer decays by its factor once, as the paper says, not
    twice. The last batch of an epoch may be smaller.

    Args:
        regression: Whether targets are numbers, and not classes.

    Returns:
        The recipe, for standardised targets of a regression.

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (arXiv 2407.04491), section 3 and table A.1.

    Example:
        >>> realmlp(regression=False).learning_rate
        0.04
    """
    require_bool("regression", regression)
    return Recipe(
        network=TabularConfig(activation="mish" if regression else "selu"),
        folds=5,
        learning_rate=0.2 if regression else 0.04,
    )


def tabm(*, regression: bool) -> Recipe:
    """Returns the recipe of TabM with piecewise-linear embeddings, of 32 members.

    What differs from the authors' program: numbers are scaled by `robust_scale` and clipped, not
    made normal by quantiles, and no noise is added. There are 100 epochs, of which the best is
    kept, with "flat_cos" for learning rate, weight decay and dropout, and not constant ones until
    16 epochs bring nothing; gradients are not clipped. Scales of members and all of the embeddings
    do not decay, and the columns of one category have a scale each. All members are given the same
    batches.

    Args:
        regression: Whether targets are numbers, and not classes; both are trained alike.

    Returns:
        The recipe, for standardised targets of a regression.

    References:
        Gorishniy, Kotelnikov & Babenko 2024 (arXiv 2410.24210), section 3 and appendix.

    Example:
        >>> tabm(regression=True).network.members
        32
    """
    require_bool("regression", regression)
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

    Numbers become piecewise-linear functions, which cost less than periodic ones and fit better,
    but not where rows are few or columns many. Several smaller networks are averaged, each with its
    own held-out rows. Of few rows the weight decay is chosen by these too. Large regressions have
    no dropout. `benchmarks/recipes.py` compares, and its NOTES.md tells what it found.

    Args:
        rows: Number of rows, at least 1.
        features: Number of columns, at least 0.
        regression: Whether targets are numbers, and not classes.

    Returns:
        The recipe, for standardised targets of a regression.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A number is out of its range.

    Example:
        >>> recipe = choose_recipe(1000, 20, regression=True)
        >>> recipe.members, recipe.batch_size, recipe.epochs
        (8, 64, 200)
    """
    require_int("rows", rows, 1, None)
    require_int("features", features, 0, None)
    require_bool("regression", regression)
    embeds = features <= _MOST_EMBEDDED and rows >= _FEWEST_EMBEDDED_ROWS
    network = TabularConfig(
        hidden_features=(128, 128, 128),
        activation="mish" if regression else "selu",
        embedding="piecewise_linear" if embeds else None,
        bins=48 if rows <= 8192 else 96,
        embedded=4,
    )
    batch_size = 64 if rows <= 1024 else 128 if rows <= 8192 else 256 if rows <= 65536 else 512
    return Recipe(
        network=network,
        members=8 if rows <= 65536 else 4,
        folds=8,
        patience=40,
        epochs=min(max(_STEPS * batch_size // rows, 16), 200),
        batch_size=batch_size,
        learning_rate=0.2 if regression else 0.04,
        weight_decay=_DECAYS_OF_FEW if rows < _FEWEST_EMBEDDED_ROWS else 0.02,
        dropout_rate=0.0 if regression and rows > _MOST_DROPPED else 0.15,
    )


def for_few_rows(recipe: Recipe) -> Recipe:
    """Returns a recipe without chance for tables of a few dozen rows, which are seen all at once.

    Adam's epsilon is large and its steps are small, so that rounding does not grow: a row of weight
    2 then trains the same network as two rows.

    Args:
        recipe: The recipe for a larger table, of which the network, its members and the schedules
            stay.

    Returns:
        A recipe without folds and dropout.

    Example:
        >>> for_few_rows(realmlp(regression=True)).dropout_rate
        0.0
    """
    return dataclasses.replace(
        recipe, folds=0, batch_size=2**16, dropout_rate=0.0, learning_rate=0.02, epsilon=0.03
    )
