"""Tests of `evaluate` and `predict`: the numbers of all rows together, however they are cut."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from compilations import compilations
from fits import CONFIG, LOSS, PARAMS, VALIDATION, WEIGHT, X, Y, fit, make_loader

import jaxmlp
from jaxmlp.fitting import evaluation

# Forward passes in another program, and sums in another order.
RTOL = 1e-5


def test_evaluate_gives_what_fit_gives_of_validation_rows():
    result = fit(validation=VALIDATION, epochs=1)
    scores = jaxmlp.evaluate(LOSS, result.state.params, VALIDATION)
    assert list(scores) == ["loss", "accuracy"]
    for name, value in scores.items():
        assert value == pytest.approx(float(result.history[f"validation_{name}"][0]), rel=RTOL)


DATA = {
    "tuple": (X, Y, WEIGHT),
    "batch": jaxmlp.Batch(X, Y, WEIGHT),
    "loader": make_loader(),
    "batches": [jaxmlp.Batch(X[i : i + 7], Y[i : i + 7], WEIGHT[i : i + 7]) for i in (0, 7, 14)]
    + [jaxmlp.Batch(X[21:], Y[21:], WEIGHT[21:])],
    "sparse": jaxmlp.DataLoader(scipy.sparse.csr_matrix(X), Y, WEIGHT, batch_size=8),
}


@pytest.mark.parametrize("name", DATA)
def test_evaluate_takes_rows_of_any_kind(name):
    loss, metrics = LOSS(PARAMS, jaxmlp.Batch(X, Y, WEIGHT), None)
    scores = jaxmlp.evaluate(LOSS, PARAMS, DATA[name])
    assert scores["loss"] == pytest.approx(float(loss), rel=RTOL)
    assert scores["accuracy"] == pytest.approx(float(metrics["accuracy"]), rel=RTOL)


def test_metrics_that_are_no_means_are_those_of_all_rows():
    binary, labels = (Y == 1).astype(int), {"auc": jaxmlp.metrics.roc_auc}
    config = jaxmlp.MLPConfig(in_features=4, out_features=1)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.sigmoid_binary_cross_entropy, metrics=labels)
    whole = jaxmlp.metrics.roc_auc(jaxmlp.apply(params, X, config=config), binary)
    batches = [jaxmlp.Batch(X[i::3], binary[i::3]) for i in range(3)]
    assert jaxmlp.evaluate(loss_fn, params, batches)["auc"] == pytest.approx(float(whole), rel=RTOL)


def test_a_loss_of_your_own_is_a_mean_over_batches_by_their_weight():
    def loss_fn(params, batch, key):
        del params, key
        return jaxmlp.weighted_mean(batch.x[:, 0], batch.weight), {}

    batches = [jaxmlp.Batch(X[:9], None, WEIGHT[:9]), jaxmlp.Batch(X[9:], None, WEIGHT[9:])]
    expected = np.average(X[:, 0].astype(np.float64), weights=WEIGHT)
    assert jaxmlp.evaluate(loss_fn, {}, batches)["loss"] == pytest.approx(expected, rel=RTOL)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 31])
def test_validation_in_blocks_gives_the_numbers_of_all_rows(count, monkeypatch):
    batch = jaxmlp.Batch(X[:count], Y[:count], WEIGHT[:count])
    loss, metrics = LOSS(PARAMS, batch, None)
    monkeypatch.setattr(evaluation, "_MOST_ROWS", 8)
    blocked, of_blocks = jax.jit(lambda b: evaluation.evaluate_rows(LOSS, PARAMS, b))(batch)
    np.testing.assert_allclose(blocked, loss, rtol=RTOL)
    np.testing.assert_allclose(of_blocks["accuracy"], metrics["accuracy"], rtol=RTOL)


def test_validation_takes_memory_for_a_block_of_activations():
    config = jaxmlp.MLPConfig(in_features=8, hidden_features=(512, 512), out_features=1)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.squared_error)
    rows = jaxmlp.Batch(np.zeros((2**17, 8), np.float32), np.zeros(2**17, np.float32))

    def compiled(function):
        return jax.jit(function).lower(params, rows).compile().memory_analysis()

    whole = compiled(lambda p, b: loss_fn(p, b, None))
    blocks = compiled(lambda p, b: evaluation.evaluate_rows(loss_fn, p, b))
    # 2**17 rows of 512 numbers take 256 MiB; a block of 2**11 rows 4 MiB a layer.
    assert whole.temp_size_in_bytes > 2**27
    assert blocks.temp_size_in_bytes < 2**25


@pytest.mark.parametrize("count", [1, 2, 49, 50])
@pytest.mark.parametrize("batch_size", [1, 16, 50, 1024])
def test_predict_gives_what_apply_gives(count, batch_size):
    outputs = jaxmlp.predict(PARAMS, X[:count], config=CONFIG, batch_size=batch_size)
    expected = jaxmlp.apply(PARAMS, X[:count], config=CONFIG)
    assert outputs.shape == expected.shape
    np.testing.assert_allclose(outputs, expected, rtol=RTOL, atol=1e-6)


def test_predictions_do_not_depend_on_the_rows_beside():
    whole = jaxmlp.predict(PARAMS, X, config=CONFIG, batch_size=16)
    for cut in (1, 5, 16, 33):
        parts = [
            jaxmlp.predict(PARAMS, X[i : i + cut], config=CONFIG, batch_size=16)
            for i in range(0, len(X), cut)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(
    "kind", [pd.DataFrame, scipy.sparse.csr_matrix, list, lambda x: make_loader(x, Y, None)]
)
def test_predict_takes_rows_of_any_kind(kind):
    rows = kind(X.tolist() if kind is list else X)
    expected = jaxmlp.apply(PARAMS, X, config=CONFIG)
    outputs = jaxmlp.predict(PARAMS, rows, config=CONFIG)
    np.testing.assert_allclose(outputs, expected, rtol=RTOL, atol=1e-6)


@pytest.mark.parametrize(("x", "message"), [(X[0], r"use x\[None\]"), (X[:0], "at least one row")])
def test_predict_refuses_what_has_no_rows(x, message):
    with pytest.raises(ValueError, match=message):
        jaxmlp.predict(PARAMS, x, config=CONFIG)


@pytest.mark.parametrize("dtype", [object, str, "datetime64[D]", complex])
def test_predict_refuses_what_is_no_number(dtype):
    with pytest.raises(TypeError, match="x must be a floating or integer NumPy or JAX array; got"):
        jaxmlp.predict(PARAMS, X.astype(dtype), config=CONFIG)


def test_what_predict_refuses_is_told_by_the_shape_that_it_was_given():
    with pytest.raises(ValueError, match=rf"got x\.shape=\({len(X)}, 3\)"):
        jaxmlp.predict(PARAMS, X[:, :3], config=CONFIG)


@pytest.mark.parametrize("count", [len(X), 9000])
def test_predict_takes_rows_through_the_transform_of_a_loader(count):
    rows = np.resize(X, (count, X.shape[1]))

    def halve(batch):
        return batch._replace(x=batch.x * batch.weight[:, None] / 2)

    loader = jaxmlp.DataLoader(rows, batch_size=7, transform=halve)
    got = jaxmlp.predict(PARAMS, loader, config=CONFIG)
    np.testing.assert_array_equal(got, jaxmlp.predict(PARAMS, rows / 2, config=CONFIG))


def test_predictions_lie_on_the_device_of_the_parameters():
    first, second = jax.devices()
    bound = jax.device_put(PARAMS, second)
    assert jaxmlp.predict(bound, X, config=CONFIG).devices() == {second}
    assert jaxmlp.predict(PARAMS, X, config=CONFIG).devices() == {first}


@pytest.mark.parametrize("data", [3, "rows", {"x": X}])
def test_evaluate_refuses_what_is_no_data(data):
    with pytest.raises(TypeError, match="data must be"):
        jaxmlp.evaluate(LOSS, PARAMS, data)


def test_evaluate_needs_a_batch():
    with pytest.raises(ValueError, match="at least one batch"):
        jaxmlp.evaluate(LOSS, PARAMS, [])


def test_files_are_evaluated_batch_by_batch(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    source = jaxmlp.sources.npy(tmp_path / "x.npy", tmp_path / "y.npy")
    loader = jaxmlp.DataLoader(source, batch_size=16, shuffle=True)
    loss, _ = LOSS(PARAMS, jaxmlp.Batch(X, Y), None)
    scores = jaxmlp.evaluate(LOSS, PARAMS, loader)
    assert scores["loss"] == pytest.approx(float(loss), rel=RTOL)
    outputs = jaxmlp.predict(PARAMS, loader, config=CONFIG)
    expected = jaxmlp.apply(PARAMS, X, config=CONFIG)
    np.testing.assert_allclose(outputs, expected, rtol=RTOL, atol=1e-6)


class TestFramesToValidateOn:
    """Columns go by their names, in whatever order they come."""

    frame = pd.DataFrame(X, columns=list("abcd"))

    def fit(self, validation):
        loader = jaxmlp.DataLoader(self.frame, Y, batch_size=12)
        return fit(loader, validation=validation, epochs=2).history["validation_loss"]

    def test_columns_in_another_order_are_put_in_the_order_of_training(self):
        expected = self.fit((self.frame, Y))
        np.testing.assert_array_equal(self.fit((self.frame[list("cadb")], Y)), expected)
        np.testing.assert_array_equal(self.fit((X, Y)), expected)

    def test_a_column_that_is_missing_is_named(self):
        with pytest.raises(ValueError, match="'b'"):
            self.fit((self.frame[list("acd")], Y))


class TestPredictingManyRows:
    """Rows go through one program in calls of many blocks, several at a time."""

    x = np.random.default_rng(0).normal(size=(20_000, 4)).astype(np.float32)

    def test_all_rows_come_out_in_their_order(self):
        outputs = jaxmlp.predict(PARAMS, self.x, config=CONFIG)
        expected = jaxmlp.apply(PARAMS, self.x, config=CONFIG)
        np.testing.assert_allclose(outputs, expected, rtol=RTOL, atol=1e-6)

    def test_a_row_gives_the_same_bits_alone_and_among_many(self):
        whole = jaxmlp.predict(PARAMS, self.x, config=CONFIG)
        for row in (0, 255, 256, 8191, 8192, 19_999):
            alone = jaxmlp.predict(PARAMS, self.x[row : row + 1], config=CONFIG)
            np.testing.assert_array_equal(alone[0], whole[row])

    def test_any_number_of_rows_is_one_program(self):
        config = dataclasses.replace(CONFIG, hidden_features=(7,))
        params = jaxmlp.init_params(config, key=jax.random.key(0))
        jaxmlp.predict(params, self.x[:3], config=config)
        with compilations() as programs:
            for count in (1, 300, 8192, 20_000):
                jaxmlp.predict(params, self.x[:count], config=config)
        assert not programs

    @pytest.mark.parametrize("kind", [jnp.asarray, list, lambda x: make_loader(x, None, None)])
    def test_rows_that_lie_elsewhere_give_the_same_bits(self, kind):
        rows = kind(self.x[:9000].tolist() if kind is list else self.x[:9000])
        outputs = jaxmlp.predict(PARAMS, rows, config=CONFIG)
        np.testing.assert_array_equal(outputs, jaxmlp.predict(PARAMS, self.x[:9000], config=CONFIG))

    def test_settings_of_this_thread_hold_in_the_others(self):
        with jax.enable_x64(True):
            config = dataclasses.replace(CONFIG, param_dtype="float64")
            params = jaxmlp.init_params(config, key=jax.random.key(0))
            outputs = jaxmlp.predict(params, self.x.astype(np.float64), config=config)
            expected = jaxmlp.apply(params, self.x.astype(np.float64), config=config)
        assert outputs.dtype == np.float64
        # Rounding of float64.
        np.testing.assert_allclose(outputs, expected, rtol=1e-12, atol=1e-14)

    def test_within_jax_s_transformations_blocks_are_part_of_the_program(self):
        expected = jaxmlp.predict(PARAMS, self.x[:600], config=CONFIG)

        def total(params):
            return jnp.sum(jaxmlp.predict(params, self.x[:600], config=CONFIG))

        traced = jax.jit(lambda p: jaxmlp.predict(p, self.x[:600], config=CONFIG))(PARAMS)
        np.testing.assert_allclose(traced, expected, rtol=RTOL, atol=1e-6)
        gradient = jax.grad(total)(PARAMS)
        # Each output's bias counts once per row.
        np.testing.assert_allclose(gradient.output.bias, 600, rtol=RTOL)

    def test_what_is_constant_within_a_jitted_function_is_computed_there(self):
        expected = jaxmlp.predict(PARAMS, self.x, config=CONFIG)
        traced = jax.jit(lambda: jaxmlp.predict(PARAMS, self.x, config=CONFIG))()
        np.testing.assert_allclose(traced, expected, rtol=RTOL, atol=1e-6)

    def test_bytes_in_another_order_are_the_same_numbers(self):
        expected = jaxmlp.predict(PARAMS, self.x, config=CONFIG)
        swapped = self.x.astype(self.x.dtype.newbyteorder())
        np.testing.assert_array_equal(jaxmlp.predict(PARAMS, swapped, config=CONFIG), expected)

    def test_what_a_block_raises_reaches_the_caller(self):
        with pytest.raises(ValueError, match=r"3 features .* initialised for 4"):
            jaxmlp.predict(PARAMS, self.x[:, :3], config=CONFIG)
