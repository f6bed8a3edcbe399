"""Separates the parameters that training changes from the statistics that it leaves alone."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PyTree

from .types import Standardization


def trained_part(params: PyTree) -> PyTree:
    """Returns the same tree with `None`, an empty subtree, for every `Standardization`."""
    return jax.tree.map(lambda n: None if _is_frozen(n) else n, params, is_leaf=_is_frozen)


def with_trained_part(params: PyTree, trained: PyTree) -> PyTree:
    """Returns the tree of `trained` with the statistics of `params`."""
    return map_trained(lambda _, new: new, params, trained)


def map_trained(function: Callable[..., Any], params: PyTree, *rest: PyTree) -> PyTree:
    """Maps over the arrays of all trees that are trained; the statistics are those of `params`."""

    def keep_or_map(node: Any, *others: Any) -> Any:
        return node if _is_frozen(node) else function(node, *others)

    return jax.tree.map(keep_or_map, params, *rest, is_leaf=_is_frozen)


def _is_frozen(node: Any) -> bool:
    return isinstance(node, Standardization)
