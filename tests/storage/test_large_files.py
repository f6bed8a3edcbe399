"""A file may claim more than there is memory: it is refused before memory is taken."""

import json
import re
import struct
import tracemalloc

import jax
import numpy as np
import pytest
from fits import LINEAR, fit
from interruptions import assert_same_result

import jaxmlp
from jaxmlp import CheckpointError
from jaxmlp.storage import container
from jaxmlp.storage.headers import lay_out, write_header
from jaxmlp.storage.rotation import checkpoint_path, checkpoint_paths

HUGE = 1 << 42
CONFIG = jaxmlp.MLPConfig(in_features=2, out_features=1)


def write_sparse(path, shapes, metadata, *, sealed=True):
    """A file of any size that takes a few bytes on the disk; with the checksums of our files."""
    entries = lay_out(shapes)
    header = write_header(entries, dict.fromkeys(shapes, "0" * 64), metadata)
    if not sealed:
        fields = json.loads(header[8:])
        del fields["__metadata__"]
        text = json.dumps(fields).encode()
        header = struct.pack("<Q", len(text)) + text
    with open(path, "wb") as file:
        file.write(header)
        file.truncate(len(header) + (entries[-1].end if entries else 0))
    return path


def floats(*shape):
    return jax.ShapeDtypeStruct(shape, np.float32)


@pytest.fixture(autouse=True)
def _little_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


class TestLoad:
    @pytest.mark.parametrize("sealed", [False, True])
    def test_a_file_of_4_tb_is_refused_by_its_shapes(self, tmp_path, sealed):
        shapes = {"output.kernel": floats(HUGE // 4, 1), "output.bias": floats(1)}
        path = write_sparse(tmp_path / "a", shapes, {}, sealed=sealed)
        assert path.stat().st_size > HUGE
        with pytest.raises(CheckpointError, match=r"output\.kernel must have shape"):
            jaxmlp.load(path, CONFIG)

    def test_one_that_is_as_large_as_its_own_config_says_is_refused_for_want_of_memory(
        self, tmp_path
    ):
        config = jaxmlp.MLPConfig(in_features=HUGE // 4, out_features=1)
        shapes = {"output.kernel": floats(HUGE // 4, 1), "output.bias": floats(1)}
        path = write_sparse(tmp_path / "a", shapes, {"jaxmlp.config": config.to_json()})
        with pytest.raises(CheckpointError, match=f"no memory for its arrays of {HUGE + 4} bytes"):
            jaxmlp.load(path)

    def test_so_is_one_with_a_standardization_of_that_size(self, tmp_path):
        config = jaxmlp.MLPConfig(in_features=HUGE // 4, out_features=1)
        shapes = {
            "output.kernel": floats(HUGE // 4, 1),
            "output.bias": floats(1),
            "standardization.mean": floats(HUGE // 4),
            "standardization.scale": floats(HUGE // 4),
        }
        path = write_sparse(tmp_path / "a", shapes, {"jaxmlp.config": config.to_json()})
        with pytest.raises(CheckpointError, match="no memory for"):
            jaxmlp.load(path)


class TestResume:
    @pytest.fixture
    def directory(self, tmp_path):
        fit(checkpoint=tmp_path, epochs=2, **LINEAR)
        return tmp_path

    def resume(self, directory):
        return fit(checkpoint=directory, resume=True, epochs=3, **LINEAR)

    def assert_passed_over(self, directory, match):
        with pytest.warns(RuntimeWarning, match=match):
            result = self.resume(directory)
        assert_same_result(result, fit(epochs=3, **LINEAR))

    def test_one_without_checksums_is_passed_over(self, directory):
        path = checkpoint_path(directory, 90)
        write_sparse(path, {"a": floats(HUGE // 4)}, {}, sealed=False)
        self.assert_passed_over(directory, "has no checksums")

    def test_one_of_other_shapes_is_refused_before_it_is_read(self, directory):
        contents = container.read(checkpoint_paths(directory)[-1])
        shapes = {**contents.arrays, "state.train.params.output.bias": floats(HUGE // 4)}
        write_sparse(checkpoint_path(directory, 90), shapes, contents.metadata)
        with pytest.raises(CheckpointError, match=r"output\.bias must have shape \(3,\)"):
            self.resume(directory)

    def test_one_for_which_there_is_no_memory_is_passed_over_and_stays(self, directory):
        contents = container.read(checkpoint_paths(directory)[-1])
        history = {name: array for name, array in contents.arrays.items() if "history" in name}
        huge = {
            name: jax.ShapeDtypeStruct((HUGE // 8,), array.dtype) for name, array in history.items()
        }
        path = checkpoint_path(directory, 90)
        write_sparse(path, {**contents.arrays, **huge}, contents.metadata)
        self.assert_passed_over(directory, r"no memory for its arrays .* The checkpoint before")
        assert path.exists()

    def test_a_whole_one_is_passed_over_while_there_is_no_memory(self, directory, monkeypatch):
        self.resume(directory)
        read_arrays, calls = container._read_arrays, []

        def read_with_little_memory(file, header):
            calls.append(header)
            if len(calls) == 1:
                with monkeypatch.context() as patched:
                    patched.setattr(container.np, "empty", self.no_memory)
                    return read_arrays(file, header)
            return read_arrays(file, header)

        monkeypatch.setattr(container, "_read_arrays", read_with_little_memory)
        self.assert_passed_over(directory, "no memory for its array")
        assert len(calls) == 2
        assert len(checkpoint_paths(directory)) == 2

    def no_memory(self, shape, dtype):
        raise MemoryError(f"Unable to allocate {shape} of {dtype}")


def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    path = write_sparse(tmp_path / "a", {"a": floats(1000)}, {})
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1)
    message = re.escape("its arrays take 4000 bytes, but it has 3999 for them")
    with pytest.raises(CheckpointError, match=message):
        container.read(path)
