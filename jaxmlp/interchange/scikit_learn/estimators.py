"""Turns a fitted estimator of scikit-learn's, or of `jaxmlp.sklearn`, into a network."""

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from ...network import GATED_ACTIVATIONS, MLPConfig, Params
from ..layer_parts import refuse
from ..operations import (
    Activate,
    AddSkip,
    Affine,
    Dropout,
    Gate,
    Normalise,
    Operation,
    Standardise,
    StartSkip,
)
from ..partners import import_partner
from ..recognition import network_of
from .networks import ACTIVATIONS

_OURS = {theirs: ours for ours, theirs in ACTIVATIONS.items()}
_TAKEN = "be an MLPClassifier, an MLPRegressor, or a Pipeline of a StandardScaler and one of them"
_OWN = (
    "It predicts, and writes itself to a file by save, or by to_onnx; its networks have no one "
    "description."
)
# The estimators of `jaxmlp.sklearn` leave it at that of `MLPConfig`.
_EPSILON = 1e-5


def from_sklearn(estimator: Any) -> tuple[MLPConfig, Params]:
    """Finds the network that computes what a fitted estimator of scikit-learn's does.

    Weights are those of the estimator bit for bit: float64 ones, which it has if its rows were
    float64 or `solver="lbfgs"`, where JAX has 64-bit types, so switch these on first, or fit it to
    float32 rows. Outputs are what `predict_proba` of a classifier gives, for
    two classes the probability of the second, and what `predict` of a regressor gives. To go on
    training a classifier by a loss on logits, leave out the function of its outputs:
    `dataclasses.replace(config, output_activation=None)`.

    Args:
        estimator: A fitted `sklearn.neural_network.MLPClassifier` or `MLPRegressor`, or a
            `Pipeline` of a `StandardScaler`, which becomes the standardisation, and one of them; or
            an estimator of `jaxmlp.sklearn` that was fitted with `preset="sklearn"` to a matrix.

    Returns:
        The config and the parameters, on JAX's default device.

    Raises:
        ImportError: scikit-learn is not installed.
        TypeError: `estimator` is another one.
        ValueError: It is not fitted, or is none that a network here equals; the message names it.

    Example:
        >>> from sklearn.neural_network import MLPRegressor
        >>> x = np.linspace(0, 1, 50, dtype=np.float32)[:, None]
        >>> config, params = from_sklearn(MLPRegressor(random_state=0).fit(x, x.ravel()))
        >>> config.hidden_features, config.activation
        ((100,), 'relu')
    """
    steps = [("estimator", estimator)]
    if isinstance(estimator, import_partner("sklearn.pipeline", "sklearn").Pipeline):
        steps = [
            (name, step) for name, step in estimator.steps if step not in (None, "passthrough")
        ]
    last = steps[-1][1] if steps else estimator
    dtype = _require_network(last)
    operations = []
    for name, step in steps[:-1]:
        operations.append(_scaler(name, step, dtype))
    return network_of([*operations, *_operations(last)])


def _require_network(estimator: Any) -> np.dtype[Any]:
    """Refuses all but a fitted network, and returns the type of its weights."""
    networks = import_partner("sklearn.neural_network", "sklearn")
    is_theirs = isinstance(estimator, (networks.MLPClassifier, networks.MLPRegressor))
    # Those of the room `sklearn`, which stands on this one.
    is_ours = type(estimator).__module__.startswith(f"{__name__.partition('.')[0]}.sklearn.")
    name = type(estimator).__name__
    if not (is_theirs or is_ours):
        raise TypeError(
            f"estimator must {_TAKEN}; got a {name}. Give the MLP that it holds, such as "
            "best_estimator_ of a search or regressor_ of a TransformedTargetRegressor, which "
            "scales targets: undo that on the outputs."
        )
    if not hasattr(estimator, "n_features_in_"):
        refuse(f"estimator {name}", "be fitted", "one that is not", "Call fit first.")
    if is_ours:
        _require_one_network(estimator, name)
    else:
        _require_own_predictions(networks, estimator, name)
    if estimator.out_activation_ == "exp":
        remedy = (
            "In a copy set out_activation_ = 'identity': outputs are then logarithms of the "
            "predictions, as jaxmlp.losses.poisson takes them."
        )
        subject = f"estimator {name}"
        refuse(subject, "have outputs of a function here", "out_activation_='exp'", remedy)
    return estimator.coefs_[0].dtype


def _require_own_predictions(networks: Any, estimator: Any, name: str) -> None:
    """Refuses subclasses that predict something else than their networks' outputs."""
    is_classifier = isinstance(estimator, networks.MLPClassifier)
    kind = "MLPClassifier" if is_classifier else "MLPRegressor"
    theirs = getattr(networks, kind)
    for method in ("_forward_pass_fast", "_predict", "predict", "predict_proba"):
        if getattr(type(estimator), method, None) is not getattr(theirs, method, None):
            remedy = f"Copy what it was fitted to into an {kind}: vars(copy).update(vars(fitted))."
            refuse(f"estimator {name}", f"predict as an {kind}", f"a {method} of its own", remedy)


def _require_one_network(estimator: Any, name: str) -> None:
    """Refuses estimators of ours whose predictions are more than one network's outputs."""

    def refuse_for(requirement: str, got: str, remedy: str) -> NoReturn:
        refuse(f"estimator {name}", requirement, got, remedy)

    if estimator.preset_ != "sklearn":
        refuse_for("have preset='sklearn', one network", f"preset={estimator.preset_!r}", _OWN)
    if estimator.preparation_ is not None:
        remedy = "Fit it to a matrix of numbers, as preset='sklearn' has it."
        refuse_for("be fitted to a matrix", "columns that it makes numbers of", remedy)
    if getattr(estimator, "loss", None) in ("gaussian", "quantile"):
        remedy = "Other losses give one output per target, the prediction."
        refuse_for("predict its outputs", f"loss={estimator.loss!r}", remedy)


def _scaler(name: str, step: Any, dtype: np.dtype[Any]) -> Standardise:
    scaler = import_partner("sklearn.preprocessing", "sklearn").StandardScaler
    if type(step) is not scaler:
        remedy = "Import the last step alone, and do the others before; their order must stay."
        refuse(f"step {name!r}", "be a StandardScaler", f"a {type(step).__name__}", remedy)
    if not hasattr(step, "n_features_in_"):
        refuse(f"step {name!r}", "be fitted", "one that is not", "Call fit first.")
    # It, too, has its statistics in the type of the rows before it applies them.
    mean = step.mean_ if step.with_mean else np.zeros(step.n_features_in_)
    scale = step.scale_ if step.with_std else np.ones(step.n_features_in_)
    return Standardise(mean.astype(dtype), scale.astype(dtype), f"step {name!r}")


def _operations(estimator: Any) -> Iterator[Operation]:
    temperature = getattr(estimator, "temperature_", 1.0)
    norms = getattr(estimator, "norms_", [])
    count = len(estimator.coefs_)
    layers = zip(estimator.coefs_, estimator.intercepts_, strict=True)
    for index, (kernel, bias) in enumerate(layers):
        label = f"coefs_[{index}]"
        if index == count - 1:
            if temperature != 1:
                kernel, bias = kernel / temperature, bias / temperature
            yield Affine(kernel, bias, label)
            continue
        skips = bool(getattr(estimator, "residual", False)) and index > 0
        if skips:
            yield StartSkip(label)
        yield Affine(kernel, bias, label)
        if norms:
            scale, shift = norms[index]
            yield Normalise(estimator.norm, scale, shift, _EPSILON, label)
        name = _OURS.get(estimator.activation, estimator.activation)
        if not isinstance(name, str):
            remedy = "It predicts, and writes itself to a file by save, which names the function."
            requirement = "have an activation of a name"
            refuse(f"estimator {type(estimator).__name__}", requirement, repr(name), remedy)
        yield Gate(name, label) if name in GATED_ACTIVATIONS else Activate(name, label)
        if rate := getattr(estimator, "dropout", None):
            yield Dropout(rate, label)
        if skips:
            yield AddSkip(label)
    if estimator.out_activation_ != "identity":
        yield Activate(_OURS.get(estimator.out_activation_, "softmax"), "out_activation_")
