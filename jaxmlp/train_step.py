"""Turns a loss function and an optax optimizer into one pure training step on a state."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Int, Key, PyTree

from .checks import require_int, require_key, require_loss, require_optimizer
from .losses.accumulation import accumulate
from .network import LossFn, trained_part, with_trained_part
from .optimizers import Optimizer, as_transformation, init_optimizer, update_params


class TrainState(NamedTuple):
    """Everything that a step reads and writes: parameters, optimizer state, step count, key."""

    params: PyTree
    opt_state: optax.OptState
    step: Int[Array, ""]
    key: Key[Array, ""]


def init_state(params: PyTree, optimizer: Optimizer, *, key: Key[Array, ""]) -> TrainState:
    """Returns the state before the first step.

    Args:
        params: Any pytree of floating arrays. They are copied, since the step donates its state:
            yours stay usable. Every `Standardization` in it is kept from the optimizer.
        optimizer: Any optax optimizer.
        key: One typed JAX random key; step t draws from `fold_in(key, t)`.

    Returns:
        A state whose arrays share no memory with `params` or each other.

    Raises:
        TypeError: A parameter is not a floating array, or `key` is not a typed JAX random key.
        ValueError: `params` holds no arrays.

    Example:
        >>> import jax.numpy as jnp
        >>> state = init_state({"w": jnp.ones(3)}, optax.sgd(0.1), key=jax.random.key(0))
        >>> int(state.step)
        0
    """
    require_key("init_state", key)
    require_optimizer(optimizer)
    trained = trained_part(params)
    if not jax.tree.leaves(trained):
        raise ValueError(f"params must hold at least one array; got {params!r}.")
    for path, leaf in jax.tree.leaves_with_path(params):
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"params must be floating arrays; got {leaf!r} at {jax.tree_util.keystr(path)}. "
                "Keep settings outside the params, as in a frozen config."
            )
    # Optax mixes dtypes (decay**count), which strict promotion would refuse.
    with jax.numpy_dtype_promotion("standard"):
        opt_state = init_optimizer(as_transformation(optimizer), params, trained)
    state = TrainState(params, opt_state, jnp.zeros((), jnp.int32), key)
    # Donating one buffer twice is an error, and optimizers may keep the params as they are.
    return copy_arrays(state)


def make_train_step(
    loss_fn: LossFn, optimizer: Optimizer, *, accumulate_steps: int = 1
) -> Callable[[TrainState, Any], tuple[TrainState, dict[str, Array]]]:
    """Builds one training step: loss, gradient, optimizer update.

    The step is pure and jitted, and donates its state: use the one that it returns. Of one that
    was given before, JAX says that an array or buffer has been deleted; to use a state twice, give
    `jax.tree.map(jax.numpy.copy, state)`. The step may be called in a loop, scanned, or
    vmapped over states; of the kinds of keys, only "threefry2x32" draws the same numbers under
    `vmap`. Batches and parameters may lie on a mesh of any axes.

    Args:
        loss_fn: `(params, batch, key) -> (loss, metrics)`, as `make_loss` builds or your own. It is
            given the key `fold_in(state.key, state.step)`.
        optimizer: Any optax optimizer. Besides gradients, its `update` is handed those of "value",
            "grad", "value_fn", "grad_fn" and "obj_fn", of this batch and key, that it can take:
            line searches, `reduce_on_plateau`, `sam` and `sophia` work as they are.
        accumulate_steps: Number of micro-batches, at least 1, into which a batch is cut along its
            leading axis to save memory. Gradient, loss and metrics are the means over the whole
            batch, weighted by `batch.weight` where there is one; micro-batch i draws from
            `fold_in(key, i)`.

    Returns:
        `train_step(state, batch) -> (state, metrics)`; `metrics` holds "loss", the value before the
        update, and what `loss_fn` returned.

    Raises:
        TypeError: When called, the state is no `TrainState`, `loss_fn` does not return a scalar
            and a mapping, or the optimizer changes the type of its state.
        ValueError: `accumulate_steps` is below 1, or, when called, does not divide the batch.

    Example:
        >>> import jax.numpy as jnp
        >>> def loss_fn(params, batch, key):
        ...     return jnp.mean((batch @ params["w"] - 1) ** 2), {}
        >>> optimizer = optax.sgd(0.1)
        >>> train_step = make_train_step(loss_fn, optimizer)
        >>> state = init_state({"w": jnp.zeros(2)}, optimizer, key=jax.random.key(0))
        >>> state, metrics = train_step(state, jnp.eye(2))
        >>> float(metrics["loss"]), state.params["w"].tolist()
        (1.0, [0.10000000149011612, 0.10000000149011612])
    """
    require_loss(loss_fn)
    require_optimizer(optimizer)
    step = with_auto_axes(make_pure_step(loss_fn, optimizer, accumulate_steps))
    return jax.jit(step, donate_argnums=0)


def make_pure_step(
    loss_fn: LossFn,
    optimizer: Optimizer,
    accumulate_steps: int,
    place: Callable[[Any], Any] | None = None,
) -> Callable[[TrainState, Any], tuple[TrainState, dict[str, Array]]]:
    """Builds the step of `make_train_step` before it is jitted, for use inside larger programs.

    `place` says where stacked micro-batches lie.
    """
    require_int("accumulate_steps", accumulate_steps, 1, None)
    transformation = as_transformation(optimizer)
    checked = _checked(loss_fn)

    def train_step(state: TrainState, batch: PyTree) -> tuple[TrainState, dict[str, Array]]:
        # Compiled steps do not come here again.
        if not isinstance(state, TrainState):
            raise TypeError(
                f"state must be a jaxmlp.TrainState; got a {type(state).__name__}. Make one by "
                "jaxmlp.init_state(params, optimizer, key=key), and go on with the one that the "
                "step returns: state, metrics = train_step(state, batch)."
            )
        key = jax.random.fold_in(state.key, state.step)
        trained = trained_part(state.params)

        def trained_loss(trained: PyTree, batch: PyTree, key: Key[Array, ""]) -> Any:
            return checked(with_trained_part(state.params, trained), batch, key)

        def over_batch(evaluate: Callable[..., Any], trained: PyTree) -> Any:
            if accumulate_steps == 1:
                return evaluate(trained, batch, key)
            return accumulate(evaluate, trained, batch, key, accumulate_steps, place)

        # Line searches refuse arguments that it does not take.
        def value_fn(trained: PyTree, grad_fn: Any = None, obj_fn: Any = None) -> Array:
            del grad_fn, obj_fn
            return over_batch(lambda *arguments: (trained_loss(*arguments), ()), trained)[0][0]

        value_and_grad = jax.value_and_grad(trained_loss, has_aux=True)
        (loss, metrics), grads = over_batch(value_and_grad, trained)
        extra = {
            "value": loss,
            "grad": grads,
            "value_fn": value_fn,
            # Sharpness-aware minimisation also tells which of its steps asks.
            "grad_fn": lambda trained, *_: over_batch(value_and_grad, trained)[1],
            "obj_fn": value_fn,
        }
        with jax.numpy_dtype_promotion("standard"):  # as in init_state
            updated, opt_state = update_params(
                transformation, grads, state.opt_state, trained, extra
            )
        params = with_trained_part(state.params, updated)
        return TrainState(params, opt_state, state.step + 1, state.key), {"loss": loss, **metrics}

    return train_step


def with_auto_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Lets the compiler place what a function computes from arrays on a mesh of explicit axes.

    Such axes, of which `jax.make_mesh` makes meshes, ask for a placement wherever an operation sums
    over rows that lie on several devices, and so in every gradient.

    Args:
        function: `(state, ...) -> (state, ...)`. The arrays of its state stay where they are on the
            mesh; the other results lie on all devices.
    """

    def halved(state: PyTree, rest: Any, named: Any) -> tuple[PyTree, tuple[Any, ...]]:
        first, *others = function(state, *rest, **named)
        return first, tuple(others)

    @functools.wraps(function)
    def placed(state: PyTree, *rest: Any, **named: Any) -> tuple[Any, ...]:
        mesh = _explicit_mesh((state, rest, named))
        if mesh is None:
            return function(state, *rest, **named)
        kept = jax.tree.map(lambda leaf: jax.typeof(leaf).sharding.spec, state)
        kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
        with jax.sharding.use_abstract_mesh(mesh):
            inside: Any = jax.sharding.auto_axes(
                halved,
                axes=tuple(name for name, kind in kinds if kind is AxisType.Explicit),
                out_sharding=(kept, PartitionSpec()),
            )
            first, others = inside(state, rest, named)
        return first, *others

    return placed


def _explicit_mesh(tree: PyTree) -> Any:
    """Returns the mesh of explicit axes on which arrays of a tree lie, if any."""
    for leaf in jax.tree.leaves(tree):
        mesh = jax.typeof(leaf).sharding.mesh
        if AxisType.Explicit in mesh.axis_types:
            return mesh
    return None


def _checked(loss_fn: LossFn) -> LossFn:
    def checked(params: PyTree, batch: PyTree, key: Key[Array, ""] | None, /) -> Any:
        result = loss_fn(params, batch, key)
        if not (isinstance(result, tuple) and len(result) == 2 and hasattr(result[1], "keys")):
            raise TypeError(f"loss_fn must return (loss, metrics), metrics a dict; got {result!r}.")
        loss, metrics = result
        if jnp.shape(loss) != ():
            raise TypeError(
                f"loss_fn must return a scalar loss; got one of shape {jnp.shape(loss)}. "
                "Average over rows."
            )
        if "loss" in metrics:
            raise TypeError("loss_fn must not name a metric 'loss', the name of the loss itself.")
        return loss, dict(metrics)

    return checked


# Jitted, so that a tree costs one small program and not one for every shape in it.
@jax.jit
def copy_arrays(tree: PyTree) -> PyTree:
    """Copies every array of a tree; none is weakly typed, or shares memory with another."""
    # A weakly typed leaf would come back strong and compile the step a second time.
    return jax.tree.map(
        lambda leaf: jnp.array(leaf, dtype=jnp.asarray(leaf).dtype, copy=True), tree
    )
