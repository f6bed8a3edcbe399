"""Turns a network into a fitted estimator of scikit-learn's."""

from typing import Any

import numpy as np

from ...network import MLPConfig, Params
from ..layer_parts import refuse
from ..operations import Activate, Affine, Operation, Standardise, operations_of
from ..partners import import_partner, require_no_dropout

# Our names and scikit-learn's.
ACTIVATIONS = {"identity": "identity", "relu": "relu", "sigmoid": "logistic", "tanh": "tanh"}
_ELSEWHERE = (
    "The estimators of jaxmlp.sklearn have more; or give the network to another library, such as "
    "PyTorch by to_torch."
)


def to_sklearn(config: MLPConfig, params: Params, *, classes: Any = None) -> Any:
    """Builds the fitted estimator of scikit-learn that predicts what a network does.

    Kernels and biases are those of the network bit for bit, zeros where it has no biases. Outputs
    of a classifier are probabilities, also those of a network that leaves logits. The estimator is
    as after `fit`: it predicts and scores, and `partial_fit`, or `fit` with `warm_start=True`, go
    on from these weights. `set_params` sets how.

    Args:
        config: The network: dense layers with one activation of "relu", "tanh", "sigmoid" and
            "identity", in float32 or float64, without dropout.
        params: Its parameters. A standardisation becomes a `StandardScaler`.
        classes: Labels of a classifier in the order of the outputs, which is sorted: one more than
            outputs if there is one output, the probability of the second label. With several
            outputs and `output_activation="sigmoid"` a row has several labels, numbered from 0.
            `None` makes a regressor.

    Returns:
        An `MLPClassifier` or `MLPRegressor`, or a `Pipeline` of a `StandardScaler` and that.

    Raises:
        ImportError: scikit-learn is not installed.
        TypeError: `config` is no `MLPConfig`, or `params` are no `Params`.
        ValueError: The network, or its outputs with these classes, is none that scikit-learn has;
            the message names the layer.

    Example:
        >>> import jax
        >>> from jaxmlp import MLPConfig, init_params
        >>> config = MLPConfig(in_features=2, hidden_features=(8,), out_features=3)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> classifier = to_sklearn(config, params, classes=["a", "b", "c"])
        >>> classifier.predict_proba(np.zeros((5, 2))).shape
        (5, 3)
    """
    networks = import_partner("sklearn.neural_network", "sklearn")
    operations = operations_of(config, params)
    require_no_dropout(config, "scikit-learn")
    statistics, layers, activation = _parts(config, operations)
    settings = {"hidden_layer_sizes": config.hidden_features, "activation": activation}
    if classes is None:
        if config.output_activation not in (None, "identity"):
            got = f"{config.output_activation!r}"
            refuse(
                "output_activation",
                "be None for a regressor",
                got,
                "Give classes=[...] if it is a classifier.",
            )
        estimator = networks.MLPRegressor(**settings)
        estimator.out_activation_ = "identity"
    else:
        estimator = networks.MLPClassifier(**settings)
        _set_classes(estimator, config, np.asarray(classes))
    _fill(estimator, layers)
    return estimator if statistics is None else _pipeline(statistics, estimator)


def _parts(
    config: MLPConfig, operations: tuple[Operation, ...]
) -> tuple[Standardise | None, list[Affine], str]:
    """Statistics, dense layers and the activation of a network that scikit-learn has."""
    statistics, layers, names = None, [], []
    if config.param_dtype not in ("float32", "float64") or config.compute_dtype is not None:
        got = f"param_dtype={config.param_dtype!r}, compute_dtype={config.compute_dtype!r}"
        remedy = (
            "Widen it: jax.tree.map(lambda a: a.astype('float32'), params), with "
            "dataclasses.replace(config, param_dtype='float32', compute_dtype=None)."
        )
        refuse("config", "have one type of float32 and float64 for scikit-learn", got, remedy)
    for operation in operations:
        subject = f"hidden layer {len(layers) - 1}"
        match operation:
            case Standardise():
                statistics = operation
            case Affine():
                layers.append(operation)
            case Activate(name) if len(layers) <= len(config.hidden_features):
                if name not in ACTIVATIONS or name != (names or [name])[0]:
                    requirement = f"have the activation of all, one of {sorted(ACTIVATIONS)}"
                    refuse(subject, f"{requirement}, for scikit-learn", repr(name), _ELSEWHERE)
                names.append(name)
            case Activate():
                continue
            case _:
                got = type(operation).__name__
                requirement = "be dense, with an elementwise activation alone, for scikit-learn"
                refuse(subject if layers else "config", requirement, got, _ELSEWHERE)
    return statistics, layers, ACTIVATIONS[names[0]] if names else "identity"


def _set_classes(estimator: Any, config: MLPConfig, classes: np.ndarray) -> None:
    """Sets what scikit-learn knows of classes, once they are found to fit the outputs."""
    outputs, activation = config.out_features, config.output_activation
    activation = None if activation == "identity" else activation
    if classes.ndim != 1 or not np.array_equal(np.unique(classes), classes):
        remedy = "Sort them, and the columns of params.output with them."
        got = repr(classes.tolist())
        refuse("classes", "be sorted labels, each once, as scikit-learn sorts them", got, remedy)
    several_labels = activation == "sigmoid" and outputs > 1
    wanted = 2 if outputs == 1 else outputs
    if len(classes) != wanted:
        remedy = "Give one label per output, or two for one output."
        refuse("classes", f"be {wanted} for {outputs} outputs", f"{len(classes)}", remedy)
    if outputs == 2 and not several_labels:
        remedy = (
            "Take the difference of its two logits, with rounding: kernel[:, 1:] - kernel[:, :1], "
            "and so the bias, out_features=1, output_activation=None."
        )
        refuse("config", "have one output for two classes in scikit-learn", "two", remedy)
    if several_labels and not np.array_equal(classes, np.arange(outputs)):
        requirement = f"be the numbers of {outputs} labels, of which a row has several"
        remedy = "Give range(out_features); for one class per row, output_activation is 'softmax'."
        refuse("classes", requirement, repr(classes.tolist()), remedy)
    usual = "sigmoid" if outputs == 1 or several_labels else "softmax"
    if activation not in (None, usual):
        remedy = "Leave classes out for a regressor."
        requirement = f"be None or {usual!r} for a classifier of scikit-learn"
        refuse("output_activation", requirement, repr(activation), remedy)
    binarizer = import_partner("sklearn.preprocessing", "sklearn").LabelBinarizer()
    # What scikit-learn fits it to: targets, one per row or a column per label.
    binarizer.fit(np.eye(outputs, dtype=int) if several_labels else classes)
    estimator._label_binarizer = binarizer
    estimator.classes_ = binarizer.classes_
    estimator.out_activation_ = "logistic" if usual == "sigmoid" else "softmax"


def _fill(estimator: Any, layers: list[Affine]) -> None:
    """Sets what `fit` leaves, as it is before the first epoch."""
    estimator.coefs_ = [np.ascontiguousarray(layer.kernel) for layer in layers]
    estimator.intercepts_ = [
        np.zeros(layer.kernel.shape[1], layer.kernel.dtype) if layer.bias is None else layer.bias
        for layer in layers
    ]
    estimator._best_coefs = [array.copy() for array in estimator.coefs_]
    estimator._best_intercepts = [array.copy() for array in estimator.intercepts_]
    estimator.n_features_in_ = layers[0].kernel.shape[0]
    estimator.n_outputs_ = layers[-1].kernel.shape[1]
    estimator.n_layers_ = len(layers) + 1
    estimator.n_iter_ = estimator.t_ = estimator._no_improvement_count = 0
    estimator.loss_curve_, estimator.best_loss_ = [], np.inf
    estimator.validation_scores_ = estimator.best_validation_score_ = None


def _pipeline(statistics: Standardise, estimator: Any) -> Any:
    scaler = import_partner("sklearn.preprocessing", "sklearn").StandardScaler()
    scaler.mean_, scaler.scale_ = statistics.mean, statistics.scale
    scaler.var_ = statistics.scale**2
    scaler.n_features_in_ = len(statistics.mean)
    # None that it saw: statistics of further rows would replace these.
    scaler.n_samples_seen_ = 0
    return import_partner("sklearn.pipeline", "sklearn").make_pipeline(scaler, estimator)
