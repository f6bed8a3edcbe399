"""Turns a table and numbers into a regressor with scikit-learn's interface."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import scipy.stats
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from ..network import Activation
from .arguments import Number
from .base import is_stochastic
from .regression import (
    DEFAULT_DELTA,
    DEFAULT_QUANTILES,
    Regression,
    as_levels,
    predicts_dist,
    predicts_quantiles,
)


class MLPRegressor(RegressorMixin, Regression):
    """A multilayer perceptron that predicts numbers, in place of scikit-learn's of the same name.

    Arguments, methods and attributes mean what they mean there. With `preset="sklearn"`, or where
    one of scikit-learn's arguments is not as it comes, the same `random_state` gives the same
    weights up to rounding: in float64 from float64 tables, in float32 from float32 ones. As it
    comes, it trains by a recipe for tables instead: some networks that are averaged, which predict
    better and take longer. Training is compiled, and one program serves all numbers of rows of a
    size and all values of numeric arguments but sizes.

    Args:
        loss: "squared_error", or "poisson" for counts, whose mean is the exponential of the output.
            Not in scikit-learn's: "absolute_error", for the median; "huber", squared up to a
            residual of `huber_delta` and absolute beyond; "quantile", for `quantiles`; "gaussian",
            for mean and standard deviation, which is at least 0.001 of that of all targets.
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
        early_stopping: Whether to set rows aside, stop by their score, R2 (of "quantile" minus the
            mean pinball loss) unless `scoring` names another, and keep the weights of the best one.
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
        huber_delta: Residual from which "huber" is linear, above 0, in units of the targets.
        quantiles: Levels that "quantile" predicts, increasing in (0, 1); of "gaussian" those that
            `predict_quantiles` gives if not told.
        preset: "auto" trains by the recipe for the size of the table, as long as `norm`,
            `residual`, `scoring`, `callbacks` and what scikit-learn has but `max_iter`,
            `random_state` and `verbose` are as they come, and else as scikit-learn does, for which
            it makes numbers of all columns; "realmlp" and "tabm" are published recipes; "sklearn"
            is scikit-learn's own network and training; or a `jaxmlp.tabular.Recipe`.
        n_ensemble: Networks that a recipe averages, at least 1; `None` leaves it to the recipe.
        categorical_features: What columns a recipe takes as categories: "from_dtype", those of
            strings, bools and categories, or names, places or a mask of columns.
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
        n_outputs_: Number of targets.
        out_activation_: "identity", or "exp" with the Poisson loss.
        target_mean_: Mean of each target, shape (targets,), of "gaussian", which learns targets in
            standard units: weights, and the losses above, are of those; else `None`.
        target_scale_: Standard deviation by which they are divided; those of the first fit's rows.

    References:
        The optimizers: Kingma & Ba 2015 (adam), Sutskever et al. 2013 (Nesterov's momentum), Liu &
        Nocedal 1989 (L-BFGS). The meaning of all arguments: scikit-learn 1.9.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> y = x[:, 0] - 2 * x[:, 1]
        >>> MLPRegressor(solver="lbfgs", random_state=0).fit(x, y).score(x, y) > 0.99
        True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Regression._parameter_constraints,
        "loss": [
            StrOptions(
                {"squared_error", "poisson", "absolute_error", "huber", "quantile", "gaussian"}
            )
        ],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
        "quantiles": ["array-like"],
    }

    loss: str

    def __init__(
        self,
        loss: str = "squared_error",
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
        huber_delta: Number = DEFAULT_DELTA,
        quantiles: Any = DEFAULT_QUANTILES,
        preset: Any = "auto",
        n_ensemble: int | None = None,
        categorical_features: Any = "from_dtype",
        scoring: Any = None,
        callbacks: Any = None,
        progress: bool | None = False,
        device: Any = None,
    ) -> None:
        given = locals()
        super().__init__(**{name: given[name] for name in MLPRegressor._get_param_names()})

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
    ) -> "MLPRegressor":
        """Trains on a table.

        Args:
            X: Frame, Arrow table or array of any columns, or SciPy's sparse numbers, shape (rows,
                features); with preset="sklearn" numbers alone.
            y: Target of each row, shape (rows,), or targets, shape (rows, targets).
            sample_weight: Weight of each row, shape (rows,); `None` weighs all alike.
            X_val: Rows to score after every epoch, into `validation_scores_`; with
                `early_stopping`, in place of rows that are set aside. Not in scikit-learn's.
            y_val: Targets of those rows.
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
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPRegressor":
        """Trains for one epoch on a table, and goes on from there.

        Args:
            X: As for `fit`.
            y: As for `fit`.
            sample_weight: As for `fit`.

        Returns:
            The estimator itself.

        Raises:
            ValueError: As for `fit`; or with `early_stopping=True`.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """Returns predictions, shape (rows,), or (rows, targets) for several.

        Of "gaussian" it is the mean, of "quantile" the quantile nearest to the median, of two the
        lower.
        """
        return self._by_row(self._predictions(self._compute_outputs(X))["prediction"])

    @available_if(predicts_quantiles)
    def predict_quantiles(self, X: Any, quantiles: Any = None) -> np.ndarray:
        """Returns quantiles of every row's target, in increasing order.

        Outputs of "quantile" that have crossed are sorted, by which no pinball loss grows.

        Args:
            X: Rows.
            quantiles: Levels, increasing in (0, 1); of "quantile" some that it was trained for.
                `None` for those of the constructor.

        Returns:
            Shape (rows, quantiles), or (rows, targets, quantiles) for several targets.

        Raises:
            ValueError: The rows or levels are not as they must be.

        References:
            Koenker & Bassett 1978; Chernozhukov, Fernandez-Val & Galichon 2010 (sorting).
        """
        predictions = self._predictions(self._compute_outputs(X))
        if self._head.loss == "gaussian":
            levels = as_levels(self.quantiles if quantiles is None else quantiles)
            mean, std = (predictions[name][..., None] for name in ("prediction", "std"))
            return self._by_row(mean + std * scipy.stats.norm.ppf(levels))
        if quantiles is None:
            return self._by_row(predictions["quantiles"])
        levels, known = as_levels(quantiles), self._options.tolist()
        if missing := [level for level in levels.tolist() if level not in known]:
            raise ValueError(
                f"quantiles must be some that loss='quantile' was trained for, {known}; got "
                f"{missing}. Give MLPRegressor all that are needed."
            )
        return self._by_row(predictions["quantiles"][..., np.searchsorted(known, levels)])

    @available_if(predicts_dist)
    def predict_dist(self, X: Any) -> Any:
        """Returns every row's normal distribution, a frozen `scipy.stats.norm`.

        Its methods, such as `mean`, `std`, `interval` and `logpdf`, give arrays of shape (rows,),
        or (rows, targets) for several targets.
        """
        predictions = self._predictions(self._compute_outputs(X))
        mean, std = (self._by_row(predictions[name]) for name in ("prediction", "std"))
        return scipy.stats.norm(mean, std)

    def _as_given(self, y: np.ndarray) -> np.ndarray:
        return y.ravel() if self.n_outputs_ == 1 else y
