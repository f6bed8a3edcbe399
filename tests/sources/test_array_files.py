"""Tests of `.npy` files and memory maps as a source: what is read, and what is refused."""

import os

import numpy as np
import pytest

import jaxmlp
from jaxmlp.sources import npy

X = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
Y = np.arange(6.0)


@pytest.fixture
def save(tmp_path):
    def save(name, array, **settings):
        path = tmp_path / f"{name}.npy"
        np.save(path, array, **settings)
        return path

    return save


def test_images_stay_uint8_and_keep_their_shape(save):
    batch = npy(save("x", X)).read(np.array([3, 1]))
    assert batch.x.dtype == np.uint8
    np.testing.assert_array_equal(batch.x, X[[3, 1]])
    assert batch.y is None
    assert batch.weight is None


def test_a_chunk_is_about_a_mebibyte_of_rows(save):
    source = npy(save("x", np.zeros((10_000, 64), np.float32)))
    assert source.chunks.tolist() == [0, 4096, 8192, 10_000]


def test_chunks_do_not_cross_files(save):
    paths = [save(str(rows), np.zeros(rows)) for rows in (5, 0, 3)]
    assert npy(paths, chunk_rows=2).chunks.tolist() == [0, 2, 4, 5, 7, 8]


def test_targets_may_be_cut_into_other_files_than_inputs(save):
    x = [save("a", X[:2]), save("b", X[2:])]
    y = [save("c", Y[:5]), save("d", Y[5:])]
    batch = npy(x, y).read(np.arange(6))
    np.testing.assert_array_equal(batch.x, X)
    np.testing.assert_array_equal(batch.y, Y.astype(np.float32))


@pytest.mark.parametrize("offset", [0, 12])
def test_a_read_only_memory_map_is_read_from_its_file(tmp_path, offset):
    (tmp_path / "raw").write_bytes(bytes(offset) + X.tobytes())
    array = np.memmap(tmp_path / "raw", np.uint8, "r", offset=offset, shape=X.shape)
    np.testing.assert_array_equal(npy(array).read(np.array([5, 0])).x, X[[5, 0]])


def test_a_memory_map_is_the_same_data_as_its_file(save):
    path = save("x", X)
    assert npy(np.load(path, mmap_mode="r")).fingerprint() == npy(path).fingerprint()


def test_other_byte_orders_and_wide_numbers_become_those_of_jax(save):
    for dtype, expected in ((">f4", "float32"), ("<i8", "int32"), (">u8", "uint32"), ("?", "bool")):
        source = npy(save("x", X.astype(dtype)))
        batch = source.read(np.arange(6))
        assert batch.x.dtype == expected
        np.testing.assert_array_equal(batch.x, X.astype(dtype))


@pytest.mark.parametrize("mode", ["r+", "w+", "c"])
def test_a_memory_map_that_can_be_written_to_is_refused(tmp_path, mode):
    (tmp_path / "raw").write_bytes(X.tobytes())
    array = np.memmap(tmp_path / "raw", np.uint8, mode, shape=X.shape)
    with pytest.raises(TypeError, match=r"got mode '.*'. Open it with mode='r', or mmap_mode='r'"):
        npy(array)


def test_a_part_of_a_memory_map_is_refused(save):
    array = np.load(save("x", X), mmap_mode="r")
    with pytest.raises(ValueError, match=r"x must be a whole memory map .* of shape \(3, 2, 2\)"):
        npy(array[::2])


def test_a_copy_of_a_memory_map_is_an_array_in_memory(save):
    array = np.load(save("x", X), mmap_mode="r")
    for copy in (array.copy(), array.astype(np.float32)):
        loader = jaxmlp.DataLoader(copy, copy, batch_size=6)
        np.testing.assert_array_equal(loader.x, X)


@pytest.mark.bad_input
def test_an_array_in_memory_is_refused():
    with pytest.raises(TypeError, match=r"got an array in memory, uint8\[6, 2, 2\].*DataLoader"):
        npy(X)


def test_what_is_no_npy_file_is_named(tmp_path, save):
    text = tmp_path / "text.npy"
    text.write_text("not an array")
    with pytest.raises(ValueError, match=r"x must be a \.npy file; .*text\.npy is none: the magic"):
        npy(text)
    np.savez(tmp_path / "many.npz", X)
    with pytest.raises(ValueError, match=r"x must be a \.npy file; .*many\.npz is none"):
        npy(tmp_path / "many.npz")
    (tmp_path / "empty.npy").touch()
    with pytest.raises(ValueError, match=r"y must have rows, but .*empty\.npy is empty"):
        npy(save("x", X), tmp_path / "empty.npy")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone\.npy"):
        npy(tmp_path / "gone.npy")
    with pytest.raises(ValueError, match=r"x must name at least one file; got \[\]"):
        npy([])


@pytest.mark.parametrize("lost", [1, 24 + 40])
def test_a_truncated_file_is_refused_when_opened(save, lost):
    path = save("x", X)
    os.truncate(path, path.stat().st_size - lost)
    with pytest.raises(ValueError, match=r"x (is cut short: .*x\.npy has|must be a \.npy file)"):
        npy(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([None, 1]), r"x in .*bad\.npy must hold bool, integers or floats.* got object"),
        (np.array(["a"]), r"x in .*bad\.npy must hold bool, .* got <U1\. Encode categories"),
        (np.ones(2, complex), r"got complex128"),
        (np.zeros(2, [("a", "f4")]), r"got \[\('a', '<f4'\)\]"),
    ],
    ids=["objects", "strings", "complex", "structures"],
)
def test_what_is_no_number_is_refused(save, array, message):
    with pytest.raises(TypeError, match=message):
        npy(save("bad", array, allow_pickle=True))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.float32(3), r"x must have one row per example.* has shape \(\)"),
        (np.zeros((3, 0)), r"at least one number; .* has shape \(3, 0\)"),
        (np.zeros((0, 3)), r"x must have at least one row; got none in .*bad\.npy"),
        (np.asfortranarray(np.eye(3)), r"bad\.npy is in column order.*ascontiguousarray"),
    ],
    ids=["number", "no columns", "no rows", "column order"],
)
def test_shapes_that_give_no_rows_are_refused(save, array, message):
    with pytest.raises(ValueError, match=message):
        npy(save("bad", array))


def test_files_that_differ_are_named(save):
    one, shape = save("one", np.zeros((2, 3), np.float32)), save("shape", np.zeros((2, 4)))
    dtype = save("dtype", np.zeros((2, 3)))
    with pytest.raises(
        ValueError, match=r"one\.npy has shape \(2, 3\) and .*shape\.npy has \(2, 4"
    ):
        npy([one, shape])
    with pytest.raises(TypeError, match=r"one\.npy holds float32 and .*dtype\.npy holds float64"):
        npy([one, dtype])
    with pytest.raises(
        ValueError, match=r"x and y must have the same number of rows; got 2 in .*6"
    ):
        npy(one, save("y", Y))
    with pytest.raises(
        ValueError, match=r"weight must have shape \(rows,\); got rows of shape \(3"
    ):
        npy(one, weight=one)


def test_values_that_do_not_fit_are_named_with_their_row(save):
    x = np.zeros((6, 2))
    x[4, 1] = 1e300
    with pytest.raises(
        ValueError, match=r"x in .*x\.npy, row 4, index \(1,\) must fit into float32"
    ):
        npy(save("x", x)).read(np.array([0, 4]))
    y = np.array([0, 2**40])
    with pytest.raises(ValueError, match=r"y in .*y\.npy, row 1 must fit into int32; got 1099511"):
        npy(save("x", x[:2]), save("y", y)).read(np.array([1]))


def test_values_that_are_not_finite_are_refused_on_request(save):
    first, second = save("a", np.ones((6, 2))), np.ones((6, 2))
    second[3, 1] = np.nan
    paths = [first, save("b", second)]
    assert np.isnan(npy(paths).read(np.array([9])).x).sum() == 1
    source = npy(paths, check_finite=True, chunk_rows=2)
    source.read(np.array([0, 6, 11]))
    with pytest.raises(
        ValueError, match=r"x in .*b\.npy, row 3, index \(1,\) must be finite; got n"
    ):
        source.read(np.array([0, 9]))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_that_are_none_are_refused(save, bad):
    source = npy(save("x", X), weight=save("w", np.array([1, 1, bad, 1, 1, 1])))
    with pytest.raises(
        ValueError, match=r"weight in .*w\.npy, row 2 must be finite and at least 0"
    ):
        source.read(np.arange(6))


@pytest.mark.parametrize("change", ["written", "cut", "removed"])
def test_a_file_that_changes_after_it_was_opened_is_refused(save, change):
    path = save("x", X)
    source = npy(path)
    source.read(np.arange(6))
    if change == "written":
        facts = path.stat()
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    elif change == "cut":
        os.truncate(path, path.stat().st_size - 8)
    else:
        path.unlink()
    expected = "was removed after" if change == "removed" else "must not change while it is read"
    for use in (lambda: source.read(np.arange(2)), source.fingerprint):
        with pytest.raises(ValueError, match=rf"x\.npy {expected}"):
            use()


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"chunk_rows": 0}, ValueError, "chunk_rows must be an int of at least 1; got 0"),
        ({"chunk_rows": 2.0}, TypeError, "chunk_rows must be an int of at least 1; got"),
        ({"check_finite": 1}, TypeError, "check_finite must be True or False; got 1"),
        ({"y": 3}, TypeError, "y must be a path, or a list of paths; got 3"),
        ({"weight": [[1.0]]}, TypeError, r"weight must be a path, or .*; got \[\[1.0\]\]"),
    ],
)
def test_bad_settings_are_refused(save, settings, error, message):
    with pytest.raises(error, match=message):
        npy(save("x", X), **settings)
