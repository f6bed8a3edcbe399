"""Turns a table and classes into a classifier with scikit-learn's interface."""

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target

from ..network import Activation
from .arguments import Number
from .base import is_stochastic
from .classification import Classification


class MLPClassifier(ClassifierMixin, Classification):
    """A multilayer perceptron that classifies, in place of scikit-learn's of the same name.

    Arguments, methods and attributes mean what they mean there. With `preset="sklearn"`, or where
    one of scikit-learn's arguments is not as it comes, the same `random_state` gives the same
    weights up to rounding: in float64 from float64 tables, in float32 from float32 ones. As it
    comes, it trains by a recipe for tables instead: some networks that are averaged, which predict
    better and take longer. Training is compiled, and one program serves all numbers of rows of a
    size and all values of numeric arguments but sizes.

    Args:
        hidden_layer_sizes: Units of each hidden layer, at least 1 each; one number is one layer.
        activation: Of the hidden layers: "identity", "logistic", "tanh" or "relu", or any other of
            `MLPConfig`, gated ones too, or an `Activation`.
        solver: "adam", "sgd" with momentum, or "lbfgs", which takes all rows in each iteration.
        alpha: Strength of the penalty `alpha / 2 * sum(kernel**2) / sum(weight)`, at least 0.
        batch_size: Rows per step, at least 1; "auto" is the smaller of 200 and all.
        learning_rate: Of "sgd": "constant"; "invscaling", `learning_rate_init / (t + 1)**power_t`
            after t rows, changed after each epoch; or "adaptive", divided by 5 when the loss or
            score no longer improves, until it is below 1e-6.
        learning_rate_init: Learning rate of the first epoch, above 0.
        power_t: Exponent of "invscaling", at least 0.
        max_iter: Most epochs, or iterations of "lbfgs", at least 1.
        shuffle: Whether rows are in another order in each epoch.
        random_state: An int, a `numpy.random.RandomState` or `None`: start, split and orders are
            drawn from it, the same as scikit-learn draws.
        tol: What a loss or score must improve by to count, at least 0; of "lbfgs", below which the
            largest number in the gradient ends it.
        verbose: Whether to print every epoch's loss.
        warm_start: Whether `fit` goes on from the weights of the last one.
        momentum: Of "sgd", in [0, 1].
        nesterovs_momentum: Whether that is Nesterov's.
        early_stopping: Whether to set rows aside, stop by their score, accuracy unless `scoring`
            names another, and keep the weights of the best one.
        validation_fraction: Share of rows that is set aside, in [0, 1).
        beta_1: Decay of the first moment of "adam", in [0, 1).
        beta_2: Decay of the second moment of "adam", in [0, 1).
        epsilon: Added to the root of the second moment of "adam", above 0.
        n_iter_no_change: Epochs without improvement, in a row, after which one more ends it.
        max_fun: Most evaluations of the loss by "lbfgs", at least 1.
        dropout: Share of the units of each hidden layer that a step drops, in [0, 1); not of
            "lbfgs". `None` is a recipe's own, and else 0. This and what follows is not in
            scikit-learn's.
        norm: Normalisation of net inputs of hidden layers: "layer", "rms" or `None`.
        residual: Whether hidden layers but the first add what they are given to what they give.
        class_weight: Factor on the weight of the rows of each class, a dict; "balanced" is inverse
            to how often a class occurs; of several labels per row a list of dicts.
        preset: "auto" trains by the recipe for the size of the table, as long as `norm`,
            `residual`, `scoring`, `callbacks` and what scikit-learn has but `max_iter`,
            `random_state` and `verbose` are as they come, and else as scikit-learn does, for which
            it makes numbers of all columns; "realmlp" and "tabm" are published recipes; "sklearn"
            is scikit-learn's own network and training; or a `jaxmlp.tabular.Recipe`.
        n_ensemble: Networks that a recipe averages, at least 1; `None` leaves it to the recipe.
        categorical_features: What columns a recipe takes as categories: "from_dtype", those of
            strings, bools and categories, or names, places or a mask of columns.
        calibrate: Whether logits are divided by a temperature that is fitted to rows that were not
            trained on: those that each network of a recipe did not see, those set aside by
            `early_stopping`, or `X_val`. One network's classes stay as they were; the mean of
            several networks' probabilities can change the class of a row that is undecided.
        scoring: Score of rows to validate on: the name of one of scikit-learn's scorers, or a
            function `(estimator, X, y)`, which is given `sample_weight` too where weights are not
            all 1; the greater the better.
        callbacks: One or several functions `(estimator, metrics)`, called after every epoch. The
            estimator is a copy as of then, which predicts and can be saved; `metrics` has "epoch",
            from 1 in each fit, "loss", and with rows to validate on "validation_loss" and
            "validation_score". Training stops where one returns True.
        progress: Whether `fit` shows a bar of epochs; `None`: where someone sees it. Needs tqdm.
        device: Where to compute: "cpu", "gpu", "tpu", "cuda:1" and so on or a `jax.Device`; `None`
            leaves it to JAX. What is learned is NumPy's in any case. Where the device is missing,
            `fit` fails, and predictions are computed where JAX chooses.

    Attributes:
        classes_: Labels, shape (classes,).
        coefs_: Kernel of each layer, shape (inputs, outputs); of a recipe, those of one network.
        intercepts_: Bias of each layer, shape (outputs,).
        norms_: Scale and bias (of "rms" `None`) of each hidden layer's norm; `[]` without.
        loss_: The last loss.
        loss_curve_: Loss of each epoch.
        best_loss_: The smallest of them; `None` with early stopping.
        validation_scores_: Score of each epoch on rows to validate on, or `None`.
        validation_loss_curve_: Their loss, without the penalty, or `None`.
        best_validation_score_: The largest of them, or `None`.
        preset_: "sklearn" where one network was trained, or else what named the recipe, `recipe_`.
        n_iter_: Epochs, or iterations, of the last fit.
        t_: Rows that were trained on since the weights were drawn.
        n_features_in_: Number of features.
        feature_names_in_: Their names, of a table whose columns have text names.
        n_layers_: Number of layers, that of the inputs included.
        n_outputs_: Number of outputs.
        temperature_: By which logits are divided; 1.0 without `calibrate`.
        out_activation_: "softmax", or "logistic" for two classes and for several labels per row.

    References:
        The optimizers: Kingma & Ba 2015 (adam), Sutskever et al. 2013 (Nesterov's momentum), Liu &
        Nocedal 1989 (L-BFGS). The meaning of all arguments: scikit-learn 1.9.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> x, y = load_iris(return_X_y=True)
        >>> MLPClassifier(max_iter=100, random_state=0).fit(x, y).score(x, y) > 0.95
        True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Classification._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "calibrate": ["boolean"],
    }

    class_weight: Any

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str | Activation = "relu",
        *,
        solver: str = "adam",
        alpha: Number = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: Number = 0.001,
        power_t: Number = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: Number = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: Number = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: Number = 0.1,
        beta_1: Number = 0.9,
        beta_2: Number = 0.999,
        epsilon: Number = 1e-8,
        n_iter_no_change: Number = 10,
        max_fun: int = 15000,
        dropout: Number | None = None,
        norm: str | None = None,
        residual: bool = False,
        class_weight: Any = None,
        preset: Any = "auto",
        n_ensemble: int | None = None,
        categorical_features: Any = "from_dtype",
        calibrate: bool = False,
        scoring: Any = None,
        callbacks: Any = None,
        progress: bool | None = False,
        device: Any = None,
    ) -> None:
        given = locals()
        super().__init__(**{name: given[name] for name in MLPClassifier._get_param_names()})

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> "MLPClassifier":
        """Trains on a table.

        Args:
            X: Frame, Arrow table or array of any columns, or SciPy's sparse numbers, shape (rows,
                features); with preset="sklearn" numbers alone.
            y: Class of each row, shape (rows,), or 0 and 1 by label, shape (rows, labels).
            sample_weight: Weight of each row, shape (rows,); `None` weighs all alike.
            X_val: Rows to score after every epoch, into `validation_scores_`; with
                `early_stopping`, in place of rows that are set aside. Not in scikit-learn's.
            y_val: Classes of those rows.
            sample_weight_val: Weights of those rows.

        Returns:
            The estimator itself.

        Raises:
            ValueError: An argument or the table is not as it must be; or training diverged.
        """
        validation = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, validation=validation)

    @available_if(is_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> "MLPClassifier":
        """Trains for one epoch on a table, and goes on from there.

        Args:
            X: As for `fit`.
            y: As for `fit`.
            sample_weight: As for `fit`.
            classes: All classes that there are; needed in the first call.

        Returns:
            The estimator itself.

        Raises:
            ValueError: As for `fit`; or with `early_stopping=True`, or balanced classes, which are
                not known yet: give the dict that `compute_class_weight` makes of all.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' is not supported for partial_fit, since not all rows are "
                "there. Give the dict {class: weight} of all rows as class_weight: sklearn.utils."
                "class_weight.compute_class_weight('balanced', classes=classes, y=y)."
            )
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer()
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer.fit(y if several else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """Returns the most probable class of each row, or the labels that are above 0.5."""
        return self._label(self._compute_outputs(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Returns the logits of the classes, shape (rows, classes), or (rows,) of two."""
        outputs = self._compute_outputs(X, activated=False)
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each class, shape (rows, classes), in the order of them."""
        outputs = self._compute_outputs(X)
        if self.n_outputs_ == 1:
            return np.concatenate([1 - outputs, outputs], axis=1)
        return outputs

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Returns the logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        """Says that rows may have several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
