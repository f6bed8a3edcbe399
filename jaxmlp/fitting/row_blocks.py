"""Computes something of each of any number of rows: one program that goes through blocks of rows.

A call of the program takes many blocks, of which it computes those that are filled, so that few
rows and many run through the same instructions and a call's own cost is shared. On a CPU as many
calls run at a time as there are cores: products of a block are too small to keep all busy.
"""

import collections
import functools
import os
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int, PyTree

from ..loading import with_settings_of_this_thread
from ..sources.ingestion import empty_aligned

# benchmarks/NOTES.md has what other sizes cost.
_CPU_ROWS, _ACCELERATOR_ROWS = 256, 8192
# Blocks of a call, unless its rows would be more numbers than these.
_BLOCKS, _CALL_NUMBERS = 32, 2**23


def choose_block(params: PyTree) -> int:
    """Returns how many rows a block has on the device of parameters, or where JAX computes."""
    return _CPU_ROWS if _computes_on_cpu(params) else _ACCELERATOR_ROWS


def rows_per_call(block: int, row_numbers: int) -> int:
    """Returns how many rows a call takes, given a block's rows and a row's numbers."""
    return block * max(1, min(_BLOCKS, _CALL_NUMBERS // (block * max(1, row_numbers))))


def compute_by_rows(
    compute: Callable[..., Array],
    params: PyTree,
    pieces: Iterable[PyTree],
    *settings: Hashable,
    count: int | None,
    block: int,
    size: int,
) -> Array | np.ndarray:
    """Computes something of each row.

    Args:
        compute: `(params, rows, *settings)` to an array whose first axis is rows, of which each
            depends on its own row alone; the same object in all calls.
        params: What it is given.
        pieces: Trees of arrays of the same `size` rows, the last of them of at least one; at least
            one piece.
        settings: What else it is given.
        count: Rows of all pieces; `None` where they may have any number.
        block: Rows that are computed at once.
        size: Rows of a call, a multiple of `block`.

    Returns:
        The results of all rows: a NumPy array if they were computed on a CPU.
    """
    # All that a call takes goes to an accelerator, filled or not.
    least = size if _computes_on_cpu(params) else block

    def run(piece: PyTree) -> Array | np.ndarray:
        rows = len(jax.tree.leaves(piece)[0])
        filled, places = -(-rows // block), least if rows <= block else size
        if rows < places:
            piece = jax.tree.map(functools.partial(_fill, block=block, size=places), piece)
        outputs = _run(compute, settings, block, params, piece, np.int32(filled))
        return (np.asarray(outputs) if _on_cpu(outputs) else outputs)[:rows]

    pieces = iter(pieces)
    # Alone, so that the program is compiled once.
    first = run(next(pieces))
    if len(first) == count:
        return first
    if not isinstance(first, np.ndarray):
        return jnp.concatenate([first, *map(run, pieces)])
    memory = _AlignedMemory()
    if count is None:
        others = _map_in_threads(lambda piece: run(memory.hold(piece)), pieces)
        return np.concatenate([first, *others])
    # Each thread writes what it has in its cache, where `jax.device_put` takes it over as it is.
    joined = empty_aligned((count, *first.shape[1:]), first.dtype)
    joined[: len(first)] = first

    def write(numbered: tuple[int, PyTree]) -> None:
        number, piece = numbered
        outputs = run(memory.hold(piece))
        joined[number * size :][: len(outputs)] = outputs

    _map_in_threads(write, enumerate(pieces, 1))
    return joined


def cut(x: np.ndarray | jax.Array, size: int) -> Iterator[np.ndarray | jax.Array]:
    """Iterates over pieces of an array; what lies on a CPU or on several devices as NumPy's."""
    if not isinstance(x, np.ndarray | Tracer) and (_on_cpu(x) or len(x.devices()) > 1):
        x = np.asarray(x)
    return (_native(x[first : first + size]) for first in range(0, len(x), size))


def count_cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _AlignedMemory(threading.local):
    """Memory of each thread for the rows of one call, which XLA on a CPU reads where they are.

    Rows that are not aligned, or of a type that JAX casts, it would copy into new memory.
    """

    def __init__(self) -> None:
        # By place in a piece; a user's transform may change shapes and types.
        self._arrays: dict[int, np.ndarray] = {}

    def hold(self, piece: PyTree) -> PyTree:
        """Copies there what XLA would copy, and returns the rest as it is."""
        leaves, structure = jax.tree.flatten(piece)
        return structure.unflatten([self._place(*each) for each in enumerate(leaves)])

    def _place(self, number: int, rows: Any) -> Any:
        if not isinstance(rows, np.ndarray):
            return rows
        dtype = np.dtype(jax.dtypes.canonicalize_dtype(rows.dtype))
        is_ready = rows.dtype == dtype and rows.flags.c_contiguous
        if is_ready and rows.ctypes.data % 64 == 0:
            return rows
        memory = self._arrays.get(number)
        if memory is None or (memory.shape, memory.dtype) != (rows.shape, dtype):
            memory = self._arrays[number] = empty_aligned(rows.shape, dtype)
        memory[...] = rows
        return memory


def _native(rows: Any) -> Any:
    """Rows in this machine's order of bytes, which a jitted function takes for granted."""
    if not isinstance(rows, np.ndarray) or rows.dtype.isnative:
        return rows
    return rows.astype(rows.dtype.newbyteorder("="))


def _computes_on_cpu(params: PyTree) -> bool:
    held = [leaf for leaf in jax.tree.leaves(params) if isinstance(leaf, jax.Array)]
    if held and not isinstance(held[0], Tracer):
        return _on_cpu(held[0])
    device: Any = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    return getattr(device, "platform", device or jax.default_backend()) == "cpu"


def _on_cpu(x: Any) -> bool:
    if isinstance(x, np.ndarray | Tracer):
        return not isinstance(x, Tracer)
    return {device.platform for device in x.devices()} == {"cpu"}


def _fill(rows: Any, *, block: int, size: int) -> Any:
    """Repeats the last row in its block; blocks behind it hold whatever is there."""
    count = len(rows)
    if not isinstance(rows, np.ndarray):
        return jnp.concatenate([rows, jnp.repeat(rows[-1:], size - count, axis=0)])
    # In the type that JAX computes in: else all that is sent is cast, also what is not filled, and
    # NumPy warns of numbers that overflow.
    rows = rows.astype(jax.dtypes.canonicalize_dtype(rows.dtype), copy=False)
    filled = np.empty((size, *rows.shape[1:]), rows.dtype)
    filled[:count] = rows
    filled[count : -(-count // block) * block] = rows[-1]
    return filled


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _run(
    compute: Callable[..., Array],
    settings: tuple[Hashable, ...],
    block: int,
    params: PyTree,
    rows: PyTree,
    filled: Int[np.ndarray | Array, ""],
) -> Array:
    def outputs_of(number: Any) -> Array:
        take = functools.partial(
            jax.lax.dynamic_slice_in_dim, start_index=number * block, slice_size=block
        )
        return compute(params, jax.tree.map(take, rows), *settings)

    form = jax.eval_shape(outputs_of, np.int32(0))
    size = len(jax.tree.leaves(rows)[0])

    def fill_in(number: Any, outputs: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(outputs, outputs_of(number), number * block, 0)

    return jax.lax.fori_loop(0, filled, fill_in, jnp.empty((size, *form.shape[1:]), form.dtype))


def _map_in_threads(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Maps over items in as many threads as cores; few items are held at a time."""
    threads, results = count_cores(), []
    waiting: collections.deque[Future[Any]] = collections.deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="jaxmlp.predict") as pool:
        call = with_settings_of_this_thread(function)
        for item in items:
            if len(waiting) == 2 * threads:
                results.append(waiting.popleft().result())
            waiting.append(pool.submit(call, item))
        return results + [each.result() for each in waiting]
