"""Tests of datasets of examples, and of other libraries' batches."""

import re

import numpy as np
import pytest
from fits import LINEAR, assert_same, fit, make_loader

import jaxmlp
from jaxmlp import DataLoader
from jaxmlp.sources import DatasetSource, batches

X = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
Y = np.arange(10) % 3
ROWS = np.array([7, 0, 7])


class Pairs:
    """A map-style dataset that counts how it was asked."""

    def __init__(self, x=X, y=Y):
        self.x, self.y, self.asked = x, y, []

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        self.asked.append(row)
        return self.x[row], self.y[row]


class ManyPairs(Pairs):
    def __getitems__(self, rows):
        self.asked.append(rows)
        return [(self.x[row], self.y[row]) for row in rows]

    def __getitem__(self, row):
        raise AssertionError


def dicts():
    return [{"x": x, "y": int(y), "a": 1, "b": 2.5} for x, y in zip(X, Y, strict=True)]


def assert_rows(batch, x=X, y=Y):
    np.testing.assert_array_equal(batch.x, x[ROWS])
    np.testing.assert_array_equal(batch.y, y[ROWS])


@pytest.mark.parametrize("kind", [Pairs, ManyPairs])
def test_a_dataset_gives_the_batches_of_its_rows_in_memory(kind):
    settings = {"batch_size": 4, "shuffle": True, "seed": 1}
    for one, other in zip(
        DataLoader(kind(), **settings), DataLoader(X, Y, **settings), strict=True
    ):
        assert_same(one, other)


def test_many_rows_are_asked_at_once_where_the_dataset_can():
    dataset = ManyPairs()
    DatasetSource(dataset).read(ROWS)
    assert dataset.asked == [[0], ROWS.tolist()]
    dataset = Pairs()
    assert_rows(DatasetSource(dataset, batched=True).read(ROWS))
    assert [np.shape(rows) for rows in dataset.asked] == [(1,), (3,)]


def test_a_batch_shares_no_memory_with_the_dataset():
    class Views(Pairs):
        def __getitem__(self, row):
            return self.x[: len(row)], self.y[: len(row)]

    dataset = Views(X.copy())
    DatasetSource(dataset, batched=True).read(ROWS).x[:] = -1
    np.testing.assert_array_equal(dataset.x, X)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ("x", X[ROWS]),
        (["a", "b"], np.array([[1, 2.5]] * 3, np.float32)),
        ({"input": "x"}, {"input": X[ROWS]}),
    ],
)
def test_parts_of_dicts_are_picked_by_name(x, expected):
    batch = DatasetSource(dicts(), x=x, y="y", weight="b").read(ROWS)
    np.testing.assert_equal(batch.x, expected)
    np.testing.assert_array_equal(batch.y, Y[ROWS])
    np.testing.assert_array_equal(batch.weight, [2.5] * 3)


@pytest.mark.parametrize(
    ("dataset", "names", "error", "message"),
    [
        (dicts(), {}, TypeError, r"An example is a dict of \['x', .*name its parts, as in x='x'"),
        (dicts(), {"x": "z"}, KeyError, r"An example must have \['z'\]; got a dict of"),
        (Pairs(), {"x": "z"}, TypeError, r"Parts are named, \['z'\], but an example is a tuple"),
        ([(1, 2, 3, 4)], {}, ValueError, r"must be \(x, y\) or \(x, y, weight\); got 4 entries"),
        ([("a", 1)], {}, TypeError, "x must hold real numbers"),
        ([], {}, ValueError, "A dataset must have at least one row"),
        (iter([]), {}, TypeError, r"got a list_iterator. Give an iterable .*sources.batches\(it"),
    ],
)
def test_examples_that_do_not_fit_are_refused(dataset, names, error, message):
    with pytest.raises(error, match=message):
        DatasetSource(dataset, **names)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((np.ones(3, np.float32), 0), "Row 2 has x of float32[3], but row 0 of float32[4]; pad,"),
        ((np.ones(4, np.float32), 0.5), "Row 2 has y of float64[], but row 0 of int64[]; pad, cut"),
        (({"a": 1}, 0), "Row 2 has the structure"),
        ((X[0] * np.nan, 0), "x must be finite; got nan at index (2, 0)"),
    ],
)
def test_rows_unlike_the_first_are_refused_by_number(bad, message):
    dataset = [(x, int(y)) for x, y in zip(X, Y, strict=True)]
    dataset[2] = bad
    loader = DataLoader(DatasetSource(dataset), batch_size=5)
    with pytest.raises(ValueError, match=re.escape(message)):
        list(loader)


def test_the_fingerprint_follows_the_rows():
    changed = X.copy()
    changed[9] += 1
    names = {DatasetSource(Pairs(x)).fingerprint() for x in (X, X.copy(), changed, X[:9])}
    assert len(names) == 3


class TestHuggingFace:
    def dataset(self):
        datasets = pytest.importorskip("datasets")
        features = datasets.Features(
            image=datasets.Array2D((2, 2), "uint8"),
            label=datasets.ClassLabel(num_classes=3),
            a=datasets.Value("int32"),
            b=datasets.Value("float32"),
            text=datasets.Value("string"),
        )
        images = np.arange(40, dtype=np.uint8).reshape(10, 2, 2)
        columns = {"image": list(images), "label": Y, "a": Y, "b": X[:, 0], "text": ["t"] * 10}
        return images, datasets.Dataset.from_dict(columns, features=features)

    def test_columns_are_chosen_by_name_and_keep_their_types(self):
        images, dataset = self.dataset()
        source = DatasetSource(dataset, x="image", y="label")
        batch = source.read(ROWS)
        assert_rows(batch, images)
        assert batch.x.dtype == np.uint8
        joined = DatasetSource(dataset, x=["a", "b"], y="label").read(ROWS)
        np.testing.assert_array_equal(joined.x, np.stack([Y, X[:, 0]], 1)[ROWS].astype(np.float32))

    def test_errors_name_columns_and_splits(self):
        datasets = pytest.importorskip("datasets")
        _, dataset = self.dataset()
        with pytest.raises(TypeError, match=r"Name the columns .*'text'\], as in jaxmlp.sources.D"):
            DataLoader(dataset, batch_size=2)
        with pytest.raises(KeyError, match=r"no columns \['z'\]; it has \['image'"):
            DatasetSource(dataset, x="z")
        with pytest.raises(TypeError, match="x must hold real numbers"):
            DatasetSource(dataset, x="text")
        with pytest.raises(
            TypeError, match=r"got the splits \['train'\]. Give one, as dataset\['t"
        ):
            DataLoader(datasets.DatasetDict(train=dataset), batch_size=2)


class TestTorch:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    def pairs(self, torch):
        return torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))

    def test_a_tensor_dataset_lies_in_memory(self, torch):
        loader = DataLoader(self.pairs(torch), batch_size=4)
        assert loader.rows is not None
        assert_rows(loader.read(ROWS))

    def test_subsets_and_lists_of_tensors_are_datasets(self, torch):
        subset = torch.utils.data.Subset(self.pairs(torch), range(10))
        assert_rows(DataLoader(subset, batch_size=4).read(ROWS))

    def test_a_torch_loader_trains_to_the_same_parameters(self, torch):
        # The last batch is filled up by repeating its own rows instead of the epoch's.
        torch_loader = torch.utils.data.DataLoader(self.pairs(torch), batch_size=4)
        ours = fit(make_loader(X, Y, None, batch_size=4, shuffle=False), driver="step", **LINEAR)
        assert_same(fit(batches(torch_loader), **LINEAR).params, ours.params)

    def test_tensors_as_batches_are_refused_with_the_remedy(self, torch):
        loader = torch.utils.data.DataLoader(self.pairs(torch), batch_size=4)
        with pytest.raises(TypeError, match=r"tensors of PyTorch. Wrap .*sources.batches\(data\)"):
            fit(loader, **LINEAR)
        with pytest.raises(TypeError, match=r"x must give rows by number; got a DataLoader"):
            DataLoader(loader, batch_size=4)

    def test_torch_samplers_are_iterated_in_every_epoch(self, torch):
        make = lambda: torch.utils.data.RandomSampler(  # noqa: E731
            range(10), generator=torch.Generator().manual_seed(3)
        )
        expected = make()
        loader = DataLoader(X, Y, batch_size=5, sampler=make())
        for _ in range(2):
            rows = list(expected)
            np.testing.assert_array_equal(np.concatenate([b.x for b in loader]), X[rows])
        grouped = torch.utils.data.BatchSampler(range(10), batch_size=4, drop_last=False)
        weights = [b.weight.tolist() for b in DataLoader(X, batch_sampler=grouped)]
        assert weights == [[1] * 4, [1] * 4, [1, 1, 0, 0]]


class TestBatches:
    def test_short_batches_are_filled_up_with_rows_of_weight_0(self):
        weighted = [(X[:4], Y[:4], np.full(4, 2.0)), (X[4:5], Y[4:5], np.full(1, 3.0))]
        first, last = batches(weighted)
        assert [first.weight.tolist(), last.weight.tolist()] == [[2, 2, 2, 2], [3, 0, 0, 0]]
        np.testing.assert_array_equal(last.x, X[[4] * 4])

    def test_parts_of_dicts_are_picked_by_name(self):
        (batch,) = batches([{"image": X, "label": Y}], x={"in": "image"}, y="label")
        np.testing.assert_array_equal(batch.x["in"], X)

    def test_they_share_no_memory(self):
        x = X.copy()
        (batch,) = batches([(x, Y)])
        batch.x[:] = -1
        np.testing.assert_array_equal(x, X)

    @pytest.mark.parametrize(
        ("data", "error", "message"),
        [
            ([(X[:2], Y[:2]), (X[:3], Y[:3])], ValueError, "the first, 2 rows; batch 1 has 3"),
            ([(X[:2], Y[:3])], ValueError, "y must have one row per row asked, 2; got 3"),
            ([(X[:2] * np.nan, Y[:2])], ValueError, "x must be finite; got nan"),
            ([(X, Y), (X.astype(int), Y)], ValueError, "x must have the type and shape of its fir"),
        ],
    )
    def test_batches_that_do_not_fit_are_refused(self, data, error, message):
        with pytest.raises(error, match=message):
            list(batches(data))

    @pytest.mark.bad_input
    def test_what_is_no_iterable_is_refused(self):
        for data in (jaxmlp.Batch(X), 3):
            with pytest.raises(TypeError, match="batches needs an iterable of batches; got a"):
                batches(data)

    def test_an_iterator_that_is_used_up_is_refused(self):
        with pytest.raises(TypeError, match="A list_iterator is used up after its first epoch"):
            fit(batches(iter([(X, Y)])), **LINEAR)


def test_batches_of_an_iterable_that_refills_its_arrays_are_copies():
    class Refilling:
        def __iter__(self):
            x, weight = np.empty((2, 3)), np.empty(2)
            for number in range(4):
                x[:], weight[:] = number, number + 1
                yield x, x[:, 0], weight

    read = list(batches(Refilling()))
    assert [batch.x[0, 0] for batch in read] == [0, 1, 2, 3]
    assert [batch.weight[0] for batch in read] == [1, 2, 3, 4]
