"""Tests of `transform`: in the loader as in every driver of `fit`, compiled once."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fits import (
    DRIVERS,
    LINEAR,
    WEIGHT,
    X,
    Y,
    assert_same,
    differs,
    fit,
    fit_with,
    make_loader,
    train_by_hand,
)

from jaxmlp import Batch, DataLoader, NonFiniteError

BYTES = np.random.default_rng(3).integers(0, 256, X.shape).astype(np.uint8)


class Scale:
    """Turns bytes into numbers in [0, 1], and counts how often Python runs it: once per trace."""

    def __init__(self):
        self.traces = 0

    def __call__(self, batch):
        self.traces += 1
        return batch._replace(x=batch.x.astype(jnp.float32) / jnp.float32(256))


def loader_of(transform, x=BYTES, **settings):
    return make_loader(x, Y, WEIGHT, transform=transform, **settings)


class Stored:
    """The same rows, not in memory."""

    chunks = None

    def __len__(self):
        return len(X)

    def read(self, rows):
        return Batch(BYTES[rows], Y[rows], WEIGHT[rows])

    def fingerprint(self):
        return "stored"


def test_iterating_yields_transformed_batches():
    expected = make_loader((BYTES / 256).astype(np.float32), Y, WEIGHT)
    for one, other in zip(loader_of(Scale()), expected, strict=True):
        assert isinstance(one.x, jax.Array)
        assert_same(one, jax.tree.map(jnp.asarray, other))


def test_rows_stay_as_they_are_until_then():
    loader = loader_of(Scale())
    assert loader.rows.x.dtype == loader.read(np.arange(3)).x.dtype == np.uint8


def test_iterating_traces_it_once():
    scale = Scale()
    loader = loader_of(scale)
    for _ in range(3):
        list(loader)
    assert scale.traces == 1


@pytest.mark.parametrize("name", sorted({*DRIVERS} - {"chunks of an epoch", "all epochs"}))
def test_every_driver_trains_on_transformed_batches_and_traces_it_once(name, monkeypatch):
    scale = Scale()
    result = fit_with(name, monkeypatch, loader_of(scale), **LINEAR)
    # A division by a power of two is exact.
    scaled = make_loader((BYTES / 256).astype(np.float32), Y, WEIGHT)
    expected = train_by_hand(scaled, **LINEAR)[0][-1]
    assert_same(result.state, expected)
    assert scale.traces == 1
    # Without it, the inputs are 256 times as large.
    plain = fit(make_loader(BYTES.astype(np.float32), Y, WEIGHT), **LINEAR)
    assert differs(result.params, plain.params)


def test_rows_that_are_not_in_memory_train_to_the_same_parameters():
    settings = {"batch_size": 12, "shuffle": True, "seed": 3}
    stored = DataLoader(Stored(), transform=Scale(), **settings)
    expected = fit(loader_of(Scale()), driver="step", **LINEAR)
    for driver in ("auto", "step"):
        assert_same(fit(stored, driver=driver, **LINEAR).params, expected.params)


@pytest.mark.parametrize("driver", ["epoch", "epochs"])
def test_rows_that_are_not_in_memory_are_no_epochs_on_the_device(driver):
    loader = DataLoader(Stored(), batch_size=12)
    with pytest.raises(ValueError, match=f"driver='{driver}' needs dense rows in memory"):
        fit(loader, driver=driver)


def test_validation_rows_of_a_loader_go_through_its_transform():
    scaled = (BYTES / 256).astype(np.float32)
    by_loader, stored, by_hand = (
        fit(**LINEAR, validation=validation).history["validation_loss"]
        for validation in (
            loader_of(Scale()),
            DataLoader(Stored(), batch_size=7, transform=Scale()),
            (scaled, Y, WEIGHT),
        )
    )
    np.testing.assert_array_equal(by_loader, by_hand)
    np.testing.assert_array_equal(stored, by_hand)


@pytest.mark.parametrize("driver", ["step", "epoch"])
def test_a_bad_step_is_found_through_it(driver):
    def spoil(batch):
        return batch._replace(x=jnp.where(batch.x == 77, jnp.float32(jnp.nan), batch.x))

    x = X.copy()
    x[31] = 77
    with pytest.raises(NonFiniteError, match=r"the batch itself is not finite in x") as caught:
        fit(loader_of(spoil, x), driver=driver, **LINEAR)
    step = int(np.flatnonzero((loader_of(spoil).index(0) == 31).any(axis=1))[0])
    assert caught.value.step == step
    assert 31 in caught.value.rows


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (lambda batch: Batch(batch.x, batch.y), "transform must keep the weight of every row, by"),
        (lambda batch: batch.x, "transform must return a Batch, as .*; got a "),
    ],
)
def test_what_loses_the_weights_is_refused(transform, message):
    loader = loader_of(transform, X)
    for use in (lambda: list(loader), lambda: fit(loader, **LINEAR)):
        with pytest.raises(TypeError, match=message):
            use()


@pytest.mark.bad_input
def test_it_must_be_a_function():
    with pytest.raises(
        TypeError, match=r"transform must be a function .batch. -> batch, of JAX arrays; got 3"
    ):
        loader_of(3)


def test_it_may_change_the_shape_of_rows():
    def flip(batch):
        both = jnp.concatenate([batch.x, batch.x[:, ::-1]])
        return Batch(both, jnp.tile(batch.y, 2), jnp.tile(batch.weight, 2))

    shapes = Counter(jax.tree.map(jnp.shape, batch) for batch in loader_of(flip))
    assert shapes == {Batch((24, 4), (24,), (24,)): 5}
