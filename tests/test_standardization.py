"""Tests of the statistics that `with_standardization` computes."""

import itertools
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import Batch, DataLoader, MLPConfig, Params, init_params, with_standardization

FEATURES = 4
generator = np.random.default_rng(0)
X = generator.normal(size=(300, FEATURES)) * [1, 1e3, 1e-3, 1] + [0, 10, -1, 1e4]
WEIGHT = generator.uniform(0, 2, 300) * (generator.uniform(size=300) > 0.3)
# The doubles of a few hundred roundings.
RTOL = 1e-13


def params_of(in_features=FEATURES, **fields):
    config = MLPConfig(in_features=in_features, hidden_features=(3,), out_features=2, **fields)
    return init_params(config, key=jax.random.key(0))


def wide_statistics(data, weight=None, in_features=FEATURES):
    """The statistics in float64."""
    with jax.enable_x64(True):
        params = params_of(in_features, param_dtype="float64")
        return jax.tree.map(np.asarray, with_standardization(params, data, weight).standardization)


def assert_close(got, expected, rtol=RTOL):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), got, expected)


def blocks_of(sizes, x, weight):
    edges = np.cumsum([0, *sizes])
    assert edges[-1] == len(x)
    return [Batch(x[a:b], None, weight[a:b]) for a, b in itertools.pairwise(edges)]


class TestAgainstScikitLearn:
    def scaler(self, x, weight=None):
        preprocessing = pytest.importorskip("sklearn.preprocessing")
        scaler = preprocessing.StandardScaler().fit(x, sample_weight=weight)
        return scaler.mean_, scaler.scale_

    @pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
    def test_mean_and_scale_are_the_same(self, weight):
        assert_close(tuple(wide_statistics(X, weight)), self.scaler(X, weight))

    def test_constant_columns_have_scale_1(self):
        # A third of 0.1 + 0.2 and 0.3: constant but for rounding.
        noisy = np.where(np.arange(300) % 3, 0.3, 0.1 + 0.2)
        x = np.column_stack([np.full(300, 0.1), noisy, np.zeros(300), np.full(300, 1e9)])
        got = wide_statistics(x)
        assert got.scale.tolist() == [1, 1, 1, 1]
        assert_close(tuple(got), self.scaler(x))

    def test_integers_are_taken_as_they_are(self):
        x = generator.integers(0, 256, (300, FEATURES)).astype(np.uint8)
        assert_close(tuple(wide_statistics(x)), self.scaler(x))


@pytest.mark.parametrize("offset", [1e8, -1e12])
@pytest.mark.parametrize("first", [0, 1e8])
def test_a_huge_mean_costs_no_digits(offset, first):
    column = np.concatenate([[offset + first], offset + np.tile([1.0, -1.0, 0.5], 1000)])
    exact = statistics.pvariance(map(float, column)) ** 0.5
    blocks = np.array_split(column[:, None], 7)
    for data in (column[:, None], blocks):
        got = wide_statistics(data, in_features=1)
        # The squares of one outlier among 3000 rows are 3000 times those of the sum.
        np.testing.assert_allclose(got.scale, [exact], rtol=1e-12)
        np.testing.assert_allclose(got.mean, [statistics.mean(column.tolist())], rtol=1e-15)


class TestBatches:
    def test_any_cut_into_blocks_gives_the_same(self):
        whole = wide_statistics(X, WEIGHT)
        for sizes in ((300,), (1,) * 300, (299, 1), (1, 250, 49)):
            blocks = blocks_of(sizes, X, WEIGHT)
            assert_close(wide_statistics(iter(blocks)), whole)

    def test_a_large_array_is_read_block_by_block(self, monkeypatch):
        whole = wide_statistics(X, WEIGHT)
        monkeypatch.setattr("jaxmlp.tabular.standardization._BLOCK_SIZE", 7 * FEATURES)
        assert_close(wide_statistics(X, WEIGHT), whole)

    @pytest.mark.parametrize("shuffle", [False, True])
    def test_a_loader_gives_those_of_its_rows_without_padding(self, shuffle):
        x = X.astype(np.float32)
        loader = DataLoader(x, None, WEIGHT, batch_size=64, shuffle=shuffle)
        assert_close(wide_statistics(loader), wide_statistics(x, WEIGHT.astype(np.float32)))

    def test_a_loader_counts_no_epoch(self):
        loader = DataLoader(X.astype(np.float32), batch_size=64, shuffle=True)
        with_standardization(params_of(), loader)
        np.testing.assert_array_equal(next(iter(loader)).x, next(loader.epoch(0)).x)

    def test_plain_arrays_are_batches(self):
        half = jnp.asarray(X[100:], jnp.bfloat16)
        joined = np.concatenate([X[:100], np.asarray(half, np.float64)])
        assert_close(wide_statistics([X[:100], half]), wide_statistics(joined))

    def test_axes_between_rows_and_features_count_as_rows(self):
        x = X.reshape(100, 3, FEATURES)
        assert_close(wide_statistics(x, WEIGHT[:100]), wide_statistics(X, WEIGHT[:100].repeat(3)))

    def test_rows_of_weight_0_may_hold_anything(self):
        x = np.concatenate([np.full((1, FEATURES), np.nan), X, np.full((1, FEATURES), np.inf)])
        weight = np.concatenate([[0], np.ones(300), [0]])
        assert_close(wide_statistics(x, weight), wide_statistics(X))


class TestParams:
    @pytest.mark.parametrize("param_dtype", ["float32", "bfloat16", "float16"])
    def test_statistics_are_float32(self, param_dtype):
        params = params_of(param_dtype=param_dtype)
        got = with_standardization(params, X)
        jax.tree.map(np.testing.assert_array_equal, got._replace(standardization=None), params)
        assert [a.dtype for a in got.standardization] == [np.float32, np.float32]
        np.testing.assert_array_equal(got.standardization.mean, np.float32(wide_statistics(X).mean))

    def test_they_replace_those_of_before(self):
        once = with_standardization(params_of(), X)
        twice = with_standardization(with_standardization(params_of(), X + 1), X)
        jax.tree.map(np.testing.assert_array_equal, once, twice)

    def test_a_linear_network_takes_them_too(self):
        config = MLPConfig(in_features=FEATURES, out_features=2)
        params = init_params(config, key=jax.random.key(0))
        assert with_standardization(params, X).standardization.mean.shape == (FEATURES,)

    def test_members_of_an_ensemble_share_them(self):
        keys = jax.random.split(jax.random.key(0), 3)
        config = MLPConfig(in_features=FEATURES, out_features=2)
        members = jax.vmap(lambda key: init_params(config, key=key))(keys)
        got = with_standardization(members, X).standardization
        one = with_standardization(params_of(), X).standardization
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, np.stack([b] * 3)), got, one)


class TestErrors:
    def refused(self, error, message, data, weight=None, params=None):
        with pytest.raises(error, match=message):
            with_standardization(params or params_of(), data, weight)

    @pytest.mark.bad_input
    def test_other_params(self):
        with pytest.raises(TypeError, match=r"params must be jaxmlp\.Params; got a dict"):
            with_standardization({}, X)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_number_that_is_not_finite(self, bad):
        x = X.copy()
        x[17, 2] = bad
        message = rf"data must be finite; got {bad} in feature 2 of row 17\. Impute or drop"
        self.refused(ValueError, message, x)
        message = r"batch 1 of data must be finite; got .* in feature 2 of row 7\."
        self.refused(ValueError, message, [x[:10], x[10:]])

    @pytest.mark.parametrize("shape", [(4,), (300, 5), (5, 4, 3)])
    def test_another_shape(self, shape):
        self.refused(ValueError, r"data must have shape \(rows, \.\.\., 4\)", np.zeros(shape))

    @pytest.mark.parametrize("x", [X.astype(str), X.astype(complex), X.astype(object)])
    def test_another_type(self, x):
        self.refused(TypeError, "data must hold real numbers; got an array of", x)

    @pytest.mark.parametrize("data", [3, "rows", {"x": X}, Batch(X)])
    def test_what_is_no_data(self, data):
        self.refused(TypeError, "data must be an array, a frame, a DataLoader or what one is", data)

    def test_batches_that_are_no_arrays(self):
        message = "batch 1 of data must be an array or a Batch of arrays; got a list"
        self.refused(TypeError, message, [X, [1, 2]])

    @pytest.mark.parametrize("data", [[], np.zeros((0, 4)), [np.zeros((0, 4))]])
    def test_no_rows(self, data):
        self.refused(ValueError, "data must have at least one row of positive weight", data)

    def test_no_row_of_positive_weight(self):
        self.refused(ValueError, "at least one row of positive weight", X, np.zeros(300))

    def test_weights_that_are_wrong(self):
        self.refused(ValueError, r"must have shape \(300,\), one per row", X, np.ones(299))
        self.refused(ValueError, "must be finite and at least 0", X, np.full(300, -1.0))
        self.refused(ValueError, "must be finite and at least 0", X, np.full(300, np.nan))
        self.refused(ValueError, "weight is that of the rows of an array", [X], WEIGHT)

    @pytest.mark.parametrize(
        "column",
        [1e8 + np.tile([1.0, -1.0], 150), np.linspace(0, 1e39, 300), np.linspace(0, 1e-45, 300)],
        ids=["mean", "overflow", "underflow"],
    )
    def test_a_feature_that_float32_does_not_resolve(self, column):
        x = np.column_stack([X[:, :3], column])
        message = r"on a scale that float32 resolves; feature 3 has mean .* param_dtype='float64'"
        self.refused(ValueError, message, x)
        assert isinstance(wide_statistics(x), tuple)

    def test_features_on_the_grid_of_float32_are_no_error(self):
        # Of large numbers that float32 holds exactly nothing is lost.
        x = np.float32(2**27) + 8 * np.arange(300, dtype=np.float32)[:, None] * np.ones(FEATURES)
        assert isinstance(with_standardization(params_of(), x), Params)


class TestFeatures:
    @pytest.mark.parametrize("features", [[0, 3], [True, False, False, True], [0, -1]])
    def test_only_those_are_standardised(self, features):
        params = params_of(FEATURES)
        got = with_standardization(params, X, features=features).standardization
        whole = with_standardization(params, X).standardization
        assert got.mean.tolist() == [whole.mean[0], 0, 0, whole.mean[3]]
        assert got.scale.tolist() == [whole.scale[0], 1, 1, whole.scale[3]]

    def test_the_others_may_vary_as_little_as_they_like(self):
        x = np.column_stack([X[:, 0], 1 + 1e-12 * X[:, 0], X[:, 2], X[:, 3]])
        with pytest.raises(ValueError, match="must vary on a scale"):
            with_standardization(params_of(), x)
        assert with_standardization(params_of(), x, features=[0, 2, 3]).standardization is not None

    def test_none_of_them_leaves_the_inputs_as_they_are(self):
        got = with_standardization(params_of(), X, features=[]).standardization
        assert (got.mean.tolist(), got.scale.tolist()) == ([0] * FEATURES, [1] * FEATURES)

    def test_a_place_that_there_is_not_is_refused(self):
        with pytest.raises(ValueError, match=r"places in \[0, 4\).*got \[4\]"):
            with_standardization(params_of(), X, features=[4])

    def test_names_are_refused(self):
        with pytest.raises(TypeError, match="features must be places"):
            with_standardization(params_of(), X, features=["age"])
