"""Tests that 64-bit floats which run together in 32 bits are refused, and ordinary ones are not."""

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_files import KINDS

import jaxmlp
from jaxmlp import DataLoader, sources
from jaxmlp.sources.resolution import require_resolved, sampled_rows

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

FLOAT32 = np.dtype(np.float32)
SECONDS = 1.7e9 + np.arange(200.0)
ONES = np.ones(200)
generator = np.random.default_rng(0)


def refused(message, x, y=None):
    with pytest.raises(ValueError, match=message):
        DataLoader(x, y, batch_size=10)


class TestInMemory:
    def test_the_column_of_an_array_is_named(self):
        refused(r"^x, column 1, must have numbers that float32 tells", np.stack([ONES, SECONDS], 1))

    def test_targets_are_named(self):
        refused(r"^y must have numbers that float32 tells apart", ONES, 1e9 + np.arange(200.0))

    def test_a_place_in_an_array_of_many_axes_is_named(self):
        x = generator.normal(size=(200, 2, 3))
        x[:, 1, 2] = SECONDS
        refused(r"^x, column \(1, 2\), must have numbers", x)

    @pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.table])
    def test_the_column_of_a_frame_is_named(self, kind):
        refused(r"^x\['t'\] must have numbers that float32", kind({"a": ONES, "t": SECONDS}))

    def test_the_error_tells_what_is_lost_and_what_to_do(self):
        message = (
            r"those from 1700000000 to 1700000199 .* of 200 that differ 3 are left, .* moves them "
            r"by up to 64, .* deviation of 58\. Subtract an offset in float64 .*'jax_enable_x64'"
        )
        refused(message, SECONDS)

    def test_the_remedy_is_one(self):
        loader = DataLoader(SECONDS - SECONDS.mean(), batch_size=10)
        assert len(np.unique(loader.x)) == 200

    @pytest.mark.usefixtures("x64")
    def test_64_bit_types_keep_them(self):
        np.testing.assert_array_equal(DataLoader(SECONDS, batch_size=10).x, SECONDS)

    def test_two_values_that_become_one_are_refused(self):
        refused("of 2 that differ 1 are left", 1e9 + np.arange(200) % 2)

    def test_numbers_that_rounding_moves_by_much_of_their_deviation_are_refused(self):
        refused("of 2 that differ 2 are left, and rounding moves", 1.7e9 + 100 * (np.arange(9) % 2))

    def test_missing_values_do_not_hide_the_others(self):
        x = np.where(np.arange(200) % 7, SECONDS, np.nan)
        with pytest.raises(ValueError, match="must have numbers that float32 tells apart"):
            DataLoader(x, batch_size=10, check_finite=False)

    def test_float32_that_is_given_is_taken(self):
        x = SECONDS.astype(np.float32)
        np.testing.assert_array_equal(DataLoader(x, batch_size=10).x, x)


class TestNoFalseAlarms:
    @given(
        rows=st.integers(1, 3000),
        shift=st.floats(-1e4, 1e4),
        exponent=st.integers(-30, 30),
        seed=st.integers(0, 99),
    )
    @settings(max_examples=200, deadline=None)
    def test_numbers_within_ten_thousand_deviations_of_0(self, rows, shift, exponent, seed):
        x = (np.random.default_rng(seed).normal(size=rows) + shift) * 10.0**exponent
        require_resolved("x", x, FLOAT32)

    @pytest.mark.parametrize(
        "x",
        [
            np.full(300, 0.1),
            np.where(np.arange(300) % 3, 0.3, 0.1 + 0.2),
            np.full(300, 1e9),
            np.full(300, np.nan),
            np.full(300, np.inf),
            np.zeros((300, 0)),
            np.array([1.7e9]),
            generator.exponential(size=3000) * 1e9,
            generator.lognormal(20, 3, 3000),
            293.15 + 0.1 * generator.normal(size=3000),
            101325 + 30 * generator.normal(size=3000),
            1 / (1 + np.exp(-20 * generator.normal(size=3000))),
            1.5e9 + 3e7 * generator.uniform(size=3000),
            1.7e9 + 128 * np.arange(300.0),
        ],
        ids=[
            *(
                "constant",
                "noise",
                "large constant",
                "missing",
                "infinite",
                "no columns",
                "one row",
            ),
            *("prices", "heavy tail", "kelvin", "pascal", "probabilities", "a year", "on the grid"),
        ],
    )
    def test_ordinary_columns_are_taken(self, x):
        require_resolved("x", x, FLOAT32)

    def test_a_large_array_is_looked_at_in_a_few_rows(self):
        class Counting(np.ndarray):
            taken = 0

            def __getitem__(self, key):
                part = super().__getitem__(key)
                Counting.taken = max(Counting.taken, part.size)
                return part

        require_resolved("x", np.zeros((200_000, 3)).view(Counting), FLOAT32)
        assert 0 < Counting.taken <= 3 * 1024


@pytest.mark.parametrize("kind", list(KINDS))
class TestFiles:
    def make(self, kind, folder, columns):
        write, open_source = KINDS[kind]
        write(pa.table(columns), folder / "file")
        return open_source(folder / "file", y="b")

    @pytest.mark.parametrize("name", ["a", "b"])
    def test_the_column_is_named_when_the_source_is_made(self, kind, name, tmp_path):
        columns = {"a": ONES + np.arange(200) / 7, "b": ONES, "c": ONES} | {name: SECONDS + 0.5}
        message = rf"^column '{name}' of .*file must have numbers that float32 tells apart"
        with pytest.raises(ValueError, match=message):
            self.make(kind, tmp_path, columns)

    def test_ordinary_columns_are_taken(self, kind, tmp_path):
        x = generator.normal(size=200)
        source = self.make(kind, tmp_path, {"a": x, "b": ONES})
        np.testing.assert_array_equal(source.read(np.arange(200)).x[:, 0], x.astype(np.float32))

    @pytest.mark.usefixtures("x64")
    def test_64_bit_types_keep_them(self, kind, tmp_path):
        source = self.make(kind, tmp_path, {"a": SECONDS, "b": ONES})
        np.testing.assert_array_equal(source.read(np.arange(200)).x[:, 0], SECONDS)


@pytest.mark.parametrize("name", ["x", "y"])
def test_npy_files_are_named(name, tmp_path):
    paths = {}
    for key, array in ({"x": ONES, "y": ONES} | {name: SECONDS}).items():
        paths[key] = tmp_path / f"{key}.npy"
        np.save(paths[key], array)
    with pytest.raises(ValueError, match=rf"^{name} in .*{name}\.npy must have numbers that float"):
        sources.npy(**paths)


def test_lists_in_tables_are_looked_at(tmp_path):
    column = pa.array(np.stack([ONES, SECONDS], 1).tolist(), pa.list_(pa.float64(), 2))
    pa.parquet.write_table(pa.table({"a": column}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"column 'a' of .*, column 1, must have numbers that"):
        sources.parquet(tmp_path / "a.parquet", y=None)


def test_datasets_are_looked_at_in_64_rows():
    examples = [{"t": time, "label": 0} for time in SECONDS]
    with pytest.raises(ValueError, match=r"x must have numbers that float32 tells apart"):
        sources.DatasetSource(examples, x="t", y="label")
    with pytest.raises(ValueError, match=r"x.*'t'.* must have numbers that float32 tells apart"):
        sources.DatasetSource(examples, x=["t"], y="label")


def test_statistics_say_that_no_rows_need_be_read(tmp_path, monkeypatch):
    pa.parquet.write_table(pa.table({"a": generator.normal(size=200)}), tmp_path / "a.parquet")

    def forbidden(_):
        raise AssertionError("rows were read")

    monkeypatch.setattr("jaxmlp.sources.table_rows.sampled_rows", forbidden)
    assert len(sources.parquet(tmp_path / "a.parquet", y=None)) == 200


@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=9))
@settings(max_examples=30, deadline=None)
def test_sampled_rows_are_some_of_the_first_middle_and_last_chunk(sizes):
    chunks = np.cumsum([0, *sizes])
    rows = sampled_rows(chunks)
    assert len(rows) == len(np.unique(rows)) <= 1100
    parts = np.searchsorted(chunks, rows, side="right") - 1
    assert set(parts) == {0, (len(sizes) - 1) // 2, len(sizes) - 1}


def test_a_network_still_learns_from_shifted_times():
    """The remedy of the message is enough for `with_standardization` as well."""
    config = jaxmlp.MLPConfig(in_features=1, out_features=1)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    x = (SECONDS - SECONDS.mean())[:, None]
    mean, scale = jaxmlp.with_standardization(params, DataLoader(x, batch_size=10)).standardization
    np.testing.assert_allclose((mean, scale), ([0], [x.std()]), atol=1e-5, rtol=1e-6)
