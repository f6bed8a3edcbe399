"""Arrays are read as scikit-learn reads them, and what cannot be read is named."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.utils import check_array

from jaxmlp.sklearn.tables.encoding import describe_table, encode_table, number_names

FRAME = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"], "c": pd.to_datetime(["2024", "2025"])})
COLUMNS = describe_table(FRAME)


def kinds(table, **arguments):
    return [column.kind for column in describe_table(table, **arguments)]


class TestArrays:
    @pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i8", "u8", "?"])
    def test_numbers_are_numeric_columns(self, dtype):
        array = np.array([[1, 0], [0, 1]], dtype)
        columns = describe_table(array)
        assert [column.name for column in columns] == [0, 1]
        assert number_names(columns) == ["x0", "x1"]
        np.testing.assert_array_equal(encode_table(array, columns).numbers, array.astype(float))

    @pytest.mark.parametrize(
        "array",
        [
            np.array([[1, "2"], [2.5, "-3e2"]], object),
            np.array([[True, 2], [False, None]], object),
        ],
    )
    def test_objects_that_scikit_learn_converts_are_numeric(self, array):
        columns = describe_table(array)
        np.testing.assert_array_equal(
            encode_table(array, columns).numbers,
            check_array(array, ensure_all_finite="allow-nan", dtype="numeric"),
        )

    @pytest.mark.parametrize("dtype", [object, str])
    def test_a_column_is_numeric_if_all_its_strings_are_numbers(self, dtype):
        array = np.array([["1.5", "a"], ["2", "1"], ["nan", "b"]], dtype)
        columns = describe_table(array)
        assert [column.kind for column in columns] == ["numeric", "category"]
        assert columns[1].categories == ("1", "a", "b")
        encoded = encode_table(array, columns)
        np.testing.assert_array_equal(encoded.numbers[:, 0], [1.5, 2, np.nan])
        assert encoded.codes[:, 0].tolist() == [2, 1, 3]
        assert kinds(array, categorical_features=[0]) == ["category", "category"]

    def test_strings_of_digits_in_a_frame_are_categories(self):
        assert kinds(pd.DataFrame({"x": ["1", "2"]})) == ["category"]

    def test_lists_keep_the_types_of_their_cells(self):
        rows = [[1, "a", None], [0.5, "b", 3]]
        columns = describe_table(rows)
        assert [column.kind for column in columns] == ["numeric", "category", "numeric"]
        np.testing.assert_array_equal(encode_table(rows, columns).numbers, [[1, np.nan], [0.5, 3]])

    def test_masked_cells_are_missing(self):
        array = np.ma.masked_equal([[1, 2], [3, 1]], 1)
        columns = describe_table(array, categorical_features=[1])
        encoded = encode_table(array, columns)
        np.testing.assert_array_equal(encoded.numbers, [[np.nan], [3]])
        assert encoded.codes.tolist() == [[1], [0]]

    def test_rows_of_an_array_fit_columns_of_a_frame(self):
        frame = pd.DataFrame({"a": [1, 2], "b": [True, None], "c": ["x", None]})
        columns = describe_table(frame)
        for one, other in zip(
            encode_table(frame.to_numpy(), columns), encode_table(frame, columns), strict=True
        ):
            np.testing.assert_array_equal(one, other)


class TestShapes:
    @pytest.mark.parametrize(
        "table", [np.zeros((0, 3)), pd.DataFrame(np.zeros((0, 3))), pa.table({"a": [], "b": []})]
    )
    def test_rows_are_needed(self, table):
        with pytest.raises(ValueError, match=r"0 sample\(s\) \(shape=\(0, .\)\) while a minimum"):
            describe_table(table)

    @pytest.mark.parametrize("table", [np.zeros((3, 0)), pd.DataFrame(index=[1, 2, 3])])
    def test_columns_are_needed(self, table):
        with pytest.raises(ValueError, match=r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum"):
            describe_table(table)

    @pytest.mark.parametrize("table", [[1, 2], np.array(["a"]), pl.Series([1]), pa.array(["a"])])
    def test_two_axes_are_needed(self, table):
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
            describe_table(table)

    def test_a_series_of_pandas_is_no_table(self):
        with pytest.raises(ValueError, match="Expected a 2-dimensional container"):
            describe_table(pd.Series(["a"]))

    def test_there_must_be_as_many_columns_as_in_training(self):
        with pytest.raises(ValueError, match="X has 2 features, but the training rows had 3"):
            encode_table(FRAME[["a", "b"]], COLUMNS)

    def test_names_must_differ(self):
        with pytest.raises(ValueError, match=r"columns of different names; got \['a'\] twice"):
            describe_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))

    def test_lazy_frames_are_refused(self):
        with pytest.raises(TypeError, match=r"got a lazy one. Give X.collect\(\)"):
            describe_table(pl.LazyFrame({"a": [1]}))


class TestCells:
    @pytest.mark.parametrize("frame", [pd.DataFrame, np.asarray])
    def test_an_object_that_is_no_value_is_named(self, frame):
        table = frame(np.array([[1, 2], [3, {"foo": "bar"}]], object))
        with pytest.raises(
            TypeError, match=r"argument must be .* string.* number.*column 1.*row 1"
        ):
            describe_table(table)

    @pytest.mark.parametrize(
        "column",
        [
            np.array([1.0, -np.inf]),
            np.array([1, np.inf], object),
            np.array(["a", np.inf], object),
            np.array([1, 10**400], object),
            pd.array([1.0, np.inf], "Float32"),
            pl.Series([1.0, np.inf]),
        ],
    )
    def test_infinity_is_refused(self, column):
        frame = pl.DataFrame if isinstance(column, pl.Series) else pd.DataFrame
        for features in ("from_dtype", ["x"]):
            with pytest.raises(ValueError, match=r"Input X contains infinity .*column 'x'"):
                describe_table(frame({"x": column}), categorical_features=features)

    def test_infinity_is_refused_in_later_rows(self):
        with pytest.raises(ValueError, match=r"Input X contains infinity .*column 'a'"):
            encode_table(FRAME.assign(a=np.inf), COLUMNS)

    @pytest.mark.parametrize("dtype", [complex, object])
    def test_complex_numbers_are_refused(self, dtype):
        for table in (np.array([[1j]], dtype), pd.DataFrame({"x": np.array([1j], dtype)})):
            with pytest.raises(ValueError, match="Complex data not supported"):
                describe_table(table)

    @pytest.mark.parametrize("other", [1, "a", True, dt.timedelta(1)])
    def test_times_stand_alone(self, other):
        frame = pd.DataFrame({"x": pd.Series([dt.date(2024, 1, 1), other], dtype=object)})
        with pytest.raises(TypeError, match="column 'x' of X must not hold times beside other"):
            describe_table(frame)

    @pytest.mark.parametrize(
        "frame",
        [
            pl.DataFrame({"x": [[1], [2]]}),
            pl.DataFrame({"x": [{"a": 1}]}),
            pl.DataFrame({"x": [dt.time(1)]}),
            pl.DataFrame({"x": [b"a"]}),
            pa.table({"x": [[1], [2]]}),
            pa.table({"x": [{"a": 1}]}),
            pa.table({"x": [b"a"]}),
            pd.DataFrame({"x": pd.period_range("2024", periods=2)}),
            pd.DataFrame({"x": pd.interval_range(0, 2)}),
        ],
    )
    def test_other_types_are_named(self, frame):
        with pytest.raises(TypeError, match=r"column 'x' of X must hold numbers, .* leave it out"):
            describe_table(frame)

    def test_bytes_are_named(self):
        with pytest.raises(TypeError, match="column 0 of X must hold numbers, strings or times"):
            describe_table(np.array([[b"a"]]))


class TestLaterRows:
    @pytest.mark.parametrize(
        ("name", "values", "message"),
        [
            ("a", ["1.5", "2"], "column 'a' of X must hold numbers, .* it holds strings"),
            ("a", FRAME["c"], "column 'a' of X must hold numbers, .* it holds times"),
            ("b", [1, 2], "column 'b' of X must hold values .* such as 'x'; it holds numbers"),
            ("b", [True, False], "column 'b' of X must hold .*; it holds bools"),
            ("c", [1, 2], "column 'c' of X must hold times, .* it holds numbers"),
            ("c", ["2024", "2025"], "column 'c' of X must hold times, .* it holds strings"),
        ],
    )
    def test_a_column_of_another_type_is_named(self, name, values, message):
        for frame in (
            FRAME.assign(**{name: values}),
            pl.from_pandas(FRAME.assign(**{name: values})),
        ):
            with pytest.raises(ValueError, match=message):
                encode_table(frame, COLUMNS)

    def test_strings_do_not_fit_categories_of_numbers(self):
        columns = describe_table(pd.DataFrame({"x": [1, 2]}), categorical_features=["x"])
        with pytest.raises(ValueError, match="such as 1; it holds strings"):
            encode_table(pd.DataFrame({"x": ["1", "2"]}), columns)

    def test_an_array_of_other_strings_is_named(self):
        columns = describe_table(np.array([["1"], ["2"]]))
        with pytest.raises(ValueError, match=r"column 0 of X must hold numbers, .* strings"):
            encode_table(np.array([["1"], ["a"]]), columns)

    def test_missing_values_have_no_type(self):
        for missing in (np.nan, None, pd.NaT):
            frame = pd.DataFrame({name: [missing, missing] for name in "abc"})
            encoded = encode_table(frame, COLUMNS)
            assert np.isnan(encoded.numbers).all()
            assert not encoded.codes.any()

    def test_objects_of_another_type_are_not_seen(self):
        frame = FRAME.assign(b=pd.Series([1, 2], dtype=object))
        assert encode_table(frame, COLUMNS).codes.tolist() == [[0], [0]]

    def test_bools_are_numbers_where_numbers_are_wanted(self):
        assert encode_table(FRAME.assign(a=[True, False]), COLUMNS).numbers[:, 0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["d"], "has an item value 'd' which is not a valid feature name of the training data"),
        ([3], r"set as integer indices must be in \[0, n_features - 1\]"),
        ([-1], r"set as integer indices must be in \[0, n_features - 1\]"),
        ([True], r"set as a boolean mask must have shape \(n_features,\), got: \(1,\)"),
        ([1.5], "must be an array-like of bool, int or str, got: float"),
        (np.array([1, "a"], object), "must be an array-like of bool, int or str, got: int, str"),
    ],
)
def test_chosen_columns_must_be_there(features, message):
    with pytest.raises(ValueError, match=f"^categorical_features .*{message}"):
        describe_table(FRAME, categorical_features=features)


def test_columns_without_names_are_not_chosen_by_name():
    with pytest.raises(ValueError, match="array of integers or as a boolean mask when"):
        describe_table([[1, 2]], categorical_features=["a"])
