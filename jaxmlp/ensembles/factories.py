"""Turns functions of hyperparameters into one member's loss function, optimizer and parameters."""

import dataclasses
import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from ..fitting import Plan
from ..optimizers import as_transformation


class Factory(NamedTuple):
    """A function as the user gave it; `takes` says whether it is given the hyperparameters."""

    function: Any
    takes: bool


@dataclasses.dataclass(frozen=True)
class ProgramSpec:
    """What is compiled into the program of a group of members; equal ones share it.

    `static` holds the hyperparameters that are no numbers, by name; `width` says how many members
    are computed at once on each of `devices`.
    """

    loss: Factory
    optimizer: Factory
    plan: Plan
    static: tuple[tuple[str, Hashable], ...]
    width: int
    devices: int

    def make(self, traced: Mapping[str, Any], read: set[str]) -> tuple[Any, Any]:
        """Makes one member's loss function and optimizer; the names that they ask for join `read`.

        Raises:
            TypeError: A factory returns something else.
        """
        settings = Settings({**traced, **dict(self.static)}, read)
        loss_fn, optimizer = self.loss.function, self.optimizer.function
        if self.loss.takes:
            loss_fn = _make("make_loss", loss_fn, settings)
            if not callable(loss_fn):
                raise TypeError(f"make_loss must return a loss function; got {loss_fn!r}.")
        if self.optimizer.takes:
            # As in init_state: optax mixes dtypes.
            with jax.numpy_dtype_promotion("standard"):
                optimizer = as_transformation(_make("make_optimizer", optimizer, settings))
            if not isinstance(optimizer, optax.GradientTransformation):
                raise TypeError(
                    f"make_optimizer must return an optax optimizer; got {optimizer!r}."
                )
        return loss_fn, optimizer


class Settings(Mapping[str, Any]):
    """One member's hyperparameters by name, which remembers the names that were read.

    Args:
        values: Traced scalars or arrays, and static values.
        read: Set that the names join when they are read.
    """

    def __init__(self, values: Mapping[str, Any], read: set[str]) -> None:
        self._values, self._read = values, read

    def __getitem__(self, name: str) -> Any:
        """Returns one value.

        Raises:
            KeyError: There is no such hyperparameter.
        """
        if name not in self._values:
            raise KeyError(f"no hyperparameter {name!r}; there are {sorted(self._values)}.")
        self._read.add(name)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def as_loss(loss: Any) -> Factory:
    """Tells `make_loss(hyperparameters)` from `loss_fn(params, batch, key)` by its arguments."""
    takes = _count_arguments(
        "loss", loss, {1: "make_loss(hyperparameters)", 3: "loss_fn(params, batch, key)"}
    )
    return Factory(loss, takes == 1)


def as_optimizer(optimizer: Any) -> Factory:
    """Tells `make_optimizer(hyperparameters)` from an optax optimizer."""
    optimizer = as_transformation(optimizer)
    if isinstance(optimizer, optax.GradientTransformation):
        return Factory(optimizer, False)
    forms = {1: "make_optimizer(hyperparameters)"}
    _count_arguments("optimizer", optimizer, forms, "an optax optimizer or ")
    return Factory(optimizer, True)


def as_init(params: Any) -> Factory | None:
    """Tells `init(key)` and `init(hyperparameters, key)` from stacked parameters."""
    # Modules of other libraries are pytrees that can be called.
    if not callable(params) or jax.tree.leaves(params) != [params]:
        return None
    forms = {1: "init(key)", 2: "init(hyperparameters, key)"}
    return Factory(params, _count_arguments("params", params, forms) == 2)


def _count_arguments(name: str, function: Any, forms: Mapping[int, str], others: str = "") -> int:
    """Returns the one number of positional arguments in `forms` that the function can be given."""
    requirement = f"{name} must be {others}{' or '.join(forms.values())}"
    if not callable(function):
        raise TypeError(f"{requirement}; got {function!r}.")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{requirement}, with a signature; wrap it in a lambda; {error}."
        ) from error
    fitting = [count for count in forms if _can_bind(signature, count)]
    if len(fitting) > 1:
        # Arguments with defaults are left alone.
        fitting = [count for count in fitting if count == _count_required(signature)]
    if len(fitting) != 1:
        raise TypeError(
            f"{requirement}, told apart by the number of arguments; got {function!r} with "
            f"{signature}. Wrap it in a lambda."
        )
    return fitting[0]


def _can_bind(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _count_required(signature: inspect.Signature) -> int:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = signature.parameters.values()
    return sum(p.default is p.empty and p.kind not in variadic for p in parameters)


def _make(name: str, function: Callable[..., Any], settings: Settings, *rest: Any) -> Any:
    try:
        return function(settings, *rest)
    except (TypeError, jax.errors.JAXTypeError) as error:
        error.add_note(
            f"{name} is called once for all members of a group: numbers are traced, and differ "
            "from member to member inside the compiled program. A dropout rate goes into "
            "make_loss(config, criterion, dropout_rate=...), not into the config; what decides "
            "shapes or branches is given as a list of configs, tuples, strings or bools, and each "
            "distinct one is compiled."
        )
        raise


def split_hyperparameters(
    hyperparameters: Mapping[str, Any] | None, members: int
) -> tuple[dict[str, np.ndarray], dict[str, list[Hashable]]]:
    """Parts hyperparameters into numbers, shape (members, ...), and static values, a list each.

    Raises:
        TypeError: They are no dict, or a static value cannot be hashed.
        ValueError: Lengths differ from the number of members, or a number is not finite.
    """
    if hyperparameters is not None and not isinstance(hyperparameters, Mapping):
        raise TypeError(
            "hyperparameters must be a dict of one value per member by name; got a "
            f"{type(hyperparameters).__name__}."
        )
    traced: dict[str, np.ndarray] = {}
    static: dict[str, list[Hashable]] = {}
    for name, values in (hyperparameters or {}).items():
        if not isinstance(values, list | tuple | np.ndarray | jax.Array):
            raise TypeError(
                f"hyperparameters[{name!r}] must be an array or a list with one value per member; "
                f"got {values!r}."
            )
        if np.ndim(values) == 0 if hasattr(values, "ndim") else False:
            raise ValueError(
                f"hyperparameters[{name!r}] must have one value per member; got a scalar. "
                "Build what is the same for all into the functions."
            )
        if len(values) != members:
            raise ValueError(
                f"hyperparameters[{name!r}] must have one value for each of {members} members; "
                f"got {len(values)}."
            )
        if _are_numbers(values):
            traced[name] = _as_numbers(name, values)
        else:
            static[name] = values.tolist() if isinstance(values, jax.Array) else list(values)
            for value in static[name]:
                _require_hashable(name, value)
    return traced, static


def _are_numbers(values: Any) -> bool:
    if isinstance(values, jax.Array):
        return values.dtype != bool
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values.dtype.kind in "iuf"
    kinds = (int, float, np.number, jax.Array)
    return all(isinstance(v, kinds) and not isinstance(v, bool) for v in values)


def _as_numbers(name: str, values: Any) -> np.ndarray:
    numbers = np.asarray(values)
    fits = numbers.dtype != object  # as of ints beyond 64 bits
    if fits:
        given = numbers
        with np.errstate(over="ignore"):
            numbers = given.astype(jax.dtypes.canonicalize_dtype(given.dtype))
        # Floats become infinite, ints something else.
        fits = (numbers == given if given.dtype.kind in "iub" else np.isfinite(numbers)).all()
    if not fits:
        raise ValueError(
            f"hyperparameters[{name!r}] must be finite and fit into JAX's numbers, of 32 bits "
            f"unless 64-bit types are switched on; got {values}."
        )
    return numbers


def _require_hashable(name: str, value: Any) -> None:
    try:
        hash(value)
    except TypeError as error:
        raise TypeError(
            f"hyperparameters[{name!r}] must hold numbers, or values that can be hashed, such as "
            f"configs, strings and tuples; got {value!r}."
        ) from error


def group_members(static: Mapping[str, list[Hashable]], members: int) -> list[np.ndarray]:
    """Returns the numbers of the members of each group: those with the same static values."""
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for member in range(members):
        groups.setdefault(tuple(values[member] for values in static.values()), []).append(member)
    return [np.array(group) for group in groups.values()]
