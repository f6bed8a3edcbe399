"""Files hold arrays bit for bit, others can read them, and we read theirs."""

import json
import os

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

from jaxmlp.storage.atomic_files import write_atomically
from jaxmlp.storage.container import encode, read

TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
         "float16", "bfloat16", "float32", "float64")  # fmt: skip


def write(path, arrays, metadata=None):
    write_atomically(path, encode(arrays, metadata or {}))
    return path


def random_bits(dtype, shape, seed=0):
    """Every bit pattern can come: NaNs with payloads, infinities, subnormal numbers."""
    dtype = jnp.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    content = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    if dtype.name == "bool":
        content %= 2
    return content.view(dtype).reshape(shape)


ARRAYS = {dtype: random_bits(dtype, (50, 7)) for dtype in TYPES}


def assert_same_bits(a, b):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(3, 5), (7,), (), (0,), (2, 0, 3)])
def test_arrays_come_back_bit_for_bit(tmp_path, dtype, shape):
    array = random_bits(dtype, shape)
    assert_same_bits(read(write(tmp_path / "a", {"x": array})).arrays["x"], array)


def test_nan_keeps_its_payload(tmp_path):
    for dtype, bits in ((np.float32, np.uint32(0xFFA12345)), (np.float64, np.uint64(0x7FF4 << 48))):
        array = np.array([bits]).view(dtype)
        assert np.isnan(array).all()
        assert_same_bits(read(write(tmp_path / "a", {"x": array})).arrays["x"], array)


def test_strided_and_big_endian_arrays_come_back_with_their_values(tmp_path):
    array = np.arange(24, dtype=">f4").reshape(4, 6)[::2, ::-3].T
    restored = read(write(tmp_path / "a", {"x": array})).arrays["x"]
    np.testing.assert_array_equal(restored, array)
    assert restored.dtype == np.float32


def test_a_file_without_arrays_is_a_file(tmp_path):
    contents = read(write(tmp_path / "a", {}, {"note": "empty"}))
    assert contents == ({}, {"note": "empty"}, True)


def test_metadata_come_back(tmp_path):
    metadata = {
        "b": '{"quoted": "jaxmlp.sha256_of_header"}',
        "a": "ä 漢 \n \x00 " + "0" * 64,
        "": "",
    }
    assert read(write(tmp_path / "a", {}, metadata)).metadata == metadata


def test_equal_content_gives_equal_bytes():
    backwards = dict(reversed(ARRAYS.items()))
    a = encode(ARRAYS, {"x": "1", "y": "2", "z": "3"})
    b = encode(backwards, {"z": "3", "y": "2", "x": "1"})
    assert b"".join(a) == b"".join(b)


def test_every_array_is_aligned_to_its_type(tmp_path):
    arrays = {str(i): np.zeros(3, dtype) for i, dtype in enumerate(TYPES)}
    content = write(tmp_path / "a", arrays).read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    for name, array in arrays.items():
        assert (8 + size + header[name]["data_offsets"][0]) % array.dtype.itemsize == 0


def test_arrays_do_not_change_with_the_file(tmp_path):
    path = write(tmp_path / "a", ARRAYS)
    contents = read(path)
    path.write_bytes(bytes(os.path.getsize(path)))
    for name, array in contents.arrays.items():
        assert array.flags.writeable
        assert_same_bits(array, ARRAYS[name])


class TestOtherReaders:
    def test_the_safetensors_package_reads_the_same_bits(self, tmp_path):
        path = write(tmp_path / "a", ARRAYS, {"note": "x"})
        restored = safetensors.numpy.load_file(path)
        assert restored.keys() == ARRAYS.keys()
        for name, array in restored.items():
            assert_same_bits(array, ARRAYS[name])
        with safe_open(path, "numpy") as file:
            assert file.metadata()["note"] == "x"

    def test_pytorch_reads_the_same_bits(self, tmp_path):
        torch = pytest.importorskip("torch")
        from safetensors.torch import load_file

        restored = load_file(write(tmp_path / "a", ARRAYS))
        for name, array in ARRAYS.items():
            tensor = restored[name]
            assert str(tensor.dtype) == f"torch.{name}"
            assert tensor.view(torch.uint8).numpy().tobytes() == array.tobytes()

    @pytest.mark.parametrize("metadata", [None, {"format": "pt", "note": "x"}])
    def test_files_of_the_safetensors_package_are_read(self, tmp_path, metadata):
        safetensors.numpy.save_file(ARRAYS, tmp_path / "a", metadata)
        contents = read(tmp_path / "a")
        assert contents.metadata == (metadata or {})
        assert not contents.has_checksums
        assert contents.arrays.keys() == ARRAYS.keys()
        for name, array in contents.arrays.items():
            assert_same_bits(array, ARRAYS[name])


class TestErrors:
    @pytest.mark.parametrize("dtype", ["complex64", "U3", "M8[s]", "O", "float8_e4m3fn", "int4"])
    def test_a_type_that_files_cannot_hold_is_named(self, dtype):
        with pytest.raises(
            TypeError, match=r"'x' has the type .* cannot hold; known are bool, int8"
        ):
            encode({"x": np.zeros(2, jnp.dtype(dtype) if "4" in dtype else dtype)}, {})

    @pytest.mark.parametrize("name", ["a/b", "a\\b", "../x", "a\nb", "a\x00", "\ud800", "\u202ea"])
    def test_a_name_that_could_be_misread_is_refused(self, name):
        with pytest.raises(ValueError, match=r"no path separators and no control characters"):
            encode({name: np.zeros(2)}, {})

    @pytest.mark.parametrize("name", ["", "a" * 1001])
    def test_a_name_of_no_or_excessive_length_is_refused(self, name):
        with pytest.raises(ValueError, match="must have 1 to 1000 characters"):
            encode({name: np.zeros(2)}, {})

    def test_an_array_cannot_pose_as_metadata(self):
        with pytest.raises(ValueError, match="it is the name of the metadata"):
            encode({"__metadata__": np.zeros(2)}, {})

    def test_metadata_cannot_pose_as_checksums(self):
        with pytest.raises(ValueError, match=r"\['jaxmlp.format'\] are the file's own"):
            encode({}, {"jaxmlp.format": "1"})

    @pytest.mark.bad_input
    def test_metadata_that_are_not_text_are_refused(self):
        with pytest.raises(TypeError, match=r"must be text; got other values for \['a'\]"):
            encode({}, {"a": 1})

    def test_what_could_not_be_read_again_is_not_written(self):
        with pytest.raises(ValueError, match=r"may take 4194304 bytes; got \d+ for 0 arrays"):
            encode({}, {"a": "x" * (4 << 20)})
