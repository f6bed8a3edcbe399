"""Sets up `fit` over the same rows in memory and in files, for the last table of `data.py`."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from peers import Contestant
from workloads import WORKLOADS

# Rows of 784 float32: a row group has 3 MiB.
GROUP_ROWS = 1024


class FileTask(NamedTuple):
    """The network to train, by its key in `WORKLOADS`, and the folder of its rows."""

    workload: str
    folder: str


def write_rows(task: FileTask) -> None:
    """Writes a workload's rows as `.npy` files and as a Parquet file with a column of lists."""
    folder = Path(task.folder)
    x, y = WORKLOADS[task.workload].make_data()
    np.save(folder / "fit_x.npy", x)
    np.save(folder / "fit_y.npy", y)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        return
    # Numbers that are never null are decoded in two thirds of the time.
    kind = pa.list_(pa.field("element", pa.float32(), nullable=False), x.shape[1])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), type=kind)
    table = pa.table({"x": lists, "y": y})
    # As the manual advises for numbers that hardly repeat.
    pq.write_table(table, folder / "fit.parquet", row_group_size=GROUP_ROWS, use_dictionary=False)


def prepare_memory(task: FileTask) -> Contestant:
    folder = Path(task.folder)
    return _prepare(task, np.load(folder / "fit_x.npy"), np.load(folder / "fit_y.npy"))


def prepare_npy(task: FileTask) -> Contestant:
    from jaxmlp import sources

    folder = Path(task.folder)
    return _prepare(task, sources.npy(folder / "fit_x.npy", folder / "fit_y.npy"))


def prepare_parquet(task: FileTask) -> Contestant:
    from jaxmlp import sources

    return _prepare(task, sources.parquet(Path(task.folder) / "fit.parquet", y="y"))


def _prepare(task: FileTask, *rows: Any) -> Contestant:
    from networks import make_training, train

    training = make_training(WORKLOADS[task.workload], *rows)

    def run(epochs: int) -> float:
        start = time.perf_counter()
        train(training, epochs)
        return time.perf_counter() - start

    return Contestant(len(training.loader), run)
