"""Tests of `train_test_split`: which rows go where, and the class counts of scikit-learn."""

import math
import operator

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import DataLoader, train_test_split
from jaxmlp.sources import MemorySource

X = np.arange(60).reshape(30, 2)
Y = np.arange(30)


class TestRows:
    def test_every_row_is_in_one_part(self):
        train, test = train_test_split(Y, test_size=0.3, seed=0)
        assert sorted([*train, *test]) == Y.tolist()

    def test_all_arrays_are_split_alike(self):
        x_train, x_test, y_train, y_test = train_test_split(X, Y, test_size=7, seed=3)
        np.testing.assert_array_equal(x_train, X[y_train])
        np.testing.assert_array_equal(x_test, X[y_test])

    @pytest.mark.parametrize(
        ("test_size", "rows"), [(1, 1), (29, 29), (0.3, 9), (0.01, 1), (0.31, 10), (0.5, 15)]
    )
    def test_the_test_part_has_the_size_asked_for(self, test_size, rows):
        train, test = train_test_split(Y, test_size=test_size, seed=0)
        assert (len(train), len(test)) == (30 - rows, rows)

    def test_sizes_are_those_of_scikit_learn(self):
        model_selection = pytest.importorskip("sklearn.model_selection")
        for rows in range(2, 120):
            for share in (0.07, 0.1, 0.2, 0.25, 1 / 3, 0.5):
                if math.ceil(share * rows) == rows:
                    continue
                ours = train_test_split(np.arange(rows), test_size=share, seed=0)
                theirs = model_selection.train_test_split(np.arange(rows), test_size=share)
                assert list(map(len, ours)) == list(map(len, theirs))

    def test_the_seed_alone_fixes_the_split(self):
        splits = [train_test_split(Y, test_size=5, seed=seed)[1].tolist() for seed in range(20)]
        again = [train_test_split(Y, test_size=5, seed=seed)[1].tolist() for seed in range(20)]
        assert splits == again
        assert len(set(map(tuple, splits))) == 20

    def test_a_published_split_stays_as_it_is(self):
        # Philox words and integers only: the same on every machine and version.
        _, test = train_test_split(Y, test_size=5, seed=0)
        assert test.tolist() == [27, 24, 17, 7, 9]

    def test_every_row_is_equally_likely_to_be_tested(self):
        for stratify in (None, Y % 3):
            tests = [
                train_test_split(Y, test_size=6, seed=s, stratify=stratify)[1] for s in range(2000)
            ]
            counts = np.bincount(np.concatenate(tests), minlength=30)
            # Binomial(2000, 0.2): mean 400, standard deviation 18; 30 rows within 4.5 of them.
            assert np.abs(counts - 400).max() < 80

    def test_parts_are_copies(self):
        y = Y.copy()
        for part in train_test_split(y, test_size=5, seed=0):
            part[:] = -1
        np.testing.assert_array_equal(y, Y)


class TestContainers:
    def test_trees_of_arrays_are_split_leaf_by_leaf(self):
        tree = {"a": X, "b": (Y, None)}
        train, test, y_train, y_test = train_test_split(tree, Y, test_size=0.2, seed=0)
        for part, rows in ((train, y_train), (test, y_test)):
            np.testing.assert_array_equal(part["a"], X[rows])
            np.testing.assert_array_equal(part["b"][0], rows)
            assert part["b"][1] is None

    def test_jax_arrays_stay_jax_arrays(self):
        train, _, rows, _ = train_test_split(jnp.asarray(X), Y, test_size=0.2, seed=0)
        assert isinstance(train, jnp.ndarray)
        np.testing.assert_array_equal(train, X[rows])

    def test_frames_are_split_by_row(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"a": Y, "b": Y.astype(str)}, index=Y[::-1])
        train, test, y_train, y_test = train_test_split(frame, frame["a"], test_size=0.2, seed=0)
        for part, rows in ((train, y_train), (test, y_test)):
            assert part["a"].tolist() == rows.tolist()
            assert part["b"].tolist() == rows.astype(str).tolist()

    def test_polars_frames_are_split_by_row(self):
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame({"a": Y, "b": Y.astype(str)})
        train, _, rows, _ = train_test_split(frame, Y, test_size=0.2, seed=0)
        assert train["a"].to_list() == rows.tolist()

    @pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
    @pytest.mark.parametrize("base", ["coo_array", "coo_matrix"])
    def test_sparse_rows_of_any_format_become_csr(self, kind, base):
        sparse = pytest.importorskip("scipy.sparse")
        x = getattr(sparse, base)(X).asformat(kind)
        train, test, rows, _ = train_test_split(x, Y, test_size=0.2, seed=0)
        np.testing.assert_array_equal(train.toarray(), X[rows])
        assert (train.format, test.format) == ("csr", "csr")
        assert sparse.isspmatrix(train) == ("matrix" in base)

    @pytest.mark.parametrize("make", ["table", "RecordBatch.from_pydict"])
    def test_arrow_tables_are_split_by_row(self, make):
        pa = pytest.importorskip("pyarrow")
        make = operator.attrgetter(make)(pa)
        table = make({"a": Y, "b": [str(label) for label in Y]})
        train, test, y_train, y_test = train_test_split(table, Y, test_size=0.2, seed=0)
        for part, rows in ((train, y_train), (test, y_test)):
            assert type(part) is type(table)
            assert part.to_pydict() == {"a": rows.tolist(), "b": rows.astype(str).tolist()}

    def test_series_and_columns_of_every_kind_are_split_by_row(self):
        pa, pd, pl = map(pytest.importorskip, ("pyarrow", "pandas", "polars"))
        columns = (
            pa.array(Y),
            pa.chunked_array([Y[:7], Y[7:]]),
            pd.Series(Y, dtype="Int64"),
            pd.Series(Y, dtype="int64[pyarrow]"),
            pl.Series(Y),
        )
        for column in columns:
            train, _, rows, _ = train_test_split(column, Y, test_size=0.2, seed=0)
            assert type(train) in (type(column), pa.ChunkedArray)
            assert [int(str(value)) for value in train] == rows.tolist()

    def test_masks_are_split_with_their_values(self):
        x = np.ma.masked_greater(X, 30)
        train, _, rows, _ = train_test_split(x, Y, test_size=0.2, seed=0)
        np.testing.assert_array_equal(train.mask, x.mask[rows])

    def test_parts_go_into_a_loader_like_the_whole(self):
        pa = pytest.importorskip("pyarrow")
        table = pa.table({"a": Y / 4, "b": Y / 8})
        train, _, y_train, _ = train_test_split(table, Y, test_size=0.2, seed=0)
        x = DataLoader(train, batch_size=2).x
        np.testing.assert_array_equal(x, np.stack([y_train / 4, y_train / 8], 1))


def class_counts(part, classes):
    return np.bincount(part, minlength=classes)


class TestStratified:
    def test_class_counts_are_those_of_scikit_learn(self):
        """Where remainders are equal, either picks at random, but as many of them."""
        model_selection = pytest.importorskip("sklearn.model_selection")
        generator = np.random.default_rng(0)
        ties = 0
        for trial in range(300):
            classes = int(generator.integers(1, 9))
            counts = generator.integers(2, [4, 40, 400][trial % 3], classes)
            y = generator.permutation(np.repeat(np.arange(classes), counts))
            highest = len(y) - classes
            if highest < classes:
                continue
            size = int(generator.integers(classes, highest + 1))
            settings = {"test_size": size, "stratify": y}
            ours = train_test_split(y, **settings, seed=trial)
            theirs = model_selection.train_test_split(y, **settings, random_state=trial)
            a, b = (class_counts(train, classes) for train, _ in (ours, theirs))
            np.testing.assert_array_equal(class_counts(ours[1], classes), counts - a)
            remainders = counts * (len(y) - size) % len(y)
            differ = a != b
            ties += differ.any()
            assert len(set(remainders[differ].tolist())) <= 1
            assert a.sum() == b.sum()
        assert 0 < ties < 60

    def test_labels_of_any_kind_give_the_same_split(self):
        codes = np.repeat([0, 1, 2], 10)
        expected = train_test_split(Y, test_size=9, seed=0, stratify=codes)[1].tolist()
        words = np.array(["a", "b", "c"])[codes]
        for labels in (words, words.astype(object), codes / 2, jnp.asarray(codes)):
            got = train_test_split(Y, test_size=9, seed=0, stratify=labels)[1].tolist()
            assert got == expected

    def test_equal_remainders_favour_no_class(self):
        y = np.repeat(np.arange(4), 5)
        picked = np.zeros(4)
        for seed in range(1000):
            picked += class_counts(train_test_split(y, test_size=6, seed=seed, stratify=y)[1], 4)
        # Two of four classes have a second row: Binomial(1000, 1/2), standard deviation 16.
        assert np.abs(picked - 1500).max() < 70

    def test_rows_of_a_class_do_not_come_together(self):
        y = np.repeat(np.arange(2), 15)
        train, test = train_test_split(y, test_size=10, seed=0, stratify=y)
        assert 1 < np.abs(np.diff(train)).sum() < 19
        assert 1 < np.abs(np.diff(test)).sum() < 9


class TestErrors:
    def refused(self, error, message, *arrays, test_size=5, seed=0, stratify=None):
        with pytest.raises(error, match=message):
            train_test_split(*arrays, test_size=test_size, seed=seed, stratify=stratify)

    def test_different_numbers_of_rows(self):
        message = r"same number of rows; got \{'array 0': 30, \"array 1\['a'\]\": 29\}"
        self.refused(ValueError, message, X, {"a": Y[1:]})

    def test_no_arrays(self):
        self.refused(ValueError, "needs at least one array; got none")
        self.refused(ValueError, "needs at least one array; got none", {})

    def test_what_has_no_rows(self):
        self.refused(TypeError, r"array 1\[0\] must have rows; got 1\. Turn lists", X, [1, 2])

    def test_a_lazy_frame(self):
        frame = pytest.importorskip("polars").LazyFrame({"a": Y})
        self.refused(TypeError, r"array 0 must be a frame with rows; got a lazy one\.", frame)

    def test_a_source(self):
        message = r"array 0 must be an array or a frame; got a MemorySource\. Read its rows, as in"
        self.refused(TypeError, message, MemorySource(X))

    def test_masked_labels(self):
        labels = np.ma.masked_equal(Y % 3, 2)
        self.refused(ValueError, "stratify must not have masked labels; got 10", Y, stratify=labels)

    @pytest.mark.parametrize("test_size", [0, 30, -1, 0.0, 1.0, 1.5, 0.99, math.nan])
    def test_a_size_that_leaves_a_part_empty(self, test_size):
        message = rf"test_size must be an int in \[1, 29\] or a share .* got {test_size}\."
        self.refused(ValueError, message, Y, test_size=test_size)

    @pytest.mark.bad_input
    @pytest.mark.parametrize("test_size", ["0.2", None, True])
    def test_a_size_of_another_type(self, test_size):
        self.refused(TypeError, "test_size must be an int in", Y, test_size=test_size)

    def test_a_seed_out_of_range(self):
        self.refused(ValueError, "seed must be an int of at least 0", Y, seed=-1)

    def test_one_row_cannot_be_split(self):
        self.refused(ValueError, "leaves a row for each part of 1 rows", Y[:1], test_size=0.5)

    def test_labels_for_other_rows(self):
        message = r"stratify must have shape \(30,\), a label per row; got \(29,\)"
        self.refused(ValueError, message, Y, stratify=Y[1:])

    def test_a_class_with_one_row(self):
        message = r"at least two rows of every class.* got 1 classes with one row"
        self.refused(ValueError, message, Y, stratify=np.arange(30) == 3)

    @pytest.mark.parametrize("test_size", [2, 28])
    def test_a_part_with_fewer_rows_than_classes(self, test_size):
        message = r"as many rows as there are classes, 3; got (2|28) for training and (28|2) for"
        self.refused(ValueError, message, Y, test_size=test_size, stratify=Y % 3)

    def test_labels_that_cannot_be_sorted(self):
        labels = np.array(["a", None] * 15, object)
        self.refused(TypeError, "stratify must hold labels of one type", Y, stratify=labels)
