"""Turns a network's outputs into losses of rows and into predictions, by what it is trained for."""

import dataclasses
import math
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import losses
from ..checks import require_name

LossName: TypeAlias = Literal[
    "absolute_error",
    "gaussian",
    "huber",
    "poisson",
    "quantile",
    "sigmoid_binary_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
]
OutActivation: TypeAlias = Literal["exp", "identity", "logistic", "softmax"]

_OUT_ACTIVATIONS: dict[str, OutActivation] = {
    "poisson": "exp",
    "sigmoid_binary_cross_entropy": "logistic",
    "softmax_cross_entropy": "softmax",
}


class Losses(NamedTuple):
    """What is descended, and what is told.

    They differ for several targets of a regression, where scikit-learn tells the mean over targets
    and descends their sum, and for classes of which a network is all too sure, since it takes their
    probability to lie in [eps, 1 - eps]: one that is told all wrong costs `-log(eps)`.
    """

    descended: Float[Array, "*rows"]
    told: Float[Array, "*rows"]


def _bounded(values: Float[Array, "*rows"]) -> Float[Array, "*rows"]:
    """Returns -log p of a probability p that lies in [eps, 1 - eps]."""
    eps = jnp.finfo(values.dtype).eps
    return jnp.clip(values, -math.log1p(-eps), -math.log(eps))


@dataclasses.dataclass(frozen=True)
class Head:
    """What the outputs of a network mean; equal ones share programs.

    Its methods are pure, and take any axes before the last. `options` are the numbers of the loss:
    of "huber" its delta, of "quantile" the levels, of others none. They are given as an array, so
    that no value of them compiles anew.

    Args:
        loss: Name of the criterion in `jaxmlp.losses`.
        outputs_per_target: 2 of "gaussian", as many as levels of "quantile", else 1.

    Raises:
        ValueError: There is no such loss.
    """

    loss: LossName
    outputs_per_target: int = 1

    def __post_init__(self) -> None:
        require_name("loss", self.loss, get_args(LossName))

    @property
    def out_activation(self) -> OutActivation:
        """What scikit-learn calls the function of the outputs."""
        return _OUT_ACTIVATIONS.get(self.loss, "identity")

    def row_losses(
        self,
        outputs: Float[Array, "*rows outputs"],
        targets: Any,
        options: Float[Array, " options"],
    ) -> Losses:
        """Computes the loss of each row.

        Args:
            outputs: What the network gives: logits, logarithms of rates, means and raw scales.
            targets: Numbers, shape (*rows, targets), labels of the same shape, or classes, (*rows).
            options: Numbers of the loss.
        """
        named: dict[str, Any] = {}
        if self.loss == "huber":
            named = {"delta": options[0]}
        elif self.loss == "quantile":
            named = {"levels": options}
        criterion = getattr(losses, self.loss)
        if self.loss == "sigmoid_binary_cross_entropy":
            by_label = criterion(outputs[..., None], targets[..., None])
            return Losses(by_label.sum(axis=-1), _bounded(by_label).sum(axis=-1))
        values = criterion(outputs, targets, **named)
        if self.loss == "softmax_cross_entropy":
            return Losses(values, _bounded(values))
        # Ours are means over the targets of a row.
        count = outputs.shape[-1] // self.outputs_per_target
        if self.loss == "squared_error":
            return Losses(values * count / 2, values / 2)
        if self.loss == "poisson":
            # The constant by which a perfect prediction costs nothing.
            values += jnp.mean(jax.scipy.special.xlogy(targets, targets) - targets, axis=-1)
        if self.out_activation == "exp":
            return Losses(values * count, values * count)
        return Losses(values * count, values)

    def activate(self, outputs: Float[Array, "*rows outputs"]) -> Float[Array, "*rows outputs"]:
        """Turns outputs into what they mean, as many numbers.

        Returns:
            Probabilities, expected counts or numbers; of "gaussian" all means, then all standard
            deviations; of "quantile" the levels of one target next to each other, sorted. That
            never raises the loss: where outputs `a > b` of levels `p < q` have crossed, it takes
            off `(q - p) * (a - b)`.

        References:
            Chernozhukov, Fernandez-Val & Galichon 2010: sorting brings quantiles nearer to the true
            ones.
        """
        if self.loss == "gaussian":
            return jnp.concatenate(losses.gaussian_parameters(outputs), axis=-1)
        if self.loss == "quantile":
            return jnp.sort(self._by_target(outputs), axis=-1).reshape(outputs.shape)
        if self.out_activation == "softmax":
            return jax.nn.softmax(outputs, axis=-1)
        if self.out_activation == "logistic":
            return jax.nn.sigmoid(outputs)
        return jnp.exp(outputs) if self.out_activation == "exp" else outputs

    def predictions(self, activated: Any, options: Any) -> dict[str, Any]:
        """Names what `activate` returned.

        Args:
            activated: Of JAX or NumPy, shape (*rows, outputs).
            options: Numbers of the loss.

        Returns:
            Of classes "probabilities". Of numbers "prediction", shape (*rows, targets): the mean,
            the median, or the quantile nearest to it, of two the lower; with it "std" of the same
            shape from "gaussian", and "quantiles", (*rows, targets, levels), from "quantile".
        """
        if self.out_activation in ("logistic", "softmax"):
            return {"probabilities": activated}
        if self.loss == "gaussian":
            count = activated.shape[-1] // 2
            return {"prediction": activated[..., :count], "std": activated[..., count:]}
        if self.loss == "quantile":
            quantiles = self._by_target(activated)
            nearest = abs(options - 0.5).argmin()
            return {"prediction": quantiles[..., nearest], "quantiles": quantiles}
        return {"prediction": activated}

    def _by_target(self, outputs: Any) -> Any:
        """Returns shape (*rows, targets, outputs of a target)."""
        return outputs.reshape(*outputs.shape[:-1], -1, self.outputs_per_target)


def in_target_units(predictions: dict[str, Any], mean: Any, scale: Any) -> dict[str, Any]:
    """Turns predictions of `(target - mean) / scale` into those of the target.

    Args:
        predictions: What `Head.predictions` returned of numbers.
        mean: What was taken off each target, shape (targets,).
        scale: By what it was divided, shape (targets,).
    """
    units = {
        "prediction": lambda values: values * scale + mean,
        "quantiles": lambda values: values * scale[:, None] + mean[:, None],
        "std": lambda values: values * scale,
    }
    return {name: units[name](values) for name, values in predictions.items()}
