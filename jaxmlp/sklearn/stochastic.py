"""Turns scikit-learn's settings of "sgd" and "adam" into a loss and an optimizer for `fit`.

Their numbers are part of what is trained, held fixed, so that no value of them compiles anew.
"""

from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from ..config import MLPConfig
from ..types import Batch, LossFn, Params
from .networks import OutActivation, compute_losses

Solver: TypeAlias = Literal["sgd", "adam"]


class Settings(NamedTuple):
    """Numbers of scikit-learn's arguments.

    `learning_rate` is that of the first epoch; `seen` are rows trained on before, `rows` those of
    an epoch and `steps` its steps.
    """

    alpha: Any
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


class Model(NamedTuple):
    """What `fit` is given as parameters.

    Settings are packed, of the type of the parameters: each array more takes a call microseconds.
    """

    params: Params
    packed: Float[Array, " settings"]

    @property
    def settings(self) -> Settings:
        """The settings by name."""
        return Settings(*(self.packed[place] for place in range(len(Settings._fields))))


class SolverState(NamedTuple):
    """State of the optimizer; `taken` are the steps of this run."""

    taken: Int[Array, ""]
    inner: optax.OptState


def make_loss_fn(config: MLPConfig, out_activation: OutActivation) -> LossFn:
    """Builds the loss of `compute_losses` for a step.

    The targets of a batch are `(targets, sample_weight)`; its own weight tells padding alone, so
    that an epoch's loss is the mean over batches by their numbers of rows, as scikit-learn's.
    """

    def loss_fn(
        model: Model, batch: Batch, key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        del key
        targets, sample_weight = batch.y
        weight = sample_weight * jnp.asarray(batch.weight, sample_weight.dtype)
        rows = Batch(batch.x, targets, weight)
        descended, told = compute_losses(
            model.params, rows, model.settings.alpha, config=config, out_activation=out_activation
        )
        return descended + jax.lax.stop_gradient(told - descended), {}

    return loss_fn


def make_optimizer(
    solver: Solver, *, nesterov: bool, inverse_scaling: bool
) -> optax.GradientTransformation:
    """Builds scikit-learn's optimizer of a `Model` from optax's parts."""

    # Any, since of optax's types none is a NamedTuple.
    def init(params: Any) -> Any:
        model: Model = params
        count = jnp.zeros((), jnp.int32)
        return SolverState(count, _transform(solver, model.settings, nesterov).init(params.params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        model: Model = params
        settings = model.settings
        if inverse_scaling:
            settings = settings._replace(learning_rate=_inverse_scaling(settings, state.taken))
        if solver == "adam":
            # Scikit-learn adds epsilon before the bias is corrected: to sqrt(v), and optax to
            # sqrt(v / (1 - b2**t)).
            step = optax.tree.get(state.inner, "count") + 1
            corrected = jnp.sqrt(1 - settings.beta_2 ** step.astype(settings.beta_2.dtype))
            settings = settings._replace(epsilon=settings.epsilon / corrected)
        transform = _transform(solver, settings, nesterov)
        changes, inner = transform.update(updates.params, state.inner, params.params)
        fixed = jnp.zeros_like(model.packed)
        return updates._replace(params=changes, packed=fixed), SolverState(state.taken + 1, inner)

    return optax.GradientTransformation(init, update)


def _transform(solver: Solver, settings: Settings, nesterov: bool) -> optax.GradientTransformation:
    rate = optax.scale_by_learning_rate(settings.learning_rate)
    if solver == "adam":
        adam = optax.scale_by_adam(b1=settings.beta_1, b2=settings.beta_2, eps=settings.epsilon)
        return optax.chain(adam, rate)
    # The rate enters the velocity: v' = momentum * v - rate * gradient.
    return optax.chain(rate, optax.trace(settings.momentum, nesterov=nesterov))


def _inverse_scaling(settings: Settings, count: Int[Array, ""]) -> Float[Array, ""]:
    """Learning rate of a step's epoch: `learning_rate_init / (t + 1)**power_t` after t rows."""
    epoch = jnp.floor(count.astype(settings.steps.dtype) / settings.steps)
    seen = settings.seen + epoch * settings.rows
    scaled = settings.learning_rate_init / (seen + 1) ** settings.power_t
    return jnp.where(epoch == 0, settings.learning_rate, scaled)
