"""Estimators of every preset, loss and kind of table say the same as ONNX models."""

import pytest
from estimator_family import fitted
from onnx_served import model_of, require_same

# Of every preset with every kind of table two, and more where there is time.
FIRST, MANY = 36, 200
OPSETS = range(13, 26)


@pytest.mark.parametrize(
    "seed",
    [
        *range(FIRST),
        *(pytest.param(seed, marks=pytest.mark.long) for seed in range(FIRST, MANY)),
    ],
)
def test_a_model_says_what_its_estimator_says(seed, tmp_path):
    case = fitted(seed)
    require_same(case.estimator, model_of(case.estimator, tmp_path), case.rows)


# A network of layers with norms on a messy table, and one with embeddings.
@pytest.mark.parametrize("seed", [5, 17])
def test_all_opsets_say_the_same(seed, tmp_path):
    case = fitted(seed)
    for opset in OPSETS:
        model = model_of(case.estimator, tmp_path, opset=opset)
        assert [each.version for each in model.opset_import if not each.domain] == [opset]
        require_same(case.estimator, model, case.rows)
