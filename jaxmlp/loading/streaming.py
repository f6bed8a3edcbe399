"""Turns windows of row numbers into blocks of batches, of which the next rows are read ahead."""

import atexit
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jaxtyping import Int

from ..network import Batch
from ..sources.ingestion import empty_aligned
from .thread_settings import with_settings_of_this_thread

Item = TypeVar("Item")


class Block(NamedTuple):
    """Some batches in a row, stacked: one transfer to a device for all of them.

    `numbers` holds the row number of each row, shape (batches, batch), and ~i for row i as padding;
    `batch` the rows, every array of shape (places, batch, ...). All blocks of an epoch have the
    same places, of which the last block may leave some unused: those after its batches are 0.
    """

    numbers: Int[np.ndarray, "batches batch"]
    batch: Batch


class _Window(NamedTuple):
    """Rows as they were read, their numbers in the order to come, and their places in that.

    `memory` has the arrays that hold the rows at their front.
    """

    numbers: np.ndarray
    places: np.ndarray
    rows: Batch
    memory: Batch
    is_last: bool


def stream_blocks(
    read: Callable[[np.ndarray, Batch | None], Batch],
    epochs: Iterable[Iterable[np.ndarray]],
    *,
    batch_size: int,
    counted_rows: int | None = None,
    most_batches: int | None = None,
    most_bytes: int,
    sort: bool,
    used_up: list[Batch] | None = None,
) -> Iterator[Block]:
    """Iterates over the rows of windows, stacked into blocks, while the next rows are read.

    Batches cross the borders of windows, and blocks end with an epoch. A thread reads one window
    ahead, also that of the next epoch. In memory are at most two windows and two blocks, beside
    what `read` takes. The arrays of a block are its own. Closing the iterator, or dropping it, ends
    the thread.

    Args:
        read: Reads rows by number into arrays of the same shapes and types each time: into those
            given, or into new ones.
        epochs: Row numbers of the windows of each epoch, which fill whole batches together.
        batch_size: Rows per batch, at least 1.
        counted_rows: Rows per batch in the size of a block: those of all processes, where these
            are one's own; `None` for all.
        most_batches: Places of a block, at least 1; `None` for any number.
        most_bytes: Size of a block in bytes, which only a block of one batch may exceed.
        sort: Whether to read the rows of a window in the order of the file, which is faster.
        used_up: Windows that nobody uses, which `read` is given to read into: fresh memory costs
            more time than reading a `.npy` file, and each new thread takes it anew. Two are put
            back. `None` where `read` cannot do so.
    """

    def read_window(window: tuple[np.ndarray, bool]) -> _Window:
        numbers, is_last = window
        order = np.argsort(np.where(numbers < 0, ~numbers, numbers)) if sort else slice(None)
        places = np.empty(len(numbers), np.int64)
        places[order] = np.arange(len(numbers))
        memory = None
        # Another stream of the loader may take the last one.
        with contextlib.suppress(IndexError):
            memory = used_up.pop() if used_up else None
        if memory is not None and len(jax.tree.leaves(memory)[0]) < len(numbers):
            memory = None  # freed before the next rows are read
        front = memory and jax.tree.map(lambda a: a[: len(numbers)], memory)
        rows = read(numbers[order], front)
        memory = memory or rows
        return _Window(numbers, places, rows, memory, is_last)

    windows = (window for epoch in epochs for window in _mark_last(epoch))
    size, filled, index, rows = 0, 0, np.empty(0, np.int64), None
    with contextlib.closing(read_ahead(read_window, windows)) as reader:  # pyright: ignore[reportArgumentType]  # a generator
        for numbers, places, window, memory, is_last in reader:
            size = size or batch_size * count_batches(
                window,
                counted_rows or batch_size,
                most_batches=most_batches,
                most_bytes=most_bytes,
            )
            used = 0
            while used < len(numbers):
                if rows is None:
                    index, filled = np.empty(size, np.int64), 0
                    rows = jax.tree.map(
                        lambda a, n=size: empty_aligned((n, *a.shape[1:]), a.dtype), window
                    )
                taken = min(size - filled, len(numbers) - used)
                to, of = slice(filled, filled + taken), slice(used, used + taken)
                index[to] = numbers[of]
                _take_into(rows, to, window, places[of])
                filled, used = filled + taken, used + taken
                if filled == size:
                    yield _stack(index, rows, batch_size)
                    rows = None
            if used_up is not None and len(used_up) < 2:
                used_up.append(memory)
            if is_last and rows is not None:
                jax.tree.map(lambda a, end=filled: a[end:].fill(0), rows)
                yield _stack(index[:filled], rows, batch_size)
                rows = None


def count_batches(
    rows: Batch, batch_size: int, *, most_batches: int | None = None, most_bytes: int
) -> int:
    """Returns how many batches of such rows make a block."""
    leaves = jax.tree.leaves(rows)
    row_bytes = sum(leaf.nbytes for leaf in leaves) / len(leaves[0])
    count = max(1, int(most_bytes / (row_bytes * batch_size)))
    return count if most_batches is None else min(count, most_batches)


def read_ahead(read: Callable[[Any], Item], windows: Iterable[Any]) -> Iterator[Item]:
    """Iterates over `read(window)` of each window, of which the next is read by a thread meanwhile.

    At most two windows are in memory: the one that the caller has, and the one that is being read
    or waits. The thread starts with the first item and ends with the iterator, also when that is
    closed or dropped, when an error passes through it, and when the interpreter exits.

    Args:
        read: Reads the rows of a window; called in the thread.
        windows: Row numbers of each window, as `read` takes them; iterated in the thread.

    Yields:
        What `read` returned, in the order of the windows.

    Raises:
        Exception: Whatever `read` or `windows` raised, with its traceback and cause, after the
            items before it.
    """
    ready: queue.SimpleQueue[tuple[Item] | BaseException | None] = queue.SimpleQueue()
    wanted = threading.Semaphore(1)
    stopped = threading.Event()

    @with_settings_of_this_thread
    def work() -> None:
        try:
            for window in windows:
                wanted.acquire()
                if stopped.is_set():
                    return
                ready.put((read(window),))
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


def _mark_last(items: Iterable[Item]) -> Iterator[tuple[Item, bool]]:
    """Iterates over items, and says of each whether it is the last."""
    held: list[Item] = []
    for item in items:
        if held:
            yield held.pop(), False
        held.append(item)
    for item in held:
        yield item, True


def _take_into(rows: Batch, to: slice, window: Batch, places: np.ndarray) -> None:
    # Clipping changes nothing here, but NumPy would take into a buffer first.
    jax.tree.map(lambda a, b: b.take(places, axis=0, out=a[to], mode="clip"), rows, window)


def _stack(index: np.ndarray, rows: Batch, batch_size: int) -> Block:
    stacked = jax.tree.map(lambda a: a.reshape(-1, batch_size, *a.shape[1:]), rows)
    return Block(index.reshape(-1, batch_size), stacked)
