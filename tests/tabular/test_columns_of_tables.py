"""Statistics of columns, and what columns become by them."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp.tabular import (
    fit_robust_scaling,
    one_hot_columns,
    piecewise_linear_encoding,
    quantile_bins,
    robust_scale,
    smooth_clip,
    weighted_quantiles,
)

LEVELS = np.array([0, 0.1, 0.25, 0.5, 0.75, 0.99, 1])


def columns(*values):
    return np.array(values, np.float64).T


class TestQuantiles:
    @settings(deadline=None, max_examples=200)
    @given(
        st.lists(
            st.tuples(st.floats(-1e6, 1e6), st.integers(0, 9)), min_size=1, max_size=30
        ).filter(lambda pairs: any(weight for _, weight in pairs))
    )
    def test_whole_weights_count_as_repetitions(self, pairs):
        values, weight = map(np.array, zip(*pairs, strict=True))
        expected = np.quantile(np.repeat(values, weight), LEVELS)
        got = weighted_quantiles(values, weight, LEVELS)
        # Places among up to 270 numbers are rounded, and so is what is between two of up to 1e6.
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=270 * 2e6 * 1e-15)

    def test_without_weights_they_are_those_of_numpy(self):
        values = np.random.default_rng(0).normal(size=21)
        expected = np.quantile(values, LEVELS)
        np.testing.assert_array_equal(weighted_quantiles(values, None, LEVELS), expected)

    def test_they_do_not_depend_on_the_order(self):
        values, weight = np.array([3.0, 1, 2, 2]), np.array([1.0, 0.5, 2, 0.25])
        got = weighted_quantiles(values[::-1], weight[::-1], LEVELS)
        # The sum of the weights of equal numbers is rounded in another order.
        np.testing.assert_allclose(got, weighted_quantiles(values, weight, LEVELS), rtol=1e-15)

    @pytest.mark.parametrize("size", [1e-300, 1e-3, 0.5])
    def test_of_small_weights_only_their_ratios_count(self, size):
        """As repetitions, the numbers would be fewer than they are, or less than one."""
        values = np.random.default_rng(0).normal(size=21)
        got = weighted_quantiles(values, np.full(21, size), LEVELS)
        np.testing.assert_allclose(got, np.quantile(values, LEVELS), rtol=1e-12)
        weight = np.random.default_rng(1).uniform(0, 1e-2, 21)
        got = weighted_quantiles(values, weight * size, LEVELS)
        np.testing.assert_allclose(got, weighted_quantiles(values, weight, LEVELS), rtol=1e-9)

    def test_there_are_none_of_no_numbers(self):
        with pytest.raises(ValueError, match=r"at least one of positive weight.*got 2 values"):
            weighted_quantiles(np.ones(2), np.zeros(2), LEVELS)

    @pytest.mark.bad_input
    def test_weights_are_one_per_number(self):
        with pytest.raises(ValueError, match=r"weight must have shape \(2,\)"):
            weighted_quantiles(np.ones(2), np.ones(3), LEVELS)


class TestRobustScale:
    def test_it_subtracts_the_median_and_divides_by_the_interquartile_range(self):
        x = np.random.default_rng(0).normal(3, 5, size=(101, 4))
        low, median, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
        got = robust_scale(x, fit_robust_scaling(x))
        # Of numbers of size 5, of which some cancel.
        np.testing.assert_allclose(got, (x - median) / (high - low), rtol=1e-12, atol=1e-14)

    def test_equal_quartiles_take_half_the_range(self):
        x = columns([0, 0, 0, 0, 10])
        scaling = fit_robust_scaling(x)
        assert (scaling.center[0], scaling.factor[0]) == (0, 0.2)
        clipped = smooth_clip(jnp.asarray(robust_scale(x, scaling)))
        np.testing.assert_allclose(clipped[:, 0], [0, 0, 0, 0, 1.6641], atol=5e-5)

    def test_a_constant_becomes_zero_whatever_comes_later(self):
        scaling = fit_robust_scaling(columns([7, 7, 7]))
        assert scaling.factor.tolist() == [0]
        later = columns([7, -1e300, np.inf, -np.inf, np.nan])
        assert robust_scale(later, scaling).ravel().tolist() == [0] * 5

    @pytest.mark.parametrize(
        "column",
        [
            [1e300, -1e300, 0, 1, np.nan],
            [1.7e308, -1.7e308, 1.7e308, -1.7e308, 0],
            [5e-324, 0, 1e-310, 2e-310, np.nan],
            [1e-300, 2e-300, 3e-300, 4e-300, 5e-300],
            [1e300] * 5,
            [np.nan] * 5,
            [np.nan] * 4 + [3],
            [0, 0, 0, 0, 1.7e308],
        ],
    )
    def test_numbers_of_any_size_become_finite_without_a_warning(self, column):
        x = columns(column)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scaling = fit_robust_scaling(x)
            scaled = robust_scale(np.append(x, columns([1.7e308, -1.7e308, 0]), axis=0), scaling)
            clipped = smooth_clip(jnp.asarray(scaled.astype(np.float32)))
        assert np.isfinite(scaling).all()
        assert np.isfinite(scaled).all()
        assert (np.abs(clipped) <= 3).all()

    def test_missing_values_do_not_count_and_become_the_median(self):
        known = [1.0, 2, 3, 4, 9]
        with_missing = fit_robust_scaling(columns([np.nan, *known, np.nan]))
        np.testing.assert_array_equal(with_missing, fit_robust_scaling(columns(known)))
        assert robust_scale(columns([np.nan, 3]), with_missing).tolist() == [[0], [0]]

    def test_a_weight_counts_as_repetitions(self):
        x, weight = (
            np.random.default_rng(0).normal(size=(9, 2)),
            np.array([0, 1, 2, 3, 0, 1, 4, 1, 2]),
        )
        weighted = fit_robust_scaling(x, weight)
        # Places between two numbers are rounded.
        np.testing.assert_allclose(
            weighted, fit_robust_scaling(np.repeat(x, weight, 0)), rtol=1e-14
        )

    def test_infinity_in_training_is_refused(self):
        with pytest.raises(ValueError, match="got inf in feature 1 of row 2"):
            fit_robust_scaling(columns([0, 1, 2], [0, 1, np.inf]))

    @pytest.mark.bad_input
    def test_rows_have_two_axes(self):
        with pytest.raises(ValueError, match=r"x must have shape \(rows, features\); got \(3,\)"):
            fit_robust_scaling(np.ones(3))

    def test_another_number_of_features_is_refused(self):
        scaling = fit_robust_scaling(np.ones((3, 2)))
        with pytest.raises(ValueError, match=r"x must have 2 features.*got x.shape=\(3, 1\)"):
            robust_scale(np.ones((3, 1)), scaling)


class TestSmoothClip:
    def test_its_value_at_2(self):
        assert smooth_clip(jnp.array(2.0)).item() == pytest.approx(2 / (1 + 4 / 9) ** 0.5, rel=1e-6)

    def test_its_limit_is_3(self):
        x = jnp.array([-3e38, -1e20, 1e20, 3e38])
        # Of float32.
        np.testing.assert_allclose(smooth_clip(x), [-3, -3, 3, 3], rtol=1e-6)

    def test_another_limit(self):
        assert smooth_clip(jnp.array(1e9), 5.0).item() == pytest.approx(5)


class TestQuantileBins:
    def test_bins_have_as_many_rows_each(self):
        x = np.random.default_rng(0).normal(size=(1200, 2))
        low, width = quantile_bins(x, 12)
        for feature in range(2):
            edges = [*low[feature], low[feature, -1] + width[feature, -1]]
            counts, _ = np.histogram(x[:, feature], edges)
            # Rows at an edge are on either side of it.
            assert np.abs(counts - 100).max() <= 1

    def test_few_different_values_have_few_bins(self):
        low, width = quantile_bins(columns([0, 1, 1, 3] * 5, [2] * 20, [np.nan] * 20), 8)
        used = low[0][width[0] > 0]
        assert set(used) <= {0, 0.25, 0.5, 0.75, 1} | set(
            np.quantile([0, 1, 1, 3] * 5, np.arange(8) / 8)
        )
        assert used[0] == 0
        assert low[0][len(used) - 1] + width[0][len(used) - 1] == 3
        assert not width[1:].any()

    def test_a_bin_ends_where_the_next_one_begins(self):
        x = np.random.default_rng(0).integers(0, 9, (50, 3)) / 7
        for low, width in zip(*quantile_bins(x, 6), strict=True):
            count = (width > 0).sum()
            assert (width[count:] == 0).all()
            # Of a difference that was rounded.
            np.testing.assert_allclose((low + width)[: count - 1], low[1:count], rtol=1e-15)

    def test_numbers_may_be_whole(self):
        low, width = quantile_bins(np.array([[0], [1]]), 4)
        assert low.tolist() == [[0, 0.25, 0.5, 0.75]]
        assert width.tolist() == [[0.25] * 4]

    def test_weights_count_as_repetitions(self):
        generator = np.random.default_rng(0)
        x, weight = generator.normal(size=(30, 2)), generator.integers(0, 4, 30)
        got, expected = (
            quantile_bins(x, 5, weight=weight),
            quantile_bins(np.repeat(x, weight, 0), 5),
        )
        # Places between two numbers are rounded.
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)

    def test_no_bin_is_narrower_than_programs_compute(self):
        low, width = quantile_bins(np.array([[0], [1e-40], [1], [2]], np.float32), 3)
        assert (low.tolist(), width.tolist()) == ([[0, 1, 0]], [[1, 1, 0]])

    def test_a_constant_feature_is_encoded_as_nothing(self):
        bins = quantile_bins(np.full((5, 1), 2, np.float32), 3)
        assert not piecewise_linear_encoding(jnp.array([[1.0], [2.0], [5.0]]), bins).any()

    @pytest.mark.parametrize("bins", [0, -1])
    def test_there_is_at_least_one(self, bins):
        with pytest.raises(ValueError, match="bins must be an int of at least 1"):
            quantile_bins(np.ones((2, 2)), bins)

    @pytest.mark.bad_input
    def test_weights_are_one_per_row(self):
        with pytest.raises(ValueError, match=r"weight must have shape \(2,\), one per row"):
            quantile_bins(np.ones((2, 3)), 2, weight=np.ones(3))


class TestOneHotColumns:
    codes = np.array([2, 0, 1, 3])

    def test_each_category_has_a_column(self):
        expected = [[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]]
        assert one_hot_columns(self.codes, 3, has_missing=False).tolist() == expected

    def test_what_is_missing_may_have_one_before_them(self):
        got = one_hot_columns(self.codes, 3, has_missing=True)
        assert got[:, 0].tolist() == [0, 1, 0, 0]
        np.testing.assert_array_equal(got[:, 1:], one_hot_columns(self.codes, 3, has_missing=False))

    def test_two_categories_are_minus_one_and_one(self):
        assert one_hot_columns(self.codes[:3], 2, has_missing=False).tolist() == [[1], [0], [-1]]

    @pytest.mark.parametrize("code", [-1, 3])
    @pytest.mark.parametrize("categories", [2, 1])
    def test_another_code_is_refused(self, code, categories):
        with pytest.raises(ValueError, match=f"codes must be 0, or 1 to categories={categories}"):
            one_hot_columns(np.array([0, code]), categories, has_missing=False)

    @pytest.mark.bad_input
    def test_codes_are_whole_numbers(self):
        with pytest.raises(TypeError, match=r"codes must be an array of whole numbers.*float64"):
            one_hot_columns(np.ones(2), 2, has_missing=False)
