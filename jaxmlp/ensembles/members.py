"""Turns a loss, an optimizer, data and what differs between members into trained members."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Key, PyTree, Shaped

from ..data import DataLoader
from ..feeding import as_validation
from ..order import require_int
from ..run_files import hash_tree, plan_settings
from ..settings import make_plan, require_averaging
from ..writer import Checkpoints, as_checkpoints
from .checks import (
    as_memory,
    as_seeds,
    as_stacked,
    as_stages,
    as_weights,
    count_keys,
    dense_rows,
    require_maker,
    require_read,
    warn_of_bad_members,
)
from .layout import Strategy, choose_layout
from .programs import MemberInputs, put_everywhere
from .recipes import (
    as_init,
    as_loss,
    as_optimizer,
    draw_params,
    group_members,
    split_hyperparameters,
)
from .results import MembersResult, make_result
from .runs import Members, take_members
from .stages import Keep, run_stages
from .sweep_files import SweepFiles, hash_static
from .sweeps import Common, plan_cohort


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
    validation_weights: Shaped[np.ndarray | jax.Array, "members validation_rows"] | None = None,
    monitor: str = "loss",
    mode: Literal["min", "max"] | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    ema_decay: float | None = None,
    swa_start: int | None = None,
    accumulate_steps: int = 1,
    nonfinite: Literal["skip", "stop"] = "stop",
    strategy: Strategy | Literal["auto"] = "auto",
    members_at_once: int | None = None,
    threads: int | None = None,
    memory: int | None = None,
    stages: Sequence[int] = (),
    keep: Keep | None = None,
    progress: bool | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    resume: bool = False,
) -> MembersResult:
    """Trains many members in one compiled program: an ensemble, a sweep, a cross-validation.

    Member k is what `jaxmlp.fit` gives alone for its key, its order of rows and its
    hyperparameters: bit for bit or, where members are computed together, up to rounding.

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
        monitor: As for `fit`.
        mode: As for `fit`.
        patience: As for `fit`; each member stops by itself.
        min_delta: As for `fit`.
        ema_decay: As for `fit`.
        swa_start: As for `fit`.
        accumulate_steps: As for `fit`.
        nonfinite: What to do where a member meets NaN or infinity: "stop" it at its last good
            state, with one warning for all such members at the end, or "skip" the step. Either way
            the other members go on as if nothing had happened.
        strategy: "vmap" computes all members at once; "map" some at once, one batch of them after
            the other, which keeps them in a CPU's caches; "shard" spreads them over the local
            devices. "auto" takes "map" on CPU, else "shard" where there are several devices, else
            "vmap". Results do not depend on it beyond rounding.
        members_at_once: How many members "map", or each device of "shard", computes at once, at
            least 1; by default 4 on a CPU, or 1 with `patience`, where a stopped member then costs
            nothing further.
        threads: How many threads run "map", at least 1; by default one per core of a CPU.
        memory: Bytes that the sweep may take on a device, at least 1; by default what it has left.
            A sweep that does not fit is split, into one member at a time if need be.
        stages: Numbers of epochs, increasing and below `epochs`, after each of which all members
            wait for each other and `keep` is asked.
        keep: `keep(epochs, history)` says for each member whether it goes on, in an array of bools
            of shape (members,), given the history so far, shape (members, epochs) per metric. It
            must depend on nothing else, since a resumed sweep asks again for the stages behind it.
            The others are dropped; those kept go on as if alone.
        progress: Whether to show a progress bar over the epochs of all members; `None` shows it in
            terminals and notebooks.
        checkpoint: As for `fit`.
        resume: As for `fit`; strategy, threads and memory may be others than then.

    Returns:
        Parameters with a leading member axis, and how each member's run went. An interrupt from the
        keyboard returns what was reached.

    Raises:
        CheckpointError: No checkpoint in the directory is whole, or they are of another sweep.
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
    if mode is None and monitor == "loss":
        mode = "min"
    require_int("epochs", epochs, 1, None)
    if nonfinite not in ("skip", "stop"):
        raise ValueError(
            f"nonfinite must be 'skip' or 'stop', since the other members go on; got {nonfinite!r}."
        )
    plan = make_plan(
        accumulate_steps, monitor, mode, patience, min_delta, ema_decay, swa_start, nonfinite
    )
    require_averaging(swa_start, epochs)
    checkpoints = as_checkpoints(checkpoint, resume=resume)
    rows = dense_rows(data)
    members = count_keys(keys)
    traced, static = split_hyperparameters(hyperparameters, members)
    groups = group_members(static, members)
    validation = as_validation(validation)
    init = as_init(params)
    everyone = Members(
        np.arange(members),
        None if init is not None else as_stacked(params, members),
        MemberInputs(
            dict(traced),
            as_weights("row_weights", row_weights, members, rows),
            as_weights("validation_weights", validation_weights, members, validation),
        ),
        np.asarray(jax.random.key_data(keys)),
    )
    makers = as_loss(loss), as_optimizer(optimizer)
    require_maker(hyperparameters, (*makers, init))
    layouts = [
        choose_layout(
            len(numbers),
            strategy=strategy,
            members_at_once=members_at_once,
            threads=threads,
            stops_early=patience is not None,
        )
        for numbers in groups
    ]
    common = Common(
        dataclasses.replace(plan, transform=data.transform),
        data,
        put_everywhere(rows, layouts[0].devices),
        put_everywhere(validation, layouts[0].devices),
        as_seeds(seeds, members, data),
        as_stages(stages, keep, epochs),
        as_memory(memory),
        jax.random.key_impl(keys),
    )
    cohorts, settings, read = [], [], set[str]()
    for numbers, layout in zip(groups, layouts, strict=True):
        chosen = {name: values[numbers[0]] for name, values in static.items()}
        own = take_members(everyone, numbers)
        if init is not None:
            # One by one, since iterating over an array of keys compiles a program.
            own_keys = (jax.random.wrap_key_data(a, impl=common.key_kind) for a in own.keys)
            drawn = draw_params(init, own.inputs.hyperparameters, chosen, own_keys, read)
            own = own._replace(params=drawn)
        cohorts.append(plan_cohort(common, makers, chosen, own, layout))
        settings.append(chosen)
        read |= cohorts[-1][0].sweep.programs.read
    # All are compiled now, and have read what they need.
    require_read(traced.keys() | static.keys(), read)
    files = None
    if checkpoints is not None:
        params = [cohort.members.params for cohort, _ in cohorts]
        own = {"keys": everyone.keys, "params": params, "seeds": common.seeds}
        hashes = {name: hash_tree(a) for name, a in (own | everyone.inputs._asdict()).items()}
        then = plan_settings(common.plan, validation) | hashes | hash_static(static)
        files = SweepFiles(then, data, common.stages, [cohort for cohort, _ in cohorts])
    dropped = run_stages(
        cohorts,
        common.stages,
        keep,
        files=files,
        checkpoints=checkpoints,
        resume=resume,
        progress=progress,
    )
    result = make_result(
        [cohort for cohort, _ in cohorts], settings, plan=plan, epochs=epochs, dropped=dropped
    )
    warn_of_bad_members(result.bad_step)
    return result
