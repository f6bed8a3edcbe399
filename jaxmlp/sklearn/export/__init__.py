"""Writes fitted estimators as ONNX models.

In reading order: `table_inputs` (what a model takes), `prepared_nodes` (that into rows of a
network), `member_nodes` (rows into outputs of a recipe's members), `prediction_nodes` (outputs into
predictions), `models` (an estimator as a model), `converting` (an estimator as a part of a model
that skl2onnx writes).
"""

from .converting import convert, declare_outputs, leave_shapes, register
from .models import bytes_of_estimator

__all__ = ["bytes_of_estimator", "convert", "declare_outputs", "leave_shapes", "register"]
