"""Turns rows as a source read them into a batch like the first, and refuses others by name."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from ..network import Batch
from .ingestion import ingest, is_lost_weight, named_leaves


@dataclasses.dataclass(kw_only=True)
class BatchCheck:
    """Checks batches that a source read: what `MemorySource` checks of all rows at once."""

    check_finite: bool
    _form: tuple[Any, list[tuple[Any, tuple[int, ...]]]] | None = None

    def __call__(self, batch: Batch, rows: Int[np.ndarray, " n"]) -> Batch:
        """Returns the batch in the types that JAX gives it.

        Raises:
            TypeError: The source gives no `Batch`, or its arrays hold no numbers.
            ValueError: An array is not finite, does not fit into 32 bits, has not one row per row
                asked, or another structure, type or shape than in the first batch.
        """
        if not isinstance(batch, Batch):
            raise TypeError(f"A source must read a Batch; got a {type(batch).__name__}.")
        leaves, structure = [], []
        for name, tree in (("x", batch.x), ("y", batch.y), ("weight", batch.weight)):
            named, part = named_leaves(name, tree)
            structure.append(part)
            for path, leaf in named:
                array = ingest(
                    path,
                    leaf,
                    check_finite=self.check_finite or name == "weight",
                    copy=False,
                    row_of=lambda position: int(rows[position]),
                )
                if name == "weight" and is_lost_weight(np.asarray(leaf)).any():
                    raise ValueError(
                        "weight must be 0 or at least 1.2e-38 in every row, since float32 does not "
                        "hold smaller weights. Multiply all of them by one factor: only their "
                        "ratios count."
                    )
                if len(array) != len(rows):
                    raise ValueError(
                        f"{path} must have one row per row asked, {len(rows)}; got {len(array)}."
                    )
                leaves.append((path, array))
        self._check_form(structure, leaves)
        arrays = iter(array for _, array in leaves)
        x, y, weight = (
            jax.tree.unflatten(part, [next(arrays) for _ in range(part.num_leaves)])
            for part in structure
        )
        if weight is None:
            return Batch(x, y)
        if weight.ndim != 1 or (weight < 0).any():
            raise ValueError(f"weight must be at least 0, one per row; got {weight[:8]}.")
        return Batch(x, y, weight.astype(np.float32))

    def _check_form(self, structure: Any, leaves: list[tuple[str, np.ndarray]]) -> None:
        form = structure, [(array.dtype, array.shape[1:]) for _, array in leaves]
        if self._form is None:
            self._form = form
        if structure != self._form[0]:
            raise ValueError(
                f"Every batch must have the structure of the first, {self._form[0]}; got "
                f"{structure}."
            )
        for (path, array), (dtype, shape) in zip(leaves, self._form[1], strict=True):
            if (array.dtype, array.shape[1:]) != (dtype, shape):
                raise ValueError(
                    f"{path} must have the type and shape of its first rows, {dtype}{list(shape)}; "
                    f"got {array.dtype}{list(array.shape[1:])}."
                )
