"""Tests of samplers: their distribution, and what `DataLoader` makes of them."""

import itertools
import re

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from fits import DRIVERS, LINEAR, assert_same, differs, fit, fit_with, make_loader, train_by_hand

from jaxmlp import DataLoader, StratifiedSampler, WeightedSampler

# As in test_permutation.py.
SIGNIFICANCE = 1e-3
X = np.arange(10, dtype=np.float32)[:, None]


def assert_distributed(counts, probabilities):
    expected = np.asarray(probabilities) * np.sum(counts)
    assert SIGNIFICANCE < scipy.stats.chisquare(counts, expected).pvalue < 1 - SIGNIFICANCE


class TestWeighted:
    WEIGHTS = np.array([1.0, 0, 2, 3, 0.5, 0])

    def test_draws_with_replacement_follow_the_weights(self):
        sampler = WeightedSampler(self.WEIGHTS, 20_000, seed=1)
        counts = np.bincount(sampler.order(0), minlength=6)
        assert counts[[1, 5]].tolist() == [0, 0]
        used = self.WEIGHTS > 0
        assert_distributed(counts[used], self.WEIGHTS[used] / 6.5)

    def test_draws_with_replacement_are_independent(self):
        order = WeightedSampler(np.array([1.0, 2, 3]), 40_000, seed=2).order(0)
        pairs = np.bincount(3 * order[::2] + order[1::2], minlength=9)
        share = np.array([1, 2, 3]) / 6
        assert_distributed(pairs, np.outer(share, share).ravel())

    def test_draws_without_replacement_are_made_from_what_is_left(self):
        # P(i, j) = w_i / W * w_j / (W - w_i)
        weights = np.array([1.0, 2, 3, 0])
        pairs = list(itertools.permutations(range(3), 2))
        sampler = WeightedSampler(weights, 2, replacement=False, seed=3)
        seen = [tuple(sampler.order(epoch).tolist()) for epoch in range(6000)]
        expected = [weights[i] / 6 * weights[j] / (6 - weights[i]) for i, j in pairs]
        assert_distributed([seen.count(pair) for pair in pairs], expected)

    def test_without_replacement_all_rows_come_once(self):
        order = WeightedSampler(np.arange(1.0, 51), replacement=False).order(4)
        assert sorted(order.tolist()) == list(range(50))

    @pytest.mark.parametrize("replacement", [False, True])
    def test_seed_and_epoch_fix_the_draws(self, replacement):
        def draw(seed, epoch):
            sampler = WeightedSampler(np.ones(30), replacement=replacement, seed=seed)
            return tuple(sampler.order(epoch).tolist())

        assert draw(1, 2) == draw(1, 2)
        assert len({draw(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9

    def test_the_draws_never_change_between_versions(self):
        weights = np.array([1.0, 2, 3, 4])
        assert WeightedSampler(weights, 8, seed=5).order(1).tolist() == [3, 2, 3, 3, 1, 1, 2, 0]
        assert WeightedSampler(weights, replacement=False, seed=5).order(1).tolist() == [1, 2, 3, 0]

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        ("weights", "settings", "message"),
        [
            ([1.0, -1], {}, "weights must be one number per row, finite, at least 0"),
            ([1.0, np.nan], {}, "weights must be one number per row, finite"),
            ([0.0, 0], {}, "and above 0 for some row"),
            ([[1.0]], {}, "weights must be one number per row"),
            ([1.0, 0], {"num_samples": 2, "replacement": False}, "num_samples must be at most 1"),
            ([1.0], {"num_samples": 0}, "num_samples must be an int of at least 1; got 0"),
            ([1.0], {"seed": -1}, "seed must be an int of at least 0"),
        ],
    )
    def test_weights_that_cannot_be_drawn_from_are_refused(self, weights, settings, message):
        with pytest.raises(ValueError, match=message):
            WeightedSampler(np.array(weights), **settings)

    @pytest.mark.bad_input
    def test_replacement_is_a_switch(self):
        with pytest.raises(TypeError, match="replacement must be True or False; got 1"):
            WeightedSampler(np.ones(2), replacement=1)


class TestStratified:
    LABELS = np.repeat([3, 0, 7, 1], [50, 29, 20, 1])

    def test_every_row_comes_once(self):
        for epoch in range(20):
            order = StratifiedSampler(self.LABELS, seed=2).order(epoch)
            assert sorted(order.tolist()) == list(range(100))

    def test_successive_rows_hold_the_classes_of_the_whole(self):
        shares = {label: np.mean(label == self.LABELS) for label in (0, 1, 3, 7)}
        for epoch in range(10):
            labels = self.LABELS[StratifiedSampler(self.LABELS).order(epoch)]
            for start, size in itertools.product(range(0, 90, 5), (10, 16, 25)):
                window = labels[start : start + size]
                for label, share in shares.items():
                    assert abs(np.sum(window == label) - len(window) * share) < 1 + 4 * share

    def test_every_order_within_a_class_is_as_likely(self):
        labels = np.array([0, 1, 0, 1, 0, 1])
        seen = [
            tuple(row for row in StratifiedSampler(labels).order(epoch).tolist() if row % 2)
            for epoch in range(3000)
        ]
        orders = list(itertools.permutations([1, 3, 5]))
        assert_distributed([seen.count(order) for order in orders], np.full(6, 1 / 6))

    def test_either_of_two_even_classes_comes_first_as_often(self):
        labels = np.array([0, 0, 1, 1])
        first = [labels[StratifiedSampler(labels).order(epoch)[0]] for epoch in range(2000)]
        assert_distributed(np.bincount(first), [0.5, 0.5])

    def test_the_order_never_changes_between_versions(self):
        order = StratifiedSampler(np.array([0, 1, 0, 1, 0, 0]), seed=5).order(1)
        assert order.tolist() == [1, 4, 5, 3, 0, 2]

    def test_labels_must_be_classes(self):
        with pytest.raises(TypeError, match="labels must hold integer classes"):
            StratifiedSampler(np.ones(3))


class Twice:
    """Another order whenever it is iterated."""

    def __init__(self, orders, batch_size=None):
        self.orders, self.batch_size, self.asked = orders, batch_size, 0

    def __len__(self):
        return len(self.orders[0])

    def __iter__(self):
        self.asked += 1
        return iter(self.orders[(self.asked - 1) % len(self.orders)])


def visited(loader):
    return [batch.x[batch.weight > 0, 0].astype(int).tolist() for batch in loader]


def visit_twice(**settings):
    loader = DataLoader(X, **settings)
    for _ in range(2):
        list(loader)


class TestLoader:
    def test_a_sampler_chooses_the_rows(self):
        sampler = WeightedSampler(np.arange(10.0), 7, seed=3)
        loader = DataLoader(X, batch_size=3, sampler=sampler)
        assert len(loader) == 3
        assert (
            np.concatenate(visited(loader)).tolist()
            == sampler.order(0).tolist()
            == loader.order(0).tolist()
        )
        assert np.concatenate(visited(loader)).tolist() == sampler.order(1).tolist()

    def test_drop_last_goes_by_the_rows_of_the_sampler(self):
        loader = DataLoader(X, batch_size=3, sampler=[5, 5, 1, 2], drop_last=True)
        assert visited(loader) == [[5, 5, 1]]

    def test_an_iterable_is_iterated_anew_in_every_epoch(self):
        loader = DataLoader(X, batch_size=2, sampler=Twice([[1, 2, 3], [9, 8, 7]]))
        assert [visited(loader) for _ in range(3)] == [
            [[1, 2], [3]],
            [[9, 8], [7]],
            [[1, 2], [3]],
        ]

    @pytest.mark.parametrize("make", [list, np.array])
    def test_changing_row_numbers_that_were_handed_over_changes_nothing(self, make):
        numbers, batches = make([5, 1, 3]), [make([5, 1]), make([3])]
        loaders = [
            DataLoader(X, batch_size=2, sampler=numbers),
            DataLoader(X, batch_sampler=batches),
        ]
        numbers[0] = batches[0][0] = 9
        batches.reverse()
        assert [visited(loader) for loader in loaders] == [[[5, 1], [3]]] * 2

    def test_an_array_of_jax_has_one_order(self):
        loader = DataLoader(X, batch_size=2, sampler=jnp.array([5, 1, 3]))
        assert loader.state_dict() == DataLoader(X, batch_size=2, sampler=[5, 1, 3]).state_dict()

    def test_a_batch_sampler_chooses_batches(self):
        loader = DataLoader(X, batch_sampler=[[1, 2, 3], [4], [5, 6]])
        assert visited(loader) == [[1, 2, 3], [4], [5, 6]]
        assert loader.index(0).tolist() == [[1, 2, 3], [4, ~4, ~4], [5, 6, ~5]]
        assert (len(loader), loader.batch_size) == (3, 3)
        assert loader.order(0).tolist() == [1, 2, 3, 4, 5, 6]

    def test_its_batches_are_filled_up_to_its_batch_size(self):
        loader = DataLoader(X, batch_sampler=Twice([[[1], [2]], [[3, 4], [5]]], batch_size=3))
        assert loader.index(0).shape == loader.index(1).shape == (2, 3)

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            (
                {"sampler": [1], "shuffle": True},
                ValueError,
                "sampler and shuffle=True both fix the",
            ),
            ({"sampler": [1], "seed": 3}, ValueError, "seed=3 has no effect with sampler; give it"),
            ({"sampler": iter([1])}, TypeError, "row numbers anew whenever it is iterated; got a"),
            ({"sampler": 3}, TypeError, "sampler must give row numbers anew"),
            ({"sampler": []}, ValueError, "sampler must have a length of at least 1"),
            ({"sampler": [10]}, ValueError, "must give row numbers in [0, 10); got values in [10"),
            ({"sampler": [-1]}, ValueError, "must give row numbers in [0, 10); got values in [-1"),
            ({"sampler": [1.0]}, TypeError, "one or more row numbers, ints; got float64[1]"),
            (
                {"sampler": Twice([[1, 2], [1]])},
                ValueError,
                "must give len(sampler)=2 rows in every epoch; got 1",
            ),
            ({"batch_sampler": [[1]]}, ValueError, "by itself; got batch_size too"),
        ],
    )
    def test_samplers_that_do_not_fit_are_refused(self, settings, error, message):
        with pytest.raises(error, match=re.escape(message)):
            visit_twice(batch_size=1, **settings)

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"shuffle": True, "seed": 2}, ValueError, "by itself; got shuffle, seed too"),
            ({"drop_last": True}, ValueError, "by itself; got drop_last too"),
            ({"sampler": np.arange(2)}, ValueError, "by itself; got sampler too"),
            ({"batch_sampler": Twice([[[1]]])}, TypeError, "must have a batch_size, the number of"),
            ({"batch_sampler": iter([[1]])}, TypeError, "must give lists of row numbers anew"),
            ({"batch_sampler": [[1], []]}, TypeError, "batch 1 of batch_sampler must give one or"),
            ({"batch_sampler": [[1], [10]]}, ValueError, "batch 1 of batch_sampler must give row"),
            ({"batch_sampler": Twice([[[1, 2]]], 1)}, ValueError, "at most batch_size=1 rows; got"),
            (
                {"batch_sampler": Twice([[[1]], [[1], [2]]], 1)},
                ValueError,
                "must give len(batch_sampler)=1 batches in every epoch; got 2",
            ),
        ],
    )
    def test_batch_samplers_that_do_not_fit_are_refused(self, settings, error, message):
        with pytest.raises(error, match=re.escape(message)):
            visit_twice(**{"batch_sampler": [[1]], **settings})


@pytest.mark.parametrize("name", sorted({*DRIVERS} - {"auto", "all epochs"}))
@pytest.mark.parametrize("kind", ["weighted", "batches"])
def test_samplers_give_the_same_training_with_every_driver(kind, name, monkeypatch):
    settings = {
        "weighted": {"sampler": WeightedSampler(np.arange(1.0, 51), 54), "batch_size": 12},
        "batches": {"batch_sampler": [[1, 2, 3], [4], [5, 6], [7, 8, 9], [10]], "batch_size": None},
    }[kind] | {"shuffle": False, "seed": 0}
    result = fit_with(name, monkeypatch, make_loader(**settings), **LINEAR)
    expected = train_by_hand(make_loader(**settings), **LINEAR)[0][-1]
    assert_same(result.state, expected)
    assert differs(result.params, fit(make_loader(), **LINEAR).params)
