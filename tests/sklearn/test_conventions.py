"""The estimators keep scikit-learn's conventions."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long

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
        print(result["check_name"], result["status"], repr(result["exception"]))
print(len(results))
"""


def run_checks(estimator, failing=()):
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, estimator],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
    )
    *failures, count = ran.stdout.splitlines()
    assert [failure.split()[0] for failure in failures] == [*failing], failures
    assert int(count) > 55


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_all_of_scikit_learns_checks_pass(kind):
    """None is skipped or expected to fail."""
    run_checks(f"{kind}(preset='sklearn', max_iter=100)")


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [
        "MLPClassifier()",
        "MLPRegressor()",
        "MLPClassifier(preset='realmlp')",
        "MLPRegressor(preset='realmlp')",
        # All epochs of its 32 members take an hour.
        "MLPClassifier(preset='tabm', max_iter=20)",
        "MLPRegressor(preset='tabm', max_iter=20)",
        "MLPClassifier(solver='sgd', learning_rate='adaptive')",
        "MLPRegressor(solver='sgd', learning_rate='adaptive')",
        # Without a penalty labels are fitted so well that probabilities are 1, which a check
        # refuses, of scikit-learn's own MLP too.
        "MLPClassifier(solver='lbfgs', alpha=1.0)",
        "MLPRegressor(solver='lbfgs')",
        "MLPRegressor(loss='gaussian', preset='sklearn', max_iter=100)",
        "MLPRegressor(loss='quantile', preset='sklearn', max_iter=100)",
        "MLPRegressor(loss='huber', activation='swiglu', norm='rms', max_iter=100)",
        "MLPClassifier((30, 30), norm='layer', residual=True, max_iter=100)",
    ],
)
def test_they_pass_with_every_preset_solver_and_head(estimator):
    run_checks(estimator)


@pytest.mark.slow
def test_with_dropout_all_pass_but_that_a_weight_of_k_is_k_rows():
    """Every row has a mask of its own, so that two rows are no longer one of twice the weight."""
    name = "check_sample_weight_equivalence_on"
    run_checks(
        "MLPClassifier(dropout=0.1, preset='sklearn')",
        (f"{name}_dense_data", f"{name}_sparse_data"),
    )
