"""Turns a recipe into a loss and an optimizer, which any training loop of jaxmlp takes."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from ..losses.weights import weighted_mean
from ..types import Batch
from .embeddings import Bins
from .network import TabularConfig, TabularParams, apply_tabular
from .recipes import Recipe
from .schedules import coslog4, flat_cos

_SCHEDULES: dict[str, Callable[[Array], Array]] = {
    "coslog4": coslog4,
    "flat_cos": flat_cos,
    "constant": jnp.ones_like,
}


class TabularSettings(NamedTuple):
    """Numbers of a recipe, in an array, so that no value of them compiles a program.

    `progress` is the share of training that is done, `per_step` what a step adds to it.
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

    `options` are numbers of the criterion.
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
    """Returns the numbers of a recipe for a training of so many steps, at its beginning."""
    names = TabularSettings._fields[:-2]
    numbers = [getattr(recipe, name) for name in names]
    return jnp.asarray([*numbers, 1 / steps, 0.0], dtype)


@dataclasses.dataclass(frozen=True)
class TabularLoss:
    """The mean loss over members and rows, as `fit` takes it; equal ones share programs.

    Args:
        config: How the network is built.
        criterion: `(outputs, targets, options) -> losses` by row; outputs have shape (rows,
            outputs).
        drops: Whether units are dropped in training.
    """

    config: TabularConfig
    criterion: Callable[[Array, Any, Array], Array]
    drops: bool

    def __call__(
        self, model: TabularModel, batch: Batch, key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Computes the loss; each member has its own, never that of a mean of outputs."""
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

    The update of a parameter p is `-rate * factor * (adam + weight_decay * flat_cos * p)`.
    """

    schedule: str

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
