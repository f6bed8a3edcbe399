"""Turns a recipe into a loss and an optimizer, which any training loop of jaxmlp takes."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from ..checks import require_bool, require_function, require_int, require_name
from ..losses.weights import weighted_mean
from ..network import Batch
from .embeddings import Bins
from .network import TabularConfig, TabularParams, apply_tabular
from .recipes import Recipe, Schedule
from .schedules import coslog4, flat_cos

_SCHEDULES: dict[str, Callable[[Array], Array]] = {
    "coslog4": coslog4,
    "flat_cos": flat_cos,
    "constant": jnp.ones_like,
}


class TabularSettings(NamedTuple):
    """Numbers of a recipe by name; in a model they are one array, so that no value compiles anew.

    `progress` is the share of training that is done, in [0, 1], `per_step` what a step adds to it;
    the others are fields of `Recipe`.
    """

    learning_rate: Any
    beta_2: Any
    epsilon: Any
    weight_decay: Any
    dropout_rate: Any
    scale_factor: Any
    bias_factor: Any
    slope_factor: Any
    embedding_factor: Any
    per_step: Any
    progress: Any


class TabularModel(NamedTuple):
    """What is given to a training loop as parameters: of all but `params` nothing is learned.

    `packed` are the settings, as `pack_settings` gives them, `bins` those of a piecewise-linear
    embedding, and `options` numbers of the criterion, such as a quantile's level; they may be none,
    `jnp.zeros(0)`.
    """

    params: TabularParams
    packed: Float[Array, " settings"]
    bins: Bins | None
    options: Float[Array, " options"]

    @property
    def settings(self) -> TabularSettings:
        """The settings by name."""
        return TabularSettings(*(self.packed[n] for n in range(len(TabularSettings._fields))))


class TabularState(NamedTuple):
    """State of the optimizer."""

    adam: optax.OptState


def pack_settings(recipe: Recipe, *, steps: int, dtype: Any) -> Float[Array, " settings"]:
    """Returns the numbers of a recipe as a `TabularModel` holds them, at the start of training.

    Args:
        recipe: Its network, members, folds, epochs and batches are not among them; its weight decay
            is one number.
        steps: Steps of the whole training, at least 1; schedules end with the last.
        dtype: Type of the numbers, that of the parameters.

    Raises:
        TypeError: `steps` is no int.
        ValueError: `steps` is below 1, or there are several weight decays.

    Example:
        >>> recipe = Recipe(network=TabularConfig())
        >>> packed = pack_settings(recipe, steps=100, dtype=jnp.float32)
        >>> round(float(TabularSettings(*packed).per_step), 6)
        0.01
    """
    require_int("steps", steps, 1, None)
    if isinstance(recipe.weight_decay, tuple):
        raise ValueError(
            f"recipe.weight_decay must be one number, of one training; got {recipe.weight_decay}. "
            "Pack each: dataclasses.replace(recipe, weight_decay=...)."
        )
    names = TabularSettings._fields[:-2]
    numbers = [getattr(recipe, name) for name in names]
    return jnp.asarray([*numbers, 1 / steps, 0.0], dtype)


@dataclasses.dataclass(frozen=True)
class TabularLoss:
    """The mean loss over members and rows, as `fit` takes it; equal ones share programs.

    It is a function `(model, batch, key) -> (loss, {})` of a `TabularModel` and a `Batch` of
    `TabularRows`. Each member has its own loss, never that of a mean of outputs, and rows count by
    `batch.weight`. Nothing but `model.params` has a gradient.

    Args:
        config: How the network is built.
        criterion: `(outputs, targets, options) -> losses` by row, of one member, whose outputs have
            shape (rows, outputs); `options` are the model's.
        drops: Whether units are dropped where a key is given, as in training: `dropout_rate` of
            the settings times `flat_cos(progress)`.

    Raises:
        TypeError: An argument has the wrong type.

    References:
        Gorishniy, Kotelnikov & Babenko 2024 (TabM, arXiv 2410.24210), section 3, for the mean of
        the members' losses; Holzmüller, Grinsztajn & Steinwart 2024 (RealMLP, arXiv 2407.04491),
        section 3, for dropout that goes down.

    Example:
        >>> config = TabularConfig(hidden_features=(8,))
        >>> loss_fn = TabularLoss(config, lambda z, y, _: jnp.square(z[:, 0] - y), drops=True)
    """

    config: TabularConfig
    criterion: Callable[[Array, Any, Array], Array]
    drops: bool

    def __post_init__(self) -> None:
        if not isinstance(self.config, TabularConfig):
            raise TypeError(f"config must be a TabularConfig; got {self.config!r}.")
        require_function(
            "criterion",
            self.criterion,
            "(outputs, targets, options) -> losses",
            "one per row, of outputs of shape (rows, outputs)",
        )
        require_bool("drops", self.drops)

    def __call__(
        self, model: TabularModel, batch: Batch, key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Computes the loss."""
        fixed = jax.lax.stop_gradient((model.packed, model.bins, model.options))
        model = TabularModel(model.params, *fixed)
        settings = model.settings
        outputs = apply_tabular(
            model.params,
            batch.x,
            config=self.config,
            bins=model.bins,
            key=key if self.drops else None,
            dropout_rate=settings.dropout_rate * flat_cos(settings.progress),
        )
        by_member = jax.vmap(self.criterion, in_axes=(1, None, None), out_axes=1)(
            outputs, batch.y, model.options
        )
        return weighted_mean(jnp.mean(by_member, axis=1), batch.weight), {}


@dataclasses.dataclass(frozen=True)
class TabularOptimizer:
    """Adam with a learning rate of its own for each kind of parameter; equal ones share programs.

    It has `init` and `update`, as an optax optimizer, and trains `TabularModel`s, whose settings it
    reads and whose progress it moves on. With `factor` and `decay` by kind of parameter, the update
    of p is `-learning_rate * schedule * factor * (adam + decay * p)`:

    - kernels of layers, tables of categories: factor 1, `decay = weight_decay * flat_cos`;
    - scaling layer: `scale_factor`, and the same decay;
    - scales of members: `scale_factor`, no decay;
    - biases, slopes, embeddings of numbers: their own factors, no decay.

    Args:
        schedule: As in `Recipe`.

    Raises:
        TypeError: `schedule` is no text.
        ValueError: There is no schedule of that name.

    References:
        Kingma & Ba 2015, algorithm 1, for Adam; Loshchilov & Hutter 2019, algorithm 2, for decay
        that is decoupled.

    Example:
        >>> import optax
        >>> trained = TabularOptimizer("coslog4")
        >>> clipped = optax.chain(
        ...     optax.clip_by_global_norm(1.0),
        ...     optax.GradientTransformation(trained.init, trained.update))
    """

    schedule: Schedule

    def __post_init__(self) -> None:
        require_name("schedule", self.schedule, _SCHEDULES)

    def init(self, params: Any) -> Any:
        """Returns the first state."""
        return TabularState(optax.scale_by_adam().init(params.params))

    def update(self, updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Returns changes, which move progress on, and the next state."""
        settings: TabularSettings = params.settings
        adam = optax.scale_by_adam(b1=0.9, b2=settings.beta_2, eps=settings.epsilon)
        directions, inner = adam.update(updates.params, state.adam)
        rate = settings.learning_rate * _SCHEDULES[self.schedule](settings.progress)
        decay = settings.weight_decay * flat_cos(settings.progress)

        def change(path: Any, direction: Array, p: Array) -> Array:
            factor, decays = _treat(path, settings)
            return -rate * factor * (direction + decay * p if decays else direction)

        changes = jax.tree.map_with_path(change, directions, params.params)
        packed = jnp.zeros_like(params.packed).at[-1].set(settings.per_step)
        still = jax.tree.map(jnp.zeros_like, (params.bins, params.options))
        return TabularModel(changes, packed, *still), TabularState(inner)


def _treat(path: Any, settings: TabularSettings) -> tuple[Any, bool]:
    """Returns the factor on the learning rate of a parameter, and whether it decays."""
    names = {getattr(entry, "name", None) for entry in path}
    if "embedding" in names:
        return settings.embedding_factor, False
    if names & {"scale", "input_scale", "output_scale"}:
        return settings.scale_factor, "scale" in names
    if "bias" in names:
        return settings.bias_factor, False
    if "slope" in names:
        return settings.slope_factor, False
    return 1.0, True
