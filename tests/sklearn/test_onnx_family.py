"""Estimators of every preset, loss and kind of table say the same as ONNX models."""

import numpy as np
import pytest
from estimator_family import fitted, move, untrained
from messy import messy_table
from onnx_served import model_of, require_same

from jaxmlp.sklearn import MLPClassifier, MLPRegressor

# Of every preset with every kind of table one, and more where there is time.
FIRST, MORE, MANY = 18, 72, 200
OPSETS = range(13, 26)


@pytest.mark.parametrize(
    "seed",
    [
        *range(FIRST),
        *(pytest.param(seed, marks=pytest.mark.long) for seed in range(FIRST, MORE)),
        *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(MORE, MANY)),
    ],
)
def test_a_model_says_what_its_estimator_says(seed, tmp_path):
    case = fitted(seed)
    require_same(case.estimator, model_of(case.estimator, tmp_path), case.rows)


# A network of layers with norms on a messy table, and one with embeddings.
@pytest.mark.parametrize("seed", [5, pytest.param(17, marks=pytest.mark.long)])
def test_all_opsets_say_the_same(seed, tmp_path):
    case = fitted(seed)
    for opset in OPSETS:
        model = model_of(case.estimator, tmp_path, opset=opset)
        assert [each.version for each in model.opset_import if not each.domain] == [opset]
        require_same(case.estimator, model, case.rows)


@pytest.mark.long
@pytest.mark.parametrize("preset", ["auto", "realmlp", "tabm"])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_the_published_recipes_are_written_too(kind, preset, tmp_path):
    table, y = messy_table(150)
    y = y if kind is MLPClassifier else table["count"] + 0.5
    estimator = kind(preset=preset, n_ensemble=2, random_state=0)
    with untrained():
        estimator.fit(table[:120], y[:120])
    move(estimator, np.random.default_rng(0))
    require_same(estimator, model_of(estimator, tmp_path), table[120:])
