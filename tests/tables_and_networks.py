"""A small table, and networks for it that differ in all that a config can say."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.tabular import (
    Recipe,
    TabularConfig,
    TabularLoss,
    TabularModel,
    TabularRows,
    apply_tabular,
    init_tabular,
    pack_settings,
    quantile_bins,
    smooth_clip,
)

ROWS, CODES = 40, (6, 3)
REALMLP = TabularConfig(hidden_features=(7, 5), frequencies=4, category_features=2)
TABM = TabularConfig(
    hidden_features=(6, 6),
    activation="relu",
    parametric=False,
    embedding="piecewise_linear",
    bins=5,
    embedded=3,
    category_features=2,
    members=4,
    scaling_layer=False,
    ntk=False,
    fit_start=False,
)
CONFIGS = {
    "realmlp": REALMLP,
    "realmlp_of_classes": dataclasses.replace(REALMLP, activation="selu"),
    "tabm": TABM,
    "tabm_mini": dataclasses.replace(TABM, sharing="first"),
    "tabm_without_embeddings": dataclasses.replace(TABM, embedding=None),
    "both": dataclasses.replace(REALMLP, members=3),
    "linear": dataclasses.replace(TABM, hidden_features=(), embedding=None),
}


def make_rows(dtype=np.float64, count=ROWS, seed=0):
    generator = np.random.default_rng(seed)
    numbers = generator.normal(size=(count, 3)) * [1, 3, 0.2]
    columns = generator.integers(0, 2, (count, 2))
    codes = np.stack([generator.integers(0, n, count) for n in CODES], axis=1)
    return TabularRows(numbers.astype(dtype), columns.astype(dtype), codes)


def make_bins(rows, config) -> Any:
    if config.embedding != "piecewise_linear":
        return None
    return quantile_bins(np.asarray(smooth_clip(jnp.asarray(rows.numbers))), config.bins)


def make_params(config, rows, outputs=2, seed=0, weight=None):
    """As training begins."""
    placed = jax.tree.map(jnp.asarray, rows)
    bins = jax.tree.map(jnp.asarray, make_bins(rows, config))
    key = jax.random.key(seed)
    return _draw(placed, weight, bins, key, config=config, outputs=outputs)


@functools.partial(jax.jit, static_argnames=("config", "outputs"))
def _draw(rows, weight, bins, key, *, config, outputs):
    named = {"outputs": outputs, "codes": CODES, "key": key, "bins": bins, "weight": weight}
    return init_tabular(config, rows, **named)


def make_trained(config, rows, seed=0):
    """Of the shapes that training leaves; how it began does not matter, and to fit takes time."""
    config = dataclasses.replace(config, fit_start=False)
    return as_if_trained(make_params(config, rows, seed=seed), seed)


def as_if_trained(params, seed=5):
    """With noise on every array, so that none is 0 or 1 and no two members are alike."""
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(a + generator.normal(0, 0.3, a.shape)), params)


def squares(outputs, targets, options):
    del options
    return jnp.sum(jnp.square(outputs - targets), axis=-1)


compute = jax.jit(apply_tabular, static_argnames="config")


@functools.cache
def loss_of(config, drops=False):
    return TabularLoss(config, squares, drops)


def make_model(config, rows, recipe_fields=None, *, steps=10, options=()):
    params = make_trained(config, rows)
    dtype = params.output.kernel.dtype
    recipe = Recipe(network=config, **(recipe_fields or {}))
    return TabularModel(
        params,
        pack_settings(recipe, steps=steps, dtype=dtype),
        make_bins(rows, config),
        jnp.array(options, dtype),
    )
