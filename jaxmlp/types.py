"""The nouns: a network's arrays and what of them is trained, a batch of rows, a loss function."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped


class Norm(NamedTuple):
    """Parameters of a normalisation: per-feature scale, and bias where the config has one."""

    scale: Float[Array, " features"]
    bias: Float[Array, " features"] | None = None


class Dense(NamedTuple):
    """Parameters of one dense layer: net input `z = h @ kernel + bias`, then `norm` if any."""

    kernel: Float[Array, "in_features features"]
    bias: Float[Array, " features"] | None
    norm: Norm | None = None


class Standardization(NamedTuple):
    """Statistics by which a network standardises its inputs: `(x - mean) / scale` by feature.

    They travel with the parameters but are none: gradients stop at them, and no training step,
    optimizer or average changes them. `jaxmlp.with_standardization` computes them from data.
    """

    mean: Float[Array, " in_features"]
    scale: Float[Array, " in_features"]


class Params(NamedTuple):
    """All arrays of a network; an ensemble is the same type with a leading member axis."""

    hidden: tuple[Dense, ...]
    output: Dense
    standardization: Standardization | None = None


class Batch(NamedTuple):
    """Rows that one step sees.

    `x` holds the inputs, `y` the targets (`None` where a loss needs none) and `weight` each row's
    weight, at least 0: every mean over rows is `sum(weight * value) / sum(weight)`, so a row of
    weight 0 is padding. `weight=None` weighs all rows alike.
    """

    x: Any
    y: Any = None
    weight: Shaped[Array, " batch"] | np.ndarray | None = None


@runtime_checkable
class LossFn(Protocol):
    """A pure function `(params, batch, key) -> (loss, metrics)`, the mean over the batch's rows.

    `key=None` asks for no randomness. `metrics` are scalars by name, means over rows as the loss.
    """

    def __call__(
        self, params: PyTree, batch: PyTree, key: PRNGKeyArray | None, /
    ) -> tuple[Float[Array, ""], Mapping[str, Array]]:
        """Computes the loss.

        Args:
            params: Any pytree of floating arrays.
            batch: Any pytree of arrays, a `Batch` for the losses of this library.
            key: Random key, or `None` for no randomness.

        Returns:
            The scalar loss, and scalar metrics by name.
        """
        ...


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


def with_types_of(tree: PyTree, like: PyTree) -> PyTree:
    """Returns the arrays of a tree in the types of another tree's."""
    return jax.tree.map(lambda a, b: a.astype(b.dtype), tree, like)


def _is_frozen(node: Any) -> bool:
    return isinstance(node, Standardization)
