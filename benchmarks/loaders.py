"""Sets up the contestants of `data.py`: who gives batches of the same rows, and how."""

import importlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from peers import Contestant

LAYOUTS = {"memory": "In memory", "mapped": "Memory-mapped .npy", "parquet": "Parquet"}
FEATURES, GROUP_ROWS = 64, 4096
NAMES = [f"x{number}" for number in range(FEATURES)]


class Reading(NamedTuple):
    """Rows to be read: how they lie, in which folder, how many, and how many per batch."""

    layout: str
    folder: str
    rows: int
    batch_size: int


def write_data(folder: Path, rows: int) -> None:
    """Writes the same rows as `.npy` files and as a Parquet file."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, FEATURES)).astype(np.float32)
    y = generator.integers(0, 10, rows).astype(np.int32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        return
    table = pa.table({**dict(zip(NAMES, x.T, strict=True)), "y": y})
    pq.write_table(table, folder / "rows.parquet", row_group_size=GROUP_ROWS, use_dictionary=False)


def prepare_jaxmlp(task: Reading) -> Contestant:
    import jaxmlp

    folder = Path(task.folder)
    if task.layout == "memory":
        rows = _arrays(task)
    elif task.layout == "mapped":
        rows = (jaxmlp.sources.npy(folder / "x.npy", folder / "y.npy"),)
    else:
        rows = (jaxmlp.sources.parquet(folder / "rows.parquet", y="y"),)
    loader = jaxmlp.DataLoader(*rows, batch_size=task.batch_size, shuffle=True)
    return _contestant(task, lambda _: loader)


def prepare_slices(task: Reading) -> Contestant:
    if task.layout == "parquet":
        return _contestant(task, lambda epoch: _row_groups(task, epoch, 0, 1))
    x, y = _arrays(task)

    def batches(epoch: int) -> Iterator[Any]:
        order = np.random.default_rng(epoch).permutation(task.rows)
        for start in range(0, task.rows, task.batch_size):
            index = order[start : start + task.batch_size]
            yield x[index], y[index]

    return _contestant(task, batches)


def prepare_torch(task: Reading, workers: int = 0) -> Contestant:
    torch = importlib.import_module("torch")

    class Rows(torch.utils.data.Dataset):
        def __init__(self) -> None:
            self.x, self.y = _arrays(task)

        def __len__(self) -> int:
            return task.rows

        def __getitem__(self, row: int) -> Any:
            # A copy: rows of a map that cannot be written to make a warning each.
            return torch.from_numpy(np.array(self.x[row])), int(self.y[row])

    class Groups(torch.utils.data.IterableDataset):
        def __iter__(self) -> Iterator[Any]:
            worker = torch.utils.data.get_worker_info()
            number, count = (worker.id, worker.num_workers) if worker else (0, 1)
            for x, y in _row_groups(task, 0, number, count):
                yield torch.from_numpy(x), torch.from_numpy(y)

    settings: dict[str, Any] = {"num_workers": workers}
    if workers:
        settings |= {"persistent_workers": True, "multiprocessing_context": "fork"}
    if task.layout == "parquet":
        # Batches are made in the workers; row by row would take thousandfold.
        loader = torch.utils.data.DataLoader(Groups(), batch_size=None, **settings)
    else:
        if task.layout == "memory":
            rows = torch.utils.data.TensorDataset(*map(torch.from_numpy, _arrays(task)))
        else:
            rows = Rows()
        loader = torch.utils.data.DataLoader(
            rows, batch_size=task.batch_size, shuffle=True, **settings
        )
    return _contestant(task, lambda _: loader)


def prepare_torch_workers(task: Reading) -> Contestant:
    return prepare_torch(task, workers=2)


def prepare_grain(task: Reading) -> Contestant:
    import grain  # pyright: ignore[reportMissingImports]  # not among the extras

    if task.layout == "parquet":
        raise ModuleNotFoundError(name="a Grain source of Parquet rows")
    x, y = _arrays(task)

    class Rows:
        def __len__(self) -> int:
            return task.rows

        def __getitem__(self, row: Any) -> Any:
            return x[row], y[row]

    def batches(epoch: int) -> Iterable[Any]:
        shuffled = grain.MapDataset.source(Rows()).shuffle(seed=epoch)
        return shuffled.batch(task.batch_size).to_iter_dataset()

    return _contestant(task, batches)


def prepare_jax_dataloader(task: Reading) -> Contestant:
    import jax_dataloader  # pyright: ignore[reportMissingImports]  # not among the extras

    if task.layout == "parquet":
        raise ModuleNotFoundError(name="a jax-dataloader data set of Parquet rows")
    rows = jax_dataloader.ArrayDataset(*_arrays(task))
    loader = jax_dataloader.DataLoader(rows, "jax", batch_size=task.batch_size, shuffle=True)
    return _contestant(task, lambda _: loader)


def _arrays(task: Reading) -> tuple[np.ndarray, np.ndarray]:
    mode = "r" if task.layout == "mapped" else None
    folder = Path(task.folder)
    return np.load(folder / "x.npy", mmap_mode=mode), np.load(folder / "y.npy", mmap_mode=mode)


def _row_groups(task: Reading, epoch: int, number: int, count: int) -> Iterator[Any]:
    """Reads every so many-th of the shuffled row groups, and shuffles within each."""
    import pyarrow.parquet as pq

    generator = np.random.default_rng(epoch)
    with pq.ParquetFile(Path(task.folder) / "rows.parquet") as file:
        for group in generator.permutation(file.num_row_groups)[number::count]:
            table = file.read_row_group(int(group))
            x = np.stack([table.column(name).to_numpy() for name in NAMES], axis=1)
            y = table.column("y").to_numpy()
            order = generator.permutation(len(y))
            for start in range(0, len(y), task.batch_size):
                index = order[start : start + task.batch_size]
                yield x[index], y[index]


def _contestant(task: Reading, batches: Callable[[int], Iterable[Any]]) -> Contestant:
    """Times epochs of batches; each batch is given up at once."""
    epochs_before = itertools.count()

    def run(epochs: int) -> float:
        start = time.perf_counter()
        for _ in range(epochs):
            for batch in batches(next(epochs_before)):
                del batch
        return time.perf_counter() - start

    return Contestant(-(-task.rows // task.batch_size), run)
