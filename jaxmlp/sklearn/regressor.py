"""Turns a table and numbers into a regressor with scikit-learn's interface."""

from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from .arguments import Number
from .base import BaseMLP, is_stochastic
from .networks import OutActivation


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multilayer perceptron that predicts numbers, in place of scikit-learn's of the same name.

    Arguments, methods and attributes mean what they mean there, and with the same `random_state`
    it learns the same weights up to rounding: in float64 from float64 tables, in float32 from
    float32 ones. Training is compiled, and one program serves all numbers of rows of a size and
    all values of numeric arguments but sizes.

    Args:
        loss: "squared_error", or "poisson" for counts, whose mean is the exponential of the output.
        hidden_layer_sizes: Units of each hidden layer, at least 1 each; one number is one layer.
        activation: Of the hidden layers: "identity", "logistic", "tanh" or "relu", or any other of
            `MLPConfig` that is applied to each unit alone.
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
        early_stopping: Whether to set rows aside, stop by their score, R2 unless `scoring`
            names another, and keep the weights of the best one.
        validation_fraction: Share of rows that is set aside, in [0, 1).
        beta_1: Decay of the first moment of "adam", in [0, 1).
        beta_2: Decay of the second moment of "adam", in [0, 1).
        epsilon: Added to the root of the second moment of "adam", above 0.
        n_iter_no_change: Epochs without improvement, in a row, after which one more ends it.
        max_fun: Most evaluations of the loss by "lbfgs", at least 1.
        scoring: Score of rows to validate on: the name of one of scikit-learn's scorers, or a
            function `(estimator, X, y)`, which is given `sample_weight` too where weights are not
            all 1; the greater the better. This and all below are not in scikit-learn's.
        callbacks: One or several functions `(estimator, metrics)`, called after every epoch. The
            estimator is a copy as of then, which predicts and can be saved; `metrics` has "epoch",
            from 1 in each fit, "loss", and with rows to validate on "validation_loss" and
            "validation_score". Training stops where one returns True.
        progress: Whether `fit` shows a bar of epochs; `None`: where someone sees it. Needs tqdm.
        device: Where to compute: "cpu", "gpu", "tpu", "cuda:1" and so on or a `jax.Device`; `None`
            leaves it to JAX. What is learned is NumPy's in any case. Where the device is missing,
            `fit` fails, and predictions are computed where JAX chooses.

    Attributes:
        coefs_: Kernel of each layer, shape (inputs, outputs).
        intercepts_: Bias of each layer, shape (outputs,).
        loss_: The last loss.
        loss_curve_: Loss of each epoch.
        best_loss_: The smallest of them; `None` with early stopping.
        validation_scores_: Score of each epoch on rows to validate on, or `None`.
        validation_loss_curve_: Their loss, without the penalty, or `None`.
        best_validation_score_: The largest of them, or `None`.
        n_iter_: Epochs, or iterations, of the last fit.
        t_: Rows that were trained on since the weights were drawn.
        n_features_in_: Number of features.
        feature_names_in_: Their names, of a table whose columns have text names.
        n_layers_: Number of layers, that of the inputs included.
        n_outputs_: Number of outputs.
        out_activation_: "identity", or "exp" with the Poisson loss.

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
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    loss: str

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
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
            X: Numbers, dense or SciPy's sparse, shape (rows, features).
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
        """Returns predictions, shape (rows,), or (rows, targets) for several."""
        outputs = self._compute_outputs(X)
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        del incremental
        X, y = validate_data(
            *(self, X, y),
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"loss='poisson' requires non-negative y; got {y.min()}.")
        return X, y

    def _choose_out_activation(self) -> OutActivation:
        return "exp" if self.loss == "poisson" else "identity"

    def _as_given(self, y: np.ndarray) -> np.ndarray:
        return y.ravel() if self.n_outputs_ == 1 else y

    def _score_outputs(self, outputs: np.ndarray, y: np.ndarray, sample_weight: Any) -> float:
        if not np.isfinite(outputs).all():
            return float("nan")
        return r2_score(y, outputs, sample_weight=sample_weight)
