"""Tests of samplers with weights of any size, and of row numbers and sizes that cannot be."""

import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp import DataLoader, StratifiedSampler, WeightedSampler, class_weights
from jaxmlp.sources import DatasetSource, MemorySource

X = np.arange(16, dtype=np.float32).reshape(8, 2)

# From the least number above 0 to nearly the largest.
WEIGHTS = st.one_of(
    st.just(0.0),
    st.sampled_from([5e-324, 1e-320, 1e-308, 1e-300, 1.0, 1e300, 1.7e308]),
    st.floats(-300, 300).map(lambda exponent: 10.0**exponent),
)


class TestWeights:
    @given(
        weights=st.lists(WEIGHTS, min_size=1, max_size=30).filter(any),
        seed=st.integers(0, 2**64 - 1),
        epoch=st.integers(0, 1000),
    )
    @settings(max_examples=300, deadline=None)
    def test_a_row_of_weight_0_is_never_drawn(self, weights, seed, epoch):
        positive = np.flatnonzero(weights)
        drawn = WeightedSampler(weights, num_samples=50, seed=seed).order(epoch)
        assert set(drawn) <= set(positive)
        each = WeightedSampler(weights, num_samples=len(positive), replacement=False, seed=seed)
        assert sorted(each.order(epoch)) == positive.tolist()

    @pytest.mark.parametrize("replacement", [False, True])
    @pytest.mark.parametrize("exponent", [-1000, -60, 1, 60, 1000])
    def test_a_factor_of_all_weights_changes_nothing(self, replacement, exponent):
        weights = np.random.default_rng(0).uniform(0.5, 2, 40)
        settings = {"num_samples": 30, "replacement": replacement, "seed": 3}
        expected = WeightedSampler(weights, **settings).order(5)
        scaled = WeightedSampler(np.ldexp(weights, exponent), **settings).order(5)
        np.testing.assert_array_equal(scaled, expected)

    def test_weights_whose_sum_overflows_are_drawn_in_proportion(self):
        weights = np.array([1e308, 0, 1.5e308, 0.5e308])
        drawn = WeightedSampler(weights, num_samples=30_000).order(0)
        # Binomial: standard deviations of at most 87.
        np.testing.assert_allclose(np.bincount(drawn), [10_000, 0, 15_000, 5_000], atol=400)

    def test_far_smaller_weights_come_later_without_replacement(self):
        weights = np.array([1e-300, 1e300, 0, 1.0, 1e-310])
        for epoch in range(50):
            order = WeightedSampler(weights, 4, replacement=False).order(epoch)
            assert order.tolist() == [1, 3, 0, 4]

    def test_the_first_of_tiny_weights_beside_a_huge_one_is_in_proportion(self):
        weights = np.array([1e300, 1e-300, 3e-300])
        second = [
            WeightedSampler(weights, 3, replacement=False, seed=seed).order(0)[1]
            for seed in range(2000)
        ]
        # Binomial(2000, 3/4): standard deviation 19.4.
        assert abs(second.count(2) - 1500) < 90

    def test_a_published_order_stays_as_it_is(self):
        weights = np.arange(10.0)
        with_it = WeightedSampler(weights, 6, seed=1).order(2).tolist()
        without = WeightedSampler(weights, 6, replacement=False, seed=1).order(2).tolist()
        # Philox words and IEEE 754 alone: as before weights were scaled.
        assert (with_it, without) == ([5, 6, 2, 9, 1, 6], [4, 2, 6, 9, 5, 8])


class TestKinds:
    @pytest.mark.parametrize("make", ["pandas", "polars", "pyarrow"])
    def test_columns_of_frames_are_weights_and_labels(self, make):
        module = pytest.importorskip(make)
        make = {"pandas": "Series", "polars": "Series", "pyarrow": "array"}[make]
        labels = getattr(module, make)([0, 1, 1, 0, 1, 0])
        plain = np.array([0, 1, 1, 0, 1, 0])
        for sampler in (WeightedSampler, StratifiedSampler):
            np.testing.assert_array_equal(sampler(labels).order(1), sampler(plain).order(1))
        np.testing.assert_array_equal(class_weights(labels), class_weights(plain))

    def test_masked_weights_and_labels_are_refused(self):
        masked = np.ma.masked_equal([0, 1, 2], 2)
        for name, make in (
            ("weights", WeightedSampler),
            ("labels", StratifiedSampler),
            ("y", class_weights),
        ):
            with pytest.raises(ValueError, match=rf"{name} must not have masked values; got 1"):
                make(masked)


class Empty:
    """A sampler, and a batch sampler, without rows."""

    batch_size = 2

    def __repr__(self):
        return "Empty()"

    def __init__(self, rows=0):
        self.rows = rows

    def __len__(self):
        return self.rows

    def __iter__(self):
        return iter(range(self.rows))

    def order(self, epoch):
        return np.arange(self.rows) + 0 * epoch


class TestSettings:
    @pytest.mark.parametrize("drop_last", [False, True])
    @pytest.mark.parametrize("sampler", [Empty(), [], range(0), np.array([], int)], ids=repr)
    def test_an_empty_sampler_is_refused(self, sampler, drop_last):
        message = (
            r"^sampler must have a length of at least 1, the number of row numbers in an epoch"
        )
        with pytest.raises(ValueError, match=message):
            DataLoader(X, batch_size=2, sampler=sampler, drop_last=drop_last)

    @pytest.mark.parametrize("sampler", [Empty(), []], ids=repr)
    def test_an_empty_batch_sampler_is_refused(self, sampler):
        with pytest.raises(
            ValueError, match=r"^batch_sampler must have a length of at least 1, the"
        ):
            DataLoader(X, batch_sampler=sampler)

    @pytest.mark.parametrize("kind", [WeightedSampler, Empty, list])
    def test_a_class_is_no_sampler(self, kind):
        name = kind.__name__
        with pytest.raises(TypeError, match=rf"^sampler must .* the class {name} itself.*{name}\("):
            DataLoader(X, batch_size=2, sampler=kind)
        with pytest.raises(TypeError, match=rf"^batch_sampler must give lists .* class {name} its"):
            DataLoader(X, batch_sampler=kind)

    @pytest.mark.parametrize("size", [2**20 + 1, 2**40, 2**70])
    def test_batches_of_padding_are_refused_before_memory_is_taken(self, size):
        batch_sampler = Empty(3)
        batch_sampler.batch_size = size
        tracemalloc.start()
        for name, chosen in (
            ("batch_size", {"batch_size": size}),
            ("batch_size", {"batch_size": size, "sampler": [1, 2]}),
            ("batch_sampler.batch_size", {"batch_sampler": batch_sampler}),
        ):
            with pytest.raises(
                ValueError, match=rf"^{name} must be at most 1048576, .* got {size}"
            ):
                DataLoader(X, **chosen)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**20

    def test_a_batch_may_be_larger_than_the_data(self):
        (batch,) = DataLoader(X, batch_size=20)
        assert batch.weight.sum() == 8

    def test_as_many_rows_as_there_are_may_be_one_batch(self):
        rows = 2**20 + 5
        (batch,) = DataLoader(np.zeros(rows, np.uint8), batch_size=rows)
        assert batch.x.shape == (rows,)


class TestRowNumbers:
    LOADER = DataLoader(X, batch_size=2)

    @pytest.mark.bad_input
    @pytest.mark.parametrize("index", [[1, 2], (1,), 3, None, range(2)], ids=repr)
    def test_what_is_no_array_is_refused(self, index):
        with pytest.raises(TypeError, match=r"index must be an array of row numbers.*Give np\.arr"):
            self.LOADER.read(index)

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        "index", [np.array([0.0]), np.array([True]), np.array(1), np.zeros((2, 2), int), X[:0, 0]]
    )
    def test_what_holds_no_row_numbers_is_refused(self, index):
        with pytest.raises(TypeError, match=r"index must be an array of one or more row numbers"):
            self.LOADER.read(index)

    @pytest.mark.parametrize("bad", [8, 100, -9, 2**40])
    def test_rows_that_there_are_not_are_refused(self, bad):
        with pytest.raises(ValueError, match=rf"index must have row numbers i in \[0, 8\).*{bad}"):
            self.LOADER.read(np.array([3, bad]))

    def test_rows_and_padding_are_read(self):
        for kind in (np.array, jnp.array):
            batch = self.LOADER.read(kind([7, ~7, 0, ~0]))
            np.testing.assert_array_equal(batch.x, X[[7, 7, 0, 0]])
            assert batch.weight.tolist() == [1, 0, 1, 0]

    @pytest.mark.bad_input
    def test_sources_take_arrays_of_ints(self):
        for source in (MemorySource(X), DatasetSource(list(zip(X, X, strict=True)))):
            for rows in ([1, 2], np.array([1.0]), np.array([[1]])):
                with pytest.raises(TypeError, match="rows must be a NumPy array of row numbers"):
                    source.read(rows)

    def test_sources_have_no_rows_before_the_first_or_after_the_last(self):
        for source in (
            MemorySource(X),
            MemorySource(scipy.sparse.csr_array(X)),
            DatasetSource(list(zip(X, X, strict=True))),
        ):
            for bad in (-1, 8):
                with pytest.raises(ValueError, match=rf"rows must be in \[0, 8\); got {bad}"):
                    source.read(np.array([0, bad]))
