"""Tests of `fit` itself: any pure loss on any parameters and batches, and what comes back."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import (
    CONFIG,
    KEY,
    LOSS,
    MEAN_RTOL,
    OPTIMIZER,
    PARAMS,
    ROWS,
    VALIDATION,
    WEIGHT,
    X,
    Y,
    assert_same,
    epoch_means,
    fit,
    make_loader,
    make_train_step,
    train_by_hand,
)

import jaxmlp

SGD = optax.sgd(0.1)


def own_loss(params, batch, key):
    """A loss of the user's own, on a dict of parameters, with noise where it has a key."""
    noise = 0 if key is None else 0.1 * jax.random.normal(key)
    residuals = batch["x"] @ params["w"] + params["b"] + noise - batch["y"]
    return jnp.mean(residuals**2), {"bias": params["b"], "count": jnp.sum(batch["y"] > 0)}


OWN = {"loss_fn": own_loss, "optimizer": SGD, "epochs": 2}
FIRST = {"w": jnp.zeros(4), "b": jnp.zeros(())}
DICTS = [{"x": X[i : i + 10], "y": Y[i : i + 10].astype(np.float32)} for i in range(0, ROWS, 10)]


class Stream:
    """Gives a new generator each time, as PyTorch's DataLoader does."""

    def __iter__(self):
        return iter(batch for batch in DICTS)


@pytest.fixture(scope="module")
def own():
    return fit(DICTS, params=FIRST, **OWN)


@pytest.fixture(scope="module")
def own_by_hand():
    return train_by_hand(DICTS, params=FIRST, **OWN)


class TestAnyLoss:
    def test_trains_dict_parameters_on_dict_batches(self, own, own_by_hand):
        assert_same(own.state, own_by_hand[0][-1])

    def test_batches_without_weights_count_alike(self, own, own_by_hand):
        expected = epoch_means(own_by_hand[1], "loss")
        np.testing.assert_allclose(own.history["loss"], expected, rtol=MEAN_RTOL)

    def test_integer_metrics_are_averaged_as_floats(self, own, own_by_hand):
        expected = epoch_means(own_by_hand[1], "count")
        np.testing.assert_allclose(own.history["count"], expected, rtol=MEAN_RTOL)

    def test_an_iterable_is_started_anew_for_every_epoch(self, own):
        assert_same(fit(Stream(), params=FIRST, **OWN).state, own.state)

    def test_a_generator_serves_a_single_epoch(self, own_by_hand):
        once = {**OWN, "epochs": 1}
        result = fit((batch for batch in DICTS), params=FIRST, **once)
        assert_same(result.state, own_by_hand[0][0])

    def test_validation_may_be_any_batch_that_the_loss_takes(self, own_by_hand):
        result = fit(DICTS, params=FIRST, validation=DICTS[0], **OWN)
        expected = [own_loss(s.params, DICTS[0], None)[0] for s in own_by_hand[0]]
        np.testing.assert_allclose(result.history["validation_loss"], expected, rtol=1e-5)

    def test_batches_of_two_shapes_are_both_taken(self):
        ragged = [*DICTS[:4], jax.tree.map(lambda a: a[:7], DICTS[4])]
        result = fit(ragged, params=FIRST, **OWN)
        expected = train_by_hand(ragged, params=FIRST, **OWN)
        assert_same(result.state, expected[0][-1])


def autoencoder_loss(params, batch, key):
    del key
    error = jnp.mean((batch.x @ params @ params.T - batch.x) ** 2, axis=-1)
    return jaxmlp.weighted_mean(error, batch.weight), {}


def test_rows_need_no_targets():
    params = jnp.eye(4, 2)
    trained = {"loss_fn": autoencoder_loss, "optimizer": SGD, "params": params, "epochs": 2}
    result = fit(make_loader(y=None), validation=(X, None), **trained)
    assert_same(result.state, train_by_hand(make_loader(y=None), **trained)[0][-1])


def test_training_goes_on_from_the_state():
    first = fit(epochs=3)
    step = make_train_step(LOSS, OPTIMIZER, accumulate_steps=1)
    loader, state = make_loader(), first.state
    for epoch in (3, 4):
        for batch in loader.epoch(epoch):
            state, _ = step(state, batch)
    assert_same(state, fit(epochs=5).state)


@pytest.mark.parametrize("driver", ["step", "epoch"])
def test_parameters_outlive_the_donation_of_the_state(driver):
    result = fit(epochs=3, driver=driver)
    before = jax.tree.map(np.array, result.params)
    step = make_train_step(LOSS, OPTIMIZER, accumulate_steps=1)
    step(result.state, next(iter(make_loader())))
    assert_same(jax.tree.map(np.asarray, result.params), before)


def test_the_users_parameters_stay_usable():
    params = jax.tree.map(jnp.copy, PARAMS)
    fit(params=params, epochs=3, driver="step")
    assert_same(params, PARAMS)


def test_fit_does_not_advance_the_loader():
    loader = make_loader()
    fit(loader, epochs=3)
    assert_same(next(iter(loader)), next(iter(make_loader())))


@pytest.fixture(scope="module")
def result():
    return fit(validation=VALIDATION)


class TestHistory:
    def test_its_columns_are_vectors_of_one_length(self, result):
        assert {values.shape for values in result.history.values()} == {(5,)}

    def test_it_counts_epochs_from_0(self, result):
        assert result.history["epoch"].tolist() == [0, 1, 2, 3, 4]

    def test_it_names_every_metric_of_both_sets(self, result):
        names = ["loss", "accuracy", "validation_loss", "validation_accuracy"]
        assert sorted(result.history) == sorted(["epoch", *names])

    def test_it_is_a_table_for_pandas(self, result):
        pandas = pytest.importorskip("pandas")
        assert pandas.DataFrame(result.history).shape == (5, 5)


def test_a_whole_run_was_stopped_by_its_epochs(result):
    assert result.stopped_by == "epochs"


VALIDATION_FORMS = {
    "tuple": VALIDATION,
    "Batch": jaxmlp.Batch(*VALIDATION),
    "DataLoader": jaxmlp.DataLoader(*VALIDATION, batch_size=7, shuffle=True),
    "float64": (VALIDATION[0].astype(np.float64), *VALIDATION[1:]),
    "JAX arrays": tuple(map(jnp.asarray, VALIDATION)),
}


@pytest.mark.parametrize("form", VALIDATION_FORMS)
def test_validation_rows_may_be_given_as(form, result):
    given = fit(validation=VALIDATION_FORMS[form])
    expected = result.history["validation_loss"]
    np.testing.assert_array_equal(given.history["validation_loss"], expected)


def test_validation_weights_count():
    unweighted = fit(validation=VALIDATION[:2])
    batch = jaxmlp.Batch(*VALIDATION[:2])
    losses = [LOSS(state.params, batch, None)[0] for state in train_by_hand()[0]]
    # Rounding of a forward pass in another program.
    np.testing.assert_allclose(unweighted.history["validation_loss"], losses, rtol=1e-5)


BINARY = jaxmlp.MLPConfig(in_features=4, out_features=1)
RANKED = jaxmlp.make_loss(
    BINARY,
    jaxmlp.losses.squared_error,
    metrics={"roc_auc": jaxmlp.metrics.roc_auc, "r2": jaxmlp.metrics.r2},
)


@pytest.mark.parametrize("name", ["roc_auc", "r2"])
def test_metrics_that_are_no_means_are_exact_over_the_validation_rows(name):
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    score = {"roc_auc": sklearn_metrics.roc_auc_score, "r2": sklearn_metrics.r2_score}[name]
    targets = (Y > 0).astype(np.float32)
    loader = make_loader(y=targets, batch_size=10)
    result = fit(
        loader,
        loss_fn=RANKED,
        params=jaxmlp.init_params(BINARY, key=KEY),
        validation=(X, targets, WEIGHT),
    )
    outputs = jaxmlp.apply(result.state.params, X, config=BINARY)[:, 0]
    expected = score(targets, np.asarray(outputs), sample_weight=WEIGHT)
    # float32 sums over 50 rows.
    np.testing.assert_allclose(result.history[f"validation_{name}"][-1], expected, rtol=1e-5)


def test_a_batch_of_weight_0_leaves_the_history_finite():
    weight = np.where(np.arange(ROWS) < 24, 0, WEIGHT)
    result = fit(make_loader(weight=weight, shuffle=False), driver="epoch")
    assert np.isfinite(result.history["accuracy"]).all()


def test_float64_parameters_keep_their_precision(x64):
    del x64
    config = jaxmlp.MLPConfig.from_json(CONFIG.to_json().replace("float32", "float64"))
    trained = {
        "loss_fn": jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy),
        "params": jaxmlp.init_params(config, key=KEY),
        "epochs": 2,
    }
    result = fit(validation=VALIDATION, driver="epoch", **trained)
    states, logs = train_by_hand(**trained)
    assert_same(result.state, states[-1])
    # Between float32's 1e-7 and float64's 1e-16.
    np.testing.assert_allclose(result.history["loss"], epoch_means(logs, "loss"), rtol=1e-13)


def test_half_precision_losses_are_averaged_in_float32():
    def loss_fn(params, batch, key):
        del key
        return (jnp.mean(batch.x) * params).astype(jnp.bfloat16), {}

    loader = jaxmlp.DataLoader(np.linspace(1, 2, 100, dtype=np.float32), batch_size=1)
    params = jnp.ones(())
    result = fit(loader, loss_fn=loss_fn, optimizer=optax.sgd(0.0), params=params, epochs=1)
    # Rounded once to bfloat16, whose errors average out, and not in the sum.
    np.testing.assert_allclose(result.history["loss"], [1.5], rtol=1e-3)


def test_callables_of_any_kind_are_loss_functions():
    result = fit(loss_fn=functools.partial(LOSS), epochs=2)
    assert_same(result.state, fit(epochs=2).state)
