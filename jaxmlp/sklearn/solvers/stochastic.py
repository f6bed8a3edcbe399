"""Turns scikit-learn's settings of "sgd" and "adam" into a loss and an optimizer for `fit`.

Their numbers are part of what is trained, held fixed, so that no value of them compiles anew.
"""

import dataclasses
from typing import Any, Literal, NamedTuple, TypeAlias

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from ...network import Batch, MLPConfig, Params
from ..heads import Head
from .networks import compute_losses

Solver: TypeAlias = Literal["sgd", "adam"]


class Settings(NamedTuple):
    """Numbers of scikit-learn's arguments.

    `learning_rate` is that of the first epoch; `seen` are rows trained on before, `rows` those of
    an epoch and `steps` its steps. The last two are how things stand before the first epoch.
    """

    alpha: Any
    dropout: Any
    learning_rate: Any
    learning_rate_init: Any
    power_t: Any
    momentum: Any
    beta_1: Any
    beta_2: Any
    epsilon: Any
    seen: Any
    rows: Any
    steps: Any
    tol: Any
    n_iter_no_change: Any
    best_loss: Any
    no_improvement_count: Any


class Model(NamedTuple):
    """What `fit` is given as parameters.

    Settings are packed, of the type of the parameters: each array more takes a call microseconds.
    What follows them are the options of the head.
    """

    params: Params
    packed: Float[Array, " settings"]

    @property
    def settings(self) -> Settings:
        """The settings by name."""
        return Settings(*(self.packed[place] for place in range(len(Settings._fields))))

    @property
    def options(self) -> Float[Array, " options"]:
        """The options of the head."""
        return self.packed[len(Settings._fields) :]


class SolverState(NamedTuple):
    """State of the optimizer; `taken` are the steps of this run."""

    taken: Int[Array, ""]
    inner: optax.OptState


@dataclasses.dataclass(frozen=True)
class Loss:
    """The loss of `compute_losses` for a step; equal ones share programs.

    The targets of a batch are `(targets, sample_weight)`; its own weight tells padding alone, so
    that an epoch's loss is the mean over batches by their numbers of rows, as scikit-learn's.
    """

    config: MLPConfig
    head: Head
    drops: bool

    def __call__(
        self, model: Model, batch: Batch, key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Computes the loss that is told, which has the gradient of the one that is descended."""
        targets, sample_weight = batch.y
        weight = sample_weight * jnp.asarray(batch.weight, sample_weight.dtype)
        losses = compute_losses(
            model.params,
            Batch(batch.x, targets, weight),
            model.settings.alpha,
            model.options,
            config=self.config,
            head=self.head,
            key=key if self.drops else None,
            dropout_rate=model.settings.dropout if self.drops else None,
        )
        return losses.told, {}


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Scikit-learn's optimizer of a `Model` from optax's parts; equal ones share programs."""

    solver: Solver
    nesterov: bool
    inverse_scaling: bool

    # Any, since of optax's types none is a NamedTuple.
    def init(self, params: Any) -> Any:
        """Returns the first state."""
        count = jnp.zeros((), jnp.int32)
        return SolverState(count, self._transform(params.settings).init(params.params))

    def update(self, updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Returns changes of the parameters, none of the settings, and the next state."""
        settings: Settings = params.settings
        if self.inverse_scaling:
            settings = settings._replace(learning_rate=_inverse_scaling(settings, state.taken))
        if self.solver == "adam":
            # Scikit-learn adds epsilon before the bias is corrected: to sqrt(v), and optax to
            # sqrt(v / (1 - b2**t)).
            step = optax.tree.get(state.inner, "count") + 1
            corrected = jnp.sqrt(1 - settings.beta_2 ** step.astype(settings.beta_2.dtype))
            settings = settings._replace(epsilon=settings.epsilon / corrected)
        transform = self._transform(settings)
        changes, inner = transform.update(updates.params, state.inner, params.params)
        fixed = jnp.zeros_like(params.packed)
        return updates._replace(params=changes, packed=fixed), SolverState(state.taken + 1, inner)

    def _transform(self, settings: Settings) -> optax.GradientTransformation:
        rate = optax.scale_by_learning_rate(settings.learning_rate)
        if self.solver == "adam":
            adam = optax.scale_by_adam(b1=settings.beta_1, b2=settings.beta_2, eps=settings.epsilon)
            return optax.chain(adam, rate)
        # The rate enters the velocity: v' = momentum * v - rate * gradient.
        return optax.chain(rate, optax.trace(settings.momentum, nesterov=self.nesterov))


def _inverse_scaling(settings: Settings, count: Int[Array, ""]) -> Float[Array, ""]:
    """Learning rate of a step's epoch: `learning_rate_init / (t + 1)**power_t` after t rows."""
    epoch = jnp.floor(count.astype(settings.steps.dtype) / settings.steps)
    seen = settings.seen + epoch * settings.rows
    scaled = settings.learning_rate_init / (seen + 1) ** settings.power_t
    return jnp.where(epoch == 0, settings.learning_rate, scaled)
