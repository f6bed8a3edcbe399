"""Turns what each of several processes is about to run into an error, unless it is the same."""

import hashlib
import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..data import DataLoader
from ..sources.ingestion import hash_arrays
from ..storage import library_versions
from .calls import Run
from .fit_state import FitState
from .run_files import key_data, plan_settings

# Settings of JAX that change numbers.
_JAX_SETTINGS = (
    *("jax_default_matmul_precision", "jax_default_prng_impl", "jax_enable_x64"),
    "jax_threefry_partitionable",
)
# Programs that call back into Python hold addresses, which differ between processes.
_CALLBACK = "callback"
_MOST_CHARACTERS = 120
# What must be the same in all processes, and what must not.
_COUNT, _ROWS, _OWN_ROWS = "the number of rows", "the rows of data", "own rows"


def require_agreement(
    run: Run, data: Any, state: FitState, settings: dict[str, str | int | bool | None]
) -> None:
    """Compares, before the first step, what the processes of a run are about to do.

    Args:
        run: Its processes compare themselves.
        data: What each trains on.
        state: Where each starts.
        settings: Further settings by name, which must be the same.

    Raises:
        TypeError: A sampler gives another order whenever it is asked.
        ValueError: All that differs is named, with the process in which it does.
    """
    processes = run.processes
    if not processes.several:
        return
    described = processes.together(
        "all processes to begin the run", lambda: settings | _described(run, data, state)
    )
    _require_own_rows({number: each.pop(_OWN_ROWS, None) for number, each in described.items()})
    first, *others = described
    problems = [
        f"{name} is {_shown(described[number].get(name))} in process {number} and "
        f"{_shown(described[first].get(name))} in process {first}"
        for number in others
        for name in described[first] | described[number]
        if described[number].get(name) != described[first].get(name)
    ]
    if problems:
        remedy = "Start all with the same script, arguments, data and versions."
        if any(problem.startswith((_ROWS, _COUNT)) for problem in problems):
            remedy += " Where each process holds its own rows, give the loader process_local=True."
        raise ValueError(
            f"The processes of a run must do the same, but {'; '.join(problems)}. {remedy}"
        )


def _require_own_rows(hashes: dict[int, str | None]) -> None:
    """Refuses rows that two processes hold as their own, and that would count twice."""
    seen: dict[str, int] = {}
    for number, own in hashes.items():
        if own is None:
            continue
        if own in seen:
            raise ValueError(
                "With process_local=True each process must hold its own rows, but processes "
                f"{seen[own]} and {number} hold the same. Give each its part, such as "
                "x[jax.process_index() :: jax.process_count()], or leave process_local out."
            )
        seen[own] = number


def _described(run: Run, data: Any, state: FitState) -> dict[str, Any]:
    train = state.train
    versions = library_versions() | {"python": sys.version.split()[0]}
    described = {f"the version of {name}": version for name, version in versions.items()}
    described |= {name: str(jax.config.values.get(name)) for name in _JAX_SETTINGS}
    described |= plan_settings(run.plan, None)
    described |= {"the last epoch": run.epochs, "the first epoch": int(state.epoch)}
    described |= {"key": key_data(train.key), "the first step": int(train.step)}
    trees = {"params": train.params, "the optimizer's state": train.opt_state}
    for name, tree in (trees | {"validation": run.validation}).items():
        described[name] = _hash_of_leaves(run.processes.whole(tree))
    if not isinstance(data, DataLoader):
        return described | {"data": f"a {type(data).__name__}"}
    described |= {_COUNT: _count_rows(data)}
    position = data.state_at((int(state.epoch), 0))
    described |= {f"data.{name}": value for name, value in position["settings"].items()}
    described |= {"the order of data": position["order"]}
    described |= {_OWN_ROWS if data.process_local else _ROWS: position["data"]}
    return described | {"the compiled step (loss_fn, optimizer)": _hash_of_step(run, data, state)}


def _count_rows(data: DataLoader) -> int:
    return len(data.source) if data.parts is None else data.parts.rows


def _hash_of_leaves(tree: PyTree) -> str:
    named = [(jax.tree_util.keystr(p), _as_host(a)) for p, a in jax.tree.leaves_with_path(tree)]
    return hash_arrays(named)


def _as_host(leaf: Any) -> np.ndarray:
    is_key = jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def _hash_of_step(run: Run, data: DataLoader, state: FitState) -> str:
    first = np.zeros(data.batch_size, np.int64)
    batch = data.read(first if data.parts is None else data.parts.numbers(first))
    advance: Any = run.compiled("advance")
    text = advance.lower(state, batch).as_text()
    return "" if _CALLBACK in text else hashlib.sha256(text.encode()).hexdigest()[:16]


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
