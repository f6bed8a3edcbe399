"""Tests that the logs of a fit can be read back from TensorBoard's event files."""

import struct
import sys

import numpy as np
import pytest
from fits import VALIDATION, fit

pytest.importorskip("tensorboardX")

from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from jaxmlp.tensorboard import TensorBoardLogger


def masked_crc(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_events(directory):
    """Yields the records of the one event file, which are TFRecords, with their checksums."""
    (path,) = directory.glob("events.out.tfevents.*")
    content = path.read_bytes()
    while content:
        header, (header_crc,) = content[:8], struct.unpack("<I", content[8:12])
        (size,) = struct.unpack("<Q", header)
        data, (data_crc,) = content[12 : 12 + size], struct.unpack("<I", content[12 + size :][:4])
        assert (header_crc, data_crc) == (masked_crc(header), masked_crc(data))
        yield Event.FromString(data)
        content = content[16 + size :]


def read_scalars(directory):
    """Returns (epoch, value) by name."""
    scalars = {}
    for event in read_events(directory):
        for value in event.summary.value:
            scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    with TensorBoardLogger(directory) as logger:
        result = fit(validation=VALIDATION, on_epoch=logger)
    return read_scalars(directory), result


def test_every_metric_is_there(logged):
    scalars, result = logged
    assert sorted([*scalars, "epoch"]) == sorted(result.history)


def test_every_epoch_has_its_value(logged):
    scalars, result = logged
    for name, points in scalars.items():
        epochs, values = zip(*points, strict=True)
        assert list(epochs) == result.history["epoch"].tolist()
        np.testing.assert_array_equal(np.float32(values), result.history[name])


def test_logging_does_not_stop_the_run(logged):
    assert logged[1].stopped_by == "epochs"


def test_nan_is_written_as_it_is(tmp_path):
    with TensorBoardLogger(str(tmp_path)) as logger:
        logger(None, {"epoch": 3, "loss": float("nan")})
    ((epoch, value),) = read_scalars(tmp_path)["loss"]
    assert epoch == 3
    assert np.isnan(value)


def test_what_was_logged_before_an_error_is_in_the_file(tmp_path):
    def fail_later(state, metrics):
        logger(state, metrics)
        if metrics["epoch"] == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), TensorBoardLogger(tmp_path) as logger:
        fit(on_epoch=fail_later)
    assert [epoch for epoch, _ in read_scalars(tmp_path)["loss"]] == [0, 1, 2]


@pytest.mark.bad_input
def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.delitem(sys.modules, "jaxmlp.tensorboard")
    with pytest.raises(ImportError, match=r"tensorboardX.*pip install 'jaxmlp\[tensorboard\]'"):
        import jaxmlp.tensorboard  # noqa: F401  (what is tested is the import)
