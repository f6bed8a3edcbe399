"""Files that hold the same rows in every format that sources read, for their tests."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from jaxmlp import sources

ROWS = 203
generator = np.random.default_rng(0)
X = generator.normal(size=(ROWS, 3)).astype(np.float32)
Y = generator.integers(-5, 5, ROWS)
WEIGHT = generator.uniform(size=ROWS).astype(np.float32)
TABLE = pa.table(
    {
        "weight": WEIGHT,
        "target": Y,
        **{name: X[:, number] for number, name in enumerate(("a", "b", "c"))},
    }
)


def write_parquet(table, path):
    pa.parquet.write_table(table, path, row_group_size=50)


def write_arrow(table, path):
    pa.feather.write_feather(table, path, compression="uncompressed", chunksize=50)


def write_compressed(table, path):
    pa.feather.write_feather(table, path, compression="lz4", chunksize=50)


def write_csv(table, path):
    pa.csv.write_csv(table, path)


KINDS = {
    "parquet": (write_parquet, sources.parquet),
    "arrow": (write_arrow, sources.arrow),
    "compressed": (write_compressed, sources.arrow),
    "csv": (write_csv, sources.csv),
}


def make_table(kind, folder, table, *, shards=1, **settings):
    """Writes a table to some files, and makes a source of them."""
    write, open_source = KINDS[kind]
    size = -(-len(table) // shards)
    paths = [folder / f"{number}.{kind}" for number in range(shards)]
    for number, path in enumerate(paths):
        write(table.slice(number * size, size), path)
    return open_source(paths if shards > 1 else paths[0], **settings)


def make(kind, folder, *, shards=1, **settings):
    """Makes a source of X, Y and WEIGHT."""
    if kind != "npy":
        settings = {"y": "target", "weight": "weight"} | settings
        return make_table(kind, folder, TABLE, shards=shards, **settings)
    paths = {}
    for name, array in {"x": X, "y": Y, "weight": WEIGHT}.items():
        parts = np.array_split(array, shards)
        paths[name] = [folder / f"{name}{number}.npy" for number in range(shards)]
        for path, part in zip(paths[name], parts, strict=True):
            np.save(path, part)
    return sources.npy(**paths, **settings)
