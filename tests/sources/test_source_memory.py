"""Tests that a stream takes memory for its windows and not for its data."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

MIB = 2**20
# 128 MiB of data in chunks of 1 MiB, that is 4096 rows of 64 float32.
DATA_MIB, WINDOW_CHUNKS, COLUMNS, CHUNK_ROWS = 128, 4, 64, 4096
# Two windows, two blocks of a chunk, and a chunk that is being read as table and as array.
BOUND_MIB = 2 * WINDOW_CHUNKS + 2 + 2
# What allocators keep: measured 0 to 14 MiB, for any size of data.
SLACK_MIB = 24
# What pyarrow reads ahead of a CSV file: measured at up to 80 MiB, for 235 MiB of text.
CSV_MIB = 96

WRITE = """
import sys, numpy as np
kind, path, chunks, columns, chunk_rows = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
generator = np.random.default_rng(0)
chunk = generator.normal(size=(chunk_rows, columns)).astype(np.float32)
if kind == "npy":
    array = np.lib.format.open_memmap(path, "w+", np.float32, (chunks * chunk_rows, columns))
    for i in range(chunks):
        array[i * chunk_rows : (i + 1) * chunk_rows] = chunk
    array.flush()
elif kind == "csv":
    lines = "\\n".join(",".join(map("{:.4f}".format, row)) for row in chunk)
    with open(path, "w") as file:
        file.write(",".join(f"c{i}" for i in range(columns)) + "\\n")
        for i in range(chunks):
            file.write(lines + "\\n")
else:
    import pyarrow as pa, pyarrow.parquet
    schema = pa.schema([(f"c{i}", pa.float32()) for i in range(columns)])
    if kind == "parquet":
        writer = pa.parquet.ParquetWriter(path, schema)
    else:
        options = pa.ipc.IpcWriteOptions(compression="lz4" if kind == "compressed" else None)
        writer = pa.ipc.new_file(path, schema, options=options)
    with writer:
        for i in range(chunks):
            writer.write_batch(pa.record_batch(list(chunk.T.copy()), schema=schema))
"""
READ = """
import json, sys
from pathlib import Path
from jaxmlp import DataLoader, sources
kind, small, large, window_chunks = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
open_source = {"npy": sources.npy, "compressed": sources.arrow}.get(kind)
open_source = open_source or getattr(sources, kind)
def peak():
    # Of this program alone; what getrusage tells begins with the peak of the parent process.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
def run(path):
    source = open_source(path) if kind == "npy" else open_source(path, y=None)
    loader = DataLoader(source, batch_size=256, window_chunks=window_chunks, shuffle=True)
    return len(source.chunks) - 1, sum(batch.x.nbytes for batch in loader) / 2**20
run(small)
before = peak()
chunks, read = run(large)
print(json.dumps([peak() - before, chunks, read]))
"""
FIT = """
import json, sys
from pathlib import Path
import jax, numpy as np, optax, jaxmlp
small, large, window_chunks = sys.argv[1], sys.argv[2], int(sys.argv[3])
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
def loss_fn(params, batch, key):
    return jaxmlp.weighted_mean((batch.x @ params - 1) ** 2, batch.weight), {}
optimizer = optax.sgd(1e-3)
def run(path):
    source = jaxmlp.sources.npy(path)
    loader = jaxmlp.DataLoader(source, batch_size=256, window_chunks=window_chunks, shuffle=True)
    params = jax.numpy.zeros(source.read(np.arange(1)).x.shape[1])
    result = jaxmlp.fit(loss_fn, optimizer, params, loader, epochs=2, key=jax.random.key(0))
    return int(result.state.step)
run(small)
before = peak()
steps = run(large)
print(json.dumps([peak() - before, steps]))
"""


def python(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def write(kind, folder, large_mib):
    paths = folder / "small", folder / "large"
    for path, chunks in zip(paths, (1, large_mib), strict=True):
        python(WRITE, kind, path, chunks, COLUMNS, CHUNK_ROWS)
    return paths


on_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="Linux tells the peak there"
)


@on_linux
@pytest.mark.parametrize(
    "kind",
    [
        "npy",
        "parquet",
        "compressed",
        pytest.param("arrow", marks=pytest.mark.slow),
        pytest.param("csv", marks=pytest.mark.slow),
    ],
)
def test_memory_is_bounded_by_the_windows(kind, tmp_path):
    small, large = write(kind, tmp_path, DATA_MIB)
    growth, chunks, read = json.loads(python(READ, kind, small, large, WINDOW_CHUNKS))
    assert (chunks, read) == (DATA_MIB, DATA_MIB)
    bound = BOUND_MIB + SLACK_MIB
    assert bound < DATA_MIB / 3
    assert growth < bound + (CSV_MIB if kind == "csv" else 0)


@on_linux
def test_memory_of_fit_is_bounded_by_windows_and_blocks(tmp_path):
    fitted_mib = 4 * DATA_MIB
    small, large = write("npy", tmp_path, fitted_mib)
    growth, steps = json.loads(python(FIT, small, large, WINDOW_CHUNKS))
    assert steps == 2 * fitted_mib * CHUNK_ROWS // 256
    # Blocks of 16 MiB: one that the device works on, the next one, and the one before, which a
    # report of a bad step would need; and the copy of one that is on its way to the device.
    bound = BOUND_MIB + 4 * 16 + SLACK_MIB
    assert bound < fitted_mib / 3
    assert growth < bound
