"""Turns any pytree of arrays into arrays by name, and back by name alone, never by order."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey
from jaxtyping import PyTree

from .headers import CheckpointError


def flatten_by_path(tree: PyTree) -> dict[str, np.ndarray]:
    """Names every array of a tree by its path.

    A field is written as it is, a position as a number, a key of a dict in quotes or, if it is an
    int, in brackets, a child without a name in angles; they are joined by dots. Other characters
    than letters, digits, `_`, `-` and `~` are percent-encoded, so that two paths never share a
    name. Random keys are stored as their data, with `#` and their implementation in the name.

    Args:
        tree: Any pytree of NumPy arrays, JAX arrays and typed random keys.

    Returns:
        Copies of the arrays.

    Raises:
        TypeError: A leaf is no array, a path has a part that cannot be named, or two paths have
            the same name.

    Example:
        >>> tree = {"mu": (np.zeros(2), np.ones(3)), "a.b": jax.random.key(0)}
        >>> sorted(flatten_by_path(tree))
        ["'a%2Eb'#threefry2x32", "'mu'.0", "'mu'.1"]
    """
    return {
        name: np.array(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        for name, leaf in _named_leaves(tree).items()
    }


def shapes_by_path(tree: PyTree) -> dict[str, Any]:
    """Names every array of a tree by its path, and gives shapes and types of what is stored.

    Args:
        tree: Any pytree of arrays or `jax.ShapeDtypeStruct`s.

    Raises:
        TypeError: As for `flatten_by_path`.
    """
    return {name: _stored_form(leaf) for name, leaf in _named_leaves(tree).items()}


def differences(skeleton: PyTree, arrays: Mapping[str, Any]) -> list[str]:
    """Tells how arrays by name differ from those that a skeleton needs.

    Args:
        skeleton: Any pytree of arrays or `jax.ShapeDtypeStruct`s.
        arrays: Arrays by name.

    Returns:
        One line per array that is missing, not expected, or of another shape or type.
    """
    wanted = shapes_by_path(skeleton)
    found = [f"{name} is missing" for name in wanted if name not in arrays]
    found += [f"{name} is not expected" for name in sorted(arrays) if name not in wanted]
    for name in wanted.keys() & arrays.keys():
        want, got = wanted[name], arrays[name]
        if (want.shape, want.dtype) != (got.shape, got.dtype):
            found.append(
                f"{name} must have shape {want.shape} and type {want.dtype}, but has "
                f"{got.shape} and {got.dtype}"
            )
    return sorted(found)


def restore_by_path(skeleton: PyTree, arrays: Mapping[str, np.ndarray]) -> PyTree:
    """Puts arrays by name into the places of a skeleton.

    Args:
        skeleton: Any pytree of arrays or `jax.ShapeDtypeStruct`s, as `jax.eval_shape` returns.
        arrays: Arrays as `flatten_by_path` returned them.

    Returns:
        The skeleton's tree of fresh arrays: NumPy where it has NumPy arrays, else JAX.

    Raises:
        CheckpointError: Arrays are missing, not expected, or of another shape or type; all are
            named.
        TypeError: A leaf of the skeleton is no array.
        ValueError: 64-bit arrays would be narrowed, since JAX has 64-bit types switched off.
    """
    if problems := differences(skeleton, arrays):
        raise CheckpointError("The stored arrays are not those needed: " + "; ".join(problems))
    return jax.tree.map_with_path(
        lambda path, leaf: _restored(leaf, arrays[_name(path, leaf)]), skeleton
    )


def _restored(leaf: Any, array: np.ndarray) -> Any:
    if isinstance(leaf, np.ndarray | np.generic):
        return array.copy()
    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        raise ValueError(
            f"Arrays of {array.dtype} require 64-bit JAX types, which are off; call "
            "jax.config.update('jax_enable_x64', True) first."
        )
    restored = jnp.array(array, copy=True)
    return jax.random.wrap_key_data(restored, impl=_key_impl(leaf)) if _is_key(leaf) else restored


def _named_leaves(tree: PyTree) -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        name = _name(path, leaf)
        if name in leaves:
            raise TypeError(
                f"Every array needs a path of its own to be stored; got two at {name}. Give the "
                "children of your pytree nodes keys that differ."
            )
        leaves[name] = leaf
    return leaves


def _name(path: tuple[Any, ...], leaf: Any) -> str:
    name = ".".join(map(_segment, path)) or "."  # a tree that is one array
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise TypeError(f"{name} must be an array to be stored; got {leaf!r}. Use jnp.asarray.")
    return f"{name}#{_key_impl(leaf)}" if _is_key(leaf) else name


def _segment(entry: Any) -> str:
    match entry:
        case GetAttrKey(name=name) if name.isidentifier():
            return _quoted(name)
        case SequenceKey(idx=index):
            return str(index)
        case FlattenedIndexKey(key=index):
            return f"<{index}>"
        case DictKey(key=str(key)):
            return f"'{_quoted(key)}'"
        case DictKey(key=int(key)) if not isinstance(key, bool):
            return f"[{key}]"
    raise TypeError(
        "Arrays are stored by fields, positions, and dict keys that are str or int; got "
        f"{entry!r}. Use such keys."
    )


def _quoted(text: str) -> str:
    return quote(text, safe="").replace(".", "%2E")


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _key_impl(leaf: Any) -> str:
    """Name of a key's implementation; shapes have no other way to tell it than to be traced."""
    found: list[str] = []
    jax.eval_shape(lambda key: found.append(str(jax.random.key_impl(key))), leaf)
    return found[0]


def _stored_form(leaf: Any) -> Any:
    return jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
