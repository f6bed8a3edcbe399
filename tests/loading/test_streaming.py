"""Tests of streams of blocks: each row once, one shape, and the same wherever one is begun."""

import gc
import threading

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp import Batch, DataLoader
from jaxmlp.loading.order import permutation
from jaxmlp.loading.window_order import windows
from jaxmlp.sources import Source


class Rows:
    """A source whose values tell the row: x is a pytree, y the row's number."""

    def __init__(self, rows, chunks=None, weight=None):
        self.rows, self.weight = rows, weight
        self.chunks = chunks if chunks is None else np.append(np.arange(0, rows, chunks), rows)
        self.most = 0

    def __len__(self):
        return self.rows

    def read(self, rows):
        self.most = max(self.most, len(rows))
        x = {"a": rows.astype(np.uint8), "b": np.stack([rows, rows + 1], 1).astype(np.float32)}
        weight = None if self.weight is None else self.weight[rows]
        return Batch(x, rows.astype(np.int32), weight)

    def fingerprint(self):
        return "rows"


def make(source, **changes):
    seed = 3 if changes.get("shuffle", True) else 0
    settings = {"batch_size": 4, "shuffle": True, "seed": seed} | changes
    if source.chunks is not None:
        settings = {"window_chunks": 2} | settings
    else:
        settings.pop("window_chunks", None)
    return DataLoader(source, **settings)


def stream(source, *, epoch=1, step=0, batches=1, epochs=1, **changes):
    return make(source, **changes).blocks(epoch, step=step, batches=batches, epochs=epochs)


def unstacked(blocks):
    """Numbers and rows of each batch."""
    return [
        (numbers, jax.tree.map(lambda a, i=i: a[i], block.batch))
        for block in blocks
        for i, numbers in enumerate(block.numbers)
    ]


def assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)


SETTINGS = {
    "rows": st.integers(1, 60),
    "chunks": st.none() | st.integers(1, 20),
    "batch_size": st.integers(1, 20),
    "window_chunks": st.integers(1, 5),
    "batches": st.integers(1, 5),
    "shuffle": st.booleans(),
}


@settings(deadline=None, max_examples=150)
@given(**SETTINGS)
def test_every_row_comes_once_in_the_order_of_its_windows(
    rows, chunks, batch_size, window_chunks, batches, shuffle
):
    source = Rows(rows, chunks)
    fixed = {"window_chunks": window_chunks, "shuffle": shuffle}
    blocks = stream(source, batch_size=batch_size, batches=batches, **fixed)
    numbers = np.concatenate([numbers for numbers, _ in unstacked(blocks)])
    if chunks is not None:
        expected = np.concatenate(list(windows(source.chunks, seed=3, epoch=1, **fixed)))
    else:
        expected = permutation(rows, seed=3, epoch=1) if shuffle else np.arange(rows)
    np.testing.assert_array_equal(numbers[numbers >= 0], expected)


@settings(deadline=None, max_examples=150)
@given(**SETTINGS)
def test_batches_have_one_shape_and_only_the_end_is_padded(
    rows, chunks, batch_size, window_chunks, batches, shuffle
):
    settings = {"window_chunks": window_chunks, "batches": batches, "shuffle": shuffle}
    blocks = list(stream(Rows(rows, chunks), batch_size=batch_size, **settings))
    steps = -(-rows // batch_size)
    places = min(batches, steps)
    assert {block.batch.weight.shape for block in blocks} == {(places, batch_size)}
    counts = [len(block.numbers) for block in blocks]
    assert counts == [places] * (steps // places) + [steps % places] * (steps % places > 0)
    for leaf in jax.tree.leaves(blocks[-1].batch):
        assert not leaf[counts[-1] :].any()
    found = unstacked(blocks)
    assert {batch.x["b"].shape for _, batch in found} == {(batch_size, 2)}
    weight = np.concatenate([batch.weight for _, batch in found])
    assert weight.tolist() == [1.0] * rows + [0.0] * (steps * batch_size - rows)


def test_numbers_inputs_and_targets_stay_together_also_in_padding():
    for numbers, batch in unstacked(stream(Rows(13, 3))):
        rows = np.where(numbers < 0, ~numbers, numbers)
        np.testing.assert_array_equal(batch.y, rows)
        np.testing.assert_array_equal(batch.x["a"], rows)
        np.testing.assert_array_equal(batch.x["b"][:, 1], rows + 1)
        np.testing.assert_array_equal(batch.weight == 0, numbers < 0)


class RefillingRows(Rows):
    """Such a source that can read into its arrays again, and notes how many it made."""

    made = 0

    def read(self, rows):
        self.made += 1
        return super().read(rows)

    def read_into(self, rows, to):
        new = super().read(rows)._replace(weight=None)
        jax.tree.map(lambda a, b: np.copyto(b, a), new, to._replace(weight=None))
        return new._replace(x=to.x, y=to.y)


@pytest.mark.parametrize("rows", [29, 59, 60])
def test_windows_are_read_into_the_memory_of_those_before(rows):
    source, epochs = RefillingRows(rows, 3), range(4)
    expected = [unstacked(stream(Rows(rows, 3), epoch=epoch)) for epoch in epochs]
    found = unstacked(stream(source, epoch=0, epochs=len(epochs)))
    # Two in turns, each up to twice too short for a later one, which may be padded: of 40 windows.
    assert source.made <= 6
    assert_same(found, [batch for batches in expected for batch in batches])


def test_epochs_are_read_into_the_memory_of_those_before():
    source = RefillingRows(60, 3)
    loader = make(source)
    for epoch in range(4):
        assert_same(loader, make(Rows(60, 3)).epoch(epoch))
    assert source.made in (1, 2)  # one, if a window is used up before the next is begun


@pytest.mark.parametrize("step", [0, 3, 8])
@pytest.mark.parametrize("chunks", [None, 3])
def test_a_stream_of_epochs_is_theirs_one_after_the_other(step, chunks):
    blocks = list(stream(Rows(29, chunks), epoch=1, step=step, batches=3, epochs=3))
    first = list(stream(Rows(29, chunks), epoch=1, step=step, batches=3))
    rest = [list(stream(Rows(29, chunks), epoch=epoch, batches=3)) for epoch in (2, 3)]
    assert_same(blocks, [*first, *rest[0], *rest[1]])


def test_types_stay_and_weights_are_kept():
    weight = np.arange(1, 14, dtype=np.float32)
    (block,) = stream(Rows(13, 3, weight), batches=9)
    assert (block.batch.x["a"].dtype, block.batch.y.dtype) == (np.uint8, np.int32)
    real = block.numbers >= 0
    np.testing.assert_array_equal(block.batch.weight[real], weight[block.numbers[real]])
    assert block.batch.weight[~real].tolist() == [0, 0, 0]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("chunks", [None, 3])
@pytest.mark.parametrize("batches", [1, 3])
def test_continuing_at_any_step_is_the_uninterrupted_stream(drop_last, chunks, batches):
    fixed = {"drop_last": drop_last, "batches": batches}
    whole = unstacked(stream(Rows(29, chunks), **fixed))
    assert len(whole) == (7 if drop_last else 8)
    for step in range(len(whole) + 1):
        rest = stream(Rows(29, chunks), step=step, **fixed)
        assert_same(unstacked(rest), whole[step:])


def test_blocks_change_nothing_but_where_batches_are_stacked():
    one, three = (unstacked(stream(Rows(29, 3), batches=number)) for number in (1, 3))
    assert_same(one, three)


def test_drop_last_leaves_out_rows_that_fill_no_batch_and_does_not_read_them():
    source = Rows(29, 3)
    whole = unstacked(stream(source))
    assert_same(unstacked(stream(source, drop_last=True)), whole[:7])
    source = Rows(9, 9)
    list(stream(source, drop_last=True))
    assert source.most == 8


def test_epochs_and_seeds_differ():
    found = {
        tuple(
            number for numbers, _ in unstacked(stream(Rows(29, 3), **change)) for number in numbers
        )
        for change in ({}, {"epoch": 2}, {"seed": 4}, {"seed": 1, "epoch": 3})
    }
    assert len(found) == 4


def test_no_more_than_a_window_is_read_at_once():
    source = Rows(60, 3)
    list(stream(source, window_chunks=2, batches=5))
    assert source.most == 6


def test_blocks_share_no_memory():
    blocks = list(stream(Rows(29, 5), batches=2))
    leaves = [leaf for block in blocks for leaf in jax.tree.leaves(block)]
    for number, leaf in enumerate(leaves):
        assert not any(np.shares_memory(leaf, other) for other in leaves[number + 1 :])


def test_a_stream_dropped_midway_leaves_no_thread():
    blocks = stream(Rows(60, 3))
    next(blocks)
    del blocks
    gc.collect()
    assert not [t for t in threading.enumerate() if t.name == "jaxmlp.read_ahead"]


def test_our_source_is_one():
    assert isinstance(Rows(3), Source)


def test_a_block_holds_no_more_than_16_mib_of_batches():
    class Wide(Rows):
        def read(self, rows):
            return Batch(np.zeros((len(rows), 2**18), np.float32))

    # Rows of 1 MiB, and the weight: 8 batches of two would take more.
    blocks = stream(Wide(40, 3), batches=100, batch_size=2)
    assert next(blocks).batch.x.shape == (7, 2, 2**18)
    blocks.close()


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"window_chunks": 0}, ValueError, "window_chunks must be an int of at least 1"),
        ({"window_chunks": 2.0}, TypeError, "window_chunks must be an int of at least 1; got 2.0"),
        ({"sampler": [1], "shuffle": False, "seed": 0}, ValueError, "window_chunks=2 has no effec"),
    ],
)
def test_bad_settings_are_refused_at_once(change, error, message):
    with pytest.raises(error, match=message):
        make(Rows(10, 3), **change)


@pytest.mark.bad_input
@pytest.mark.parametrize("chunks", [None, 3])
def test_a_stream_starts_within_its_epoch(chunks):
    with pytest.raises(ValueError, match="step must be an int of at least 0 and below 4; got 4"):
        stream(Rows(10, chunks), step=4)


@pytest.mark.parametrize("rows", [Rows(10), np.eye(10)])
def test_rows_without_chunks_have_no_windows(rows):
    with pytest.raises(ValueError, match=r"window_chunks=2 has no effect: .*of sources.npy"):
        DataLoader(rows, batch_size=2, window_chunks=2)


def test_chunks_that_do_not_end_with_the_rows_are_refused():
    source = Rows(10, 3)
    source.rows = 11
    with pytest.raises(ValueError, match="chunks must end with the number of rows, 11; got 10"):
        make(source)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda rows: Batch(np.zeros(len(rows) + 1)), "x must have one row per row asked, 6; go"),
        (lambda rows: Batch(np.zeros((len(rows), rows[0] + 1))), "x must have the type and shape"),
        (lambda rows: Batch(rows, rows if 0 in rows else None), "the structure of the first"),
        (lambda rows: Batch(np.where(rows == 7, np.nan, 0)), r"x must be finite; .* index \(7,\)"),
    ],
    ids=["rows", "shape", "structure", "value"],
)
def test_a_source_that_breaks_its_promise_is_named(read, message):
    source = Rows(60, 3)
    source.read = read
    with pytest.raises(ValueError, match=message):
        list(stream(source))
