"""Turns the members' outputs into one prediction, and into how sure it is.

Outputs have the member axis first, as `jax.vmap(lambda p: apply(p, x, config=config))(params)`
gives them. `weights` say how much each member counts, as `select_greedily` finds them; one of
weight 0 does not count even where it is NaN. Means are taken, and given, in at least float32.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Shaped

from ..checks import as_real_array, is_real_array
from ..losses.weights import scale_weight, wide_type

Outputs = Shaped[Array | np.ndarray, "members *batch outputs"]
MemberWeights = Shaped[Array | np.ndarray, " members"] | Sequence[int | float]


class Mixture(NamedTuple):
    """Moments of a mixture of the members' predictions.

    `mean` is the mixture's mean. `aleatoric` is the mean of the members' variances: noise in the
    data that no member explains away. `epistemic` is the variance of the members' means: what they
    disagree about. The variance of the mixture is their sum.
    """

    mean: Float[Array, "*batch outputs"]
    aleatoric: Float[Array, "*batch outputs"]
    epistemic: Float[Array, "*batch outputs"]

    @property
    def variance(self) -> Float[Array, "*batch outputs"]:
        """Variance of the mixture: aleatoric and epistemic."""
        return self.aleatoric + self.epistemic


class Uncertainty(NamedTuple):
    """Entropies of class probabilities, in nats per row.

    `total` is that of the mean probabilities, `aleatoric` the mean of the members' entropies, and
    `epistemic` their difference, the mutual information of class and member.
    """

    total: Float[Array, "*batch"]
    aleatoric: Float[Array, "*batch"]
    epistemic: Float[Array, "*batch"]


def mean_probabilities(
    logits: Outputs, *, weights: MemberWeights | None = None
) -> Float[Array, "*batch outputs"]:
    """Averages the members' class probabilities.

    Args:
        logits: Unnormalised log-probabilities, shape (members, *batch, classes).
        weights: How much each member counts, at least 0; `None` counts all alike.

    Returns:
        Probabilities that sum to 1, shape (*batch, classes).

    Raises:
        ValueError: There is not one weight per member, one is negative, or none is above 0.

    References:
        Lakshminarayanan et al. 2017, section 2.4.

    Example:
        >>> mean_probabilities(jnp.log(jnp.array([[[0.25, 0.75]], [[0.75, 0.25]]]))).round(4)
        Array([[0.5, 0.5]], dtype=float32)
    """
    return _mean(jax.nn.softmax(_widened("logits", logits), axis=-1), weights)


def class_uncertainty(logits: Outputs, *, weights: MemberWeights | None = None) -> Uncertainty:
    """Tells what members are unsure of from what they disagree about.

    Args:
        logits: Unnormalised log-probabilities, shape (members, *batch, classes).
        weights: How much each member counts, at least 0; `None` counts all alike.

    Returns:
        Entropies, shape (*batch,) each.

    Raises:
        ValueError: There is not one weight per member, one is negative, or none is above 0.

    References:
        Depeweg et al. 2018, section 3.

    Example:
        >>> logits = jnp.array([[[30.0, -30.0]], [[-30.0, 30.0]]])
        >>> print([f"{entropy[0]:.3f}" for entropy in class_uncertainty(logits)])
        ['0.693', '0.000', '0.693']
    """
    log_probabilities = jax.nn.log_softmax(_widened("logits", logits), axis=-1)
    probabilities = jnp.exp(log_probabilities)
    mean = _mean(probabilities, weights)
    total = jnp.sum(jax.scipy.special.entr(mean), axis=-1)
    # 0 log 0 = 0, also where a class is masked by a logit of -inf.
    terms = jnp.where(probabilities == 0, 0, -probabilities * log_probabilities)
    aleatoric = _mean(jnp.sum(terms, axis=-1), weights)
    # Rounding alone could make it negative.
    return Uncertainty(total, aleatoric, jnp.maximum(total - aleatoric, 0))


def mixture_moments(
    means: Outputs, variances: Outputs | None = None, *, weights: MemberWeights | None = None
) -> Mixture:
    """Joins the members' means, and variances if they predict any, into those of their mixture.

    Args:
        means: Predicted means, shape (members, *batch, outputs).
        variances: Predicted variances, at least 0, of the same shape, as
            `losses.gaussian_parameters` gives them; `None` where members predict a mean only.
        weights: How much each member counts, at least 0; `None` counts all alike.

    Returns:
        Mean, aleatoric and epistemic variance, shape (*batch, outputs) each.

    Raises:
        ValueError: Shapes do not match, there is not one weight per member, one is negative, or
            none is above 0.

    References:
        Lakshminarayanan et al. 2017, section 2.4; Depeweg et al. 2018, equation 10.

    Example:
        >>> mixture = mixture_moments(jnp.array([[[1.0]], [[3.0]]]), jnp.array([[[0.5]], [[0.5]]]))
        >>> mixture.mean.item(), mixture.aleatoric.item(), mixture.epistemic.item()
        (2.0, 0.5, 1.0)
    """
    means = _widened("means", means)
    mean = _mean(means, weights)
    # mean((m - mean(m))**2): as mean(m**2) - mean(m)**2 it would cancel.
    epistemic = _mean(jnp.square(means - mean), weights)
    if variances is None:
        return Mixture(mean, jnp.zeros_like(mean), epistemic)
    variances = _widened("variances", variances)
    if variances.shape != means.shape:
        raise ValueError(
            f"variances must have the shape of means, {means.shape}; got {variances.shape}."
        )
    return Mixture(mean, _mean(variances, weights), epistemic)


def majority_vote(logits: Outputs, *, weights: MemberWeights | None = None) -> Int[Array, "*batch"]:
    """Takes the class that most members predict; of equals, the one with the larger mean.

    Args:
        logits: Unnormalised log-probabilities, shape (members, *batch, classes).
        weights: How much each member counts, at least 0; `None` counts all alike.

    Returns:
        Classes, shape (*batch,); -1 for a row where an output of a member that counts is NaN.

    Raises:
        TypeError: `logits` are no floats, as votes that were counted already.
        ValueError: There is not one weight per member, one is negative, or none is above 0.

    Example:
        >>> majority_vote(jnp.array([[[9.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]])).tolist()
        [1]
    """
    _widened("logits", logits)
    logits = jnp.asarray(logits)
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            "majority_vote needs logits, shape (members, *batch, classes), of which it takes the "
            f"largest itself; got {logits.dtype}{list(logits.shape)}."
        )
    classes = logits.shape[-1]
    votes = _mean(jax.nn.one_hot(jnp.argmax(logits, axis=-1), classes, dtype=np.float32), weights)
    mean = mean_probabilities(logits, weights=weights)
    # Sums of votes in another order differ by rounding.
    is_most = votes >= jnp.max(votes, axis=-1, keepdims=True) - 1e-5
    winner = jnp.argmax(jnp.where(is_most, mean, -1), axis=-1)
    return jnp.where(jnp.isnan(mean).any(axis=-1), -1, winner)


def member_quantiles(
    outputs: Outputs, quantiles: Shaped[Array | np.ndarray, " quantiles"]
) -> Float[Array, "quantiles *batch outputs"]:
    """Returns quantiles over members, interpolated linearly.

    Args:
        outputs: Predictions, shape (members, *batch, outputs).
        quantiles: Levels in [0, 1], shape (quantiles,). A traced one that is out of range gives
            NaN.

    Returns:
        One prediction per level, shape (quantiles, *batch, outputs).

    Raises:
        ValueError: A level is out of range.

    Example:
        >>> member_quantiles(jnp.array([[[0.0]], [[1.0]], [[4.0]]]), np.array([0.5, 1.0])).ravel()
        Array([1., 4.], dtype=float32)
    """
    levels = quantiles if isinstance(quantiles, Tracer) else np.asarray(quantiles)
    is_known = isinstance(levels, np.ndarray)
    if levels.ndim != 1 or (is_known and not ((levels >= 0) & (levels <= 1)).all()):
        raise ValueError(f"quantiles must be levels in [0, 1], shape (quantiles,); got {levels}.")
    outputs = _widened("outputs", outputs)
    levels = jnp.asarray(levels, outputs.dtype)
    levels = jnp.where((levels >= 0) & (levels <= 1), levels, jnp.nan)
    return jnp.quantile(outputs, levels, axis=0)


def _widened(name: str, values: Any) -> Array:
    """Any real numbers in at least float32: means of integers and of 16 bits need more."""
    values = as_real_array(name, values)
    if values.ndim < 2:
        raise ValueError(f"{name} must have shape (members, *batch, outputs); got {values.shape}.")
    return jnp.asarray(values).astype(wide_type(values.dtype))


def _mean(values: Array, weights: MemberWeights | None) -> Array:
    if weights is None:
        return jnp.mean(values, axis=0)
    if np.shape(weights) != values.shape[:1]:
        raise ValueError(
            f"weights must have one number per member, shape {values.shape[:1]}; got "
            f"{np.shape(weights)}."
        )
    if isinstance(weights, Tracer):
        shares = scale_weight(weights, values.dtype)
    else:
        known = np.asarray(weights)
        if not is_real_array(known):
            raise TypeError(f"weights must be real numbers; got an array of {known.dtype}.")
        known = known.astype(np.float64)
        if not (np.isfinite(known).all() and (known >= 0).all() and known.any()):
            raise ValueError(
                "weights must be finite numbers of at least 0, and one of them above 0; got "
                f"{known}."
            )
        shares = scale_weight(known, values.dtype)
    # A matrix product would be rounded coarsely on accelerators.
    shares = jnp.reshape(shares / jnp.sum(shares), (-1, *(1,) * (values.ndim - 1)))
    # 0 * NaN is NaN, so that members that do not count are left out before.
    return jnp.sum(jnp.where(shares == 0, 0, shares * values), axis=0)
