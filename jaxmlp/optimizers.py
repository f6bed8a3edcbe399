"""Turns an optax optimizer into what a step needs of it: a first state, and updates."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jaxtyping import PyTree

# What users may give; `as_transformation` makes one type of the two.
Optimizer = optax.GradientTransformation | optax.MultiSteps

# Of states that are filled on the host: beyond it, sending them costs more than compiling.
_FILLED_NUMBERS = 2**22
_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
_PAGE = "the page on optimizers in the documentation shows how"


def as_transformation(optimizer: Any) -> Any:
    """Returns an `optax.MultiSteps` as a transformation, anything else as it is.

    Its own method of that name hides from optax that it hands on extra arguments.
    """
    if isinstance(optimizer, optax.MultiSteps):
        update: Any = optimizer.update
        return optax.GradientTransformationExtraArgs(optimizer.init, update)
    return optimizer


def init_optimizer(
    optimizer: optax.GradientTransformation, params: PyTree, trained: PyTree
) -> optax.OptState:
    """Returns the optimizer's first state for the part of the parameters that is trained.

    Raises:
        TypeError: The optimizer trains other parameters or from other gradients than a step has.
    """
    try:
        opt_state = _fill_state(optimizer.init, trained)
        if opt_state is None:
            opt_state = optimizer.init(trained)
    except ValueError as error:
        if jax.tree.structure(params) != jax.tree.structure(trained):
            error.add_note(
                "The optimizer does not see the Standardization in params. If it has a mask or "
                "labels, give them as a function, or make them from params without it."
            )
        raise
    nodes = _nodes_in(opt_state)
    kinds = set(map(type, nodes))
    if optax.LookaheadState in kinds and not isinstance(params, optax.LookaheadParams):
        raise TypeError(
            "optax.lookahead trains fast and slow parameters: params must be "
            f"optax.LookaheadParams.init_synced(params); got a {type(params).__name__}. The loss "
            f"then takes their fast ones, and the optimizer is wrapped: {_PAGE}."
        )
    if optax.contrib.DifferentiallyPrivateAggregateState in kinds:
        raise TypeError(
            "optax.contrib.differentially_private_aggregate, and dpsgd, which is made of it, need "
            "a gradient for every row; a step has the one of the mean loss. Compute those of rows "
            "with jax.vmap in a loop of your own, or take another optimizer."
        )
    if any(isinstance(n, optax.MonitorState) and not n.measurements for n in nodes):
        raise TypeError(
            "optax.monitor begins with a state that lacks its measurements, and a compiled loop "
            "needs one that keeps its structure. Take optax.snapshot, or wrap it in one that "
            f"begins with them: {_PAGE}."
        )
    return opt_state


def update_params(
    optimizer: optax.GradientTransformation,
    grads: PyTree,
    opt_state: optax.OptState,
    params: PyTree,
    extra: Mapping[str, Any],
) -> tuple[PyTree, optax.OptState]:
    """Takes one step; the optimizer is handed those extra arguments that all of it can take.

    Raises:
        TypeError: The optimizer changes the type or structure of its state.
        ValueError: Updates have another structure or shape than the parameters.
    """
    given, refused = _taken_by_signature(optimizer.update, extra), list[str]()
    while True:
        try:
            updates, after = optimizer.update(grads, opt_state, params, **given)
            break
        except (TypeError, ValueError) as error:
            # A wrapper takes all, and what it wraps may not: only trying tells.
            found = _UNEXPECTED.search(str(error))
            name = found[1] if found and isinstance(error, TypeError) else None
            if name in given:
                refused.append(name)
                given = {kept: value for kept, value in given.items() if kept != name}
                continue
            _explain(error, params, extra, refused)
            raise
    _require_shapes(updates, params)
    if jax.tree.structure(after) != jax.tree.structure(opt_state):
        raise TypeError(
            "The optimizer must keep the structure of its state, since a compiled loop carries it; "
            f"it was {jax.tree.structure(opt_state)} and is {jax.tree.structure(after)}."
        )
    return optax.apply_updates(params, updates), jax.tree.map(_keep_type, after, opt_state)


def kernel_mask(params: PyTree) -> PyTree:
    """Marks the kernels: what weight decay should act on, and biases and norms should not.

    Args:
        params: A pytree with leaves called `kernel`, as `jaxmlp.Params` or a dict of dicts.

    Returns:
        The same tree of booleans; pass the function itself as optax's `mask`.

    Raises:
        ValueError: No leaf is called `kernel`, so the mask would switch decay off silently.

    Example:
        >>> optimizer = optax.adamw(1e-3, weight_decay=1e-2, mask=kernel_mask)
    """

    def is_kernel(path: tuple[Any, ...], _: Any) -> bool:
        last = path[-1] if path else None
        return getattr(last, "name", getattr(last, "key", None)) == "kernel"

    mask = jax.tree.map_with_path(is_kernel, params)
    # Under optax.partition the other groups' kernels are masked out, so none may be left.
    parts = jax.tree.leaves(params, is_leaf=lambda leaf: isinstance(leaf, optax.MaskedNode))
    if not any(jax.tree.leaves(mask)) and not any(isinstance(p, optax.MaskedNode) for p in parts):
        raise ValueError(
            "params must have kernels: kernel_mask needs leaves called 'kernel'; got "
            f"{[jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(params)]}. "
            "Write a mask for these params."
        )
    return mask


def _fill_state(init: Callable[[PyTree], optax.OptState], params: PyTree) -> optax.OptState | None:
    """Makes a first state of constants and of the parameters themselves without compiling it.

    Optax's zeros are a program for each shape, which compiles longer than a small network trains.
    Such states have NumPy's arrays in the place of constants, in the types of JAX's.

    Returns:
        `None` where something is computed, or has to be placed as the parameters are.
    """
    leaves = jax.tree.leaves(params)
    if any(isinstance(a, Tracer) or len(getattr(a, "devices", set)()) > 1 for a in leaves):
        return None
    try:
        traced, shapes = jax.make_jaxpr(init, return_shape=True)(params)
    except Exception:
        # It looks at numbers, or is in error, which it tells better when it is run.
        return None
    jaxpr, forms = traced.jaxpr, jax.tree.leaves(shapes)
    if sum(form.size for form in forms) > _FILLED_NUMBERS:
        return None
    known: dict[Any, Any] = dict(zip(jaxpr.invars, leaves, strict=True))

    def value_of(atom: Any, form: Any) -> Any:
        """What a literal or a variable stands for, or `None`."""
        if hasattr(atom, "val"):
            return np.full(form.shape, atom.val, form.dtype)
        return known.get(atom)

    for equation in jaxpr.eqns:
        name, inputs = equation.primitive.name, equation.invars
        if name == "copy" or (name == "broadcast_in_dim" and hasattr(inputs[0], "val")):
            known[equation.outvars[0]] = value_of(inputs[0], equation.outvars[0].aval)
    values = [value_of(out, form) for out, form in zip(jaxpr.outvars, forms, strict=True)]
    if any(value is None for value in values):
        return None
    return jax.tree.unflatten(jax.tree.structure(shapes), values)


def _nodes_in(opt_state: optax.OptState) -> list[Any]:
    """All nodes of a state, which tell what transformations it is of."""
    nodes: list[Any] = []
    jax.tree.leaves(opt_state, is_leaf=lambda node: nodes.append(node) is not None)
    return nodes


def _taken_by_signature(update: Callable[..., Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(update).parameters
    except (TypeError, ValueError):  # as of compiled functions
        return dict(extra)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(extra)
    return {name: value for name, value in extra.items() if name in parameters}


def _explain(
    error: Exception, params: PyTree, extra: Mapping[str, Any], refused: list[str]
) -> None:
    """Adds to an error of an optimizer what this library has to do with it."""
    if isinstance(params, optax.LookaheadParams):
        error.add_note(
            "optax.lookahead takes the gradient of the fast parameters alone: wrap it, as in "
            "optax.GradientTransformation(inner.init, lambda grads, state, params: "
            f"inner.update(grads.fast, state, params)); {_PAGE}."
        )
    if refused:
        error.add_note(
            f"A part of the optimizer does not take {', '.join(sorted(refused))}, so that no part "
            "was given it: optax hands the same arguments to all parts of a chain. Wrap that part "
            "in one that takes any, as optax.GradientTransformationExtraArgs(part.init, lambda "
            "grads, state, params, **extra: part.update(grads, state, params, ...))."
        )
    if "required" in str(error):
        error.add_note(
            f"A step can hand an optimizer these arguments: {', '.join(sorted(extra))}. Wrap it "
            "in one that makes what it needs of them."
        )


def _require_shapes(updates: PyTree, params: PyTree) -> None:
    if jax.tree.structure(updates) != jax.tree.structure(params):
        raise ValueError(
            "The optimizer must return an update for each parameter, in the structure "
            f"{jax.tree.structure(params)}; got {jax.tree.structure(updates)}."
        )

    def check(path: tuple[Any, ...], param: Any, update: Any) -> None:
        if jnp.shape(update) != jnp.shape(param):
            raise ValueError(
                "The optimizer must return an update of the shape of each parameter; at "
                f"{jax.tree_util.keystr(path)} it is {jnp.shape(update)} for {jnp.shape(param)}."
            )

    jax.tree.map_with_path(check, params, updates)


def _keep_type(new: Any, old: Any) -> Any:
    if new.dtype != old.dtype:
        raise TypeError(
            f"The optimizer changed its state from {old.dtype} to {new.dtype}, which would compile "
            "every step anew; give its settings as arrays of one dtype."
        )
    return new if jnp.issubdtype(new.dtype, jax.dtypes.prng_key) else new.astype(old.dtype)
