"""Tests that an epoch's metrics are means over rows, whatever the batches and the metrics are."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import KEY, LINEAR, X, Y, fit, fit_with, make_loader
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxmlp
from jaxmlp.fitting.step_metrics import mean_metrics, row_weight

SGD = optax.sgd(0.0)


def mean_of_x(params, batch, key):
    del key
    rows = next(a for a in jax.tree.leaves(batch) if jnp.ndim(a) == 2)
    return params * jnp.mean(rows), {}


def history(batches, loss_fn=mean_of_x, **chosen):
    return fit(batches, loss_fn=loss_fn, optimizer=SGD, params=jnp.ones(()), **chosen).history


ROWS = np.arange(10, dtype=np.float32)[:, None] ** 2
KINDS = {
    "array": lambda x: x,
    "tuple": lambda x: (x, x[:, 0]),
    "dict": lambda x: {"x": x, "scale": 2.0},
    "Batch": jaxmlp.Batch,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", [(7,), (1, 2, 3), (9,)])
def test_a_batch_without_weights_counts_by_its_rows(kind, cuts):
    batches = [KINDS[kind](part) for part in np.split(ROWS, cuts)]
    got = history(batches, epochs=1)["loss"]
    # A mean of ten float32 numbers.
    np.testing.assert_allclose(got, ROWS.mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("batch", "rows"),
    [
        ((X, Y), 50),
        ((X, Y[:7]), 1),
        ({"a": 3.0, "b": X[:7]}, 7),
        ({"a": 3.0}, 1),
        (jaxmlp.Batch(X, Y, np.full(50, 0.5)), 25),
        (jaxmlp.Batch(X, Y, np.ones(50, bool)), 50),
        (jaxmlp.Batch(X, Y, np.full(50, 255, np.uint8)), 50 * 255),
        (jaxmlp.Batch(X, Y, np.full(50, 60000, np.float16)), 3e6),
    ],
)
def test_what_a_batch_counts_is_its_weight_or_its_number_of_rows(batch, rows):
    # float16 rounds 60000 to 59 ** a few; all sums are exact in float32.
    assert row_weight(batch) == pytest.approx(rows, rel=1e-3)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 50), max_size=5), st.sampled_from([None, -100, 100]))
def test_means_over_any_batches_are_those_of_all_rows(cuts, exponent):
    values = np.arange(50.0)
    weight = np.ones(50) if exponent is None else np.arange(1.0, 51) * 2.0**exponent
    parts = [p for p in np.split(np.arange(50), sorted(cuts)) if len(p)]
    steps = {
        "loss": jnp.array([np.average(values[p], weights=weight[p]) for p in parts]),
        "weight": jnp.array([weight[p].sum() for p in parts]),
    }
    # Sums of up to 50 float32 numbers.
    np.testing.assert_allclose(
        mean_metrics(steps)["loss"], np.average(values, weights=weight), rtol=2e-6
    )


def sometimes(params, batch, key):
    """A metric of the rows of class 2, which not every batch has; and one that is never defined."""
    del key
    has, x = batch.y == 2, batch.x[:, 0]
    value = jnp.sum(jnp.where(has, x, 0)) / jnp.sum(has, dtype=float)
    loss = params * jnp.mean(x)
    return loss, {"of_class_2": value, "never": jnp.nan * loss}


@pytest.mark.parametrize("name", ["step", "chunks of 2", "all epochs"])
class TestUndefinedMetrics:
    LOADER = make_loader(y=np.where(np.arange(50) < 20, 2, 0), shuffle=False, weight=None)
    # The first batch is of class 2 alone; the second has 8 of 12; the others have none.
    EXPECTED = np.average([X[:12, 0].mean(), X[12:20, 0].mean()])

    def run(self, name, monkeypatch, **chosen):
        fixed = {"loss_fn": sometimes, "optimizer": SGD, "params": jnp.ones(())}
        return fit_with(name, monkeypatch, self.LOADER, **fixed | chosen)

    def test_the_mean_is_over_the_batches_where_it_is_defined(self, name, monkeypatch):
        got = self.run(name, monkeypatch, epochs=2).history["of_class_2"]
        np.testing.assert_allclose(got, [self.EXPECTED] * 2, rtol=1e-5)

    def test_what_is_defined_nowhere_is_nan(self, name, monkeypatch):
        assert np.isnan(self.run(name, monkeypatch, epochs=2).history["never"]).all()

    def test_it_is_the_same_where_bad_steps_are_skipped(self, name, monkeypatch):
        got = self.run(name, monkeypatch, epochs=2, nonfinite="skip").history["of_class_2"]
        np.testing.assert_allclose(got, [self.EXPECTED] * 2, rtol=1e-5)


def test_a_loss_that_is_nan_is_not_left_out():
    steps = {"loss": jnp.array([1.0, jnp.nan]), "weight": jnp.ones(2)}
    assert np.isnan(mean_metrics(steps)["loss"])


@pytest.mark.parametrize("sigma", [1e-150, 1.6e-19, 1.0, 3e18, 1e19, 1e150])
@pytest.mark.parametrize("accumulate_steps", [1, 2])
def test_the_scale_of_a_loaders_weights_does_not_count(sigma, accumulate_steps):
    weight = np.linspace(1, 2, 50) * sigma**-2
    chosen = LINEAR | {"epochs": 2, "accumulate_steps": accumulate_steps}
    got = fit(make_loader(weight=weight), **chosen).history["loss"]
    expected = fit(make_loader(weight=np.linspace(1, 2, 50)), **chosen).history["loss"]
    # Weights are rounded to float32 at another scale.
    np.testing.assert_allclose(got, expected, rtol=1e-5)


class TestValidation:
    @pytest.mark.parametrize(
        "validation",
        [
            jaxmlp.Batch(X[:0], Y[:0]),
            {"x": X[:0]},
            (X[:0], Y[:0]),
        ],
        ids=["Batch", "dict", "tuple"],
    )
    def test_without_rows_is_refused(self, validation):
        with pytest.raises(ValueError, match=r"must have at least one row|got none|no rows"):
            fit(**LINEAR, validation=validation)

    OF_WEIGHT_0 = jaxmlp.Batch(X, Y, np.zeros(50, np.float32))
    MESSAGE = "validation must have a row of weight above 0, .*; got 50 of weight 0"

    def test_of_weight_0_is_refused(self):
        with pytest.raises(ValueError, match=self.MESSAGE):
            fit(**LINEAR, validation=self.OF_WEIGHT_0)

    def test_of_weight_0_is_refused_for_members(self):
        stacked = jax.tree.map(lambda a: jnp.stack([a, a]), LINEAR["params"])
        keys = jax.random.split(KEY, 2)
        rows = {"epochs": 1, "validation": self.OF_WEIGHT_0}
        with pytest.raises(ValueError, match=self.MESSAGE):
            jaxmlp.fit_members(LINEAR["loss_fn"], SGD, stacked, make_loader(), keys=keys, **rows)

    def test_of_weight_0_behind_a_transform_is_refused(self):
        def forget(batch):
            return batch._replace(weight=0 * batch.weight)

        loader = make_loader(transform=forget)
        with pytest.raises(ValueError, match="validation must have a row of weight above 0"):
            fit(**LINEAR, validation=loader)
