"""Turns a plan, data and what differs between members into trained members."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Unpack

import jax
import numpy as np
from jaxtyping import Int, Key, PyTree, Shaped

from ..checks import require_bool, require_function
from ..data import DataLoader
from ..fitting import Plan, as_validation, complete, hash_tree, padded_rows, plan_settings
from ..losses.loss_function import NetworkLoss
from ..storage import as_checkpoints
from .checks import (
    as_memory,
    as_row_numbers,
    as_seeds,
    as_stacked,
    as_stages,
    as_weights,
    count_keys,
    dense_rows,
    pad_weights,
    require_factory,
    require_read,
)
from .draws import ParamsDrawer
from .executors import as_executor
from .factories import (
    as_init,
    as_loss,
    as_optimizer,
    group_members,
    split_hyperparameters,
)
from .machines import Trainers
from .parallelism import choose_parallelism
from .piece_plans import GroupPlan, Shared, choose_piece_parallelism, trace_pieces
from .programs import MemberInputs, put_everywhere
from .remote_stages import Workers
from .results import MembersResult, make_result
from .runs import Members, take_members
from .settings import SWEEP_SETTINGS, SweepSettings
from .shared_orders import SharedOrders
from .stages import Keep, run_stages
from .sweep_files import SweepFiles, hash_static
from .sweeps import SweepSetup, plan_group, train_stage

# The settings that tell how members are spread, here and elsewhere.
_HOW = ("strategy", "members_at_once", "threads")


def fit_planned_members(
    plan: Plan,
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
    **settings: Unpack[SweepSettings],
) -> MembersResult:
    """Does what `fit_members` does, by a plan, which may have a `StopRule`; warns of no bad member.

    What the plan says of NaN and infinity counts, and not `nonfinite`; a rule is no part of
    checkpoints.

    Raises:
        Exception: As for `fit_members`.
    """
    chosen = complete("fit_members", settings, SWEEP_SETTINGS)
    if keep is not None:
        require_function("keep", keep, "(epochs, history) -> which members go on", "or None")
    if chosen["progress"] is not None:
        require_bool("progress", chosen["progress"])
    checkpoints = as_checkpoints(chosen["checkpoint"], resume=chosen["resume"])
    if checkpoints is not None and jax.process_count() > 1:
        raise ValueError(
            "checkpoint of fit_members is for one process, since each would write into the same "
            f"files; got jax.process_count()={jax.process_count()}. Start a sweep without "
            "jax.distributed, in each process its own members and directory."
        )
    rows, padded = dense_rows(data), padded_rows(data)
    members = count_keys(keys)
    traced, static = split_hyperparameters(hyperparameters, members)
    numbers_by_group = group_members(static, members)
    validation = as_validation(validation, data=data, takes_batch=isinstance(loss, NetworkLoss))
    chosen_rows = as_row_numbers(validation_rows, members, validation)
    init = as_init(params)
    everyone = Members(
        np.arange(members),
        None if init is not None else as_stacked(params, members),
        MemberInputs(
            dict(traced),
            pad_weights(as_weights("row_weights", row_weights, members, rows), padded),
            as_weights(
                *("validation_weights", validation_weights, members, validation), chosen=chosen_rows
            ),
            chosen_rows,
        ),
        np.asarray(jax.random.key_data(keys)),
    )
    factories = as_loss(loss), as_optimizer(optimizer)
    require_factory(hyperparameters, (*factories, init))
    make_executor = as_executor(chosen["executor"])
    if make_executor is None and chosen["members_per_piece"] is not None:
        raise ValueError(
            "members_per_piece is a setting of sweeps with executor; got members_per_piece="
            f"{chosen['members_per_piece']!r} without one. Leave it out, or give executor."
        )
    how: dict[str, Any] = {name: chosen[name] for name in _HOW}
    how["stops_early"] = plan.stops_early
    ends = as_stages(stages, keep, epochs)
    if make_executor is None:
        choose, plan_one = choose_parallelism, plan_group
        how["stages"] = len(ends)
    else:
        choose, plan_one = choose_piece_parallelism, trace_pieces
        how |= {name: chosen[name] for name in ("members_per_piece", "memory")}
    parallelisms = [choose(len(numbers), **how) for numbers in numbers_by_group]
    if make_executor is None:
        padded, validation = put_everywhere((padded, validation), parallelisms[0].devices)
    sweep = SweepSetup(
        dataclasses.replace(plan, transform=data.transform),
        data,
        SharedOrders(data),
        padded,
        validation,
        as_seeds(seeds, members, data),
        ends,
        as_memory(chosen["memory"]),
        jax.random.key_impl(keys),
    )
    groups, static_settings, read = [], [], set[str]()
    for numbers, parallelism in zip(numbers_by_group, parallelisms, strict=True):
        own_static = {name: values[numbers[0]] for name, values in static.items()}
        own = take_members(everyone, numbers)
        if init is not None:
            # Workers draw theirs: of a group, the first member's show here what there is.
            shown = own if make_executor is None else take_members(own, np.arange(1))
            count = len(shown.numbers)
            drawer = ParamsDrawer(init, own_static, sweep.key_kind, read, members=count)
            own = own._replace(params=drawer.draw(shown.inputs.hyperparameters, shown.keys))
        groups.append(plan_one(sweep, factories, own_static, own, parallelism))
        static_settings.append(own_static)
        read |= groups[-1][0].setup.programs.read
    # All are compiled now, or traced, and have read what they need.
    require_read(traced.keys() | static.keys(), read)
    workers = None
    if make_executor is not None:
        plans = [
            GroupPlan(own_static, parallelism.width, chosen["members_per_piece"], len(numbers))
            for own_static, (_, parallelism), numbers in zip(
                static_settings, groups, numbers_by_group, strict=True
            )
        ]
        workers = Workers(make_executor, Shared(sweep, factories, init, tuple(plans)), members)
    files, trainers = None, Trainers()
    if checkpoints is not None:
        params = [group.members.params for group, _ in groups]
        if init is not None:
            # Where workers draw them, those of others are not here.
            params = [jax.tree.map(lambda leaf: leaf[:1], drawn) for drawn in params]
        own = {"keys": everyone.keys, "params": params, "seeds": sweep.seeds}
        own |= everyone.inputs._asdict()
        if chosen_rows is None:
            # As in the files of versions that did not know it.
            del own["validation_rows"]
        hashes = {name: hash_tree(a) for name, a in own.items()}
        then = plan_settings(sweep.plan, validation) | hashes | hash_static(static)
        files = SweepFiles(then, data, sweep.stages, [group for group, _ in groups], trainers)
    dropped = run_stages(
        groups,
        sweep.stages,
        keep,
        train_stage if workers is None else workers.train_stage,
        trainers=trainers,
        files=files,
        checkpoints=checkpoints,
        resume=chosen["resume"],
        progress=chosen["progress"],
    )
    return make_result(
        [group for group, _ in groups],
        static_settings,
        plan=plan,
        epochs=epochs,
        dropped=dropped,
        lost=np.zeros(members, bool) if workers is None else workers.lost,
    )
