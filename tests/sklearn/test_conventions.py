"""The estimators keep scikit-learn's conventions."""

import os
import subprocess
import sys

import pytest

# In a process of its own: SciPy reads the variable when it is imported.
SCRIPT = """
import sys, warnings
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator
from jaxmlp.sklearn import MLPClassifier, MLPRegressor
warnings.simplefilter("ignore", ConvergenceWarning)
results = check_estimator(eval(sys.argv[1]), on_skip=None, on_fail=None)
for result in results:
    if result["status"] != "passed":
        print(result["check_name"], result["status"], result["exception"])
print(len(results))
"""


def run_checks(estimator):
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, estimator],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
    )
    *failures, count = ran.stdout.splitlines()
    assert not failures
    assert int(count) > 55


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_all_of_scikit_learns_checks_pass(kind):
    """None is skipped or expected to fail; with as many epochs as it gives its own MLP."""
    run_checks(f"{kind}(max_iter=100)")


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [
        "MLPClassifier()",
        "MLPRegressor()",
        "MLPClassifier(solver='sgd', learning_rate='adaptive')",
        "MLPRegressor(solver='sgd', learning_rate='adaptive')",
        # Without a penalty labels are fitted so well that probabilities are 1, which a check
        # refuses, of scikit-learn's own MLP too.
        "MLPClassifier(solver='lbfgs', alpha=1.0)",
        "MLPRegressor(solver='lbfgs')",
    ],
)
def test_they_pass_with_every_solver(estimator):
    run_checks(estimator)
