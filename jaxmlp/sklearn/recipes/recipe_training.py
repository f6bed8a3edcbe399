"""Turns prepared rows and a recipe into trained members."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from ...data import DataLoader
from ...ensembles import fit_members, fold_weights, rows_of_weights
from ...fitting import bucket_of_rows, fill_rows
from ...network import Batch
from ...tabular import (
    Bins,
    Recipe,
    TabularConfig,
    TabularLoss,
    TabularModel,
    TabularOptimizer,
    TabularParams,
    TabularRows,
    init_tabular,
    pack_settings,
)
from ..tables import find_bins
from .member_predictions import Members

# Rows to which layers are fitted at the start.
_START_ROWS = 4096
# Waiting for all members after every epoch would take time itself.
_EPOCHS_PER_LOOK = 8


class HeldOut(NamedTuple):
    """Rows that members were not trained on."""

    rows: TabularRows
    targets: np.ndarray
    weight: np.ndarray
    """Of each row for each member, shape (members, rows); 0 where it was trained on."""


class Task(NamedTuple):
    """What networks are trained for."""

    outputs: int
    """Outputs of a network."""
    criterion: Callable[[Array, Any, Array], Array]
    """`(outputs, targets, options) -> losses` by row."""
    options: np.ndarray
    """Numbers of the criterion."""


class MembersRun(NamedTuple):
    """Members of a recipe before their first epoch.

    `model` has a leading member axis, as have `keys`, as their data, `seeds`, and of `settings` of
    `fit_members` all but "validation".
    """

    recipe: Recipe
    loss: TabularLoss
    model: TabularModel
    loader: DataLoader
    bins: Bins | None
    keys: np.ndarray
    seeds: np.ndarray
    settings: dict[str, Any]
    held_out: HeldOut | None
    progress: bool | None

    @property
    def dtype(self) -> Any:
        """The type in which all is computed."""
        return self.model.packed.dtype


class TrainedMembers(NamedTuple):
    """Trained members, and their metrics by epoch, shape (members, epochs) each."""

    members: Members
    history: dict[str, np.ndarray]


def plan_members(
    recipe: Recipe,
    task: Task,
    rows: TabularRows,
    targets: np.ndarray,
    weight: np.ndarray,
    *,
    codes: tuple[int, ...],
    random_state: np.random.RandomState,
    labels: np.ndarray | None,
    validation: Batch | None,
    progress: bool | None,
) -> MembersRun:
    """Draws the first parameters of the members of a recipe, and all else that training takes.

    Args:
        recipe: What is trained.
        task: What for.
        rows: Prepared rows, none of weight 0; the type of their numbers is that of all.
        targets: Targets of rows, as the criterion takes them.
        weight: Weight of each row.
        codes: How many codes each column of `rows.codes` has.
        random_state: Where start, orders, dropout and folds come from.
        labels: Labels that folds are to have equal shares of, if any.
        validation: Rows by which members choose their best epochs, in place of folds.
        progress: As for `fit_members`.

    Returns:
        The run.
    """
    config, count, dtype = recipe.network, len(weight), rows.numbers.dtype
    batch_size = recipe.batch_size if recipe.batch_size < count else bucket_of_rows(count)
    # Weights of mean 1, so that no sum of float32 runs over.
    scaled = (weight / weight.mean()).astype(dtype)
    loader = DataLoader(
        *(rows, targets, scaled), batch_size=batch_size, shuffle=True, check_finite=False
    )
    most = np.iinfo(np.int32).max
    seeds = random_state.randint(most, size=recipe.members, dtype=np.int64)
    start_key, run_key = jax.random.split(jax.random.key(int(random_state.randint(most))))
    bins = None
    if config.embedding == "piecewise_linear":
        bins = find_bins(rows, config.bins, weight)
    some = np.arange(count)
    if count > _START_ROWS:
        some = random_state.permutation(count)[:_START_ROWS]
    sample = TabularRows(*(part[some] for part in rows))
    filled = fill_rows(Batch(sample, None, scaled[some]), bucket_of_rows(len(some)))
    draw = functools.partial(_draw, config, task.outputs, codes)
    params = draw(filled.x, filled.weight, bins, jax.random.split(start_key, recipe.members))
    packed = pack_settings(recipe, steps=recipe.epochs * len(loader), dtype=dtype)
    alike = packed, bins, np.asarray(task.options, dtype)
    repeated = jax.tree.map(lambda a: np.repeat(np.asarray(a)[None], recipe.members, axis=0), alike)
    settings: dict[str, Any] = {}
    held_out = None
    if validation is not None:
        settings = {"validation": fill_rows(validation, bucket_of_rows(len(validation.y)))}
        shared = np.broadcast_to(np.asarray(validation.weight), (recipe.members, len(validation.y)))
        held_out = HeldOut(validation.x, validation.y, shared)
    elif 2 <= recipe.folds <= count:
        whole = Batch(rows, targets, scaled)
        seed = int(random_state.randint(most))
        settings, unseen = _hold_out(whole, recipe, labels, seed=seed)
        held_out = HeldOut(rows, targets, scaled * unseen)
    return MembersRun(
        recipe,
        TabularLoss(config, task.criterion, recipe.dropout_rate > 0),
        TabularModel(jax.tree.map(np.asarray, params), *repeated),
        loader,
        bins,
        np.asarray(jax.random.key_data(jax.random.split(run_key, recipe.members))),
        seeds,
        settings,
        held_out,
        progress,
    )


def train_members(runs: Sequence[MembersRun], **settings: Any) -> list[TrainedMembers]:
    """Trains the members of runs that are alike but for their numbers, in one program.

    Args:
        runs: One run, or several of equal losses, schedules, epochs and rows.
        settings: Further settings of `fit_members`.

    Returns:
        What each has become.

    Raises:
        KeyboardInterrupt: There were several runs, and an interrupt ended them.
    """
    first = runs[0]
    own = [name for name in first.settings if name != "validation"]
    settings |= {"progress": first.progress, "validation": first.settings.get("validation")}
    settings |= {name: np.concatenate([run.settings[name] for run in runs]) for name in own}
    optimizer = TabularOptimizer(first.recipe.schedule)
    ends = np.cumsum([len(run.seeds) for run in runs])
    parts = [slice(end - len(run.seeds), end) for run, end in zip(runs, ends, strict=True)]

    def keep(epochs: int, history: Mapping[str, np.ndarray]) -> np.ndarray:
        losses = history["validation_loss"]
        goes_on = np.ones(len(losses), bool)
        for run, part in zip(runs, parts, strict=True):
            if run.recipe.patience is not None:
                told = np.where(np.isnan(losses[part]), np.inf, losses[part])
                best = 1 + np.median(told.argmin(axis=1))
                goes_on[part] = epochs <= _last_epoch(best, run.recipe.patience)
        return goes_on

    stages = _stages(runs)
    result = fit_members(
        first.loss,
        optax.GradientTransformation(optimizer.init, optimizer.update),
        jax.tree.map(lambda *leaves: np.concatenate(leaves), *(run.model for run in runs)),
        first.loader,
        epochs=first.recipe.epochs,
        keys=jax.random.wrap_key_data(jnp.asarray(np.concatenate([run.keys for run in runs]))),
        seeds=np.concatenate([run.seeds for run in runs]),
        stages=stages,
        keep=keep if stages else None,
        **settings,
    )
    if len(runs) > 1 and (result.stopped_by == "interrupt").any():
        raise KeyboardInterrupt
    params: Any = jax.tree.map(np.asarray, result.params)
    trained = []
    for run, part in zip(runs, parts, strict=True):
        # Copies, that what is kept of one run does not keep all.
        kept = jax.tree.map(lambda leaf, part=part: leaf[part].copy(), params.params)
        ran = ~np.isnan(result.history["loss"][part]).all(axis=0)
        history = {name: values[part][:, ran] for name, values in result.history.items()}
        trained.append(TrainedMembers(Members(kept, run.bins), history))
    return trained


def _stages(runs: Sequence[MembersRun]) -> tuple[int, ...]:
    """Returns after which epochs to look whether runs end before the last."""
    patience = [run.recipe.patience for run in runs if run.recipe.patience is not None]
    if not patience or "validation" not in runs[0].settings:
        return ()
    # The best epoch is 1 or later. Runs are looked at when they would be alone.
    looks = range(_EPOCHS_PER_LOOK, runs[0].recipe.epochs, _EPOCHS_PER_LOOK)
    return tuple(epoch for epoch in looks if epoch > _last_epoch(1.0, min(patience)))


def _last_epoch(best: float, patience: int) -> float:
    """Returns after which epoch a run ends for its best one so far."""
    return 3 * best + patience


def _hold_out(
    whole: Batch, recipe: Recipe, labels: Any, *, seed: int
) -> tuple[dict[str, Any], np.ndarray]:
    """Returns settings of `fit_members` by which every member has a fold that it does not see.

    And the weight of each row for each member there, shape (members, rows).
    """
    count = len(whole.y)
    fold = np.arange(recipe.members) % recipe.folds
    seen, unseen = fold_weights(count, recipe.folds, seed=seed, stratify=labels)
    rows, weights = rows_of_weights(unseen[fold])
    filled_up = ((0, 0), (0, bucket_of_rows(rows.shape[1]) - rows.shape[1]))
    settings = {
        "row_weights": seen[fold],
        "validation": fill_rows(whole, bucket_of_rows(count)),
        "validation_rows": np.pad(rows, filled_up),
        "validation_weights": np.pad(weights, filled_up),
    }
    return settings, unseen[fold]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _draw(
    config: TabularConfig,
    outputs: int,
    codes: tuple[int, ...],
    rows: TabularRows,
    weight: Array,
    bins: Bins | None,
    keys: Array,
) -> TabularParams:
    """Draws the first parameters of every member, one after the other."""

    def draw(key: Array) -> TabularParams:
        named = {"outputs": outputs, "codes": codes, "bins": bins, "weight": weight}
        return init_tabular(config, rows, key=key, **named)

    return jax.lax.map(draw, keys)
