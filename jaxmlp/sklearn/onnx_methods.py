"""Turns an estimator into an ONNX file, and tells skl2onnx how to convert it."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ..checks import require_int, require_path
from ..storage import write_atomically


class OnnxMethods:
    """What an estimator has for ONNX; skl2onnx looks for the methods named `onnx_...`."""

    def to_onnx(self, path: str | Path, *, opset: int = 18) -> None:
        """Writes the fitted estimator as one ONNX file, or leaves the file that was there.

        The model predicts without JAX what the estimator predicts, from a table as it comes:
        categories, dates and missing values, embeddings, and the average over all networks are
        in it. Of an array of numbers the model takes one matrix, `X`; of a frame one tensor of
        shape (rows, 1) for each column, by its name, and of an array with strings `x0`, `x1`, ...:

        - numbers as float64, NaN where missing; durations as seconds;
        - times as float64 seconds since 1970 in UTC, NaN where missing;
        - categories as strings, int64 or bools, whatever they are. A value that was no category in
          training is taken as missing, so any text that is none stands for a missing string; of
          bools and whole numbers of which some were missing in training, and of other numbers,
          cells are float64, NaN where missing.

        It gives `label`, shape (rows,), int64 or strings, or (rows, labels) of 0 and 1, and
        `probabilities`, (rows, classes) or (rows, labels); or of a regressor `variable`, (rows,
        targets), with `std` beside if loss="gaussian", and with `quantiles` if loss="quantile",
        (rows, levels), or (rows, targets, levels) for several targets. Numbers are computed in
        the types in which the estimator computes them. Equal estimators give equal bytes.

        Args:
            path: The file, usually `*.onnx`; its directory exists. A link is followed.
            opset: Version of ONNX's operators, 13 to 25; runtimes know all up to one.

        Raises:
            ImportError: The package onnx is not installed.
            OSError: It could not be written; the message tells why and what to do.
            TypeError: An argument has another type.
            ValueError: `opset` is out of range, or ONNX cannot express a part, which the message
                names: an activation of your own, a column with categories of several types.

        Example:
            >>> import tempfile
            >>> import numpy as np
            >>> from jaxmlp.sklearn import MLPRegressor
            >>> x = np.linspace(0, 1, 50)[:, None]
            >>> model = MLPRegressor(solver="lbfgs", random_state=0).fit(x, x.ravel())
            >>> path = Path(tempfile.mkdtemp()) / "model.onnx"
            >>> model.to_onnx(path)
            >>> path.exists()
            True

        References:
            Open Neural Network Exchange, https://onnx.ai/onnx/repo-docs/IR.html
        """
        require_path("path", path)
        try:
            importlib.import_module("onnx")
        except ImportError as error:
            raise ImportError(
                "to_onnx needs onnx, which is not installed; pip install 'jaxmlp[onnx]'."
            ) from error
        from ..interchange.onnx import MAX_OPSET, MIN_OPSET
        from .export import bytes_of_estimator

        require_int("opset", opset, MIN_OPSET, MAX_OPSET + 1)
        check_is_fitted(self, "coefs_")
        write_atomically(path, [bytes_of_estimator(self, int(opset))], follow_links=True)

    def onnx_parser(self) -> Callable[..., Any]:
        """Tells skl2onnx what the estimator gives.

        A classifier has the option `zipmap`, as skl2onnx's own have it: True, False or "columns".
        """
        from .export import declare_outputs, register

        register(type(self), is_classifier=is_classifier(self))
        return lambda scope, inputs: declare_outputs(scope, self, inputs)

    def onnx_shape_calculator(self) -> Callable[[Any], None]:
        """Tells skl2onnx the shapes of what the estimator gives."""
        from .export import leave_shapes

        return leave_shapes

    def onnx_converter(self) -> Callable[[Any, Any, Any], None]:
        """Tells skl2onnx the nodes that compute what the estimator predicts."""
        from .export import convert

        return convert
