"""Turns members before their first epoch into trained ones."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ...ensembles import fit_members
from ...tabular import Recipe, TabularOptimizer
from .member_predictions import Members
from .recipe_plans import MembersRun

# Waiting for all members after every epoch would take time itself.
_EPOCHS_PER_LOOK = 8


class TrainedMembers(NamedTuple):
    """Trained members, and their metrics by epoch, shape (members, epochs) each."""

    recipe: Recipe
    """With the weight decay that they were trained with."""
    members: Members
    history: dict[str, np.ndarray]


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
                best = 1 + told.argmin(axis=1).reshape(-1, run.recipe.members)
                ends = [_last_epoch(each, run.recipe.patience) for each in np.median(best, axis=1)]
                goes_on[part] = np.repeat(epochs <= np.array(ends), run.recipe.members)
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
        recipe, chosen = _choose(run.recipe, result.history, part)
        kept = jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen].copy(), params.params)
        ran = ~np.isnan(result.history["loss"][chosen]).all(axis=0)
        history = {name: values[chosen][:, ran] for name, values in result.history.items()}
        trained.append(TrainedMembers(recipe, Members(kept, run.bins), history))
    return trained


def _choose(recipe: Recipe, history: Mapping[str, np.ndarray], part: slice) -> tuple[Recipe, slice]:
    """Returns a recipe with the weight decay that is kept, and which members those of it are.

    Each member has rows of its own, few of them: that one has a small loss after some epoch is
    mostly chance, and that all have after the same one is not.
    """
    decays = recipe.weight_decays
    if len(decays) == 1:
        return dataclasses.replace(recipe, weight_decay=decays[0]), part
    losses = history["validation_loss"][part]
    means = losses.reshape(len(decays), recipe.members, -1).mean(axis=1)
    place = int(np.where(np.isfinite(means), means, np.inf).min(axis=1).argmin())
    first = part.start + place * recipe.members
    return (
        dataclasses.replace(recipe, weight_decay=decays[place]),
        slice(first, first + recipe.members),
    )


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
