"""Turns prepared rows and a recipe into trained members, and rows into their outputs."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from ..data import DataLoader
from ..ensembles import MembersResult, fit_members
from ..fitting import bucket_of_rows
from ..tabular import (
    Bins,
    Recipe,
    TabularConfig,
    TabularLoss,
    TabularModel,
    TabularOptimizer,
    TabularParams,
    TabularRows,
    apply_tabular,
    init_tabular,
    pack_settings,
)
from .preparation import find_bins

# Rows to which layers are fitted at the start.
_START_ROWS = 4096
# Rows that are predicted at once.
_BLOCK_ROWS = 8192


class Members(NamedTuple):
    """Trained members; arrays of `params` have a leading axis of them."""

    params: TabularParams
    bins: Bins | None


class Task(NamedTuple):
    """What networks are trained for."""

    outputs: int
    """Outputs of a network."""
    criterion: Callable[[Array, Any, Array], Array]
    """`(outputs, targets, options) -> losses` by row."""
    options: np.ndarray
    """Numbers of the criterion."""


def train_members(
    recipe: Recipe,
    task: Task,
    rows: TabularRows,
    targets: np.ndarray,
    weight: np.ndarray,
    *,
    codes: tuple[int, ...],
    epochs: int,
    random_state: np.random.RandomState,
    settings: dict[str, Any],
) -> tuple[Members, MembersResult]:
    """Trains the members of a recipe in one program.

    Args:
        recipe: What is trained.
        task: What for.
        rows: Prepared rows, none of weight 0; the type of their numbers is that of all.
        targets: Targets of rows, as the criterion takes them.
        weight: Weight of each row.
        codes: How many codes each column of `rows.codes` has.
        epochs: Passes over the rows.
        random_state: Where start, orders and dropout come from.
        settings: Further ones of `fit_members`.

    Returns:
        The members, and how their run went.
    """
    config, count, dtype = recipe.network, len(weight), rows.numbers.dtype
    batch_size = recipe.batch_size if recipe.batch_size < count else bucket_of_rows(count)
    loader = DataLoader(
        *(rows, targets, weight), batch_size=batch_size, shuffle=True, check_finite=False
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
    drawn = [
        init_tabular(
            *(config, sample),
            outputs=task.outputs,
            codes=codes,
            key=key,
            bins=bins,
            weight=weight[some],
        )
        for key in jax.random.split(start_key, recipe.members)
    ]
    packed = pack_settings(recipe, steps=epochs * len(loader), dtype=dtype)
    models = [
        TabularModel(params, packed, bins, jnp.asarray(task.options, dtype)) for params in drawn
    ]
    optimizer = TabularOptimizer(recipe.schedule)
    settings = {"progress": False, **settings}
    result = fit_members(
        TabularLoss(config, task.criterion, recipe.dropout_rate > 0),
        optax.GradientTransformation(optimizer.init, optimizer.update),
        jax.tree.map(lambda *leaves: np.stack(leaves), *models),
        loader,
        epochs=epochs,
        keys=jax.random.split(run_key, recipe.members),
        seeds=seeds,
        **settings,
    )
    trained: Any = result.params
    return Members(jax.tree.map(np.asarray, trained.params), bins), result


def compute_members(
    members: Members,
    rows: TabularRows,
    *,
    config: TabularConfig,
    predict: Callable[[Array], Array],
) -> np.ndarray:
    """Computes what every member predicts, shape (members, rows, outputs).

    Args:
        members: Trained members.
        rows: Prepared rows.
        config: How networks are built.
        predict: Outputs into predictions, which the members of a network that share kernels
            average.
    """
    blocks = []
    count = len(rows.numbers)
    for first in range(0, count, _BLOCK_ROWS):
        block = TabularRows(*(part[first : first + _BLOCK_ROWS] for part in rows))
        size = len(block.numbers)
        missing = max(bucket_of_rows(size), 8) - size
        filled = TabularRows(
            *(np.concatenate([p, np.repeat(p[-1:], missing, axis=0)]) for p in block)
        )
        blocks.append(np.asarray(_predict(members, filled, config, predict))[:, :size])
    return np.concatenate(blocks, axis=1)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _predict(
    members: Members, rows: TabularRows, config: TabularConfig, predict: Callable[[Array], Array]
) -> Array:
    def one(params: TabularParams) -> Array:
        outputs = apply_tabular(params, rows, config=config, bins=members.bins)
        return jnp.mean(predict(outputs), axis=1)

    return jax.lax.map(one, members.params)
