"""Sets up `fit` over the same rows in memory and in files, for the last table of `data.py`."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from peers import Contestant
from workloads import LEARNING_RATE, WORKLOADS

# Rows of 784 float32: a row group has 3 MiB.
GROUP_ROWS = 1024


class Training(NamedTuple):
    """The network to train, by its key in `WORKLOADS`, and the folder of its rows."""

    workload: str
    folder: str


def write_rows(task: Training) -> None:
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
    lists = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), x.shape[1])
    table = pa.table({"x": lists, "y": y})
    # As the manual advises for numbers that hardly repeat.
    pq.write_table(table, folder / "fit.parquet", row_group_size=GROUP_ROWS, use_dictionary=False)


def prepare_memory(task: Training) -> Contestant:
    folder = Path(task.folder)
    return _prepare(task, np.load(folder / "fit_x.npy"), np.load(folder / "fit_y.npy"))


def prepare_npy(task: Training) -> Contestant:
    from jaxmlp import sources

    folder = Path(task.folder)
    return _prepare(task, sources.npy(folder / "fit_x.npy", folder / "fit_y.npy"))


def prepare_parquet(task: Training) -> Contestant:
    from jaxmlp import sources

    return _prepare(task, sources.parquet(Path(task.folder) / "fit.parquet", y="y"))


def _prepare(task: Training, *rows: Any) -> Contestant:
    import jax
    import optax

    import jaxmlp

    workload = WORKLOADS[task.workload]
    config = jaxmlp.MLPConfig(
        in_features=workload.in_features,
        hidden_features=workload.hidden_features,
        out_features=workload.out_features,
    )
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy)
    optimizer = optax.adam(LEARNING_RATE)
    loader = jaxmlp.DataLoader(*rows, batch_size=workload.batch_size, shuffle=True)

    def run(epochs: int) -> float:
        start = time.perf_counter()
        result = jaxmlp.fit(
            loss_fn,
            optimizer,
            params,
            loader,
            epochs=epochs,
            key=jax.random.key(1),
            progress=False,
        )
        jax.block_until_ready(result.state)
        return time.perf_counter() - start

    return Contestant(len(loader), run)
