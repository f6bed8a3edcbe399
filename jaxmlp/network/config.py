"""The settings of a network: a frozen, hashable description, and JSON there and back."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from ..checks import require_bool, require_name, suggests_settings
from .activations import (
    HIDDEN_ACTIVATIONS,
    OUTPUT_ACTIVATIONS,
    HiddenActivation,
    OutputActivation,
    names_of,
    place_activations,
    require_activation,
)
from .numbers import require_setting, require_width
from .types import Activation

KernelInit: TypeAlias = Literal[
    "flax",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "keras",
    "lecun_normal",
    "lecun_uniform",
    "mup",
    "orthogonal",
    "rich",
    "torch",
]
NormKind: TypeAlias = Literal["layer", "rms"]
DType: TypeAlias = Literal["bfloat16", "float16", "float32", "float64"]

KERNEL_INITS: tuple[str, ...] = get_args(KernelInit)
INITS_WITH_GAIN = ("he_normal", "he_uniform", "mup", "orthogonal")


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class MLPConfig:
    """What a multilayer perceptron is, without its numbers: hashable, and JSON there and back.

    Hidden layer l turns its input h into `h' = dropout(activation(norm(h @ kernel + bias)))`: the
    normalisation acts on the net input, before the activation (Ba et al. 2016, section 3.1), and
    dropout acts on hidden activations only. With `residual`, every hidden layer after the first
    gives `h + h'` (He et al. 2016, equation 1). The output layer is `h @ kernel + bias`, followed
    by `output_activation` where one is named. Equal configs share one compiled program.

    Args:
        in_features: Length of one input row, at least 1.
        hidden_features: Width of each hidden layer, at least 1 each. `()` is a linear model: the
            perceptron.
        out_features: Length of one output row, at least 1.
        activation: Name of the hidden activation, or one name per hidden layer; without hidden
            layers it acts on nothing, as where a sweep over depths begins. Elementwise names
            are those of `jax.nn` (`"gelu"` is its tanh approximation, `"gelu_exact"` the erf form);
            `"glu"`, `"reglu"`, `"geglu"`, `"swiglu"` are gated (Shazeer 2020): their kernels have
            twice the width, value half first, gate half second. A function of your own is given as
            an `Activation`.
        output_activation: Name of an elementwise activation or `"softmax"`, or an `Activation`,
            applied to the output;
            `None` leaves logits, which is what the losses on logits require.
        dropout_rate: Probability in [0, 1) that a hidden activation is set to zero in training.
        norm: `"layer"` (Ba et al. 2016), `"rms"` (Zhang & Sennrich 2019) or `None`.
        norm_epsilon: What `norm` adds to the mean square under its root, finite and above 0. Flax
            has 1e-6, Keras 1e-3, PyTorch 1e-5.
        residual: Whether hidden layers after the first add their input to their output. Needs at
            least two hidden layers, all of one width.
        use_bias: Whether dense layers and layer norms have a bias.
        kernel_init: How kernels are drawn; see `jaxmlp.init_params`.
        output_kernel_scale: Factor on the output kernel at initialisation, finite, at least 0.
            0 starts every output at its bias; 0.01 is usual for policies.
        hidden_gain: Gain of the hidden kernels in place of each activation's own, finite and above
            0, for the `kernel_init`s that have one: `"he_normal"`, `"he_uniform"`, `"orthogonal"`
            and `"mup"`. PPO is usually started with `kernel_init="orthogonal"`,
            `hidden_gain=2**0.5` and `output_kernel_scale=0.01`.
        mup_base_width: Width in features at which `kernel_init="mup"` equals the standard
            parametrisation; given with `"mup"` and only then.
        param_dtype: Type in which parameters are stored and outputs are returned.
        compute_dtype: Type in which layers are computed; `None` means `param_dtype`.
            `"bfloat16"` over `"float32"` parameters is the usual mixed precision.

    Raises:
        TypeError: A field has the wrong type (a list where a tuple keeps the config hashable).
        ValueError: A field is out of its range, unknown by name, or would have no effect.

    Example:
        >>> config = MLPConfig(in_features=64, hidden_features=(128, 128), out_features=10)
        >>> MLPConfig.from_json(config.to_json()) == config
        True
    """

    in_features: int
    hidden_features: tuple[int, ...] = ()
    out_features: int
    activation: HiddenActivation | tuple[HiddenActivation, ...] = "relu"
    output_activation: OutputActivation | None = None
    dropout_rate: float = 0.0
    norm: NormKind | None = None
    norm_epsilon: float = 1e-5
    residual: bool = False
    use_bias: bool = True
    kernel_init: KernelInit = "rich"
    output_kernel_scale: float = 1.0
    hidden_gain: float | None = None
    mup_base_width: int | None = None
    param_dtype: DType = "float32"
    compute_dtype: DType | None = None

    def __post_init__(self) -> None:
        require_width("in_features", self.in_features)
        require_width("out_features", self.out_features)
        if not isinstance(self.hidden_features, tuple):
            raise TypeError(
                "hidden_features must be a tuple of ints such as (128, 128), so that the config "
                f"can be hashed; got {self.hidden_features!r}."
            )
        for index, width in enumerate(self.hidden_features):
            require_width(f"hidden_features[{index}]", width)
        self._check_activations()
        require_setting("dropout_rate", self.dropout_rate, "in [0, 1)", lambda v: 0 <= v < 1)
        require_setting(
            "output_kernel_scale", self.output_kernel_scale, "finite and at least 0",
            lambda v: 0 <= v <= sys.float_info.max,
        )  # fmt: skip
        positive = ("finite and above 0", lambda v: 0 < v <= sys.float_info.max)
        require_setting("norm_epsilon", self.norm_epsilon, *positive)
        if self.hidden_gain is not None:
            require_setting("hidden_gain", self.hidden_gain, *positive)
        require_name("norm", self.norm, (None, *get_args(NormKind)))
        require_name("kernel_init", self.kernel_init, KERNEL_INITS)
        require_name("param_dtype", self.param_dtype, get_args(DType))
        require_name("compute_dtype", self.compute_dtype, (None, *get_args(DType)))
        require_bool("residual", self.residual)
        require_bool("use_bias", self.use_bias)
        self._check_effects()

    def _check_activations(self) -> None:
        if isinstance(self.activation, list):
            raise TypeError(
                "activation must be a name or a tuple of names, so that the config can be hashed; "
                f"got {self.activation!r}."
            )
        if isinstance(self.activation, tuple):
            if len(self.activation) != len(self.hidden_features):
                raise ValueError(
                    "activation must be one name, or one name per hidden layer; got "
                    f"{len(self.activation)} names {self.activation!r} for "
                    f"{len(self.hidden_features)} hidden layers."
                )
            for index, activation in enumerate(self.activation):
                require_activation(f"activation[{index}]", activation, HIDDEN_ACTIVATIONS)
        else:
            require_activation("activation", self.activation, HIDDEN_ACTIVATIONS)
        require_activation("output_activation", self.output_activation, (None, *OUTPUT_ACTIVATIONS))
        own = self.own_activations()
        for each in (*self.hidden_activations, self.activation, self.output_activation):
            if isinstance(each, Activation) and own[each.name] != each:
                raise ValueError(
                    f"activation names must tell activations apart; got two of the name "
                    f"{each.name!r} with other functions or gains."
                )

    def _check_effects(self) -> None:
        """Refuses options that would silently do nothing."""
        if not self.hidden_features:
            inert = {
                "dropout_rate": (self.dropout_rate == 0, "leave it at 0.0"),
                "norm": (self.norm is None, "leave it at None"),
                "hidden_gain": (self.hidden_gain is None, "leave it at None"),
                "mup_base_width": (self.kernel_init != "mup", "use another kernel_init"),
            }
            for field, (unused, remedy) in inert.items():
                if not unused:
                    raise ValueError(
                        f"{field} acts on hidden layers, but hidden_features is (); {remedy} or "
                        f"add a hidden layer; got {field}={getattr(self, field)!r}."
                    )
        if self.norm is None and self.norm_epsilon != 1e-5:
            raise ValueError(
                "norm_epsilon acts on norms, but norm is None; leave it at 1e-5 or name a norm; "
                f"got norm_epsilon={self.norm_epsilon!r}."
            )
        if self.residual and (len(self.hidden_features) < 2 or len(set(self.hidden_features)) > 1):
            raise ValueError(
                "residual needs at least two hidden layers, all of one width, such as (128, 128); "
                f"got hidden_features={self.hidden_features!r}."
            )
        if self.hidden_gain is not None and self.kernel_init not in INITS_WITH_GAIN:
            listed = ", ".join(map(repr, INITS_WITH_GAIN))
            raise ValueError(
                f"hidden_gain acts on the kernel_inits {listed}; leave it at "
                f"None or take one of them; got kernel_init={self.kernel_init!r}, "
                f"hidden_gain={self.hidden_gain!r}."
            )
        if (self.kernel_init == "mup") != (self.mup_base_width is not None):
            raise ValueError(
                "mup_base_width must be given with kernel_init='mup' and only then; got "
                f"kernel_init={self.kernel_init!r}, mup_base_width={self.mup_base_width!r}."
            )
        if self.mup_base_width is not None:
            require_width("mup_base_width", self.mup_base_width)

    def __repr__(self) -> str:
        """Shows the fields that differ from their defaults."""
        fields = dataclasses.fields(self)
        shown = [
            (f.name, getattr(self, f.name)) for f in fields if getattr(self, f.name) != f.default
        ]
        return f"MLPConfig({', '.join(f'{name}={value!r}' for name, value in shown)})"

    @property
    def hidden_activations(self) -> tuple[HiddenActivation, ...]:
        """One activation per hidden layer, a name or your own."""
        if isinstance(self.activation, tuple):
            return self.activation
        return (self.activation,) * len(self.hidden_features)

    def own_activations(self) -> dict[str, Activation]:
        """Returns the activations of your own by name, as `from_json` and `load` take them."""
        given = self.activation if isinstance(self.activation, tuple) else (self.activation,)
        return {a.name: a for a in (*given, self.output_activation) if isinstance(a, Activation)}

    def to_json(self) -> str:
        """Returns the config as a JSON object, one member per field; of activations their names."""
        return json.dumps(
            {f.name: names_of(getattr(self, f.name)) for f in dataclasses.fields(self)}
        )

    @classmethod
    def from_json(
        cls, text: str, *, activations: Mapping[str, Activation] | None = None
    ) -> "MLPConfig":
        """Returns the config that `to_json` wrote.

        Args:
            text: A JSON object whose members are fields of `MLPConfig`.
            activations: The activations of your own that it names, by name.

        Raises:
            TypeError: A field has the wrong type.
            ValueError: The text is not a JSON object, misses a field, or has an unknown one; it
                names an activation that is not given, or one is given that it does not name.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a JSON object in a str; got {text!r}.")
        try:
            fields = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"text must be a JSON object; {error}.") from error
        if not isinstance(fields, dict):
            raise ValueError(f"text must be a JSON object; got {text!r}.")
        known = {field.name for field in dataclasses.fields(cls)}
        required = {"in_features", "out_features"}
        if unknown := sorted(fields.keys() - known):
            raise ValueError(
                f"An MLPConfig has the fields {sorted(known)}; got the unknown {unknown}. "
                "Was it written by a newer jaxmlp?"
            )
        if missing := sorted(required - fields.keys()):
            raise ValueError(f"An MLPConfig needs the fields {missing}; got {sorted(fields)}.")
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
        }
        return cls(**place_activations(values, activations))


# So that fields by the names of other libraries are told ours.
MLPConfig.__init__ = suggests_settings("MLPConfig")(MLPConfig.__init__)


def require_config(config: Any) -> None:
    """Refuses anything but a config."""
    if not isinstance(config, MLPConfig):
        raise TypeError(
            f"config must be a jaxmlp.MLPConfig; got a {type(config).__name__}. Make one with "
            "jaxmlp.MLPConfig(in_features=..., hidden_features=(...), out_features=...)."
        )
