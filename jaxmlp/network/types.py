"""The nouns: a network's arrays and what of them is trained, a batch of rows, a loss function."""

import dataclasses
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, Key, PyTree, Shaped

from ..checks import require_function, require_number


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


@dataclasses.dataclass(frozen=True)
class Activation:
    """An activation function of your own, for `MLPConfig(activation=...)`.

    Files name it only, so that nothing in a file is run: `load` and `MLPConfig.from_json` are given
    it again. Two are equal if they have the same name, function and gain; define the function once,
    at the top of a module, so that equal configs share one compiled program.

    Args:
        name: What files and tables call it, an identifier that is not one of our names.
        function: Pure function of an array, elementwise: it keeps the shape and the type.
        gain: Factor on the standard deviation of the kernels that feed it, finite and above 0;
            `None` means `1 / sqrt(E[f(z)**2])` for `z ~ N(0, 1)`, which keeps the size of the
            signal, computed by quadrature.

    Raises:
        TypeError: `name` is no text, `function` cannot be called, or `gain` is no number.
        ValueError: `name` is no identifier, or `gain` is out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmlp import MLPConfig
        >>> snake = Activation("snake", lambda z: z + jnp.sin(z) ** 2)
        >>> config = MLPConfig(
        ...     in_features=2, hidden_features=(8,), out_features=1, activation=snake)
        >>> MLPConfig.from_json(config.to_json(), activations={"snake": snake}) == config
        True
    """

    name: str
    function: Callable[[Array], Array]
    gain: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"name must be a text, the activation's; got {self.name!r}.")
        if not self.name.isidentifier():
            raise ValueError(f"name must be an identifier, as 'snake'; got {self.name!r}.")
        form, remedy = "(array) -> array", "elementwise, such as jax.numpy.sin"
        require_function("function", self.function, form, remedy)
        if not isinstance(self.function, Hashable):
            raise TypeError(
                f"function must be hashable, since configs are; got a "
                f"{type(self.function).__name__}. Give a plain function."
            )
        if self.gain is not None:
            require_number("gain", self.gain, "finite and above 0", lambda g: 0 < g < math.inf)

    def __repr__(self) -> str:
        gain = "" if self.gain is None else f", gain={self.gain}"
        return f"Activation({self.name!r}{gain})"


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
        self, params: PyTree, batch: PyTree, key: Key[Array, ""] | None, /
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
