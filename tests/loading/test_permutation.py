"""Tests of the order of rows: a bijection, fixed by seed and epoch, and uniform."""

import itertools
import re

import numpy as np
import pytest
import scipy.stats

from jaxmlp.loading.order import permutation, permutations

# Fixed seeds make these tests deterministic; a right generator fails one of them in a thousand
# at either end, for some choice of seeds.
SIGNIFICANCE = 1e-3

AROUND_POWERS = sorted(
    {2**k + d for k in range(1, 17) for d in (-1, 0, 1)} | {4**k + 1 for k in range(1, 9)}
)

MASK = 2**64 - 1


def philox(counter, key):
    """Four words of Philox 4x64-10, from Salmon et al. 2011, section 3.3 and Table 2."""
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * x0, 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * x2, 2**64)
        x0, x1, x2, x3 = high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
    return x0, x1, x2, x3


def assert_uniform(counts, scale=1.0, degrees=None):
    """Chi-square test, two-sided: neither too far from even counts nor too close to them."""
    expected = np.mean(counts)
    statistic = scale * np.sum((counts - expected) ** 2) / expected
    degrees = np.size(counts) - 1 if degrees is None else degrees
    assert SIGNIFICANCE < scipy.stats.chi2.sf(statistic, degrees) < 1 - SIGNIFICANCE


def orders(rows, count, vary):
    """Orders of `count` seeds in epoch 3, or of `count` epochs of seed 3."""
    for number in range(count):
        fields = {"seed": 3, "epoch": 3, vary: number}
        yield permutation(rows, **fields)


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_it_is_a_bijection_for_every_number_of_rows_up_to_300(seed):
    for rows in range(1, 301):
        order = permutation(rows, seed=seed, epoch=1)
        np.testing.assert_array_equal(np.sort(order), np.arange(rows))


@pytest.mark.parametrize("rows", AROUND_POWERS)
def test_it_is_a_bijection_around_powers_of_two_and_four(rows):
    order = permutation(rows, seed=5, epoch=7)
    np.testing.assert_array_equal(np.sort(order), np.arange(rows))


@pytest.mark.parametrize(
    ("rows", "seed", "epoch", "expected"),
    [
        (8, 0, 0, [0, 2, 1, 5, 4, 3, 6, 7]),
        (8, 0, 1, [5, 3, 7, 2, 4, 1, 0, 6]),
        (8, 1, 0, [3, 5, 2, 7, 0, 6, 1, 4]),
        (10, 2**64 - 1, 3, [3, 2, 8, 0, 1, 6, 9, 5, 4, 7]),
    ],
)
def test_the_order_never_changes_between_versions(rows, seed, epoch, expected):
    assert permutation(rows, seed=seed, epoch=epoch).tolist() == expected


def test_the_order_of_many_rows_never_changes_between_versions():
    order = permutation(70_000, seed=7, epoch=5).tolist()
    assert order[:6] + order[-3:] == [
        60344, 64464, 60460, 43625, 31222, 28581, 35823, 43188, 39450
    ]  # fmt: skip


def test_our_philox_gives_the_published_words():
    # The first known answer of Random123, the authors' library.
    assert philox((0, 0, 0, 0), (0, 0)) == (
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    )


def test_rows_are_sorted_by_the_words_of_philox():
    # NumPy counts up before it draws: the first block has counter 1.
    words = [word for block in range(1, 6) for word in philox((block, 0, 0, 0), (11, 4))]
    expected = np.argsort(words[:18])
    np.testing.assert_array_equal(permutation(18, seed=11, epoch=4), expected)


def test_seed_and_epoch_are_not_added_up():
    order = {
        (seed, epoch): tuple(permutation(50, seed=seed, epoch=epoch))
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(set(order.values())) == 25


@pytest.mark.parametrize("vary", ["seed", "epoch"])
class TestUniformity:
    def test_every_order_of_four_rows_is_as_frequent(self, vary):
        index = {order: i for i, order in enumerate(itertools.permutations(range(4)))}
        counts = np.zeros(24)
        for order in orders(4, 4800, vary):
            counts[index[tuple(order.tolist())]] += 1
        assert_uniform(counts)

    @pytest.mark.parametrize("rows", [17, 32])
    def test_every_row_is_as_frequent_in_every_position(self, vary, rows):
        counts = np.zeros((rows, rows))
        for order in orders(rows, 3000, vary):
            counts[order, np.arange(rows)] += 1
        # Permutation matrices vary in (n - 1)**2 directions, by n / (n - 1) in each.
        assert_uniform(counts, scale=(rows - 1) / rows, degrees=(rows - 1) ** 2)

    @pytest.mark.parametrize("position", [0, 3, 6])
    def test_every_pair_of_neighbours_is_as_frequent(self, vary, position):
        counts = np.zeros((8, 8))
        for order in orders(8, 6000, vary):
            counts[order[position], order[position + 1]] += 1
        assert_uniform(counts[~np.eye(8, dtype=bool)])

    def test_orders_one_after_the_other_are_independent(self, vary):
        counts = np.zeros((8, 8))
        first = [order[0] for order in orders(8, 12_000, vary)]
        np.add.at(counts, (first[::2], first[1::2]), 1)
        assert_uniform(counts)


@pytest.mark.parametrize("rows", [1, 2, 5, 64, 1797])
def test_many_at_once_are_those_one_by_one(rows):
    seeds, epochs = [0, 7, 2**64 - 1], [5, 0, 2**64 - 1]
    together = permutations(rows, seeds=seeds, epochs=epochs)
    alone = [[permutation(rows, seed=s, epoch=e) for e in epochs] for s in seeds]
    np.testing.assert_array_equal(together, alone)
    assert together.dtype == np.int32


def test_many_at_once_refuse_arguments_out_of_range():
    with pytest.raises(ValueError, match=r"rows must be an int of at least 1 and below 2147483648"):
        permutations(2**31, seeds=[0], epochs=[0])
    with pytest.raises(ValueError, match=r"seeds\[1\] must be an int of at least 0 .*; got -1"):
        permutations(5, seeds=[0, -1], epochs=[0])
    with pytest.raises(ValueError, match=r"epochs\[0\] must be an int of at least 0 .*; got -1"):
        permutations(5, seeds=[0], epochs=[-1])


@pytest.mark.parametrize(
    ("rows", "seed", "epoch", "message"),
    [
        (0, 0, 0, f"rows must be an int of at least 1 and below {2**32}; got 0"),
        (2**32, 0, 0, f"rows must be an int of at least 1 and below {2**32}; got {2**32}"),
        (5, -1, 0, f"seed must be an int of at least 0 and below {2**64}; got -1"),
        (5, 2**64, 0, f"seed must be an int of at least 0 and below {2**64}; got {2**64}"),
        (5, 0, -1, f"epoch must be an int of at least 0 and below {2**64}; got -1"),
        (5, 0, 2**64, f"epoch must be an int of at least 0 and below {2**64}; got {2**64}"),
    ],
)
def test_arguments_out_of_range_are_refused(rows, seed, epoch, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        permutation(rows, seed=seed, epoch=epoch)


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["rows", "seed", "epoch"])
@pytest.mark.parametrize("value", [True, 3.0, "3", None])
def test_arguments_must_be_ints(name, value):
    arguments = {"rows": 5, "seed": 0, "epoch": 0, name: value}
    with pytest.raises(TypeError, match=f"{name} must be an int of at least .*; got {value!r}"):
        permutation(**arguments)
