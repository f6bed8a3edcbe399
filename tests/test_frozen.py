"""Training with standardised inputs: statistics stay as they are, and change nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import KEY, LINEAR, LINEAR_CONFIG, VALIDATION, X, Y, cut_calls, fit, make_loader

import jaxmlp
from jaxmlp import Standardization

pytestmark = pytest.mark.long

# An average of these with themselves, with decay 0.6, would round some of them away.
STATISTICS = Standardization(
    jnp.asarray([1e5, -3.3, 0.1, 7.7], jnp.float32), jnp.asarray([1e3, 0.7, 3.3, 1.1], jnp.float32)
)
MEAN, SCALE = map(np.asarray, STATISTICS)
LOSS, PARAMS = LINEAR["loss_fn"], LINEAR["params"]
STANDARDISED = PARAMS._replace(standardization=STATISTICS)
# On the grid of float32, so that standardising them once or in the network is the same.
RAW = (X * SCALE + MEAN).astype(np.float32)
SCALED = (RAW - MEAN) / SCALE


def rate(optimizer):
    return optax.chain(optimizer, optax.sgd(0.5))


OPTIMIZERS = {
    "adamw on all": optax.adamw(0.1, weight_decay=0.1),
    "adamw on kernels": optax.adamw(0.1, weight_decay=0.1, mask=jaxmlp.kernel_mask),
    "momentum": optax.sgd(0.5, momentum=0.9, nesterov=True),
    "noise": rate(optax.add_noise(0.1, 0.5, jax.random.key(3))),
    "decay before clipping": rate(
        optax.chain(optax.add_decayed_weights(0.1), optax.clip_by_global_norm(1.0))
    ),
    "line search": optax.lbfgs(),
    "line search with decay": optax.chain(
        optax.scale_by_lbfgs(),
        optax.add_decayed_weights(-0.01),
        optax.scale(-1.0),
        optax.scale_by_backtracking_linesearch(max_backtracking_steps=10),
    ),
}


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_close(a, b):
    # Another program, which may sum in another order; a line search amplifies its rounding.
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4), a, b)


def train(params, x, optimizer, accumulate_steps=1, steps=6):
    step = jaxmlp.make_train_step(LOSS, optimizer, accumulate_steps=accumulate_steps)
    state = jaxmlp.init_state(params, optimizer, key=KEY)
    batch = jaxmlp.Batch(x[:48], Y[:48])
    for _ in range(steps):
        state, _ = step(state, batch)
    return state


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_trains_as_on_standardised_data_and_keeps_the_statistics(name):
    state = train(STANDARDISED, RAW, OPTIMIZERS[name])
    assert_equal(state.params.standardization, STATISTICS)
    expected = train(PARAMS, SCALED, OPTIMIZERS[name])
    assert_close(state.params._replace(standardization=None), expected.params)
    assert jax.tree.structure(state.opt_state) == jax.tree.structure(expected.opt_state)


def test_accumulation_keeps_the_statistics():
    optimizer = OPTIMIZERS["adamw on all"]
    state = train(STANDARDISED, RAW, optimizer, accumulate_steps=4)
    assert_equal(state.params.standardization, STATISTICS)
    assert_close(state.params, train(STANDARDISED, RAW, optimizer).params)


def test_a_loss_that_penalises_all_parameters_does_not_move_the_statistics():
    def loss_fn(params, batch, key):
        loss, metrics = LOSS(params, batch, key)
        return loss + 0.1 * optax.tree.norm(params), metrics

    data = make_loader(RAW)
    result = fit(data, **LINEAR | {"loss_fn": loss_fn, "params": STANDARDISED})
    assert_equal(result.params.standardization, STATISTICS)
    assert not np.array_equal(result.params.output.kernel, PARAMS.output.kernel)


def test_labels_for_mup_fit_standardised_parameters():
    config = jaxmlp.MLPConfig(
        in_features=4, hidden_features=(8, 8), out_features=3, kernel_init="mup", mup_base_width=4
    )
    params = jaxmlp.init_params(config, key=KEY)
    labels, multipliers = jaxmlp.mup_labels(config)
    rules = {name: optax.adamw(0.1 * factor) for name, factor in multipliers.items()}
    settings = {
        "loss_fn": jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy),
        "optimizer": optax.partition(rules, labels),
        "epochs": 2,
    }
    standardised = params._replace(standardization=STATISTICS)
    got = fit(make_loader(RAW), params=standardised, **settings).params
    assert_equal(got.standardization, STATISTICS)
    assert_close(
        got._replace(standardization=None),
        fit(make_loader(SCALED), params=params, **settings).params,
    )


class TestFit:
    validation = ((VALIDATION[0] * SCALE + MEAN).astype(np.float32), *VALIDATION[1:])

    def run(self, params, x, validation, **settings):
        settings = {"validation": (validation, *self.validation[1:])} | settings
        return fit(make_loader(x), **LINEAR | {"params": params}, **settings)

    @pytest.mark.parametrize("averaging", [{"ema_decay": 0.6}, {"swa_start": 1}, {}])
    def test_averages_and_the_best_parameters_keep_the_statistics(self, averaging):
        raw, scaled = self.validation[0], (self.validation[0] - MEAN) / SCALE
        got = self.run(STANDARDISED, RAW, raw, **averaging)
        assert_equal(got.params.standardization, STATISTICS)
        assert_equal(got.state.params.standardization, STATISTICS)
        expected = self.run(PARAMS, SCALED, scaled, **averaging)
        assert_close(got.params._replace(standardization=None), expected.params)
        assert_close(got.history, expected.history)

    @pytest.mark.parametrize("driver", ["chunk", "epochs"])
    def test_every_driver_keeps_the_statistics(self, driver, monkeypatch):
        cut_calls(monkeypatch, **{"epochs": {"joined": 3}}.get(driver, {"chunk": 2}))
        got = self.run(STANDARDISED, RAW, self.validation[0], ema_decay=0.6, driver=driver)
        assert_equal(got.params.standardization, STATISTICS)

    def test_members_of_an_ensemble_keep_each_its_own(self):
        optimizer = OPTIMIZERS["adamw on all"]
        other = jax.tree.map(lambda a: a * jnp.float32(1.3), STATISTICS)
        members = [STANDARDISED, PARAMS._replace(standardization=other)]
        states = [jaxmlp.init_state(params, optimizer, key=KEY) for params in members]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        step = jax.vmap(jaxmlp.make_train_step(LOSS, optimizer), in_axes=(0, None))
        state, _ = step(stacked, jaxmlp.Batch(RAW[:12], Y[:12]))
        expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), STATISTICS, other)
        assert_equal(state.params.standardization, expected)
        assert not np.array_equal(state.params.output.kernel, stacked.params.output.kernel)

    def test_a_bad_gradient_is_named_as_without_a_standardization(self):
        def loss_fn(params, batch, key):
            loss, metrics = LOSS(params, batch, key)
            return loss + jnp.sum(jnp.sqrt(params.output.bias)), metrics  # at 0: infinite slope

        message = "the loss is finite, but not the gradient of output.bias;"
        with pytest.raises(jaxmlp.NonFiniteError, match=message):
            fit(make_loader(RAW), **LINEAR | {"params": STANDARDISED, "loss_fn": loss_fn})


def test_statistics_anywhere_in_any_tree_are_kept():
    params = {"net": [PARAMS, {"own": STATISTICS}], "w": jnp.ones(3)}

    def loss_fn(params, batch, key):
        del batch, key
        return optax.tree.norm(params), {}

    optimizer = OPTIMIZERS["adamw on all"]
    state = jaxmlp.init_state(params, optimizer, key=KEY)
    state, _ = jaxmlp.make_train_step(loss_fn, optimizer)(state, None)
    assert_equal(state.params["net"][1]["own"], STATISTICS)
    assert not np.array_equal(state.params["w"], params["w"])


def test_statistics_alone_are_nothing_to_train():
    with pytest.raises(ValueError, match="params must hold at least one array"):
        jaxmlp.init_state({"own": STATISTICS}, optax.sgd(0.1), key=KEY)


def test_predictions_apply_the_statistics_of_training():
    y = X[:, :3].argmax(axis=1)
    data = make_loader(RAW, y)
    params = jaxmlp.with_standardization(PARAMS, data)
    result = fit(data, **LINEAR | {"params": params, "optimizer": optax.adam(0.1)}, epochs=20)
    logits = jaxmlp.apply(result.params, RAW, config=LINEAR_CONFIG)
    # Linearly separable where inputs are standardised; a third is right by chance.
    assert jaxmlp.metrics.accuracy(logits, y) > 0.95


@pytest.mark.parametrize("params", [STANDARDISED, PARAMS])
def test_a_mask_that_covers_the_statistics_is_refused_with_the_remedy(params):
    optimizer = optax.adamw(0.1, mask=jaxmlp.kernel_mask(STANDARDISED))
    with pytest.raises(ValueError, match="None") as info:
        jaxmlp.init_state(params, optimizer, key=KEY)
    # Only where there are statistics can they be the reason.
    notes = "".join(getattr(info.value, "__notes__", []))
    assert ("give them as a function, or make them from" in notes) == (params is STANDARDISED)
