"""Tests of averaged parameters, schedules, clipping and half precision in `fit`."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import (
    DRIVERS,
    KEY,
    LINEAR,
    VALIDATION,
    assert_same,
    cut_calls,
    differs,
    fit,
    fit_with,
    make_loader,
    make_train_step,
    train_by_hand,
)

import jaxmlp

LOSS, OPTIMIZER, PARAMS = LINEAR["loss_fn"], LINEAR["optimizer"], LINEAR["params"]
NAMES = sorted({*DRIVERS} - {"auto", "chunks of an epoch"})


def assert_close(a, b):
    # Rounding of averages that are compiled alone, over 25 steps.
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), a, b)


def losses(averages):
    return [LOSS(params, jaxmlp.Batch(*VALIDATION), None)[0] for params in averages]


@pytest.fixture(scope="module")
def states():
    return train_by_hand(**LINEAR)[0]


@pytest.fixture(scope="module")
def moving_averages():
    """After each epoch, the moving average with decay 0.8, in float64."""
    state = jaxmlp.init_state(PARAMS, OPTIMIZER, key=KEY)
    step = make_train_step(LOSS, OPTIMIZER, accumulate_steps=1)
    mean = jax.tree.map(lambda a: np.asarray(a, np.float64), state.params)
    averages, loader = [], make_loader()
    for _ in range(5):
        for batch in loader:
            state, _ = step(state, batch)
            mean = jax.tree.map(lambda m, p: 0.8 * m + 0.2 * np.asarray(p), mean, state.params)
        averages.append(jax.tree.map(np.float32, mean))
    return averages


@pytest.fixture(scope="module", params=NAMES)
def with_ema(request):
    with pytest.MonkeyPatch.context() as monkeypatch:
        validated = {"validation": VALIDATION, "ema_decay": 0.8}
        return fit_with(request.param, monkeypatch, **LINEAR, **validated)


class TestExponentialAverage:
    def test_is_what_is_validated(self, with_ema, moving_averages):
        expected = losses(moving_averages)
        np.testing.assert_allclose(with_ema.history["validation_loss"], expected, rtol=1e-5)

    def test_is_what_comes_back_from_the_best_epoch(self, with_ema, moving_averages):
        best = int(np.argmin(losses(moving_averages)))
        assert with_ema.best_epoch == best
        assert_close(with_ema.params, moving_averages[best])

    def test_leaves_training_as_it_is(self, with_ema, states):
        assert_same(with_ema.state, states[-1])

    def test_without_validation_is_the_last_one(self, moving_averages):
        assert_close(fit(**LINEAR, ema_decay=0.8).params, moving_averages[-1])

    def test_is_what_an_interrupt_within_an_epoch_returns(self, monkeypatch):
        cut_calls(monkeypatch, chunk=2)
        result = fit(**LINEAR, ema_decay=0.8, driver="chunk", on_epoch=interrupt)
        assert result.stopped_by == "interrupt"
        assert differs(result.params, result.state.params)


def interrupt(*_):
    raise KeyboardInterrupt


START = 2


@pytest.fixture(scope="module")
def plain_averages(states):
    """After each epoch, the mean of the epochs' last parameters from START on, else the last."""
    averages = []
    for epoch, state in enumerate(states):
        used = [s.params for s in states[START : epoch + 1]] or [state.params]
        averages.append(jax.tree.map(lambda *p: np.mean(p, axis=0, dtype=np.float64), *used))
    return jax.tree.map(np.float32, averages)


@pytest.fixture(scope="module", params=NAMES)
def with_swa(request):
    with pytest.MonkeyPatch.context() as monkeypatch:
        validated = {"validation": VALIDATION, "swa_start": START}
        return fit_with(request.param, monkeypatch, **LINEAR, **validated)


class TestPlainAverage:
    def test_is_what_is_validated(self, with_swa, plain_averages):
        expected = losses(plain_averages)
        np.testing.assert_allclose(with_swa.history["validation_loss"], expected, rtol=1e-5)

    def test_is_what_comes_back_from_the_best_epoch(self, with_swa, plain_averages):
        best = int(np.argmin(losses(plain_averages)))
        assert with_swa.best_epoch == best
        assert_close(with_swa.params, plain_averages[best])

    def test_leaves_training_as_it_is(self, with_swa, states):
        assert_same(with_swa.state, states[-1])

    def test_without_validation_is_that_of_the_last_epoch(self, plain_averages):
        assert_close(fit(**LINEAR, swa_start=START).params, plain_averages[-1])

    @pytest.mark.parametrize("epochs", [1, START + 1])
    def test_of_one_epoch_is_exactly_its_parameters(self, epochs, states):
        stop = {"on_epoch": lambda _, metrics: metrics["epoch"] == epochs - 1}
        result = fit(**LINEAR, swa_start=START, **stop)
        assert_same(result.params, states[epochs - 1].params)

    def test_from_epoch_0_averages_all(self, states):
        result = fit(**LINEAR, swa_start=0)
        assert_close(
            result.params, jax.tree.map(lambda *p: np.mean(p, axis=0), *[s.params for s in states])
        )

    def test_that_has_not_begun_gives_the_last_good_parameters(self):
        def loss_fn(params, batch, key):
            del batch, key
            return jnp.where(params > -1.5, params, jnp.nan), {}

        sgd = optax.sgd(1.0)
        settings = {"loss_fn": loss_fn, "optimizer": sgd, "params": jnp.ones(()), "swa_start": 1}
        with pytest.raises(jaxmlp.NonFiniteError) as info:
            fit(**settings)
        assert float(info.value.result.params) == -2


def test_averaging_does_not_round_large_parameters_away():
    # m + (p - m) is not p: the first average must be p itself.
    def loss_fn(params, batch, key):
        del batch, key
        return params, {}

    optimizer = optax.sgd(1e8)
    settings = {"loss_fn": loss_fn, "optimizer": optimizer, "params": jnp.float32(1e8 + 8)}
    result = fit(make_loader(batch_size=50), epochs=1, swa_start=0, **settings)
    assert float(result.params) == float(result.state.params) == 8


OPTIMIZERS = {
    "cosine": lambda: optax.sgd(optax.cosine_decay_schedule(1.0, 25)),
    "warm-up": lambda: optax.adam(optax.warmup_cosine_decay_schedule(0.0, 0.1, 5, 25)),
    "clipping": lambda: optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(1.0)),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
    "multi-step": lambda: optax.MultiSteps(optax.sgd(1.0), 2).gradient_transformation(),
    "noise": lambda: optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(3)), optax.sgd(1.0)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_acts_as_in_the_hand_written_loop(name):
    settings = LINEAR | {"optimizer": OPTIMIZERS[name]()}
    # XLA may fuse a sum over all parameters in another order inside a scan.
    assert_close(fit(**settings).state.params, train_by_hand(**settings)[0][-1].params)


def test_a_schedule_goes_by_the_step():
    def loss_fn(params, batch, key):
        del batch, key
        return params, {}

    rates = optax.linear_schedule(1.0, 0.0, 10)
    settings = {"loss_fn": loss_fn, "optimizer": optax.sgd(rates), "params": jnp.zeros(())}
    # Ten steps at rates 1, 0.9, ... 0.1.
    np.testing.assert_allclose(fit(**settings, epochs=4).state.params, -5.5, rtol=1e-6)


def test_clipping_bounds_every_step():
    optimizer = optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(1.0))
    result = fit(**LINEAR | {"optimizer": optimizer}, epochs=2)
    moved = optax.tree.norm(jax.tree.map(jnp.subtract, result.params, PARAMS))
    assert 0 < moved <= 10 * 1e-3


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets")
    shuffle = pytest.importorskip("sklearn.utils").shuffle
    x, y = datasets.load_digits(return_X_y=True)
    x, y = shuffle((x / 16).astype(np.float32), y, random_state=0)
    return (x[:1400], y[:1400]), (x[1400:], y[1400:])


def test_half_precision_reaches_the_accuracy_of_float32(digits):
    rows, validation = digits
    histories = {}
    for compute_dtype in (None, "bfloat16"):
        config = jaxmlp.MLPConfig(
            in_features=64, hidden_features=(64,), out_features=10, compute_dtype=compute_dtype
        )
        loss_fn = jaxmlp.make_loss(
            config,
            jaxmlp.losses.softmax_cross_entropy,
            metrics={"accuracy": jaxmlp.metrics.accuracy},
        )
        params = jaxmlp.init_params(config, key=jax.random.key(0))
        result = fit(
            jaxmlp.DataLoader(*rows, batch_size=128, shuffle=True),
            loss_fn=loss_fn,
            optimizer=optax.adam(1e-2),
            params=params,
            epochs=8,
            validation=validation,
        )
        assert result.params.output.kernel.dtype == jnp.float32
        histories[compute_dtype] = result.history
    accuracy, half_accuracy = (h["validation_accuracy"].max() for h in histories.values())
    assert accuracy > 0.96
    # One of the 397 rows is 0.0025; measured was no difference (both 0.967).
    assert half_accuracy > accuracy - 0.008
    assert (histories[None]["loss"] != histories["bfloat16"]["loss"]).all()
