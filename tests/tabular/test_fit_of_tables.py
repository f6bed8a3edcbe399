"""Networks for tables train as any other: by `fit` and `fit_members`, without the estimators."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tables_and_networks import REALMLP, TABM, make_bins, make_params, squares

import jaxmlp
from jaxmlp.ensembles import fit_members
from jaxmlp.tabular import (
    Recipe,
    TabularLoss,
    TabularModel,
    TabularOptimizer,
    TabularRows,
    apply_tabular,
    pack_settings,
)

pytestmark = pytest.mark.long

EPOCHS, BATCH_SIZE, COUNT = 40, 32, 256
RECIPES = {
    "realmlp": Recipe(network=REALMLP, dropout_rate=0.0),
    "tabm": Recipe(network=TABM, learning_rate=0.02, schedule="flat_cos", dropout_rate=0.0),
}


def make_table(seed):
    """Targets that no line fits: the square of a number, and what a category adds to another."""
    generator = np.random.default_rng(seed)
    numbers = generator.normal(size=(COUNT, 3)).astype(np.float32)
    columns = generator.integers(0, 2, (COUNT, 2)).astype(np.float32)
    codes = np.stack([generator.integers(0, n, COUNT) for n in (6, 3)], axis=1)
    rows = TabularRows(numbers, columns, codes)
    y = np.stack([numbers[:, 0] ** 2 - 1, numbers[:, 1] + (codes[:, 0] > 2)], axis=1)
    return rows, y.astype(np.float32)


def make_model(recipe, rows, params):
    steps = EPOCHS * (COUNT // BATCH_SIZE)
    packed = pack_settings(recipe, steps=steps, dtype=jnp.float32)
    return TabularModel(params, packed, make_bins(rows, recipe.network), jnp.zeros(0))


def error(params, rows, y, recipe, bins):
    """Mean square of the residuals of the mean of members, over the variance of targets."""
    outputs = apply_tabular(params, rows, config=recipe.network, bins=bins).mean(axis=1)
    return float(np.mean((outputs - y) ** 2) / np.var(y))


@pytest.mark.parametrize("name", RECIPES)
def test_fit_learns_what_a_line_cannot(name):
    recipe = RECIPES[name]
    (rows, y), later = make_table(0), make_table(1)
    model = make_model(recipe, rows, make_params(recipe.network, rows))
    optimizer = TabularOptimizer(recipe.schedule)
    result = jaxmlp.fit(
        TabularLoss(recipe.network, squares, drops=False),
        optax.GradientTransformation(optimizer.init, optimizer.update),
        model,
        jaxmlp.DataLoader(rows, y, batch_size=BATCH_SIZE, shuffle=True),
        epochs=EPOCHS,
        key=jax.random.key(0),
    )
    # A line leaves the square, more than half of the variance.
    assert error(result.params.params, *later, recipe, model.bins) < 0.2
    # Sums of 1/320 in float32.
    np.testing.assert_allclose(result.params.settings.progress, 1, rtol=1e-5)


def test_fit_members_trains_each_as_fit_does():
    network = dataclasses.replace(REALMLP, fit_start=False)
    recipe = dataclasses.replace(RECIPES["realmlp"], network=network)
    rows, y = make_table(0)
    models = [
        make_model(recipe, rows, make_params(recipe.network, rows, seed=seed)) for seed in range(2)
    ]
    optimizer = TabularOptimizer(recipe.schedule)
    transformation = optax.GradientTransformation(optimizer.init, optimizer.update)
    keys = jax.random.split(jax.random.key(0), 2)
    loss_fn = TabularLoss(recipe.network, squares, drops=True)
    together = fit_members(
        *(loss_fn, transformation, jax.tree.map(lambda *a: jnp.stack(a), *models)),
        jaxmlp.DataLoader(rows, y, batch_size=BATCH_SIZE, shuffle=True),
        keys=keys,
        seeds=np.zeros(2, np.int64),
        epochs=3,
    )
    for number, (model, key) in enumerate(zip(models, keys, strict=True)):
        loader = jaxmlp.DataLoader(rows, y, batch_size=BATCH_SIZE, shuffle=True, seed=0)
        alone = jaxmlp.fit(loss_fn, transformation, model, loader, key=key, epochs=3)
        got = jax.tree.map(lambda a, n=number: a[n], together.params)
        # 24 steps of Adam in float32, each with up to 2e-6 of rounding of a rate of 0.2 times 6.
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4, rtol=1e-3), got, alone.params
        )


def test_gradients_that_are_clipped_leave_settings_alone():
    recipe = RECIPES["tabm"]
    rows, y = make_table(0)
    trained = TabularOptimizer("constant")
    clipped = optax.chain(
        optax.clip_by_global_norm(1e-3),
        optax.GradientTransformation(trained.init, trained.update),
    )
    model = make_model(recipe, rows, make_params(recipe.network, rows))
    result = jaxmlp.fit(
        TabularLoss(recipe.network, squares, drops=False),
        clipped,
        model,
        jaxmlp.DataLoader(rows, y, batch_size=BATCH_SIZE),
        epochs=2,
        key=jax.random.key(0),
    )
    np.testing.assert_array_equal(result.params.packed[:-1], model.packed[:-1])
    assert result.history["loss"][1] < result.history["loss"][0]
