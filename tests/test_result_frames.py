"""Tests that results as frames have the numbers of their histories and tables."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from fits import LINEAR, VALIDATION, fit, make_loader

import jaxmlp


def init(key):
    return jaxmlp.init_params(LINEAR["loss_fn"].config, key=key)


def fit_members(**settings):
    return jaxmlp.fit_members(
        LINEAR["loss_fn"],
        LINEAR["optimizer"],
        init,
        make_loader(),
        **{"epochs": 3, "keys": jax.random.split(jax.random.key(0), 3)} | settings,
    )


def test_a_run_has_a_row_per_epoch():
    result = fit(**LINEAR, epochs=3, validation=VALIDATION)
    frame = result.to_frame()
    assert list(frame) == list(result.history)
    assert frame["epoch"].tolist() == [0, 1, 2]
    for name, values in result.history.items():
        np.testing.assert_array_equal(frame[name], values)


def test_a_run_without_an_epoch_has_no_row():
    assert (
        len(jaxmlp.FitResult({}, {"epoch": np.zeros(0, int)}, None, -1, "interrupt").to_frame())
        == 0
    )


def test_members_have_a_row_for_each_epoch_that_they_ran():
    def keep(epochs, history):
        assert history["loss"].shape == (3, epochs)
        return np.array([epochs < 2, True, False])

    result = fit_members(stages=[1, 2], keep=keep)
    frame = result.to_frame()
    assert frame["member"].tolist() == [0, 0, 1, 1, 1, 2]
    assert frame["epoch"].tolist() == [0, 1, 0, 1, 2, 0]
    found = frame.pivot(index="member", columns="epoch", values="loss")
    np.testing.assert_array_equal(found, result.history["loss"])


def test_a_value_that_is_undefined_within_a_run_keeps_its_row():
    history = {
        "loss": np.array([[1.0, np.nan, 2.0, np.nan]]),
        "accuracy": np.array([[np.nan, np.nan, 0.5, np.nan]]),
    }
    zeros = np.zeros(1, int)
    frame = jaxmlp.MembersResult((), history, zeros, zeros, np.array(["x"]), zeros).to_frame()
    assert frame["epoch"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(frame["accuracy"], [np.nan, np.nan, 0.5])


def test_a_search_has_a_row_per_candidate():
    candidates = {"rate": [0.1, 0.2], "decay": [(0.0,), (0.1, 0.2)]}
    table = {**candidates, "score_mean": np.array([1.0, 2.0]), "rank": np.array([1, 2])}
    result = jaxmlp.SearchResult(table, 0, {"rate": 0.1}, None, "loss", "min", None)
    pd.testing.assert_frame_equal(result.to_frame(), pd.DataFrame(table))


def test_numbers_of_16_bits_can_be_computed_with():
    history = {"epoch": np.arange(2), "loss": np.asarray(jnp.array([1.0, 2.0], jnp.bfloat16))}
    frame = jaxmlp.FitResult({}, history, None, 0, "epochs").to_frame()
    assert frame["loss"].dtype == np.float32
    assert frame["loss"].mean() == 1.5


def test_a_missing_pandas_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    result = jaxmlp.FitResult({}, {"epoch": np.arange(1)}, None, 0, "epochs")
    with pytest.raises(ImportError, match=r"to_frame needs pandas.*pip install pandas"):
        result.to_frame()
