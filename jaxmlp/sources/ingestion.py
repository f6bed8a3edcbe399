"""Turns what a user holds into checked NumPy arrays of the types that JAX gives them."""

import hashlib
import math
from collections.abc import Callable
from typing import Any, TypeGuard

import jax
import numpy as np
from jaxtyping import PyTree

from ..losses.weights import extreme_exponent


def ingest(
    name: str,
    values: Any,
    *,
    check_finite: bool,
    copy: bool = True,
    row_of: Callable[[int], int] = int,
) -> np.ndarray:
    """Returns an array in the type that JAX gives it, after checking its numbers.

    Args:
        name: What errors call it.
        values: Anything that NumPy reads as an array.
        check_finite: Whether to refuse NaN and infinity.
        copy: Whether the result must share no memory with `values`.
        row_of: The row that a position in the leading axis stands for.

    Raises:
        TypeError: It holds objects, strings or complex numbers.
        ValueError: It is ragged or a single number, partly masked, not finite, or does not fit into
            32 bits.
    """
    array = as_array(name, values)
    if array.dtype.kind not in "biuf" and not is_floating(array.dtype):
        raise TypeError(
            f"{name} must hold real numbers; got an array of {array.dtype}. Encode categories as "
            "integers, as in np.unique(values, return_inverse=True)."
        )
    if array.ndim == 0:
        raise ValueError(f"{name} must have one row per example; got a single number.")
    if check_finite and not is_finite(array):
        finite = np.isfinite(array)
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        where = (row_of(first[0]), *first[1:])
        raise ValueError(
            f"{name} must be finite; got {array[first]} at index {where} and "
            f"{finite.size - np.count_nonzero(finite)} such values in all. Impute or drop "
            "these rows, or pass check_finite=False."
        )
    # JAX takes native byte order only.
    dtype = jax.dtypes.canonicalize_dtype(array.dtype.newbyteorder("="))
    if dtype != array.dtype:
        limits = np.iinfo(dtype) if array.dtype.kind in "iu" else np.finfo(dtype)
        finite = array if check_finite else array[np.isfinite(array)]
        if finite.size and (finite.min() < limits.min or finite.max() > limits.max):
            raise ValueError(
                f"{name} must fit into {dtype}; got values in [{finite.min()}, {finite.max()}]. "
                "Call jax.config.update('jax_enable_x64', True) to keep 64-bit numbers."
            )
    if not copy:
        return array.astype(dtype, copy=False)
    # Once only: `freeze` would copy again what NumPy put elsewhere.
    copied = empty_aligned(array.shape, dtype)
    np.copyto(copied, array, casting="unsafe")
    return copied


def as_array(name: str, values: Any) -> np.ndarray:
    """Reads anything as an array: a tensor, an image, a list or a number.

    Raises:
        TypeError: NumPy cannot read it.
        ValueError: It is a ragged list, or some of its values are masked.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(
            f"{name} must not have masked values; got {np.ma.count_masked(values)}. Fill them, as "
            "in values.filled(0), or drop these rows."
        )
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array; {error}.") from error
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"{name} must be an array that NumPy can read; got a {type(values).__name__}, of "
            f"which it says: {error!s:.200} Convert it, as in tensor.detach().float().cpu()."
        ) from error


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether a type is one of floats, JAX's own narrow ones included."""
    return bool(jax.numpy.issubdtype(dtype, jax.numpy.floating))


def is_finite(array: np.ndarray) -> bool:
    """Whether an array has neither NaN nor infinity."""
    if not is_floating(array.dtype):
        return True
    # Only finite numbers have a finite sum, which takes a third of the time.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum())) or bool(np.isfinite(array).all())


def largest_exact(dtype: np.dtype[Any]) -> int:
    """Returns the integer up to which floats of a type hold every one."""
    return 2 ** (np.finfo(dtype).nmant + 1)


def freeze(array: np.ndarray) -> np.ndarray:
    """Makes an array of our own read-only, and copies it if JAX on CPU could not use it in place.

    Such memory is aligned to 64 bytes; `jax.device_put` takes it over without a copy (JAX issue
    37830), which is safe for what nobody writes to.
    """
    if array.ctypes.data % 64:
        aligned = empty_aligned(array.shape, array.dtype)
        aligned[...] = array
        array = aligned
    array.setflags(write=False)
    return array


def empty_aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Returns a new array, not filled, in memory that JAX on CPU takes over without a copy."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + 64, np.uint8)
    offset = -memory.ctypes.data % 64
    return memory[offset : offset + size].view(dtype).reshape(shape)


def ingest_weight(weight: Any, rows: int) -> tuple[np.ndarray, int]:
    """Returns a copy of the rows' weights in float32, after checking them, and an exponent.

    Only their ratios count: where float32 does not hold the weights, or not their sums, they are
    divided by two to that exponent, by which the largest becomes about 1; else it is 0.

    Raises:
        ValueError: There is not one per row, one is negative or not finite, all are 0, or the
            smallest is too small beside the largest for float32.
    """
    array = as_array("weight", weight)
    is_double = array.dtype.kind == "f" and array.dtype.itemsize > 4
    if not (is_double and is_finite(array)):  # else float32 may not hold what can be scaled
        array = ingest("weight", array, check_finite=True)
    if array.shape != (rows,):
        raise ValueError(f"weight must have shape ({rows},), one per row; got {array.shape}.")
    smallest, largest = float(array.min()), float(array.max())
    if smallest < 0 or largest == 0:
        raise ValueError(
            "weight must be at least 0, and above 0 for some row; got values in "
            f"[{array.min()}, {array.max()}]."
        )
    smallest = float(array.min(where=array > 0, initial=largest))
    tiny = float(np.finfo(np.float32).tiny)
    exponent = extreme_exponent(largest)
    if not exponent and smallest < tiny:
        exponent = int(np.frexp(largest)[1])
    if np.ldexp(smallest, -exponent) < tiny:
        raise ValueError(
            "weight must be 0 or at least 1e-37 times the largest, since in float32 smaller ones "
            f"would be 0; got {smallest} beside {largest}. Set them to 0 to leave these rows out."
        )
    if exponent:
        array = np.ldexp(array.astype(np.float64), -exponent)
    return array.astype(np.float32), exponent


def is_lost_weight(values: np.ndarray) -> np.ndarray:
    """Marks weights above 0 that float32 does not hold with all their digits, or as 0."""
    return (values > 0) & (values < np.finfo(np.float32).tiny)


def is_mapped(value: Any) -> TypeGuard[np.memmap]:
    """Whether a value is a memory map; NumPy also calls a copy of one so, which has no mode."""
    return isinstance(value, np.memmap) and value.mode is not None


def named_leaves(name: str, tree: PyTree) -> tuple[list[tuple[str, Any]], Any]:
    """Returns the leaves of a tree with the names that errors use, and the tree's structure.

    A list is one leaf, which NumPy reads as an array.
    """
    leaves, structure = jax.tree.flatten_with_path(tree, is_leaf=lambda v: isinstance(v, list))
    return [(name + jax.tree_util.keystr(path), leaf) for path, leaf in leaves], structure


def package_of(value: Any) -> set[str]:
    """Returns the packages that a value's classes come from, by name: none is imported."""
    return {kind.__module__.split(".")[0] for kind in type(value).__mro__}


def hash_arrays(named: list[tuple[str, np.ndarray]]) -> str:
    """Returns a BLAKE2b hash of arrays: their names, types, shapes and contents."""
    total = hashlib.blake2b(digest_size=16)
    for name, array in named:
        total.update(f"{name} {array.dtype} {array.shape};".encode())
        total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def require_rows(rows: Any, count: int) -> None:
    """Checks row numbers; a negative one would otherwise count from the end.

    Raises:
        TypeError: They are no array of integers.
        ValueError: There is no such row.
    """
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "iu" or rows.ndim != 1:
        what = f"{rows.dtype}{list(rows.shape)}" if isinstance(rows, np.ndarray) else repr(rows)
        raise TypeError(
            f"rows must be a NumPy array of row numbers, ints, shape (n,); got {what:.80}. Give "
            "np.array(rows)."
        )
    if len(rows) and (rows.min() < 0 or rows.max() >= count):
        bad = rows[(rows < 0) | (rows >= count)][0]
        raise ValueError(f"rows must be in [0, {count}); got {bad}.")


def is_sparse(value: Any) -> bool:
    """Whether a value is a sparse matrix or array of SciPy."""
    return "scipy" in package_of(value) and hasattr(value, "tocsr")
