"""Estimators with scikit-learn's interface, for people who have a table.

Install `jaxmlp[sklearn]`. In reading order: `arguments` (what may be given), `cells` (objects into
arrays), `columns` (of frames of any package), `tables` (into numbers and codes of categories),
`heads` (what outputs mean: losses and predictions), `networks` (from scikit-learn's description of
a network to ours), `orders` (shuffles of a RandomState), `splitting` (rows to validate on),
`stochastic` (sgd and adam as a loss and an optimizer for `fit`), `lbfgs`, `scorers` (of a network
in training), `stopping` (whether to go on after an epoch), `callbacks` (what a user does then),
`training_loop`, `calibration` (a temperature for logits), `drop_in` (in which they meet:
scikit-learn's solvers), `solver_members` (many of these fits in one program); `presets`,
`preparation` (of a table's columns), `recipe_training`, `recipe_fit`, `inputs` (what is given, into
arrays); `devices`, `storable` (values into arrays), `estimator_files`, `curves` (of losses, drawn);
`program_files`, `lending` and `disk_cache` (programs that former processes compiled); `together`
(fits that are trained as one), `base` (what both estimators share), `classification`
(classes into targets and back), `classifier`, `regression` (numbers into targets and back),
`regressor`, `opening` (of files of either), `search_cv` (for the best arguments).
"""

from .classifier import MLPClassifier
from .opening import load
from .regressor import MLPRegressor
from .search_cv import MLPSearchCV
from .storable import make_storable

__all__ = ["MLPClassifier", "MLPRegressor", "MLPSearchCV", "load", "make_storable"]
