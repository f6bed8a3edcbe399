"""A recipe as a loss and an optimizer, against the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference_tabular as reference
from tables_and_networks import (
    CONFIGS,
    REALMLP,
    TABM,
    loss_of,
    make_model,
    make_rows,
)

from jaxmlp import Batch
from jaxmlp.tabular import (
    SharedDense,
    TabularLoss,
    TabularOptimizer,
    TabularParams,
    apply_tabular,
    coslog4,
    flat_cos,
)

FIELDS = {
    "learning_rate": 0.05,
    "beta_2": 0.95,
    "epsilon": 1e-6,
    "weight_decay": 0.3,
    "scale_factor": 6.0,
    "bias_factor": 0.2,
    "slope_factor": 0.3,
    "embedding_factor": 0.4,
}
PLAIN = dict.fromkeys(["scale_factor", "bias_factor", "slope_factor", "embedding_factor"], 1.0)
STEPS = 8
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("x64")]


def treatment(path):
    """Factor on the learning rate and whether it decays, as docs of `TabularOptimizer` tell."""
    if ".embedding" in path:
        return 0.4, False
    if path == ".scale":
        return 6.0, True
    if "_scale" in path:
        return 6.0, False
    if path.endswith(".bias"):
        return 0.2, False
    if path.endswith(".slope"):
        return 0.3, False
    assert path.endswith(".kernel") or ".categories" in path
    return 1.0, True


def leaves(params):
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree.leaves_with_path(params)
    }


def train(optimizer, model, gradients):
    """Models after every step; each gradient may be a function of the model."""
    state = optimizer.init(model)

    @jax.jit
    def step(gradient, state, model):
        # Optax mixes types (decay**count), as a training step of jaxmlp lets it.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(gradient, state, model)
            return optax.apply_updates(model, updates), state

    for gradient in gradients:
        value = gradient(model) if callable(gradient) else gradient
        model, state = step(value, state, model)
        yield model


def random_gradients(model, seed=0):
    generator = np.random.default_rng(seed)
    for _ in range(STEPS):
        # Of all arrays: those of the settings must have no effect.
        yield jax.tree.map(lambda a: jnp.asarray(generator.normal(size=a.shape)), model)


@pytest.mark.parametrize("schedule", ["coslog4", "flat_cos", "constant"])
@pytest.mark.parametrize("name", ["realmlp", "tabm"])
def test_steps_are_adam_with_a_factor_and_a_decay_per_parameter(name, schedule):
    model = make_model(CONFIGS[name], make_rows(), FIELDS, steps=STEPS)
    gradients = list(random_gradients(model))
    scheduled = {"coslog4": coslog4, "flat_cos": flat_cos, "constant": np.ones_like}[schedule]
    oracles = {path: reference.Adam(0.95, 1e-6) for path in leaves(model.params)}
    expected = leaves(model.params)
    for step, trained in enumerate(train(TabularOptimizer(schedule), model, gradients)):
        rate = 0.05 * float(scheduled(jnp.array(step / STEPS)))
        own = leaves(gradients[step].params)
        for path, adam in oracles.items():
            factor, decays = treatment(path)
            decay = 0.3 * float(flat_cos(jnp.array(step / STEPS))) if decays else 0
            expected[path] = adam.step(expected[path], own[path], rate * factor, decay)
        got = leaves(trained.params)
        for path, value in expected.items():
            # Powers of 0.95 and sums of 8 steps are rounded.
            np.testing.assert_allclose(got[path], value, rtol=1e-11, atol=1e-12, err_msg=path)


def test_without_factors_and_schedule_it_is_adamw_of_optax():
    # With flat_cos the decay stays as it is in the first half.
    fields = FIELDS | PLAIN
    model = make_model(REALMLP, make_rows(), fields, steps=2 * STEPS)
    gradients = list(random_gradients(model))
    *_, trained = train(TabularOptimizer("constant"), model, gradients)
    decays = jax.tree.map_with_path(
        lambda path, _: treatment(jax.tree_util.keystr(path))[1], model.params
    )
    adamw = optax.adamw(0.05, b2=0.95, eps=1e-6, weight_decay=0.3, mask=decays)
    *_, expected = train(adamw, model.params, [g.params for g in gradients])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), trained.params, expected
    )


def test_the_first_step_of_coslog4_changes_nothing_but_moments():
    model = make_model(REALMLP, make_rows(), FIELDS)
    first, second, *_ = train(TabularOptimizer("coslog4"), model, random_gradients(model))
    jax.tree.map(np.testing.assert_array_equal, first.params, model.params)
    assert (first.params.output.kernel != second.params.output.kernel).all()


@pytest.mark.parametrize("name", ["realmlp", "tabm"])
def test_progress_moves_by_one_step_and_all_else_stays(name):
    model = make_model(CONFIGS[name], make_rows(), FIELDS, steps=STEPS, options=(0.5, 2))
    moved = list(train(TabularOptimizer("coslog4"), model, random_gradients(model)))
    np.testing.assert_allclose(
        [m.settings.progress for m in moved], np.arange(1, 9) / 8, rtol=1e-15
    )
    for after in moved:
        np.testing.assert_array_equal(after.packed[:-1], model.packed[:-1])
        jax.tree.map(np.testing.assert_array_equal, after.bins, model.bins)
        np.testing.assert_array_equal(after.options, model.options)


def test_only_parameters_have_gradients():
    rows = make_rows()
    model = make_model(TABM, rows, FIELDS, options=(0.5,))
    batch = Batch(rows, jnp.ones((len(rows.numbers), 2)))
    loss_fn = TabularLoss(TABM, lambda z, y, options: options[0] * jnp.sum((z - y) ** 2, -1), True)
    gradient = jax.grad(lambda m: loss_fn(m, batch, jax.random.key(0))[0])(model)
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient[1:]))
    # Member scales, heads, embeddings: all are trained.
    assert all(leaf.any() for leaf in jax.tree.leaves(gradient.params))


def test_the_loss_is_the_weighted_mean_of_the_members_losses():
    rows = make_rows()
    generator = np.random.default_rng(0)
    model = make_model(TABM, rows, options=(3.0,))
    targets, weight = generator.normal(size=(40, 2)), generator.uniform(size=40)
    loss_fn = TabularLoss(TABM, lambda z, y, options: options[0] * jnp.sum((z - y) ** 2, -1), False)
    outputs = reference.forward(model.params, rows, TABM, model.bins)
    by_row = 3 * ((outputs - targets[:, None]) ** 2).sum(axis=-1).mean(axis=1)
    loss, metrics = loss_fn(model, Batch(rows, targets, weight), None)
    np.testing.assert_allclose(loss, np.average(by_row, weights=weight), rtol=1e-12)
    assert metrics == {}


def test_dropout_of_the_loss_goes_down_with_progress_and_needs_a_key():
    rows = make_rows()
    model = make_model(REALMLP, rows, {"dropout_rate": 0.5})
    batch, key = Batch(rows, np.ones((40, 2))), jax.random.key(0)

    def loss(progress, key, drops=True):
        packed = model.packed.at[-1].set(progress)
        return loss_of(REALMLP, drops)(model._replace(packed=packed), batch, key)[0].item()

    whole = loss(0.0, None)
    assert loss(0.0, key, drops=False) == whole
    assert loss(1.0, key) == pytest.approx(whole, rel=1e-12)
    assert abs(loss(0.0, key) - whole) > 1e-3
    assert loss(0.5, key) == loss(0.0, key)
    assert loss(0.75, key) == pytest.approx(
        TabularLoss(REALMLP, loss_of(REALMLP).criterion, True)(
            make_model(REALMLP, rows, {"dropout_rate": 0.25}), batch, key
        )[0].item()
    )


class TestDropout:
    """Of a network whose outputs are its 4,000 hidden units."""

    UNITS = 4000

    def drop(self, rate, seed=0):
        config = CONFIGS["tabm_without_embeddings"]
        config = type(config)(
            hidden_features=(self.UNITS,), activation="identity", parametric=False,
            embedding=None, ntk=False, scaling_layer=False,
        )  # fmt: skip
        hidden = SharedDense(jnp.zeros((1, self.UNITS)), jnp.full(self.UNITS, 2.0))
        output = SharedDense(jnp.eye(self.UNITS), jnp.zeros(self.UNITS))
        params = TabularParams(None, (), None, (hidden,), output)
        rows = type(make_rows())(np.ones((2, 1)), np.ones((2, 0)), np.zeros((2, 0), int))
        key = jax.random.key(seed)
        return np.asarray(apply_tabular(params, rows, config=config, key=key, dropout_rate=rate))

    @pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
    def test_it_drops_the_asked_share_and_keeps_the_mean(self, rate):
        h = self.drop(rate)
        # 5 standard deviations of the share of 8,000.
        assert abs((h == 0).mean() - rate) < 5 * (rate * (1 - rate) / h.size) ** 0.5
        np.testing.assert_allclose(h[h != 0], 2 / (1 - rate), rtol=1e-12)
        assert abs(h.mean() - 2) < 5 * 2 * (rate / (1 - rate) / h.size) ** 0.5

    def test_rows_and_keys_drop_other_units(self):
        h, other = self.drop(0.5), self.drop(0.5, seed=1)
        # Of 4,000 units, half are alike by chance, with a deviation of 0.8 %.
        assert abs((h[0] == h[1]).mean() - 0.5) < 0.04
        assert abs((h == other).mean() - 0.5) < 0.04

    def test_rate_0_drops_nothing(self):
        assert (self.drop(0.0) == 2).all()

    def test_the_highest_rate_leaves_finite_numbers(self):
        assert np.isfinite(self.drop(0.9999)).all()


def test_ntk_with_adam_is_the_standard_parametrisation_at_another_rate():
    """Holzmüller et al. 2024: kernels of 1/sqrt(d) the size at 1/sqrt(d) the learning rate."""
    ntk = type(REALMLP)(hidden_features=(9, 5), embedding=None, scaling_layer=False)
    standard = type(REALMLP)(hidden_features=(9, 5), embedding=None, scaling_layer=False, ntk=False)
    rows = make_rows()
    # Adam divides gradients by their size, but for epsilon.
    fields = PLAIN | {"learning_rate": 0.02, "epsilon": 1e-30, "weight_decay": 0.0}
    model = make_model(ntk, rows, fields)

    def root(path, array):
        is_kernel = path[-1] == jax.tree_util.GetAttrKey("kernel")
        return array.shape[0] ** -0.5 if is_kernel else 1.0

    scale = jax.tree.map_with_path(root, model.params)
    batch = Batch(rows, np.random.default_rng(0).normal(size=(40, 2)))
    gradient = jax.jit(jax.grad(lambda m, loss_fn: loss_fn(m, batch, None)[0]), static_argnums=1)
    *_, trained = train(
        TabularOptimizer("constant"), model, STEPS * [lambda m: gradient(m, loss_of(ntk))]
    )
    rates = optax.stateless(lambda updates, _: jax.tree.map(jnp.multiply, updates, scale))
    adam = optax.chain(optax.adam(0.02, b2=0.95, eps=1e-30), rates)
    *_, other = train(
        adam,
        jax.tree.map(jnp.multiply, model.params, scale),
        STEPS * [lambda p: gradient(model._replace(params=p), loss_of(standard)).params],
    )
    expected = jax.tree.map(jnp.multiply, trained.params, scale)
    # Rounding grows where Adam divides small gradients by their size.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9), other, expected
    )
