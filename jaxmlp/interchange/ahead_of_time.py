"""Turns trained parameters into what computes the outputs of a few rows: `compile_predict`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Real

from ..checks import is_real_array, require_int
from ..forward import apply
from ..network import Activation, MLPConfig, Params, check_inputs, require_config
from .numpy_outputs import numpy_function
from .operations import operations_of

# NumPy takes some 3 us per layer, XLA 10 to 60 for any number of layers: benchmarks/NOTES.md.
_LAYERS_IN_NUMPY = 4

Predict = Callable[[Any], Float[np.ndarray, "rows out_features"]]


def compile_predict(
    params: Params, config: MLPConfig, batch_sizes: Sequence[int] = (1, 64)
) -> Predict:
    """Prepares what computes the outputs of rows at once, for fixed numbers of rows.

    A call runs the program of the smallest size that holds its rows, filled up with copies of its
    last; more rows than the largest are cut. Nothing is traced, compiled or looked up then. A row's
    outputs do not depend on the rows beside it; programs of two sizes may round differently.

    Programs are XLA's, compiled here; but on a CPU that of one row is NumPy's, whose calls are
    shorter, unless the network has more than four hidden layers, parameters of 16 bits or of
    several types, a `compute_dtype`, "gelu_exact", which NumPy lacks, or an activation of your own.

    Args:
        params: Parameters of `config`; the programs hold copies of them.
        config: The network.
        batch_sizes: Numbers of rows, at least 1 each; there is one program for each.

    Returns:
        A function from rows, shape (rows, in_features), to outputs as a NumPy array, shape (rows,
        out_features), which may be read-only. Rows are cast to float32, or float64 for parameters
        of float64. It may be called from several threads.

    Raises:
        TypeError: `params` are no `Params`, `config` is no `MLPConfig`, or `batch_sizes` holds no
            ints.
        ValueError: `params` are not those of `config`, or there is no batch size or one below 1.

    Example:
        >>> import jaxmlp
        >>> config = jaxmlp.MLPConfig(in_features=2, hidden_features=(8,), out_features=3)
        >>> params = jaxmlp.init_params(config, key=jax.random.key(0))
        >>> predict = compile_predict(params, config=config, batch_sizes=(1, 16))
        >>> predict(np.zeros((20, 2), np.float32)).shape
        (20, 3)
    """
    require_config(config)
    if not isinstance(batch_sizes, Sequence) or isinstance(batch_sizes, str) or not batch_sizes:
        raise TypeError(
            "batch_sizes must be a tuple of at least one int, such as (1, 64); got "
            f"{batch_sizes!r}."
        )
    for index, size in enumerate(batch_sizes):
        require_int(f"batch_sizes[{index}]", size, 1, None)
    dtype = np.promote_types(config.param_dtype, np.float32)
    check_inputs(params, np.zeros((1, config.in_features), dtype), config)
    # Constants, since a call that is handed many arrays costs half as much again.
    constants = jax.device_put(params)
    outputs = jax.jit(lambda x: apply(constants, x, config=config))
    programs: dict[int, Predict] = {}
    for size in sorted(set(map(int, batch_sizes))):
        program = _in_numpy(constants, config, dtype) if size == 1 else None
        shape = jax.ShapeDtypeStruct((size, config.in_features), dtype)
        programs[size] = program or outputs.lower(shape).compile()
    largest = max(programs)

    def predict(x: Real[np.ndarray | jax.Array, "rows in_features"]) -> Any:
        rows = _as_rows(x, config.in_features, dtype)
        if len(rows) <= largest:
            return _of_block(programs, rows)
        blocks = [rows[first : first + largest] for first in range(0, len(rows), largest)]
        return np.concatenate([_of_block(programs, block) for block in blocks])

    return predict


def _in_numpy(params: Params, config: MLPConfig, dtype: np.dtype) -> Predict | None:
    """What computes a row in NumPy, if that is sooner than by XLA and in the same types."""
    leaves = jax.tree.leaves(params)
    platforms = {device.platform for leaf in leaves for device in leaf.devices()}
    types = {leaf.dtype.name for leaf in leaves} | {config.compute_dtype or config.param_dtype}
    activations = (*config.hidden_activations, config.output_activation)
    slow = any(isinstance(each, Activation) or each == "gelu_exact" for each in activations)
    if slow or len(config.hidden_features) > _LAYERS_IN_NUMPY:
        return None
    if platforms != {"cpu"} or types != {dtype.name}:
        return None
    try:
        operations = operations_of(config, params)
    except ValueError:
        # Shapes that `apply` takes nonetheless, such as one number for a layer's biases.
        return None
    return numpy_function(operations, dtype.name)


def _as_rows(x: Any, in_features: int, dtype: np.dtype) -> np.ndarray:
    # First what a server gives, which takes no time.
    if type(x) is np.ndarray and x.dtype == dtype and x.shape[1:] == (in_features,) and len(x):
        return x
    if not is_real_array(x):
        raise TypeError(f"x must be an array of real numbers; got a {type(x).__name__}.")
    if x.ndim != 2 or x.shape[1] != in_features or not len(x):
        raise ValueError(
            f"x must have at least one row, shape (rows, {in_features}); got shape {x.shape}. For "
            "a single row use x[None]."
        )
    return np.asarray(x, dtype)


def _of_block(programs: dict[int, Predict], rows: np.ndarray) -> np.ndarray:
    """Outputs of no more rows than the largest program takes."""
    if len(rows) in programs:
        return np.asarray(programs[len(rows)](rows))
    size = next(size for size in programs if size > len(rows))
    filled = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
    return np.asarray(programs[size](filled))[: len(rows)]
