"""Turns the state of a hand-written training loop into one file, and the file into the state."""

import json
from pathlib import Path

import jax
from jaxtyping import PyTree

from ..checks import require_path
from ..train_step import TrainState
from .atomic_files import write_atomically
from .container import Contents, encode, read
from .headers import CheckpointError
from .key_paths import differences, flatten_by_path, restore_by_path, shapes_by_path
from .networks import library_versions

_STATE = "jaxmlp.state"
_VERSIONS = "jaxmlp.versions"
_KEY = "key#"


def save_state(path: str | Path, state: TrainState) -> None:
    """Writes the state of training into one safetensors file, or leaves the file that was there.

    The file holds parameters, optimizer state, step count and random key by their paths, the
    versions of the libraries, and checksums of everything. Where the data stand is not in the
    state: keep `loader.state_dict()` beside it. `fit` has checkpoints of its own.

    Args:
        path: The file, usually `*.safetensors`; its directory exists. A link is followed.
        state: What `init_state` or a training step returned.

    Raises:
        OSError: It could not be written; the message tells why and what to do.
        TypeError: `state` is no `TrainState`, or holds something that cannot be stored by name.
        ValueError: Arrays lie in part in other processes, or have names that cannot be stored.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp, optax
        >>> from jaxmlp import init_state
        >>> path = Path(tempfile.mkdtemp()) / "state.safetensors"
        >>> optimizer, key = optax.adam(0.1), jax.random.key(0)
        >>> state = init_state({"w": jnp.ones(3)}, optimizer, key=key)
        >>> save_state(path, state._replace(step=state.step + 7))
        >>> int(load_state(path, init_state({"w": jnp.zeros(3)}, optimizer, key=key)).step)
        7
    """
    require_path("path", path)
    _require_state("save_state takes (path, state), a TrainState second", state)
    for keys, leaf in jax.tree.leaves_with_path(state):
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            raise ValueError(
                f"state must lie in this process to be saved; that of {jax.tree_util.keystr(keys)} "
                "lies in part in others. Gather it first, or save it with Orbax."
            )
    metadata = {_STATE: "1", _VERSIONS: json.dumps(library_versions())}
    write_atomically(path, encode(flatten_by_path(state), metadata), follow_links=True)


def load_state(path: str | Path, like: TrainState) -> TrainState:
    """Reads the state of training from a file that `save_state` wrote, bit for bit.

    The file may come from anybody: it is checked before it is used, and nothing in it is run.

    Args:
        path: The file.
        like: A state of the same network and optimizer with a key of the same kind, as
            `init_state` makes it, or its shapes as `jax.eval_shape` returns them. Its numbers are
            not used.

    Returns:
        A state of fresh arrays, which lie where those of `like` were put.

    Raises:
        CheckpointError: The file is damaged, holds no state, or that of another network, optimizer
            or kind of key; all arrays that do not fit are named by their paths.
        OSError: It cannot be read.
        TypeError: `like` is no `TrainState`, or holds something that cannot be stored by name.
        ValueError: It holds 64-bit arrays while JAX has 64-bit types switched off.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp, optax
        >>> from jaxmlp import init_state
        >>> path = Path(tempfile.mkdtemp()) / "state.safetensors"
        >>> state = init_state({"w": jnp.ones(3)}, optax.sgd(0.1), key=jax.random.key(0))
        >>> save_state(path, state)
        >>> load_state(path, state).params["w"].tolist()
        [1.0, 1.0, 1.0]
    """
    require_path("path", path)
    _require_state("load_state takes (path, like), a TrainState second", like)

    def check(contents: Contents) -> None:
        if _STATE not in contents.metadata or not contents.has_checksums:
            raise CheckpointError(
                f"{path} is no file of save_state. A network is read by load, a run of fit by "
                "fit(checkpoint=..., resume=True)."
            )
        stored, wanted = _kind_of_key(contents.arrays), _kind_of_key(shapes_by_path(like))
        if stored != wanted:
            raise CheckpointError(
                f"{path} has a random key of the kind {stored!r}, but that of like is {wanted!r}; "
                f"make it with jax.random.key(seed, impl={stored!r})."
            )
        if problems := differences(like, contents.arrays):
            raise CheckpointError(
                f"{path} is the state of another network or optimizer than like: "
                f"{'; '.join(problems)}."
            )

    restored = restore_by_path(like, read(path, check=check).arrays)
    return jax.tree.map(_put_as, like, restored)


def _require_state(usage: str, state: object) -> None:
    if not isinstance(state, TrainState):
        raise TypeError(f"{usage}, as init_state makes it; got a {type(state).__name__}.")


def _kind_of_key(names: PyTree) -> str | None:
    """The implementation of the state's key, which its stored name tells."""
    return next((name.removeprefix(_KEY) for name in names if name.startswith(_KEY)), None)


def _put_as(like: object, restored: jax.Array) -> jax.Array:
    """Puts an array to the devices to which that of `like` was put on purpose."""
    if isinstance(like, jax.Array) and like.committed:
        return jax.device_put(restored, like.sharding)
    return restored
