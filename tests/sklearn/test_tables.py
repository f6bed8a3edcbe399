"""Tables of any package become the same numbers and codes."""

import dataclasses
import datetime as dt
import decimal
import json
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp.sklearn.tables.encoding import Column, describe_table, encode_table, number_names

D = decimal.Decimal
EAST = dt.timezone(dt.timedelta(hours=2))
LONG = dt.timedelta(200, 1, 3)
NOON = dt.datetime(2024, 2, 29, 12, 30, 15, 250_001)

# A value twice, another, and a missing one.
CELLS = {
    "ints": ([3, 3, -4, None], "numeric"),
    "floats": ([0.5, 0.5, 2.0, None], "numeric"),
    "decimals": ([D("0.1"), D("0.1"), D("1234567.89"), None], "numeric"),
    "durations": (
        [dt.timedelta(200, 1, 3), dt.timedelta(200, 1, 3), dt.timedelta(-1), None],
        "numeric",
    ),
    "nothing": ([None] * 4, "numeric"),
    "bools": ([True, True, False, None], "category"),
    "strings": (["b", "b", "a", None], "category"),
    "dates": ([NOON.date(), NOON.date(), dt.date(1960, 1, 1), None], "datetime"),
    "times": ([NOON, NOON, dt.datetime(1900, 1, 1, 1), None], "datetime"),
    "zoned": ([NOON.replace(tzinfo=EAST), NOON.replace(tzinfo=EAST), None, None], "datetime"),
}
DATA = {name: cells for name, (cells, _) in CELLS.items()}
ARROW = pa.table(DATA)
SAME = {
    "pyarrow": ARROW,
    "chunks": pa.concat_tables([ARROW[:1], ARROW[1:]]),
    "batch": ARROW.combine_chunks().to_batches()[0],
    "polars": pl.DataFrame(DATA),
    "polars_of_arrow": pl.from_arrow(ARROW),
    "objects": pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in DATA.items()}),
    "inferred": pd.DataFrame(DATA),
    "nullable": pd.DataFrame(DATA).convert_dtypes(),
    "pandas_of_arrow": ARROW.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas_of_polars": pl.DataFrame(DATA).to_pandas(),
    "nanoseconds": pd.DataFrame(DATA).astype({"times": "M8[ns]", "durations": "m8[ns]"}),
}
WORDS = ["b", "c", "b", None, "a"]
CATEGORIES = {
    "pandas": pd.Categorical(WORDS, categories=["never", "c", "b", "a"]),
    "polars": pl.Series(WORDS, dtype=pl.Categorical),
    "enum": pl.Series(WORDS, dtype=pl.Enum(["never", "c", "b", "a"])),
    "pyarrow": pa.array(WORDS).dictionary_encode(),
    "pandas_of_arrow": pd.Series(
        pd.arrays.ArrowExtensionArray(pa.array(WORDS).dictionary_encode())
    ),
    "strings": pd.Series(WORDS, dtype="str"),
    "nullable": pd.Series(WORDS, dtype="string"),
    "views": pa.array(WORDS, pa.string_view()),
    "large": pa.array(WORDS, pa.large_string()),
    "objects": pd.Series(WORDS, dtype=object),
}


def frame_of(column, name="x"):
    if isinstance(column, pl.Series):
        return pl.DataFrame({name: column})
    return (
        pa.table({name: column}) if isinstance(column, pa.Array) else pd.DataFrame({name: column})
    )


def describe_one(cells, **arguments):
    """Describes a column of objects, of a frame of pandas."""
    (column,) = describe_table(pd.DataFrame({"x": pd.Series(cells, dtype=object)}), **arguments)
    return column


@pytest.mark.parametrize("package", SAME)
def test_the_same_table_is_described_the_same_in_every_package(package):
    described = describe_table(SAME[package])
    assert described == describe_table(ARROW)
    assert [column.kind for column in described] == [kind for _, kind in CELLS.values()]
    assert all(column.has_missing for column in described)


@pytest.mark.parametrize("package", SAME)
def test_the_same_table_is_encoded_the_same_in_every_package(package):
    columns = describe_table(ARROW)
    for one, other in zip(
        encode_table(SAME[package], columns), encode_table(ARROW, columns), strict=True
    ):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


@pytest.mark.parametrize("package", CATEGORIES)
def test_categories_are_sorted_values_that_occur(package):
    frame = frame_of(CATEGORIES[package])
    (column,) = describe_table(frame)
    assert column == Column(name="x", kind="category", categories=("a", "b", "c"), has_missing=True)
    encoded = encode_table(frame, (column,))
    assert encoded.codes[:, 0].tolist() == [2, 3, 2, 0, 1]
    assert encoded.codes.dtype == np.int32
    assert encoded.numbers.shape == (5, 0)


def test_numbers_are_float64_with_nan_where_missing():
    encoded = encode_table(ARROW, describe_table(ARROW))
    numbers = dict(zip(number_names(describe_table(ARROW)), encoded.numbers.T, strict=True))
    np.testing.assert_array_equal(numbers["ints"], [3, 3, -4, np.nan])
    np.testing.assert_array_equal(numbers["decimals"], [0.1, 0.1, 1234567.89, np.nan])
    np.testing.assert_array_equal(
        numbers["durations"], [17280001.000003, 17280001.000003, -86400, np.nan]
    )
    assert np.isnan(numbers["nothing"]).all()


def test_fields_of_a_description_are_json():
    columns = describe_table(SAME["inferred"], categorical_features=["ints", "floats"])
    fields = json.loads(json.dumps([dataclasses.asdict(column) for column in columns]))
    made = [Column(**{**field, "categories": tuple(field["categories"])}) for field in fields]
    assert tuple(made) == columns
    assert [type(value) for value in made[0].categories] == [int, int]


class TestTimes:
    TIME = pd.DataFrame({"when": pd.to_datetime([NOON, "1970-01-01", None])})

    def test_they_are_seconds_and_phases_of_day_week_and_year(self):
        columns = describe_table(self.TIME)
        assert number_names(columns) == [
            *("when_seconds", "when_day_sin", "when_day_cos", "when_week_sin", "when_week_cos"),
            *("when_year_sin", "when_year_cos"),
        ]
        numbers = encode_table(self.TIME, columns).numbers
        seconds = NOON.replace(tzinfo=dt.UTC).timestamp()
        waves = [
            wave(2 * np.pi * seconds / period)
            for period in (86_400, 7 * 86_400, 365.2425 * 86_400)
            for wave in (np.sin, np.cos)
        ]
        # Angles of up to 2e4 turns here, below one turn there.
        atol = 4 * np.pi * seconds / 86_400 * np.finfo(float).eps
        np.testing.assert_allclose(numbers[0], [seconds, *waves], rtol=0, atol=atol)
        np.testing.assert_array_equal(numbers[1], [0, 0, 1, 0, 1, 0, 1])
        assert np.isnan(numbers[2]).all()

    def test_days_on_both_sides_of_a_week_s_begin_have_one_cosine(self):
        """Not two that differ by rounding, between which a bin would be cut."""
        days = pd.DataFrame({"when": pd.Timestamp(0) + pd.to_timedelta(np.arange(28), "D")})
        columns = describe_table(days)
        place = number_names(columns).index("when_week_cos")
        assert len(np.unique(encode_table(days, columns).numbers[:, place])) == 4

    def test_those_with_a_zone_are_read_in_utc(self):
        zoned = self.TIME["when"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
        columns = describe_table(self.TIME)
        np.testing.assert_array_equal(
            encode_table(pd.DataFrame({"when": zoned}), columns).numbers,
            encode_table(self.TIME, columns).numbers,
        )

    def test_an_array_may_hold_them(self):
        array = self.TIME.to_numpy()
        assert describe_table(array)[0].kind == "datetime"
        np.testing.assert_array_equal(
            encode_table(array, describe_table(array)).numbers,
            encode_table(self.TIME, describe_table(self.TIME)).numbers,
        )

    def test_as_categories_they_are_told_apart_by_their_seconds(self):
        (column,) = describe_table(self.TIME, categorical_features=["when"])
        assert column.categories == (0, NOON.replace(tzinfo=dt.UTC).timestamp())
        assert encode_table(self.TIME, (column,)).codes.tolist() == [[2], [1], [0]]


class TestCategories:
    def test_a_value_of_one_row_is_none_beside_more_than_eight(self):
        assert len(describe_one([*"abcdefgh"]).categories) == 8
        assert describe_one([*"abcdefgh", "i", "i"]).categories == ("i",)
        assert describe_one([*"abcdefghi"]).categories == ()

    def test_equal_values_of_different_types_are_apart_and_sorted_by_type(self):
        cells = ["1", 1, True, 1.0, 0.5, False, "a", None]
        column = describe_one(cells)
        assert column.kind == "category"
        assert str(column.categories) == "(False, True, 0.5, 1, '1', 'a')"
        codes = encode_table(pd.DataFrame({"x": pd.Series(cells, dtype=object)}), (column,)).codes
        assert codes[:, 0].tolist() == [5, 4, 2, 4, 3, 1, 6, 0]

    def test_whole_numbers_are_one_however_they_are_stored(self):
        chosen = {"categorical_features": ["x"]}
        columns = [
            describe_table(frame_of(column), **chosen)
            for column in (
                pd.Series([1, 7, None]),
                pd.Series([1, 7, None], dtype="Int64"),
                pd.Series([1, 7, None], dtype=object),
                pd.Series([1, 7, None], dtype="category"),
                pl.Series([1, 7, None]),
                pl.Series([1.0, 7.0, None], dtype=pl.Float32),
                pl.Series([1, 7, None], dtype=pl.Int128),
                pa.array([1, 7, None], pa.uint8()),
                pa.array([D("1.0"), D("7"), None]),
            )
        ]
        assert {str(column) for column in columns} == {str(columns[0])}
        assert columns[0][0].categories == (1, 7)
        frame = pd.DataFrame({"x": [7, 1, 2]})
        assert encode_table(frame, columns[0]).codes[:, 0].tolist() == [2, 1, 0]

    def test_large_integers_are_told_apart(self):
        frame = pd.DataFrame({"x": [2**62, 2**62 + 1]})
        columns = describe_table(frame, categorical_features=[0])
        assert columns[0].categories == (2**62, 2**62 + 1)
        assert encode_table(frame, columns).codes[:, 0].tolist() == [1, 2]

    def test_intervals_of_pandas_cut_are_named(self):
        (column,) = describe_table(pd.DataFrame({"x": pd.cut(pd.Series([1, 5, None]), [0, 3, 6])}))
        assert column.categories == ("(0, 3]", "(3, 6]")

    def test_a_type_without_values_is_a_category_column(self):
        for column in (
            *(pd.Series([None], dtype="category"), pd.Series([None], dtype="str")),
            *(pl.Series([None], dtype=pl.String), pl.Series([None], dtype=pl.Boolean)),
        ):
            expected = Column(name="x", kind="category", has_missing=True)
            assert describe_table(frame_of(column)) == (expected,)

    @pytest.mark.parametrize("features", [["a", "c"], [0, 2], [True, False, True]])
    def test_chosen_columns_are_categories_whatever_their_type(self, features):
        frame = pd.DataFrame({"a": [2, 1], "b": [1, 2], "c": [0.5, np.nan]})
        for given_as in (features, np.asarray(features)):
            columns = describe_table(frame, categorical_features=given_as)
            assert [column.categories for column in columns] == [(1, 2), (), (0.5,)]
        assert number_names(columns) == ["b"]


KINDS = (
    *(st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.decimals(-9, 9)),
    *(st.datetimes(), st.dates(), st.timedeltas(), st.sampled_from([1, "1", True, 1.0])),
    st.sampled_from([1j, {}, b"1", 10**400]),
)
MISSING = st.sampled_from([None, float("nan"), pd.NA, pd.NaT, D("nan")])


@settings(max_examples=200, deadline=None)
@given(rows=st.integers(1, 12), data=st.data())
def test_a_messy_table_is_encoded_or_its_column_named(rows, data):
    column = st.sampled_from([*KINDS, st.one_of(KINDS)]).flatmap(
        lambda kind: st.lists(kind | MISSING, min_size=rows, max_size=rows)
    )
    cells = data.draw(st.lists(column, min_size=1, max_size=3))
    frame = pd.concat([pd.Series(one, dtype=object) for one in cells], axis=1)
    for table in (frame.rename(columns="c{}".format), frame.to_numpy()):
        try:
            columns = describe_table(table)
            encoded = encode_table(table, columns)
        except (TypeError, ValueError) as error:
            assert re.search(r"column ('c\d'|\d) of X", str(error))  # noqa: PT017
            continue
        assert not np.isinf(encoded.numbers).any()
        assert encoded.numbers.shape == (rows, len(number_names(columns)))
        positions = [n for n, column in enumerate(columns) if column.kind == "category"]
        for codes, position in zip(encoded.codes.T, positions, strict=True):
            for code, cell in zip(codes, cells[position], strict=True):
                cell = float(cell) if code and isinstance(cell, D) else cell
                assert code == 0 or columns[position].categories[code - 1] == cell
