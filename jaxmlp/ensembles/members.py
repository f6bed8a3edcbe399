"""Turns a loss, an optimizer, data and what differs between members into trained members."""

from collections.abc import Sequence
from typing import Any, Unpack

import jax
import numpy as np
from jaxtyping import Int, Key, PyTree, Shaped

from ..checks import suggests_settings
from ..data import DataLoader
from ..fitting import FIT_SETTINGS, complete, make_plan, spelled_out
from .checks import warn_of_bad_members
from .planned import fit_planned_members
from .results import MembersResult
from .settings import SWEEP_SETTINGS, MemberSettings
from .stages import Keep


@suggests_settings("fit_members")
@spelled_out(FIT_SETTINGS, SWEEP_SETTINGS)
def fit_members(
    loss: Any,
    optimizer: Any,
    params: Any,
    data: DataLoader,
    *,
    epochs: int,
    keys: Key[jax.Array, " members"],
    hyperparameters: dict[str, Any] | None = None,
    seeds: Any = None,
    row_weights: Shaped[np.ndarray | jax.Array, "members rows"] | None = None,
    validation: PyTree | None = None,
    validation_weights: Shaped[np.ndarray | jax.Array, "members chosen"] | None = None,
    validation_rows: Int[np.ndarray | jax.Array, "members chosen"] | None = None,
    stages: Sequence[int] = (),
    keep: Keep | None = None,
    **settings: Unpack[MemberSettings],
) -> MembersResult:
    """Trains many members in one compiled program: an ensemble, a sweep, a cross-validation.

    Member k is what `jaxmlp.fit` gives alone for its key, its order of rows and its
    hyperparameters: bit for bit or, where members are computed together, up to rounding. Members
    whose keys are of another kind than "threefry2x32" are computed one after the other.

    Args:
        loss: `loss_fn(params, batch, key)`, the same for all, or `make_loss(hyperparameters)` that
            builds one. Functions are told apart by their number of arguments. Programs are kept for
            the very functions: a new lambda in every call compiles anew.
        optimizer: Any optax optimizer, or `make_optimizer(hyperparameters)` that builds one, as
            `lambda h: optax.adam(h["learning_rate"])`.
        params: `init(key)` or `init(hyperparameters, key)` that draws a member's parameters, from
            `fold_in(keys[k], 2**32 - 1)`; or parameters with a leading member axis.
        data: Rows in memory, in batches, with a transform if any; all members share them.
        epochs: Number of passes over the data, at least 1.
        keys: One typed JAX random key per member, as `jax.random.split(key, members)` gives; step t
            of member k draws from `fold_in(keys[k], t)`.
        hyperparameters: One value per member by name. Numbers, in an array or a list, are traced:
            they cost no compilation. Values that decide shapes or branches, in a list of configs,
            tuples, strings or bools, make groups of members, each compiled once.
        seeds: Number in [0, 2**64) per member that fixes its order of rows, as `DataLoader`'s;
            `None` gives all members the order of `data`.
        row_weights: Factor at least 0 on the weight of each row, for each member, as
            `fold_weights` and `bootstrap_weights` make them. A row of weight 0 is not seen. The
            loss must depend on `batch.weight`.
        validation: As for `fit`; all members share the rows.
        validation_weights: Factor at least 0 on the weight of each validation row, for each member.
        validation_rows: Numbers of the validation rows that each member is validated on, which
            takes less time than weights of 0; `None` for all. Weights are then of these rows.
        stages: Numbers of epochs, increasing and below `epochs`, after each of which all members
            wait for each other and `keep` is asked.
        keep: `keep(epochs, history)` says for each member whether it goes on, in an array of bools
            of shape (members,), given the history so far, shape (members, epochs) per metric. It
            must depend on nothing else, since a resumed sweep asks again for the stages behind it.
            The others are dropped; those kept go on as if alone.

    Returns:
        Parameters with a leading member axis, and how each member's run went. An interrupt from the
        keyboard returns what was reached.

    Raises:
        BrokenExecutor: The workers of `executor` died, and it takes no more members.
        CheckpointError: No checkpoint in the directory is whole, or they are of another sweep.
        Exception: What was raised in a worker of `executor`; a note tells the members.
        ImportError: There is an executor, but cloudpickle is not installed.
        OSError: The checkpoints' directory cannot be used, holds another run's checkpoints, or is
            in use by one.
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, has not one value per member, no effect, or differs
            from that of the sweep to resume.

    Example:
        >>> import jaxmlp, optax
        >>> config = jaxmlp.MLPConfig(in_features=2, out_features=1)
        >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
        >>> result = fit_members(
        ...     jaxmlp.make_loss(config, jaxmlp.losses.squared_error),
        ...     lambda h: optax.sgd(h["learning_rate"]),
        ...     lambda key: jaxmlp.init_params(config, key=key),
        ...     jaxmlp.DataLoader(x, x @ np.array([1, -2], np.float32), batch_size=16),
        ...     epochs=30,
        ...     keys=jax.random.split(jax.random.key(0), 3),
        ...     hyperparameters={"learning_rate": [0.001, 0.1, 0.3]},
        ... )
        >>> result.params.output.kernel.shape
        (3, 2, 1)
        >>> result.history["loss"][:, -1].argmin().item() > 0
        True
    """
    chosen = complete("fit_members", settings, FIT_SETTINGS, SWEEP_SETTINGS)
    if chosen["nonfinite"] not in ("skip", "stop"):
        raise ValueError(
            "nonfinite must be 'skip' or 'stop', since the other members go on; got "
            f"{chosen['nonfinite']!r}."
        )
    plan = make_plan(chosen, nonfinite=chosen["nonfinite"], epochs=epochs)
    result = fit_planned_members(
        *(plan, loss, optimizer, params, data),
        epochs=epochs,
        keys=keys,
        hyperparameters=hyperparameters,
        seeds=seeds,
        row_weights=row_weights,
        validation=validation,
        validation_weights=validation_weights,
        validation_rows=validation_rows,
        stages=stages,
        keep=keep,
        **{name: chosen[name] for name in SWEEP_SETTINGS.defaults},
    )
    warn_of_bad_members(result.bad_step)
    return result
