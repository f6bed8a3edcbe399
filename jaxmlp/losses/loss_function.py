"""Turns a config and a criterion into a loss function of parameters and a batch."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from ..checks import require_function, require_mapping, suggests_settings
from ..forward import compute_layers
from ..network import (
    Batch,
    LossFn,
    MLPConfig,
    Params,
    Standardization,
    check_dropout_rate,
    require_config,
)
from .classification import sigmoid_binary_cross_entropy, softmax_cross_entropy
from .regression import gaussian, poisson
from .scaling import in_target_units, require_scalable, scale_targets
from .weights import weighted_mean

Criterion: TypeAlias = Callable[[Array, Any], Array]
MetricFn: TypeAlias = Callable[[Array, Any, Any], Array]

# Their outputs are logits, log-rates or raw scales: an output activation would be applied twice.
_ON_RAW_OUTPUTS = (softmax_cross_entropy, sigmoid_binary_cross_entropy, poisson, gaussian)


@suggests_settings("make_loss")
def make_loss(
    config: MLPConfig,
    criterion: Criterion,
    *,
    metrics: Mapping[str, MetricFn] | None = None,
    dropout_rate: float | Float[Array, ""] | None = None,
    target_scaling: Standardization | None = None,
) -> LossFn:
    """Builds the loss function of a network: forward pass, criterion, weighted mean over rows.

    Args:
        config: The network.
        criterion: `(outputs, targets) -> loss per row`, such as `losses.softmax_cross_entropy`;
            set its options with `functools.partial`.
        metrics: `(outputs, targets, weight) -> scalar` by name, such as
            `{"accuracy": metrics.accuracy}`, computed on the same forward pass as the loss.
        dropout_rate: Probability in [0, 1) in place of the config's, which may be traced; out of
            range it gives NaN then.
        target_scaling: Mean and deviation of the targets, as `losses.target_scaling(y)` gives them:
            the criterion then sees targets in standard units, and the metrics see outputs in the
            targets' units, as `losses.in_target_units` makes them, of `gaussian` the means.

    Returns:
        `loss_fn(params, batch, key) -> (loss, metrics)`, where `key=None` switches dropout off.

    Raises:
        TypeError: An argument has the wrong type, or a function cannot be called so.
        ValueError: The criterion takes raw outputs, but the config names an output activation; a
            metric is named "loss"; `dropout_rate` is out of range or acts on nothing; or the
            targets of the criterion cannot be scaled.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from jaxmlp import init_params, losses
        >>> config = MLPConfig(in_features=4, out_features=3)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> loss_fn = make_loss(config, losses.softmax_cross_entropy)
        >>> batch = Batch(np.zeros((2, 4), np.float32), np.array([0, 2]))
        >>> loss, metrics = loss_fn(params, batch, None)
        >>> print(f"{loss:.4f}")  # log(3), since every output is 0
        1.0986
    """
    require_config(config)
    require_function(
        "criterion",
        criterion,
        "(outputs, targets) -> loss per row",
        "such as jaxmlp.losses.squared_error",
        "losses",
    )
    metrics = {} if metrics is None else metrics
    require_mapping("metrics", metrics, "as {'accuracy': jaxmlp.metrics.accuracy}")
    for name, metric in metrics.items():
        form = "(outputs, targets, weight) -> scalar"
        remedy = "such as jaxmlp.metrics.accuracy"
        require_function(f"metrics[{name!r}]", metric, form, remedy, "metrics")
    metrics = dict(metrics)
    if "loss" in metrics:
        raise ValueError("metrics must not be named 'loss', the name of the loss itself.")
    base, _ = _unwrapped(criterion)
    if base in _ON_RAW_OUTPUTS and config.output_activation is not None:
        raise ValueError(
            f"{base.__name__} takes raw outputs, but the config applies "
            f"output_activation={config.output_activation!r}; set it to None."
        )
    if dropout_rate is not None:
        check_dropout_rate(dropout_rate, config)
    if target_scaling is not None:
        require_scalable(criterion)
    return NetworkLoss(config, criterion, metrics, dropout_rate, target_scaling)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NetworkLoss:
    """The loss function that `make_loss` builds; equal ones compute the same."""

    config: MLPConfig
    criterion: Criterion
    metrics: Mapping[str, MetricFn]
    dropout_rate: float | Float[Array, ""] | None
    target_scaling: Standardization | None = None

    def __call__(
        self, params: Params, batch: Batch, key: Key[Array, ""] | None, /
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Computes the loss and the metrics of a batch, as `LossFn` says."""
        if not isinstance(batch, Batch):
            raise TypeError(
                f"batch must be a jaxmlp.Batch(x, y, weight); got a {type(batch).__name__}."
            )
        return self.of_outputs(self.outputs(params, batch.x, key), batch)

    def outputs(self, params: Params, x: Any, key: Key[Array, ""] | None = None) -> Array:
        """Computes what the network gives for rows, each row by itself."""
        return compute_layers(params, x, self.config, key, self.dropout_rate)[-1].activation

    def of_outputs(self, outputs: Array, batch: Batch) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Computes the loss and the metrics of all rows from what the network gave for them."""
        targets, predictions, scaling = batch.y, outputs, self.target_scaling
        if scaling is not None:
            targets = scale_targets(scaling, targets)
            if self.metrics:
                predictions = in_target_units(outputs, scaling, criterion=self.criterion)
                # Of a Gaussian, the mean.
                predictions = predictions[0] if isinstance(predictions, tuple) else predictions
        row_losses = self.criterion(outputs, targets)
        if row_losses.shape != outputs.shape[:-1]:
            raise ValueError(
                f"criterion must return one loss per row, shape {outputs.shape[:-1]}; got shape "
                f"{row_losses.shape}. Average over the outputs of a row."
            )
        values = {name: fn(predictions, batch.y, batch.weight) for name, fn in self.metrics.items()}
        return weighted_mean(row_losses, batch.weight), values

    def __repr__(self) -> str:
        base, arguments = _unwrapped(self.criterion)
        shown = [repr(self.config), getattr(base, "__name__", repr(base))]
        shown += [f"{name}={value!r}" for _, named in arguments for name, value in named.items()]
        if self.metrics:
            shown.append(f"metrics={list(self.metrics)}")
        if self.dropout_rate is not None:
            shown.append(f"dropout_rate={self.dropout_rate}")
        return f"make_loss({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NetworkLoss):
            return NotImplemented
        rates = self.dropout_rate, other.dropout_rate
        # Traced ones cannot be compared.
        known = all(isinstance(rate, int | float | None) for rate in rates)
        if rates[0] is not rates[1] and not (known and rates[0] == rates[1]):
            return False
        scalings = self.target_scaling, other.target_scaling
        if scalings[0] is not scalings[1] and not (
            None not in scalings and jax.tree.all(jax.tree.map(np.array_equal, *scalings))
        ):
            return False
        return self._settings() == other._settings()

    def __hash__(self) -> int:
        return hash((self.config, _unwrapped(self.criterion)[0], tuple(self.metrics)))

    def _settings(self) -> tuple[Any, ...]:
        metrics = [(name, _unwrapped(fn)) for name, fn in self.metrics.items()]
        return self.config, _unwrapped(self.criterion), metrics


def _unwrapped(function: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """Parts partial functions, which compare by identity, into a function and its arguments."""
    arguments = []
    while isinstance(function, functools.partial):
        arguments.append((function.args, function.keywords))
        function = function.func
    return function, arguments
