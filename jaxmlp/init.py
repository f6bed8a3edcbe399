"""Turns a config and a key into parameters."""

import math
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Key

from .checks import require_key
from .network import (
    Dense,
    Law,
    MLPConfig,
    Params,
    draw_dense,
    gain_of,
    net_input_features,
    require_config,
    shared_size,
)

Place: TypeAlias = Literal["first", "hidden", "output"]

UNIFORM_INITS = ("glorot_uniform", "he_uniform", "keras", "lecun_uniform", "rich", "torch")


def init_params(config: MLPConfig, *, key: Key[Array, ""]) -> Params:
    """Draws the parameters of a network.

    Biases start at zero and norm scales at one, where nothing else is said. The variance of a
    kernel with `fan_in` rows and `fan_out` columns (twice the width for a gated activation) is, by
    `config.kernel_init`:

    - `"rich"`, the default: `1 / fan_in`, but a third of that for the first hidden layer and
      `0.09 / fan_in` for the output; hidden biases are `U(-3 / sqrt(fan_in), 3 / sqrt(fan_in))`.
      All is drawn uniformly. Networks that start small learn features where others keep random
      ones (the rich regime, Woodworth et al. 2020); `benchmarks/defaults.py` compares them.
    - `"he_normal"`, `"he_uniform"`: `gain**2 / fan_in` (He et al. 2015, equation 10).
    - `"lecun_normal"`, `"lecun_uniform"`: `1 / fan_in` (LeCun et al. 1998, section 4.6).
    - `"glorot_normal"`, `"glorot_uniform"`: `2 / (fan_in + fan_out)` (Glorot & Bengio 2010,
      equation 16).
    - `"orthogonal"`: orthonormal rows or columns, times the gain (Saxe et al. 2014).
    - `"torch"`: `U(-b, b)` with `b = 1 / sqrt(fan_in)`, for kernels and biases, as PyTorch's
      `Linear`.
    - `"keras"`: as `"glorot_uniform"`, the default of Keras' `Dense`.
    - `"flax"`: as `"lecun_normal"`, the default of Flax's `Dense`.
    - `"mup"`: `gain**2 / fan_in` for hidden and `mup_base_width / fan_in**2` for output kernels
      (Yang et al. 2021, Table 3); use with the learning rates of `jaxmlp.mup_labels`.

    The gain is `config.hidden_gain` or that of the activation which the layer feeds, and 1 for the
    output. An activation's own is `1 / sqrt(E[f(z)**2])` for `z ~ N(0, 1)`, or of its gate, which
    keeps the mean square of net inputs from layer to layer: 1.414 for relu, leaky_relu, relu6 and
    reglu; 1.593 tanh; 1.534 gelu, gelu_exact and geglu; 1.677 silu, swish and swiglu; 1.737
    hard_silu and hard_swish; 1.487 mish; 1.245 elu and celu; 1 selu and identity; 1.846 sigmoid and
    glu; 1.898 hard_sigmoid; 1.392 hard_tanh; 2.338 soft_sign; 1.042 softplus and log_sigmoid; 1.380
    sparse_plus; 1.624 sparse_sigmoid; 0.816 squareplus.

    Normal draws are truncated at two standard deviations, as in `jax.nn.initializers`, and have
    exactly the stated variance. The output kernel is then scaled by `config.output_kernel_scale`.

    Args:
        config: The network.
        key: One typed JAX random key; layer l draws from `fold_in(key, l)`.

    Returns:
        Arrays of `config.param_dtype`: kernels (in, out), biases and scales (out,).

    Raises:
        TypeError: `key` is not a single typed JAX random key.
        ValueError: `param_dtype` or `compute_dtype` is `"float64"` while JAX has 64-bit types
            switched off, or `hidden_gain` is beyond what the type of the draws holds.

    Example:
        >>> config = MLPConfig(in_features=64, hidden_features=(128,), out_features=10)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> params.hidden[0].kernel.shape, params.output.bias.shape
        ((64, 128), (10,))
    """
    require_config(config)
    require_key("init_params", key)
    wanted = {"param_dtype": config.param_dtype, "compute_dtype": config.compute_dtype}
    wide = [name for name, dtype in wanted.items() if dtype == "float64"]
    if wide and jax.dtypes.canonicalize_dtype("float64") != "float64":
        raise ValueError(
            f"{wide[0]}='float64' requires 64-bit JAX types, which are off; call "
            "jax.config.update('jax_enable_x64', True) first, or use 'float32'."
        )
    activations = config.hidden_activations
    widths = [*map(net_input_features, activations, config.hidden_features), config.out_features]
    shapes = list(zip((config.in_features, *config.hidden_features), widths, strict=True))
    size = shared_size(key, shapes)
    hidden = []
    for shape, activation in zip(shapes, activations, strict=False):
        gain = config.hidden_gain
        if gain is None:
            gain = gain_of(activation)
        place = "hidden" if hidden else "first"
        hidden.append(_init_dense(config, key, len(hidden), shape, gain, size, place=place))
    output = _init_dense(config, key, len(hidden), shapes[-1], 1.0, size, place="output")
    return Params(tuple(hidden), output)


class MupLabels(NamedTuple):
    """A label for every parameter, and the learning-rate multiplier of every label."""

    labels: Params
    multipliers: dict[str, float]


def mup_labels(config: MLPConfig, *, optimizer: str = "adam") -> MupLabels:
    """Returns the per-layer learning rates that make `kernel_init="mup"` width-independent.

    With them the learning rate that is best at `mup_base_width` stays best at any width (Yang et
    al. 2021, Table 3). With r = width / mup_base_width, the multipliers are, for Adam-like rules:
    1 for the input kernel and all vectors, 1 / r for hidden and output kernels; for SGD: r for the
    input kernel and hidden vectors, 1 for hidden kernels (r_out / r_in where the widths differ)
    and the output bias, 1 / r for the output kernel.

    Args:
        config: A network with `kernel_init="mup"`.
        optimizer: `"adam"` for rules that normalise the gradient elementwise (Adam, AdamW,
            RMSProp, Lion), `"sgd"` for rules linear in the gradient (SGD, momentum).

    Returns:
        `labels`, shaped as the parameters, and `multipliers`, label to factor, at least 0: what
        `optax.partition` takes.

    Raises:
        ValueError: The config is not a muP config, or `optimizer` is not one of the two.

    Example:
        >>> import optax
        >>> config = MLPConfig(in_features=8, hidden_features=(256, 256), out_features=1,
        ...                    kernel_init="mup", mup_base_width=64)
        >>> labels, multipliers = mup_labels(config)
        >>> multipliers["hidden[1].kernel"]
        0.25
        >>> rules = {name: optax.adam(1e-2 * factor) for name, factor in multipliers.items()}
        >>> optimizer = optax.partition(rules, labels)
    """
    require_config(config)
    if config.mup_base_width is None:
        raise ValueError(
            "mup_labels needs a config with kernel_init='mup' and a mup_base_width; got "
            f"kernel_init={config.kernel_init!r}."
        )
    if optimizer not in ("adam", "sgd"):
        raise ValueError(f"optimizer must be 'adam' or 'sgd'; got {optimizer!r}.")
    shapes = jax.eval_shape(lambda key: init_params(config, key=key), jax.random.key(0))
    labels = jax.tree.map_with_path(lambda path, _: _label(path), shapes)
    multipliers = {
        _label(path): _mup_multiplier(config, optimizer, path)
        for path, _ in jax.tree.leaves_with_path(shapes)
    }
    return MupLabels(labels, multipliers)


def _label(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path).lstrip(".")


def _mup_multiplier(config: MLPConfig, optimizer: str, path: tuple[Any, ...]) -> float:
    """Yang et al. 2021, Table 3, with every width in units of the base width."""
    assert config.mup_base_width is not None
    widths = [width / config.mup_base_width for width in config.hidden_features]
    layer = path[1].idx if path[0].name == "hidden" else len(widths)
    # in_features and out_features do not grow with the network.
    fan_in = widths[layer - 1] if layer > 0 else 1.0
    fan_out = widths[layer] if layer < len(widths) else 1.0
    is_kernel = path[-1].name == "kernel"
    if optimizer == "adam":
        return 1 / fan_in if is_kernel else 1.0
    return fan_out / fan_in if is_kernel else fan_out


def _init_dense(
    config: MLPConfig,
    key: Key[Array, ""],
    index: int,
    shape: tuple[int, int],
    gain: float,
    size: int,
    *,
    place: Place,
) -> Dense:
    dtype = np.dtype(config.param_dtype)
    # 16-bit draws are coarse, and there is no 16-bit QR decomposition.
    wide = np.promote_types(dtype, "float32").type
    with np.errstate(over="ignore"):
        draw, factor = _kernel_law(config, shape, gain, place=place)
    if not 0 < factor < math.inf:
        raise ValueError(
            f"hidden_gain must be one that {wide.__name__} holds for kernels of shape {shape}; got "
            f"{gain!r}. Take one near the activation's own."
        )
    is_output = place == "output"
    bound = None
    if config.kernel_init in ("rich", "torch"):
        # In units of 1 / sqrt(fan_in).
        units = 1.0 if config.kernel_init == "torch" else 0.0 if is_output else 3.0
        bound = wide(units / math.sqrt(shape[0]))
    scale = dtype.type(config.output_kernel_scale if is_output else 1.0)
    return draw_dense(
        key,
        index,
        Law(draw, wide(factor), scale, bound),
        shape,
        use_bias=config.use_bias,
        norm=None if is_output else config.norm,
        size=size,
    )


def _kernel_law(
    config: MLPConfig, shape: tuple[int, int], gain: float, *, place: Place
) -> tuple[str, np.floating | float]:
    """Names the law of the draws, and says what to multiply them by."""
    fan_in, fan_out = shape
    match config.kernel_init:
        case "orthogonal":
            return "orthogonal", np.promote_types(config.param_dtype, "float32").type(gain)
        case "he_normal" | "he_uniform":
            variance = gain * gain / fan_in
        case "mup":
            assert config.mup_base_width is not None
            square = config.mup_base_width / fan_in if place == "output" else gain * gain
            variance = square / fan_in
        case "rich":
            variance = {"first": 1 / 3, "hidden": 1.0, "output": 0.09}[place] / fan_in
        case "lecun_normal" | "lecun_uniform" | "flax":
            variance = 1 / fan_in
        case "glorot_normal" | "glorot_uniform" | "keras":
            variance = 2 / (fan_in + fan_out)
        case "torch":
            variance = 1 / 3 / fan_in
    # In the precision of the draws, as jax.nn.initializers computes it.
    variance = np.promote_types(config.param_dtype, "float32").type(variance)
    if config.kernel_init in UNIFORM_INITS:
        # U(-b, b) has variance b**2 / 3.
        return "uniform", np.sqrt(3 * variance)
    # The standard deviation of N(0, 1) truncated at two.
    return "normal", np.sqrt(variance) / variance.dtype.type(0.87962566103423978)
