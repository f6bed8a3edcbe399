"""Tests of `make_loss` and `weighted_mean`: from a criterion to the loss of a batch."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp import Batch, MLPConfig, losses, make_loss, metrics, weighted_mean

CONFIG = MLPConfig(in_features=4, hidden_features=(8,), out_features=3, activation="tanh")
PARAMS = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype(np.float32)
Y = np.array([0, 2, 1, 1, 0, 2])
WEIGHT = np.array([1.0, 0.5, 2.0, 0.0, 1.0, 3.0], np.float32)

# Sums of a few float32 numbers near 1 in another order.
CLOSE = {"rtol": 1e-6, "atol": 1e-7}


def cross_entropy_loss(**settings):
    return make_loss(CONFIG, losses.softmax_cross_entropy, **settings)


def assert_same_loss_and_gradient(loss_fn, batch, other):
    value_and_grad = jax.value_and_grad(lambda p, b: loss_fn(p, b, None)[0])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **CLOSE),
        value_and_grad(PARAMS, batch),
        value_and_grad(PARAMS, other),
    )


class TestWeightedMean:
    def test_it_is_the_weighted_sum_over_the_sum_of_weights(self):
        values, weight = jnp.array([1.0, 2.0, 5.0]), jnp.array([1.0, 3.0, 0.5])
        assert weighted_mean(values, weight) == (1 + 6 + 2.5) / 4.5

    def test_no_weight_weighs_all_rows_alike(self):
        assert weighted_mean(jnp.array([1.0, 2.0, 6.0])) == 3.0

    def test_it_takes_any_batch_axes(self):
        values, weight = jnp.arange(6.0).reshape(2, 3), jnp.arange(6.0).reshape(2, 3)
        assert weighted_mean(values, weight) == 55 / 15

    @pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.float16])
    def test_weights_may_be_of_any_real_type(self, dtype):
        weight = np.array([1, 0, 1], dtype)
        assert weighted_mean(jnp.array([1.0, 2.0, 6.0]), weight) == 3.5

    def test_weights_of_0_alone_give_0(self):
        assert weighted_mean(jnp.array([1.0, 2.0]), jnp.zeros(2)) == 0

    def test_weights_of_0_alone_give_a_gradient_of_0(self):
        gradient = jax.grad(weighted_mean)(jnp.array([1.0, 2.0]), jnp.zeros(2))
        np.testing.assert_array_equal(gradient, [0, 0])

    @pytest.mark.parametrize("anything", [np.nan, np.inf, 1e38])
    def test_the_value_of_a_row_of_weight_0_may_be_anything(self, anything):
        assert weighted_mean(jnp.array([1.0, anything, 3.0]), jnp.array([1.0, 0.0, 1.0])) == 2

    def test_the_value_of_a_row_of_weight_0_has_no_gradient(self):
        gradient = jax.grad(weighted_mean)(jnp.array([1.0, np.nan]), jnp.array([1.0, 0.0]))
        np.testing.assert_array_equal(gradient, [1, 0])

    def test_nan_in_a_row_of_positive_weight_is_not_hidden(self):
        assert np.isnan(weighted_mean(jnp.array([1.0, np.nan]), jnp.array([1.0, 0.1])))

    def test_sums_beyond_the_range_of_float16_do_not_overflow(self):
        values = jnp.full(128, 1000, jnp.float16)
        assert weighted_mean(values, jnp.ones(128)) == 1000

    @pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
    def test_it_has_the_type_of_the_values(self, dtype):
        assert weighted_mean(jnp.ones(3, dtype), jnp.ones(3)).dtype == dtype

    @pytest.mark.bad_input
    @pytest.mark.parametrize("shape", [(), (1,), (3, 1), (2,)])
    def test_weights_do_not_broadcast(self, shape):
        message = r"weight must have one entry per row, shape \(3,\); got \("
        with pytest.raises(ValueError, match=message):
            weighted_mean(jnp.ones(3), jnp.ones(shape))


class TestLoss:
    def test_it_is_the_weighted_mean_of_the_criterion_of_the_outputs(self):
        loss, _ = cross_entropy_loss()(PARAMS, Batch(X, Y, WEIGHT), None)
        row_losses = losses.softmax_cross_entropy(jaxmlp.apply(PARAMS, X, config=CONFIG), Y)
        expected = np.average(np.float64(row_losses), weights=WEIGHT)
        np.testing.assert_allclose(loss, expected, **CLOSE)

    def test_no_weight_is_a_weight_of_1(self):
        ones = Batch(X, Y, np.ones(6, np.float32))
        assert_same_loss_and_gradient(cross_entropy_loss(), Batch(X, Y), ones)

    def test_weights_are_relative(self):
        assert_same_loss_and_gradient(
            cross_entropy_loss(), Batch(X, Y, WEIGHT), Batch(X, Y, 10 * WEIGHT)
        )

    def test_padding_rows_do_not_change_the_loss_and_its_gradient(self):
        padded = Batch(
            np.concatenate([X, 100 * X[:2]]),
            np.concatenate([Y, Y[:2]]),
            np.concatenate([WEIGHT, np.zeros(2, np.float32)]),
        )
        assert_same_loss_and_gradient(cross_entropy_loss(), Batch(X, Y, WEIGHT), padded)

    def test_the_order_of_rows_does_not_change_the_loss_and_its_gradient(self):
        order = np.array([3, 0, 5, 1, 4, 2])
        reordered = Batch(X[order], Y[order], WEIGHT[order])
        assert_same_loss_and_gradient(cross_entropy_loss(), Batch(X, Y, WEIGHT), reordered)

    def test_an_integer_weight_is_a_number_of_copies(self):
        copies = np.array([2, 0, 1, 1, 3, 1])
        repeated = Batch(np.repeat(X, copies, axis=0), np.repeat(Y, copies))
        assert_same_loss_and_gradient(cross_entropy_loss(), Batch(X, Y, copies), repeated)

    def test_a_batch_of_weight_0_has_no_loss_and_no_gradient(self):
        batch = Batch(X, Y, np.zeros(6, np.float32))
        gradient = jax.grad(lambda p: cross_entropy_loss()(p, batch, None)[0])(PARAMS)
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient))

    def test_the_key_reaches_dropout(self):
        config = MLPConfig(in_features=4, hidden_features=(8,), out_features=3, dropout_rate=0.5)
        loss_fn = make_loss(config, losses.softmax_cross_entropy)
        key = jax.random.key(1)
        loss, _ = loss_fn(PARAMS, Batch(X, Y), key)
        outputs = jaxmlp.apply(PARAMS, X, config=config, key=key)
        np.testing.assert_allclose(loss, losses.softmax_cross_entropy(outputs, Y).mean(), **CLOSE)

    def test_no_key_switches_dropout_off(self):
        config = MLPConfig(
            in_features=4, hidden_features=(8,), out_features=3, activation="tanh", dropout_rate=0.5
        )
        loss, _ = make_loss(config, losses.softmax_cross_entropy)(PARAMS, Batch(X, Y), None)
        assert loss == cross_entropy_loss()(PARAMS, Batch(X, Y), None)[0]

    def test_batch_axes_count_as_rows(self):
        loss, _ = cross_entropy_loss()(
            PARAMS, Batch(X.reshape(2, 3, 4), Y.reshape(2, 3), WEIGHT.reshape(2, 3)), None
        )
        expected, _ = cross_entropy_loss()(PARAMS, Batch(X, Y, WEIGHT), None)
        np.testing.assert_allclose(loss, expected, **CLOSE)


class TestMetrics:
    def test_they_are_given_outputs_targets_and_weight(self):
        seen = {}

        def remember(outputs, targets, weight):
            seen.update(outputs=outputs, targets=targets, weight=weight)
            return jnp.zeros(())

        cross_entropy_loss(metrics={"m": remember})(PARAMS, Batch(X, Y, WEIGHT), None)
        np.testing.assert_array_equal(seen["outputs"], jaxmlp.apply(PARAMS, X, config=CONFIG))
        np.testing.assert_array_equal(seen["targets"], Y)
        np.testing.assert_array_equal(seen["weight"], WEIGHT)

    def test_they_see_the_forward_pass_of_the_loss(self):
        config = MLPConfig(in_features=4, hidden_features=(8,), out_features=3, dropout_rate=0.5)
        loss_fn = make_loss(
            config,
            losses.softmax_cross_entropy,
            metrics={"mean_loss": lambda z, y, _: losses.softmax_cross_entropy(z, y).mean()},
        )
        loss, values = loss_fn(PARAMS, Batch(X, Y), jax.random.key(0))
        assert loss == values["mean_loss"]

    def test_they_are_returned_by_name(self):
        named = {"accuracy": metrics.accuracy, "top": metrics.top_k_accuracy(2)}
        _, values = cross_entropy_loss(metrics=named)(PARAMS, Batch(X, Y, WEIGHT), None)
        outputs = jaxmlp.apply(PARAMS, X, config=CONFIG)
        expected = {name: metric(outputs, Y, WEIGHT) for name, metric in named.items()}
        assert values == expected

    def test_later_changes_of_the_mapping_have_no_effect(self):
        named = {"accuracy": metrics.accuracy}
        loss_fn = cross_entropy_loss(metrics=named)
        named.clear()
        assert set(loss_fn(PARAMS, Batch(X, Y), None)[1]) == {"accuracy"}

    def test_without_them_an_empty_dict_is_returned(self):
        assert cross_entropy_loss()(PARAMS, Batch(X, Y), None)[1] == {}

    def test_none_may_be_named_loss(self):
        with pytest.raises(ValueError, match="metrics must not be named 'loss'"):
            cross_entropy_loss(metrics={"loss": metrics.accuracy})


class TestErrors:
    @pytest.mark.parametrize(
        "criterion",
        [
            losses.softmax_cross_entropy,
            losses.sigmoid_binary_cross_entropy,
            losses.poisson,
            losses.gaussian,
            functools.partial(losses.softmax_cross_entropy, label_smoothing=0.1),
            functools.partial(functools.partial(losses.gaussian, min_scale=0.1)),
        ],
    )
    def test_raw_outputs_and_an_output_activation_are_refused(self, criterion):
        config = MLPConfig(in_features=4, out_features=3, output_activation="softmax")
        name = getattr(criterion, "func", criterion).__name__
        message = f"{name} takes raw outputs.*output_activation='softmax'; set it to None"
        with pytest.raises(ValueError, match=message):
            make_loss(config, criterion)

    @pytest.mark.parametrize(
        "criterion", [losses.squared_error, functools.partial(losses.huber, delta=2.0)]
    )
    def test_an_output_activation_is_accepted_by_other_criteria(self, criterion):
        config = MLPConfig(in_features=4, out_features=1, output_activation="softplus")
        params = jaxmlp.init_params(config, key=jax.random.key(0))
        loss, _ = make_loss(config, criterion)(params, Batch(X, X[:, 0]), None)
        assert loss > 0

    @pytest.mark.parametrize("shape", [(6, 3), (6, 1), (1, 6), (5,), ()])
    def test_a_criterion_must_return_one_loss_per_row(self, shape):
        loss_fn = make_loss(CONFIG, lambda *_: jnp.zeros(shape))
        message = re.escape(f"one loss per row, shape (6,); got shape {shape}. Average over")
        with pytest.raises(ValueError, match=message):
            loss_fn(PARAMS, Batch(X, Y), None)

    @pytest.mark.bad_input
    @pytest.mark.parametrize("batch", [(X, Y), {"x": X, "y": Y}, X])
    def test_a_batch_must_be_a_batch(self, batch):
        message = rf"batch must be a jaxmlp.Batch\(x, y, weight\); got a {type(batch).__name__}"
        with pytest.raises(TypeError, match=message):
            cross_entropy_loss()(PARAMS, batch, None)


class TestForeignCriteria:
    def test_an_optax_loss_of_rows_is_a_criterion(self):
        loss, _ = make_loss(CONFIG, optax.losses.multiclass_hinge_loss)(PARAMS, Batch(X, Y), None)
        outputs = np.float64(jaxmlp.apply(PARAMS, X, config=CONFIG))
        true = outputs[np.arange(6), Y]
        others = np.where(np.eye(3, dtype=bool)[Y], -np.inf, outputs).max(axis=-1)
        np.testing.assert_allclose(loss, np.maximum(0, 1 + others - true).mean(), **CLOSE)

    def test_a_user_function_of_rows_trains(self):
        def log_cosh(outputs, targets):
            return jnp.log(jnp.cosh(outputs[:, 0] - targets))

        config = MLPConfig(in_features=4, out_features=1)
        params = jaxmlp.init_params(config, key=jax.random.key(0))
        loss_fn, optimizer = make_loss(config, log_cosh), optax.sgd(0.5)
        step = jaxmlp.make_train_step(loss_fn, optimizer)
        state = jaxmlp.init_state(params, optimizer, key=jax.random.key(0))
        batch = Batch(X, X @ np.array([1, -1, 0.5, 0], np.float32))
        history = []
        for _ in range(50):
            state, values = step(state, batch)
            history.append(float(values["loss"]))
        assert history[-1] < 0.01 * history[0]
