"""Tests of `DataLoader`: which batches come, in which order, and that they share nothing."""

import itertools

import jax
import numpy as np
import pytest

from jaxmlp import Batch, DataLoader
from jaxmlp.loading.order import permutation

ROWS = 10
X = np.arange(ROWS * 2, dtype=np.float32).reshape(ROWS, 2)
Y = np.arange(ROWS, dtype=np.int32)


def visited(batches):
    """Numbers of the rows of positive weight, in order."""
    batches = list(batches)
    y = np.concatenate([batch.y for batch in batches])
    return y[np.concatenate([batch.weight for batch in batches]) > 0].tolist()


def assert_same_batches(a, b):
    for one, other in zip(a, b, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)


SIZES = pytest.mark.parametrize("batch_size", [1, 3, 4, 5, 9, 10, 11, 25])
SHUFFLE = pytest.mark.parametrize("shuffle", [False, True])


@SIZES
@SHUFFLE
class TestBatches:
    def test_all_batches_have_one_shape(self, batch_size, shuffle):
        loader = DataLoader(X, Y, batch_size=batch_size, shuffle=shuffle)
        shapes = {jax.tree.map(np.shape, batch) for batch in loader}
        assert shapes == {Batch((batch_size, 2), (batch_size,), (batch_size,))}

    def test_every_row_comes_once_with_positive_weight(self, batch_size, shuffle):
        loader = DataLoader(X, Y, batch_size=batch_size, shuffle=shuffle)
        assert sorted(visited(loader)) == list(range(ROWS))

    def test_inputs_targets_and_weights_stay_together(self, batch_size, shuffle):
        weight = np.arange(1, ROWS + 1, dtype=np.float32)
        loader = DataLoader(X, Y, weight, batch_size=batch_size, shuffle=shuffle)
        for batch in loader:
            np.testing.assert_array_equal(batch.x, X[batch.y])
            is_real = batch.weight > 0
            np.testing.assert_array_equal(batch.weight[is_real], weight[batch.y][is_real])

    def test_its_length_is_the_number_of_batches(self, batch_size, shuffle):
        loader = DataLoader(X, Y, batch_size=batch_size, shuffle=shuffle)
        assert len(loader) == len(list(loader)) == -(-ROWS // batch_size)


@SHUFFLE
class TestPadding:
    def test_only_the_end_of_the_last_batch_is_padded(self, shuffle):
        *full, last = DataLoader(X, Y, batch_size=4, shuffle=shuffle)
        assert [batch.weight.tolist() for batch in full] == [[1, 1, 1, 1]] * 2
        assert last.weight.tolist() == [1, 1, 0, 0]

    def test_it_repeats_rows_of_the_data(self, shuffle):
        *_, last = DataLoader(X + 100, Y, batch_size=25, shuffle=shuffle)
        np.testing.assert_array_equal(last.x, X[last.y] + 100)

    def test_it_has_weight_0_also_where_rows_are_weighted(self, shuffle):
        weight = np.full(ROWS, 7.0)
        *_, last = DataLoader(X, Y, weight, batch_size=4, shuffle=shuffle)
        assert last.weight.tolist() == [7, 7, 0, 0]


@SHUFFLE
class TestDropLast:
    def test_rows_that_fill_no_batch_are_left_out(self, shuffle):
        loader = DataLoader(X, Y, batch_size=4, shuffle=shuffle, drop_last=True)
        assert visited(loader) == loader.order(0)[:8].tolist()

    def test_its_length_is_the_number_of_full_batches(self, shuffle):
        loader = DataLoader(X, Y, batch_size=4, shuffle=shuffle, drop_last=True)
        assert len(loader) == len(list(loader)) == 2

    def test_nothing_is_left_out_where_batches_are_full(self, shuffle):
        loader = DataLoader(X, Y, batch_size=5, shuffle=shuffle, drop_last=True)
        assert sorted(visited(loader)) == list(range(ROWS))


class TestOrder:
    def test_without_shuffle_it_is_that_of_the_data(self):
        loader = DataLoader(X, Y, batch_size=3)
        assert [visited(loader) for _ in range(2)] == [list(range(ROWS))] * 2

    @pytest.mark.parametrize("epoch", [0, 1, 5, 2**64 - 1])
    def test_with_shuffle_it_is_the_permutation_of_seed_and_epoch(self, epoch):
        loader = DataLoader(X, Y, batch_size=3, shuffle=True, seed=8)
        expected = permutation(ROWS, seed=8, epoch=epoch).tolist()
        assert visited(loader.epoch(epoch)) == loader.order(epoch).tolist() == expected

    def test_it_does_not_depend_on_the_batch_size(self):
        orders = {
            tuple(visited(DataLoader(X, Y, batch_size=size, shuffle=True, seed=3).epoch(2)))
            for size in (1, 3, 4, 10, 25)
        }
        assert len(orders) == 1

    def test_epochs_differ(self):
        loader = DataLoader(X, Y, batch_size=3, shuffle=True)
        assert len({tuple(visited(loader)) for _ in range(10)}) == 10

    def test_seeds_differ(self):
        loaders = [DataLoader(X, Y, batch_size=3, shuffle=True, seed=seed) for seed in range(10)]
        assert len({tuple(visited(loader)) for loader in loaders}) == 10

    def test_the_default_seed_is_0(self):
        loader = DataLoader(X, Y, batch_size=3, shuffle=True)
        assert_same_batches(loader, DataLoader(X, Y, batch_size=3, shuffle=True, seed=0))

    @pytest.mark.bad_input
    def test_a_numpy_integer_is_a_seed(self):
        loader = DataLoader(X, Y, batch_size=np.int32(3), shuffle=True, seed=np.uint64(2**64 - 1))
        expected = DataLoader(X, Y, batch_size=3, shuffle=True, seed=2**64 - 1)
        assert_same_batches(loader, expected)


class TestIteration:
    def loader(self):
        return DataLoader(X, Y, batch_size=3, shuffle=True, seed=1)

    def test_each_iteration_is_the_next_epoch(self):
        loader = self.loader()
        orders = [visited(loader) for _ in range(3)]
        assert orders == [self.loader().order(epoch).tolist() for epoch in range(3)]

    def test_an_epoch_does_not_depend_on_what_was_iterated_before(self):
        loader = self.loader()
        for _ in loader:
            pass
        assert_same_batches(loader.epoch(0), self.loader().epoch(0))

    def test_asking_for_an_epoch_does_not_advance_the_next_one(self):
        loader = self.loader()
        list(loader.epoch(7))
        assert_same_batches(loader, self.loader().epoch(0))

    def test_two_iterators_do_not_disturb_each_other(self):
        loader = self.loader()
        first, second = iter(loader), iter(loader)
        pairs = list(itertools.zip_longest(first, second))
        assert_same_batches([a for a, _ in pairs], self.loader().epoch(0))
        assert_same_batches([b for _, b in pairs], self.loader().epoch(1))

    def test_an_abandoned_iteration_was_an_epoch(self):
        loader = self.loader()
        next(iter(loader))
        assert_same_batches(loader, self.loader().epoch(1))

    def test_the_next_epoch_starts_at_its_first_row_after_an_abandoned_one(self):
        loader = self.loader()
        next(iter(loader))
        assert sorted(visited(loader)) == list(range(ROWS))


class TestSharedMemory:
    def test_changing_the_arrays_that_were_handed_over_changes_nothing(self):
        x, y, weight = X.copy(), Y.copy(), np.ones(ROWS, np.float32)
        loader = DataLoader(x, y, weight, batch_size=3)
        x[:], y[:], weight[:] = -1, -1, -1
        assert_same_batches(loader, DataLoader(X, Y, batch_size=3))

    def test_changing_a_batch_changes_nothing(self):
        loader = DataLoader(X, Y, batch_size=3)
        for batch in loader:
            for array in batch:
                array[:] = -1
        assert_same_batches(loader.epoch(0), DataLoader(X, Y, batch_size=3))

    def test_one_batch_of_all_rows_is_a_copy_as_well(self):
        loader = DataLoader(X, Y, batch_size=ROWS)
        for array in next(iter(loader)):
            array[:] = -1
        assert_same_batches(loader.epoch(0), DataLoader(X, Y, batch_size=ROWS))

    def test_a_batch_on_the_device_does_not_change_with_later_batches(self):
        # `jax.device_put` may use the memory of a NumPy array as it is.
        loader = DataLoader(X, Y, batch_size=3)
        on_device = [jax.device_put(batch) for batch in loader]
        assert_same_batches(on_device, loader.epoch(0))

    def test_a_batch_on_the_device_shares_no_memory_with_the_loader(self):
        loader = DataLoader(X, Y, batch_size=3)
        batch = next(iter(loader))
        on_device = jax.block_until_ready(jax.device_put(batch))
        for array in batch:
            array[:] = -1
        del on_device
        assert_same_batches(loader.epoch(0), DataLoader(X, Y, batch_size=3))

    def test_changing_the_order_changes_nothing(self):
        loader = DataLoader(X, Y, batch_size=3, shuffle=True)
        loader.order(0)[:] = 0
        assert sorted(visited(loader.epoch(0))) == list(range(ROWS))
