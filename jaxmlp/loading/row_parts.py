"""Turns rows of which each process holds its own part into the order of batches over all rows."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from ..checks import require_int
from ..sources import MemorySource, Source
from ..storage import processes_of
from .batching import Index, count_steps, cut_order
from .placement import check_sharding


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RowParts:
    """Which rows each part of a batch is drawn from, part for part in the order of a batch.

    Rows are counted from process to process: those of a part have the numbers from `firsts` on,
    and those of this process the numbers from `own_first` on.
    """

    firsts: Int[np.ndarray, " parts"]
    lengths: Int[np.ndarray, " parts"]
    own_first: int
    batch_size: int

    @property
    def rows(self) -> int:
        """Number of rows of all processes."""
        return int(self.lengths.sum())

    @property
    def share(self) -> int:
        """Rows of a batch that each part gives."""
        return self.batch_size // len(self.lengths)

    def count_steps(self, *, drop_last: bool) -> int:
        """Returns the number of batches in an epoch: those that any part fills, or that all do."""
        counts = [count_steps(int(n), self.share, drop_last=drop_last) for n in self.lengths]
        return min(counts) if drop_last else max(counts)

    def join(self, orders: Sequence[Int[np.ndarray, "_"]], *, drop_last: bool) -> Index:
        """Joins an order of each part, of its rows from 0 on, to the row numbers of all batches.

        A part that ends before the others is filled up with ~i for its last row i.
        """
        steps = self.count_steps(drop_last=drop_last)
        columns = []
        for first, order in zip(self.firsts, orders, strict=True):
            taken = cut_order(order, self.share, drop_last=drop_last)[:steps]
            padding = np.full((steps - len(taken), self.share), ~order[-1])
            columns.append(_shift(np.concatenate([taken, padding]), first))
        return np.concatenate(columns, axis=1)

    def places(self, index: Int[np.ndarray, "*many batch"]) -> Int[np.ndarray, "*many batch"]:
        """Turns the row numbers of batches into the places of the rows within their parts."""
        return _shift(index, -np.repeat(self.firsts, self.share))

    def numbers(self, places: Int[np.ndarray, "*many batch"]) -> Int[np.ndarray, "*many batch"]:
        """Turns places within parts back into row numbers."""
        return _shift(places, np.repeat(self.firsts, self.share))


def _shift(index: np.ndarray, by: Any) -> np.ndarray:
    # ~(i + by) = ~i - by
    return np.where(index < 0, index - by, index + by)


def find_parts(
    source: Source,
    *,
    batch_size: Any,
    sharding: jax.sharding.Sharding | None,
    sampler: Any,
    batch_sampler: Any,
) -> RowParts:
    """Finds out which rows the other processes hold; all of a sharding's processes call it.

    Raises:
        RuntimeError: A process has failed meanwhile.
        TimeoutError: A process has not come in time.
        TypeError: `batch_size` is no int, or `sharding` no sharding.
        ValueError: Rows are not in memory, there is no sharding, it has two processes hold the same
            part of a batch, a sampler is given, or the processes' rows do not fit together.
    """
    if sharding is None:
        raise ValueError(
            "process_local=True needs sharding, which says which part of a batch each process "
            "holds. Give one over the devices of all processes, such as NamedSharding(mesh, "
            "PartitionSpec('data'))."
        )
    if not isinstance(source, MemorySource):
        raise ValueError(
            "process_local=True is for rows in memory; these come from a "
            f"{type(source).__name__}. Leave it out, and give all processes the same source: each "
            "reads the rows that its devices hold."
        )
    for name, given in (("sampler", sampler), ("batch_sampler", batch_sampler)):
        if given is not None:
            raise ValueError(
                f"{name} chooses among all rows, but with process_local=True a batch's parts are "
                f"drawn from the rows of their own processes. Leave {name} out; shuffle=True "
                "shuffles, and weight weighs rows."
            )
    batch_size = require_int("batch_size", batch_size, 1, None)
    check_sharding(sharding, batch_size)
    owners = _owners(sharding, batch_size)
    own = jax.process_index()
    if own not in owners:
        raise ValueError(
            f"process_local=True needs devices of each process in sharding; process {own} has none "
            f"in {sharding}."
        )
    processes = processes_of(sharding)
    forms = processes.together("all processes to make the loader", lambda: _form_of(source))
    counts: dict[int, int] = {number: form.pop("rows") for number, form in forms.items()}
    _require_same(forms)
    lengths, firsts, begin = [0] * len(owners), [0] * len(owners), {}
    first = 0
    for process in sorted(counts):
        begin[process] = first
        parts = [part for part, owner in enumerate(owners) if owner == process]
        if counts[process] < len(parts):
            raise ValueError(
                f"Each process needs a row for each of the {len(parts)} parts of a batch that its "
                f"devices hold; numbers of rows by process are {counts}. Deal rows more evenly."
            )
        # As even as can be: from floor(i n / parts) to floor((i + 1) n / parts).
        ends = [counts[process] * (i + 1) // len(parts) for i in range(len(parts))]
        for part, end, start in zip(parts, ends, [0, *ends], strict=False):
            firsts[part], lengths[part] = first + start, end - start
        first += counts[process]
    return RowParts(
        firsts=np.array(firsts),
        lengths=np.array(lengths),
        own_first=begin[own],
        batch_size=int(batch_size),
    )


def _owners(sharding: jax.sharding.Sharding, batch_size: int) -> list[int]:
    """Returns the number of the process that holds each part of a batch."""
    share = sharding.shard_shape((batch_size,))[0]
    owners: list[set[int]] = [set() for _ in range(batch_size // share)]
    for device, (rows,) in sharding.devices_indices_map((batch_size,)).items():
        owners[(rows.start or 0) // share].add(device.process_index)
    for part, several in enumerate(owners):
        if len(several) > 1:
            raise ValueError(
                "process_local=True needs a mesh in which each part of a batch lies on devices of "
                f"one process; processes {sorted(several)} share part {part}. Order the devices so "
                "that those along the other axes of the mesh are of one process, or give all "
                "processes all rows, without process_local."
            )
    return [owner for (owner,) in owners]


def _form_of(source: MemorySource) -> dict[str, Any]:
    """Returns what must be the same of the rows of all processes, and their number."""
    leaves = jax.tree.leaves_with_path({"x": source.x, "y": source.y})
    return {
        "rows": len(source),
        "types and shapes of a row": [
            [jax.tree_util.keystr(path), str(leaf.dtype), *leaf.shape[1:]] for path, leaf in leaves
        ],
        "columns": {name: [*map(str, columns)] for name, columns in source.columns.items()},
        "scale of weights, as an exponent of 2": source.weight_exponent,
    }


def _require_same(forms: dict[int, dict[str, Any]]) -> None:
    first = min(forms)
    for number, form in forms.items():
        for name, value in form.items():
            if value != forms[first][name]:
                raise ValueError(
                    "The rows of all processes must be of one form, but the "
                    f"{name}: {value} in process {number}, and {forms[first][name]} in process "
                    f"{first}. Give all the same columns and types, as in x.astype(np.float32)."
                )
