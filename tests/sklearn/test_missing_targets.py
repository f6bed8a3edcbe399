"""A target that is missing is refused by name, whatever it is held by."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from jaxmlp.sklearn import MLPClassifier, MLPRegressor

X = np.arange(8.0)[:, None]
LACKING = {
    "None alone": [None] * 8,
    "words": ["a", *["b"] * 6, None],
    "NaN beside words in a list": ["a", *["b"] * 6, float("nan")],
    "numbers": [1.0, *[2.0] * 6, None],
    "pairs": [[1.0, 2.0]] * 7 + [[3.0, None]],
    "pairs of None": [[None, None]] * 8,
    "pandas": pd.Series(["a", *["b"] * 6, pd.NA]),
    "pandas frame": pd.DataFrame({"one": ["a"] * 8, "two": ["b"] * 7 + [None]}),
    "polars": pl.Series(["a", *["b"] * 6, None]),
}


@pytest.mark.parametrize("table", [X, pd.DataFrame({"kind": list("aabbccdd")})], ids=type)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("y", LACKING.values(), ids=LACKING)
def test_it_is_told_with_its_row(kind, y, table):
    with pytest.raises(ValueError, match=r"Input y contains NaN: .* in row [07]\. Leave rows"):
        kind().fit(table, y)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_no_targets_at_all_are_told_as_scikit_learn_does(kind):
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        kind().fit(X, None)
