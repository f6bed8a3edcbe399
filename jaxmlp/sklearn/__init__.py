"""Estimators with scikit-learn's interface, for people who have a table.

Install `jaxmlp[sklearn]`. In reading order: `arguments` (what may be given), `tables` (columns of
frames of any package into numbers and codes of categories), `heads` (what outputs mean: losses and
predictions), `splitting` (rows to validate on), `scorers` (of a network in training), `callbacks`
(what a user does after an epoch), `calibration` (a temperature for logits), `solvers` (training as
scikit-learn's own), `recipes` (training by recipes for tables), `inputs` (what is given, into
arrays), `devices`, `storable` (values into arrays), `estimator_files`, `curves` (of losses, drawn),
`programs` (that former processes compiled), `export` (estimators as nodes of ONNX models),
`onnx_methods` (by which an estimator is written as one), `together` (fits that are trained as one),
`base` (what both estimators share), `classification` (classes into targets and back), `classifier`,
`regression` (numbers into targets and back), `regressor`, `opening` (of files of either),
`search_cv` (for the best arguments).
"""

from .classifier import MLPClassifier
from .opening import load
from .regressor import MLPRegressor
from .search_cv import MLPSearchCV
from .storable import make_storable

__all__ = ["MLPClassifier", "MLPRegressor", "MLPSearchCV", "load", "make_storable"]
