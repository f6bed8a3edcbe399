"""Turns a source larger than memory into blocks of batches, read ahead in a shuffled order."""

import atexit
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jaxtyping import Int

from .sources.source import Source
from .types import Batch
from .window_order import order_of_rows, require_int, windows

Item = TypeVar("Item")


class Block(NamedTuple):
    """Some batches in a row, stacked: one transfer to a device for all of them.

    `numbers` holds the row number of each row, shape (batches, batch), and ~i for row i as padding;
    `batch` the rows, every array of shape (batches, batch, ...), with `weight` always there.
    """

    numbers: Int[np.ndarray, "batches batch"]
    batch: Batch


def stream_batches(
    source: Source,
    *,
    batch_size: int,
    window_chunks: int,
    shuffle: bool,
    seed: int,
    epoch: int,
    start_step: int = 0,
    drop_last: bool = False,
    batches_per_block: int = 1,
) -> Iterator[Block]:
    """Iterates over the batches of one epoch, stacked into blocks, while the next rows are read.

    Which rows a batch holds depends on the arguments alone, and not on `start_step` or
    `batches_per_block`: an epoch that is continued is the same as one that was never interrupted.
    Batches cross the borders of windows, and only the last one is padded, with rows of its own.

    A thread reads one window ahead. In memory are at most two windows, that is
    `2 * window_chunks` chunks of rows, and two blocks, beside what `source.read` takes. The arrays
    of a block are its own. Closing the iterator, or dropping it, ends the thread.

    Args:
        source: Where the rows come from. Where its `chunks` are `None`, any row costs the same:
            the whole epoch is shuffled as one window, and is read block by block.
        batch_size: Rows per batch, at least 1.
        window_chunks: Chunks per window, at least 1. More of them mix rows better.
        shuffle: Whether the rows come in the order of `windows`, or as they lie.
        seed: Number in [0, 2**64) that fixes the order.
        epoch: Number of the epoch in [0, 2**64).
        start_step: Number of batches to leave out at the front, in [0, batches of the epoch].
        drop_last: Whether to leave out the last rows when they fill no batch.
        batches_per_block: Batches per block, at least 1; the last block may have fewer.

    Raises:
        TypeError: A setting has the wrong type.
        ValueError: A setting is out of range, the chunks of `source` do not rise from 0 to its
            number of rows, or there is no batch; while iterating, `source.read` returns arrays of
            other lengths, shapes or types than before, or fails.
    """
    for name, value in {"shuffle": shuffle, "drop_last": drop_last}.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False; got {value!r}.")
    require_int("batch_size", batch_size, 1, None)
    require_int("batches_per_block", batches_per_block, 1, None)
    require_int("window_chunks", window_chunks, 1, None)
    require_int("seed", seed, 0, 2**64)
    require_int("epoch", epoch, 0, 2**64)
    rows = len(source)
    if source.chunks is not None and source.chunks[-1] != rows:
        raise ValueError(
            f"chunks must end with the number of rows, {rows}; got {source.chunks[-1]}."
        )
    steps = rows // batch_size if drop_last else -(-rows // batch_size)
    if steps == 0:
        raise ValueError(
            f"{rows} rows give no batch of {batch_size}; lower batch_size or keep the last batch."
        )
    require_int("start_step", start_step, 0, steps + 1)
    start = min(rows, start_step * batch_size)
    if source.chunks is None:
        order = order_of_rows(rows, seed, epoch, stream=0) if shuffle else np.arange(rows)
        size = batch_size * batches_per_block
        numbers = (order[first : first + size] for first in range(start, rows, size))
    else:
        numbers = windows(
            source.chunks,
            window_chunks=window_chunks,
            shuffle=shuffle,
            seed=seed,
            epoch=epoch,
            start=start,
        )
    wanted = max(0, min(rows, steps * batch_size) - start)
    return _blocks(source, _cut_after(wanted, numbers), wanted, batch_size, batches_per_block)


def read_ahead(read: Callable[[np.ndarray], Item], windows: Iterable[np.ndarray]) -> Iterator[Item]:
    """Iterates over `read(rows)` of each window, of which the next is read by a thread meanwhile.

    At most two windows are in memory: the one that the caller has, and the one that is being read
    or waits. The thread starts with the first item and ends with the iterator, also when that is
    closed or dropped, when an error passes through it, and when the interpreter exits.

    Args:
        read: Reads rows; called in the thread, one window at a time.
        windows: Row numbers of each window; iterated in the thread.

    Yields:
        What `read` returned, in the order of the windows.

    Raises:
        Exception: Whatever `read` or `windows` raised, with its traceback and cause, after the
            items before it.
    """
    ready: queue.SimpleQueue[tuple[Item] | BaseException | None] = queue.SimpleQueue()
    wanted = threading.Semaphore(1)
    stopped = threading.Event()

    def work() -> None:
        try:
            for rows in windows:
                wanted.acquire()
                if stopped.is_set():
                    return
                ready.put((read(rows),))
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    thread = threading.Thread(target=work, name="jaxmlp.read_ahead", daemon=True)

    def stop() -> None:
        stopped.set()
        wanted.release()
        # The garbage collector may close the iterator from within the thread.
        if threading.current_thread() is not thread:
            thread.join()

    # A daemon that still ran while the interpreter goes down could crash in foreign code.
    atexit.register(stop)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            wanted.release()
            yield item[0]
            del item
    finally:
        # At exit it was stopped, and the modules are gone by the time it is dropped.
        if not stopped.is_set():
            stop()
            atexit.unregister(stop)


def _blocks(
    source: Source,
    windows: Iterable[np.ndarray],
    wanted: int,
    batch_size: int,
    batches_per_block: int,
) -> Iterator[Block]:
    """Copies windows into blocks, which end elsewhere."""
    index, rows, filled = np.empty(0, np.int64), None, 0
    first = None
    with contextlib.closing(read_ahead(lambda n: (n, _read(source, n)), windows)) as reader:  # pyright: ignore[reportArgumentType]  # a generator
        for numbers, window in reader:
            first = _require_alike(first, window)
            used = 0
            while used < len(numbers):
                if rows is None:
                    size = min(batches_per_block, -(-wanted // batch_size)) * batch_size
                    index, filled = np.empty(size, np.int64), 0
                    rows = jax.tree.map(
                        lambda a, n=size: np.empty((n, *a.shape[1:]), a.dtype), window
                    )
                taken = min(len(index) - filled, len(numbers) - used)
                to, of = slice(filled, filled + taken), slice(used, used + taken)
                index[to] = numbers[of]
                jax.tree.map(lambda a, b, to=to, of=of: np.copyto(a[to], b[of]), rows, window)
                filled, used, wanted = filled + taken, used + taken, wanted - taken
                if filled == len(index) or wanted == 0:
                    yield _finish(index, rows, filled, batch_size)
                    rows = None


def _finish(index: np.ndarray, rows: Batch, filled: int, batch_size: int) -> Block:
    """Pads the last batch with its own rows, which are at hand however the epoch was begun."""
    padding = len(index) - filled
    if padding:
        own = np.arange(filled - (batch_size - padding), filled)
        repeated = np.resize(own, padding)
        index[filled:] = ~index[repeated]
        jax.tree.map(lambda a: np.copyto(a[filled:], a[repeated]), rows)
        rows.weight[filled:] = 0  # pyright: ignore[reportOptionalSubscript]  # _read filled it in
    stacked = jax.tree.map(lambda a: a.reshape(-1, batch_size, *a.shape[1:]), rows)
    return Block(index.reshape(-1, batch_size), stacked)


def _read(source: Source, rows: np.ndarray) -> Batch:
    batch = source.read(rows)
    weight = np.ones(len(rows), np.float32) if batch.weight is None else batch.weight
    batch = batch._replace(weight=weight)
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
        if len(leaf) != len(rows):
            raise ValueError(
                f"source.read must return the {len(rows)} rows asked; got an array of "
                f"shape {leaf.shape} at {jax.tree_util.keystr(path)}."
            )
    return batch


def _require_alike(first: Any, window: Batch) -> Any:
    """Checks a window against the first one, and returns the description of that."""
    alike = jax.tree.map(lambda a: (a.shape[1:], str(a.dtype)), window)
    if first is not None and alike != first:
        raise ValueError(
            "source.read must return arrays of the same shapes and types each time; got "
            f"{tuple(first)} and later {tuple(alike)}."
        )
    return alike


def _cut_after(wanted: int, windows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Iterates over the first so many rows, and no further."""
    for rows in windows:
        if wanted <= 0:
            return
        yield rows[:wanted]
        wanted -= len(rows)
