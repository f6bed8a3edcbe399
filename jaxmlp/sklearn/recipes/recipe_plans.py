"""Turns prepared rows and a recipe into members before their first epoch."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from ...data import DataLoader
from ...ensembles import fold_weights, rows_of_weights
from ...fitting import bucket_of_rows, fill_rows
from ...network import Batch
from ...tabular import (
    Bins,
    Recipe,
    TabularConfig,
    TabularLoss,
    TabularModel,
    TabularParams,
    TabularRows,
    init_tabular,
    pack_settings,
)
from ..tables import find_bins

# Rows to which layers are fitted at the start.
_START_ROWS = 4096


class HeldOut(NamedTuple):
    """Rows that members were not trained on."""

    rows: TabularRows
    targets: np.ndarray
    weight: np.ndarray
    """Of each row for each of a recipe's members, (members, rows); 0 where it was trained on."""


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
    `fit_members` all but "validation": each weight decay in turn has all members of the recipe.
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
    if validation is None and not 2 <= recipe.folds <= count:
        recipe = dataclasses.replace(recipe, weight_decay=recipe.weight_decays[0])
    tried = [dataclasses.replace(recipe, weight_decay=each) for each in recipe.weight_decays]
    steps = recipe.epochs * len(loader)
    of_tried = [np.asarray(pack_settings(each, steps=steps, dtype=dtype)) for each in tried]
    packed: Any = np.repeat(np.stack(of_tried), recipe.members, axis=0)
    networks = recipe.members * len(tried)
    alike = bins, np.asarray(task.options, dtype)
    repeated = jax.tree.map(lambda a: np.repeat(np.asarray(a)[None], networks, axis=0), alike)
    tile = functools.partial(_tile, times=len(tried))
    keys = np.asarray(jax.random.key_data(jax.random.split(run_key, recipe.members)))
    settings: dict[str, Any] = {}
    held_out = None
    if validation is not None:
        settings = {"validation": fill_rows(validation, bucket_of_rows(len(validation.y)))}
        for_all = np.broadcast_to(
            np.asarray(validation.weight), (recipe.members, len(validation.y))
        )
        held_out = HeldOut(validation.x, validation.y, for_all)
    elif 2 <= recipe.folds <= count:
        whole = Batch(rows, targets, scaled)
        seed = int(random_state.randint(most))
        shared, unseen = _hold_out(whole, recipe, labels, seed=seed)
        settings = {
            name: part if name == "validation" else tile(part) for name, part in shared.items()
        }
        held_out = HeldOut(rows, targets, scaled * unseen)
    return MembersRun(
        recipe,
        TabularLoss(config, task.criterion, recipe.dropout_rate > 0),
        TabularModel(jax.tree.map(tile, params), packed, *repeated),
        loader,
        bins,
        tile(keys),
        tile(seeds),
        settings,
        held_out,
        progress,
    )


def _tile(array: Any, times: int) -> np.ndarray:
    array = np.asarray(array)
    return np.tile(array, (times, *[1] * (array.ndim - 1)))


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
