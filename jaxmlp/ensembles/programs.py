"""Turns a specification into compiled programs with a leading member axis: the start, and epochs.

States come and go with the data of their keys in the place of the keys, so that they can lie on
the host as plain arrays.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, PyTree

from ..fitting import FitState, Metrics, ProgramCache, init_fit_state, program
from ..loading import settings_of_this_thread
from ..network import Batch
from ..train_step import init_state
from .factories import ProgramSpec

MEMBERS, EVERYWHERE = PartitionSpec("members"), PartitionSpec()


class MemberInputs(NamedTuple):
    """What differs from member to member, with a leading member axis; `None` where it does not.

    Weights are factors on those of all rows, or of the validation rows that are chosen.
    """

    hyperparameters: dict[str, Any]
    row_weights: Float[Array | np.ndarray, "members rows"] | None
    validation_weights: Float[Array | np.ndarray, "members chosen"] | None
    validation_rows: Int[Array | np.ndarray, "members chosen"] | None


class Programs:
    """Programs of one specification, compiled once per shape of arguments and setting of JAX.

    Args:
        spec: What is compiled into them.
        has_own_order: Whether each member has row numbers of its own.
        validated: Whether there are rows to validate on.
        key_kind: JAX's name for the kind of the members' keys, which come as plain numbers.
        traced: Decorator for functions that JAX traces.
    """

    def __init__(
        self,
        spec: ProgramSpec,
        has_own_order: bool,
        validated: bool,
        key_kind: Any,
        traced: Callable[..., Any],
    ) -> None:
        self.read: set[str] = set()
        self._validated, self._key_kind, self._traced = validated, key_kind, traced
        index_axis = 0 if has_own_order else None
        self._spec = spec
        self._jitted: dict[str, Any] = {
            "start": self._jit(self._start, (0, 0, 0), spec.width),
            "run": self._jit(self._run, (0, 0, None, index_axis, 0, None, None), spec.width),
            "recover": self._jit(self._recover, (0, 0, None, 0, 0, None), spec.width),
        }
        self._compiled: dict[Any, Any] = {}
        # Per structure of a state, the kind of each leaf that is a key.
        self._kinds: dict[Any, list[Any]] = {}

    def compiled(self, name: str, *arguments: Any) -> Any:
        """Returns a program for arguments of these shapes; it can tell its memory."""
        leaves, structure = jax.tree.flatten(arguments)
        shapes = [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]
        key = (name, structure, *shapes, *settings_of_this_thread().values())
        if key not in self._compiled:
            self._compiled[key] = self._jitted[name].lower(*arguments).compile()
        return self._compiled[key]

    def shapes(self, name: str, *arguments: Any) -> Any:
        """Returns the shapes of what a program gives for arguments of these; compiles nothing."""
        return self._jitted[name].eval_shape(*arguments)

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Runs a program, compiled before or now."""
        return self.compiled(name, *arguments)(*arguments)

    def _jit(self, function: Callable[..., Any], axes: tuple[int | None, ...], width: int) -> Any:
        mapped = self._traced(over_members(function, axes, width))
        if self._spec.devices == 1:
            return jax.jit(mapped)
        mesh = _make_mesh(self._spec.devices)
        specs = tuple(MEMBERS if axis == 0 else EVERYWHERE for axis in axes)
        # No device asks another for anything, so that nothing need be known of what varies.
        spread = jax.shard_map(
            mapped, mesh=mesh, in_specs=specs, out_specs=MEMBERS, check_vma=False
        )
        return jax.jit(
            spread,
            in_shardings=tuple(NamedSharding(mesh, spec) for spec in specs),
            out_shardings=NamedSharding(mesh, MEMBERS),
        )

    def _start(self, params: PyTree, inputs: MemberInputs, key: Array) -> FitState:
        spec = self._spec
        _, optimizer = spec.make(inputs.hyperparameters, self.read)
        train = init_state(params, optimizer, key=self._wrap(key))
        return self._without_keys(init_fit_state(train, spec.plan, validated=self._validated))

    def _run(
        self,
        state: FitState,
        inputs: MemberInputs,
        rows: Batch,
        index: Int[Array, "epochs steps batch"],
        limit: Int[Array, ""],
        validation: PyTree | None,
        steps: Int[Array, ""] | None,
    ) -> tuple[FitState, Metrics]:
        loss_fn, optimizer = self._spec.make(inputs.hyperparameters, self.read)
        rows = _weigh(rows, inputs.row_weights)
        own = inputs.validation_rows
        if own is not None:
            validation = jax.tree.map(lambda a: a[own], validation)
        validation = _weigh(validation, inputs.validation_weights)
        state, metrics = program.run_epochs(
            loss_fn,
            optimizer,
            self._spec.plan,
            self._with_keys(state),
            rows,
            index,
            limit,
            validation,
            steps=steps,
            vmapped=self._spec.width > 1,
        )
        return self._without_keys(state), metrics

    def _recover(
        self,
        state: FitState,
        inputs: MemberInputs,
        rows: Batch,
        index: Int[Array, "steps batch"],
        is_bad: Bool[Array, ""],
        steps: Int[Array, ""],
    ) -> FitState:
        """Repeats the epoch in which a bad member met NaN or infinity, up to the step before."""
        loss_fn, optimizer = self._spec.make(inputs.hyperparameters, self.read)
        rows = _weigh(rows, inputs.row_weights)

        # A loop and no branch, which under vmap would copy the rows for each member.
        def body(carry: tuple[FitState, Array, Array]) -> tuple[FitState, Array, Array]:
            state, position, _ = carry
            batch = program.take_batch(rows, index[position])
            after, metrics = program.advance(loss_fn, optimizer, self._spec.plan, state, batch)
            good = program.all_finite((metrics["loss"], after.train.params))
            state = jax.tree.map(functools.partial(jnp.where, good), after, state)
            return state, position + 1, good & (position + 1 < steps)

        carry = (self._with_keys(state), jnp.zeros((), jnp.int32), jnp.asarray(is_bad))
        state, _, _ = jax.lax.while_loop(lambda carry: carry[2], body, carry)
        return self._without_keys(state._replace(stopped=state.stopped | is_bad))

    def _without_keys(self, state: FitState) -> FitState:
        """Puts their data in the place of keys: the member's, and those of its optimizer."""
        leaves, structure = jax.tree.flatten(state)
        is_key = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
        pairs = list(zip(leaves, is_key, strict=True))
        self._kinds[structure] = [jax.random.key_impl(a) if key else None for a, key in pairs]
        return structure.unflatten([jax.random.key_data(a) if key else a for a, key in pairs])

    def _with_keys(self, state: FitState) -> FitState:
        """Reverses `_without_keys`, which the start of these members has gone through."""
        leaves, structure = jax.tree.flatten(state)
        kinds = self._kinds[structure]
        return structure.unflatten(
            leaf if kind is None else jax.random.wrap_key_data(leaf, impl=kind)
            for leaf, kind in zip(leaves, kinds, strict=True)
        )

    def kinds_of_keys(self, state: FitState) -> set[Any]:
        """Returns the kinds of all keys of a state, the optimizer's among them."""
        return set(self._kinds[jax.tree.structure(state)]) - {None}

    def _wrap(self, key: Array) -> Array:
        return jax.random.wrap_key_data(key, impl=self._key_kind)


def over_members(
    function: Callable[..., Any], axes: tuple[int | None, ...], width: int
) -> Callable[..., Any]:
    """Maps a function over its arguments with axis 0, `width` members at once, the others after.

    A width of at least the number of members is one `vmap`; else it must divide that number. A
    width of 1 is the function itself in a loop, so that what a member skips costs nothing.
    """

    def mapped(*arguments: Any) -> Any:
        own = [a for a, axis in zip(arguments, axes, strict=True) if axis == 0]
        members = jax.tree.leaves(own)[0].shape[0]

        def one(own: list[Any]) -> Any:
            rest = iter(own)
            return function(
                *(next(rest) if axis == 0 else a for a, axis in zip(arguments, axes, strict=True))
            )

        if width >= members > 1:
            return jax.vmap(one)(own)
        if width == 1 or members == 1:
            return jax.lax.map(one, own)
        batches = jax.tree.map(lambda a: a.reshape(-1, width, *a.shape[1:]), own)
        results = jax.lax.map(jax.vmap(one), batches)
        return jax.tree.map(lambda a: a.reshape(members, *a.shape[2:]), results)

    return mapped


def put_everywhere(tree: PyTree, devices: int) -> PyTree:
    """Puts arrays on so many local devices, once for all calls; on one, where JAX puts them."""
    sharding = None if devices == 1 else NamedSharding(_make_mesh(devices), EVERYWHERE)
    return jax.device_put(tree, sharding)


def _make_mesh(devices: int) -> Mesh:
    return Mesh(np.array(jax.local_devices()[:devices]), ("members",))


# Shared by sweeps of equal functions.
_PROGRAMS = ProgramCache(16)


def make_programs(
    spec: ProgramSpec, *, has_own_order: bool, validated: bool, key_kind: Any
) -> Programs:
    """Returns the programs of a spec, the same object for specifications of equal content."""
    name = (has_own_order, validated, key_kind)
    return _PROGRAMS.get(spec, name, functools.partial(Programs, spec, *name))


def _weigh(rows: Any, factors: Float[Array | np.ndarray, " rows"] | None) -> Any:
    if factors is None:
        return rows
    weight = factors if rows.weight is None else rows.weight * factors
    return rows._replace(weight=weight)
