"""Tests that the programs of a GPU do what those of a CPU do, here both on a CPU."""

import functools

import jax
import numpy as np
import optax
import pytest
from fits import (
    DRIVERS,
    KEY,
    LINEAR,
    LINEAR_CONFIG,
    OPTIMIZER,
    PARAMS,
    VALIDATION,
    assert_same,
    fit_with,
    make_loader,
)

import jaxmlp
from jaxmlp.fitting import row_blocks
from jaxmlp.fitting.buckets import places_for


@pytest.fixture
def on_gpu(monkeypatch):
    """Has the library take this machine for one whose default device is a GPU."""

    def pretend():
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")

    return pretend


def test_the_compiler_knows_how_many_steps_an_epoch_has(on_gpu):
    assert places_for(57) == (64, np.int32(57))
    on_gpu()
    assert places_for(57) == (57, None)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_fit_gives_the_same_bits(name, on_gpu, monkeypatch):
    wanted = fit_with(name, monkeypatch, validation=VALIDATION)
    on_gpu()
    got = fit_with(name, monkeypatch, validation=VALIDATION)
    assert_same(got.state, wanted.state)
    assert_same(got.history, wanted.history)


@pytest.mark.parametrize("validation", [None, VALIDATION], ids=["alone", "validated"])
def test_members_get_the_same_bits(validation, on_gpu):
    fit_members = functools.partial(
        jaxmlp.fit_members,
        LINEAR["loss_fn"],
        lambda h: optax.sgd(h["learning_rate"], momentum=0.9),
        lambda key: jaxmlp.init_params(LINEAR_CONFIG, key=key),
        make_loader(),
        epochs=3,
        keys=jax.random.split(jax.random.key(0), 5),
        hyperparameters={"learning_rate": np.linspace(0.1, 0.5, 5)},
        seeds=range(5),
        validation=validation,
        strategy="vmap",
    )
    wanted = fit_members()
    on_gpu()
    got = fit_members()
    assert_same(got.params, wanted.params)
    assert_same(dict(got.history), dict(wanted.history))


def test_a_run_that_stopped_on_a_cpu_goes_on_there(tmp_path, on_gpu):
    fit = functools.partial(
        jaxmlp.fit, LINEAR["loss_fn"], OPTIMIZER, LINEAR["params"], make_loader(), key=KEY
    )
    wanted = fit(epochs=5)
    fit(epochs=2, checkpoint=tmp_path)
    on_gpu()
    got = fit(epochs=5, checkpoint=tmp_path, resume=True)
    assert_same(got.state, wanted.state)
    assert_same(got.history, wanted.history)


@pytest.mark.parametrize(("rows", "places"), [(1, 64), (64, 64), (65, 256), (250, 256), (300, 256)])
def test_few_rows_go_to_a_gpu_in_one_block(rows, places, on_gpu, monkeypatch):
    config = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=3)
    params = jax.tree.map(np.asarray, PARAMS)
    x = np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)
    sent, run = [], row_blocks._run
    monkeypatch.setattr(row_blocks, "_BLOCKS", 4)
    monkeypatch.setattr(
        row_blocks, "_run", lambda *given: (sent.append(len(given[4])), run(*given))[1]
    )
    wanted = jaxmlp.predict(params, x, config=config, batch_size=64)
    sent.clear()
    on_gpu()
    got = jaxmlp.predict(params, x, config=config, batch_size=64)
    np.testing.assert_array_equal(got, wanted)
    assert sent[0] == places
    assert sum(sent) >= rows
