"""Estimators with scikit-learn's interface, for people who have a table.

Install `jaxmlp[sklearn]`. In reading order: `arguments` (what may be given), `networks` (from
scikit-learn's description of a network to ours), `orders` (shuffles of a RandomState), `splitting`
(rows to validate on), `stochastic` (sgd and adam as a loss and an optimizer for `fit`), `lbfgs`,
`stopping` (whether to go on after an epoch), `training_loop`, `program_files`, `lending` and
`disk_cache` (programs that former processes compiled), `base` (what both estimators share),
`classifier`, `regressor`.
"""

from .classifier import MLPClassifier
from .regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
