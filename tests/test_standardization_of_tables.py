"""Tests that statistics are those of the same numbers, whatever kind of rows holds them."""

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jaxmlp import Batch, DataLoader, MLPConfig, init_params, sources, with_standardization

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

generator = np.random.default_rng(0)
X = np.stack([generator.normal(size=60), generator.normal(size=60) * 9 + 1e3, np.ones(60)], 1)
X[generator.uniform(size=X.shape) < 0.2] = 0
WEIGHT = generator.uniform(size=60)
COLUMNS = {name: X[:, number] for number, name in enumerate("abc")}
PARAMS = init_params(MLPConfig(in_features=3, out_features=1), key=jax.random.key(0))


def statistics(data, weight=None):
    return [a.tolist() for a in with_standardization(PARAMS, data, weight).standardization]


KINDS = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas float32": lambda: pd.DataFrame(X.astype(np.float32)),
    "pandas nullable": lambda: pd.DataFrame(COLUMNS).convert_dtypes(),
    "pandas with arrow": lambda: pd.DataFrame(COLUMNS).convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "arrow": lambda: pa.table(COLUMNS),
    "arrow lists": lambda: pa.table({"a": pa.array(X.tolist(), pa.list_(pa.float64(), 3))}),
    "csr": lambda: scipy.sparse.csr_array(X),
    "coo": lambda: scipy.sparse.coo_matrix(X),
    "unmasked": lambda: np.ma.masked_array(X),
    "unmasked in full": lambda: np.ma.masked_array(X, mask=np.zeros(X.shape, bool)),
}


@pytest.mark.parametrize("kind", KINDS)
class TestKinds:
    def expected(self, kind, weight=None):
        return statistics(X.astype(np.float32) if "float32" in kind else X, weight)

    def test_statistics_are_those_of_the_array(self, kind):
        assert statistics(KINDS[kind]()) == self.expected(kind)

    def test_rows_are_weighted(self, kind):
        for weight in (WEIGHT, pd.Series(WEIGHT), pa.array(WEIGHT), pl.Series(WEIGHT)):
            assert statistics(KINDS[kind](), weight) == self.expected(kind, WEIGHT)

    def test_batches_of_them_are_read(self, kind):
        if "lists" not in kind:
            assert statistics([KINDS[kind]()]) == self.expected(kind)
            assert statistics([Batch(KINDS[kind](), None, WEIGHT)]) == self.expected(kind, WEIGHT)

    def test_they_are_read_block_by_block(self, kind, monkeypatch):
        monkeypatch.setattr("jaxmlp.tabular.standardization._BLOCK_SIZE", 21)
        got = np.array(statistics(KINDS[kind]()))
        # The sums of other blocks.
        np.testing.assert_allclose(got, self.expected(kind), rtol=1e-6)


class TestSources:
    def test_files_and_sources_are_read(self, tmp_path):
        x = X.astype(np.float32)
        pa.parquet.write_table(pa.table(COLUMNS), tmp_path / "a.parquet")
        np.save(tmp_path / "x.npy", x)
        for data in (
            sources.parquet(tmp_path / "a.parquet", y=None),
            sources.npy(tmp_path / "x.npy"),
            sources.MemorySource(x),
            sources.DatasetSource([(row, 0) for row in x]),
            np.load(tmp_path / "x.npy", mmap_mode="r"),
        ):
            np.testing.assert_allclose(statistics(data), statistics(x), rtol=1e-6)

    def test_a_source_brings_its_weights(self):
        source = sources.MemorySource(X, weight=WEIGHT)
        weighted = statistics(X.astype(np.float32), WEIGHT.astype(np.float32))
        np.testing.assert_allclose(statistics(source), weighted, rtol=1e-6)
        with pytest.raises(ValueError, match="weight is that of the rows of an array or a frame"):
            statistics(source, WEIGHT)

    def test_a_dataset_is_read(self):
        torch_data = pytest.importorskip("torch.utils.data")
        torch = pytest.importorskip("torch")
        data = torch_data.TensorDataset(torch.tensor(X), torch.zeros(60))
        np.testing.assert_allclose(statistics(data), statistics(X.astype(np.float32)), rtol=1e-6)


def test_dummies_of_a_frame_are_standardised_as_a_loader_reads_them():
    x = pd.get_dummies(pd.DataFrame({"v": [1.0, 2.0, 3.0], "kind": ["u", "w", "u"]}))
    assert statistics(x) == statistics(DataLoader(x, batch_size=3))


def test_an_offset_of_a_frame_takes_no_digits():
    times = 1.7e9 + np.arange(60.0) * 1e7
    frame = pd.DataFrame({"a": times, "b": X[:, 0], "c": X[:, 1]})
    assert statistics(frame) == statistics(frame.to_numpy())


@given(x=arrays(np.int16, (5, 3), elements=st.integers(-100, 100)))
@settings(max_examples=25, deadline=None)
def test_sparse_rows_have_the_statistics_of_dense_ones(x):
    assert statistics(scipy.sparse.csr_array(x)) == statistics(x)


class TestErrors:
    def refused(self, error, message, data, weight=None):
        with pytest.raises(error, match=message):
            with_standardization(PARAMS, data, weight)

    def test_masked_values(self):
        masked = np.ma.masked_array(X, mask=X == 1)
        message = "data must not have masked values; got .* Fill them"
        self.refused(ValueError, message, masked)
        self.refused(ValueError, "batch 1 of " + message, [X, masked])
        self.refused(ValueError, "the weight of data must not", X, np.ma.masked_less(WEIGHT, 0.5))

    def test_nulls(self):
        columns = COLUMNS | {"b": [None, *COLUMNS["b"][1:]]}
        for make in (pl.DataFrame, pa.table):
            self.refused(
                ValueError, r"data\['b'\], row 0, must have a value; got nu", make(columns)
            )

    def test_texts(self):
        frame = pd.DataFrame(COLUMNS | {"b": ["x"] * 60})
        self.refused(TypeError, r"data\['b'\] must hold numbers; it holds", frame)

    def test_a_lazy_frame(self):
        self.refused(TypeError, r"got a lazy one\. Give data\.collect", pl.LazyFrame(COLUMNS))

    def test_another_number_of_columns(self):
        message = r"data must have shape \(rows, \.\.\., 3\).*got \(60, 2\)"
        self.refused(ValueError, message, pd.DataFrame(COLUMNS)[["a", "b"]])
        self.refused(ValueError, message, scipy.sparse.csr_array(X[:, :2]))

    def test_sparse_numbers_that_are_not_finite(self):
        x = scipy.sparse.csr_array(np.where(X[7, 1] == X, np.inf, X))
        self.refused(ValueError, r"data must be finite; got inf in feature 1 of row 7\.", x)

    @pytest.mark.bad_input
    def test_a_path(self, tmp_path):
        self.refused(TypeError, "data must be an array, a frame, a DataLoader or what", tmp_path)
