"""Tests of the order of a stream: a bijection by windows, fixed by its arguments, and uniform."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_permutation import assert_uniform, philox

from jaxmlp.loading.order import permutation
from jaxmlp.loading.window_order import windows

LAYOUTS = st.lists(st.integers(1, 9), min_size=1, max_size=40)


def chunks_of(lengths):
    return np.concatenate([[0], np.cumsum(lengths)])


def order(chunks, window_chunks, *, seed=0, epoch=0, shuffle=True, start=0):
    parts = windows(
        np.asarray(chunks),
        window_chunks=window_chunks,
        shuffle=shuffle,
        seed=seed,
        epoch=epoch,
        start=start,
    )
    return list(parts)


@settings(deadline=None, max_examples=200)
@given(LAYOUTS, st.integers(1, 45), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_every_row_comes_once_for_any_layout(lengths, window_chunks, seed, epoch):
    rows = np.concatenate(order(chunks_of(lengths), window_chunks, seed=seed, epoch=epoch))
    np.testing.assert_array_equal(np.sort(rows), np.arange(sum(lengths)))


def test_every_row_comes_once_for_every_number_of_rows_up_to_300():
    for rows in range(1, 301):
        chunks = np.append(np.arange(0, rows, 7), rows)
        got = np.concatenate(order(chunks, 4, seed=rows))
        np.testing.assert_array_equal(np.sort(got), np.arange(rows))


@settings(deadline=None, max_examples=200)
@given(LAYOUTS, st.integers(1, 45))
def test_a_window_holds_whole_chunks_and_as_many_as_asked(lengths, window_chunks):
    chunks = chunks_of(lengths)
    of_row = np.repeat(np.arange(len(lengths)), lengths)
    parts = order(chunks, window_chunks)
    held = [set(of_row[part]) for part in parts]
    assert [len(h) for h in held[:-1]] == [window_chunks] * (len(held) - 1)
    for part, numbers in zip(parts, held, strict=True):
        assert len(part) == sum(lengths[i] for i in numbers)


@settings(deadline=None, max_examples=100)
@given(LAYOUTS, st.integers(1, 10), st.booleans())
def test_it_starts_at_any_row_as_if_those_before_had_come(lengths, window_chunks, shuffle):
    chunks = chunks_of(lengths)
    whole = np.concatenate(order(chunks, window_chunks, shuffle=shuffle))
    for start in range(len(whole) + 1):
        rest = order(chunks, window_chunks, shuffle=shuffle, start=start)
        np.testing.assert_array_equal(np.concatenate([[], *rest]), whole[start:])


def test_later_windows_are_made_without_those_before(monkeypatch):
    chunks = np.arange(0, 10_001, 10)
    made = []
    monkeypatch.setattr(
        "jaxmlp.loading.window_order.permutation",
        lambda rows, *, stream, **of: made.append(stream) or permutation(rows, stream=stream, **of),
    )
    next(windows(chunks, window_chunks=4, shuffle=True, seed=0, epoch=0, start=9000))
    assert made == [1, 2 + 9000 // 40]


def test_without_shuffle_rows_come_as_they_lie():
    parts = order([0, 3, 7, 8], 2, shuffle=False)
    assert [part.tolist() for part in parts] == [list(range(7)), [7]]


def test_the_order_never_changes_between_versions():
    parts = order([0, 2, 5, 6, 9], 2, seed=2**64 - 1, epoch=3)
    assert [part.tolist() for part in parts] == [[5, 0, 1], [7, 8, 2, 4, 3, 6]]


@pytest.mark.parametrize("stream", [0, 1, 7])
def test_each_order_sorts_words_of_its_own_stream_of_philox(stream):
    # NumPy counts up before it draws: the first block has counter 1.
    words = [word for block in range(1, 6) for word in philox((block, 0, 0, stream), (11, 4))]
    got = permutation(18, seed=11, epoch=4, stream=stream)
    np.testing.assert_array_equal(got, np.argsort(words[:18]))


def test_no_two_windows_epochs_or_seeds_share_a_word():
    """64-bit words: among these 86,400, chance would make a pair once in five billion."""
    words = [
        np.random.Philox(
            counter=np.array([0, 0, 0, stream], np.uint64), key=np.array([seed, epoch], np.uint64)
        ).random_raw(400)
        for stream, seed, epoch in itertools.product(range(6), range(6), range(6))
    ]
    assert len(np.unique(words)) == 6**3 * 400


@pytest.mark.parametrize("vary", ["seed", "epoch"])
class TestUniformity:
    def test_every_row_is_as_often_at_every_place(self, vary):
        """Chunks of one length: 6 of 2 rows in windows of 4 chunks, the last one shorter."""
        found = np.array(
            [
                np.argsort(np.concatenate(order(np.arange(0, 13, 2), 4, **{vary: number})))
                for number in range(4000)
            ]
        )
        # Places of one row in many orders are independent; those of two rows are not.
        for row in (0, 5, 11):
            assert_uniform(np.bincount(found[:, row], minlength=12))

    def test_every_order_of_chunks_is_as_frequent(self, vary):
        chunks = np.arange(0, 5)
        found = [
            tuple(np.concatenate(order(chunks, 1, **{vary: number}))) for number in range(4800)
        ]
        assert_uniform(np.unique(found, axis=0, return_counts=True)[1])
        assert len(set(found)) == 24


def test_rows_of_a_chunk_never_leave_their_window():
    """What windows cannot mix: two rows of one chunk are less than a window apart."""
    for epoch in range(20):
        place = np.argsort(np.concatenate(order(np.arange(0, 101, 5), 3, epoch=epoch)))
        spread = place.reshape(-1, 5).max(axis=1) - place.reshape(-1, 5).min(axis=1)
        assert spread.max() < 15


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"window_chunks": 0}, ValueError, "window_chunks must be an int of at least 1; got 0"),
        ({"window_chunks": 1.5}, TypeError, "window_chunks must be an int"),
        ({"seed": -1}, ValueError, "seed must be an int of at least 0"),
        ({"epoch": 2**64}, ValueError, "epoch must be an int of at least 0 and below"),
        ({"start": 4}, ValueError, "start must be an int of at least 0 and below 4"),
        ({"chunks": [1, 3]}, ValueError, "chunks must rise from 0"),
        ({"chunks": [0, 2, 2]}, ValueError, "without a chunk of no rows"),
        ({"chunks": [0]}, ValueError, "chunks must rise from 0"),
    ],
)
def test_bad_settings_are_refused_before_the_first_window(change, error, message):
    arguments = {"window_chunks": 1, "shuffle": True, "seed": 0, "epoch": 0} | change
    chunks = np.array(arguments.pop("chunks", [0, 2, 3]))
    with pytest.raises(error, match=message):
        windows(chunks, **arguments)
