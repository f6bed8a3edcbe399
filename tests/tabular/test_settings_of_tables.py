"""Settings of networks for tables: what is refused, what recipes say, and schedules."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.tabular import (
    Recipe,
    TabularConfig,
    TabularLoss,
    TabularOptimizer,
    TabularSettings,
    choose_recipe,
    coslog4,
    flat_cos,
    for_few_rows,
    pack_settings,
    realmlp,
    tabm,
)

NETWORK = TabularConfig(hidden_features=(4,))
ABOVE_0 = "must be an int of at least 1"


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("field", "value", "error", "match"),
    [
        ("hidden_features", [4], TypeError, "must be a tuple of ints"),
        ("hidden_features", (4, 0), ValueError, rf"\[1\] {ABOVE_0}"),
        ("activation", "rleu", ValueError, "Did you mean 'relu'"),
        ("activation", "swiglu", ValueError, "activation must be one of"),
        ("activation", abs, TypeError, "activation must be a name"),
        ("parametric", 1, TypeError, "must be True or False"),
        ("embedding", "fourier", ValueError, "must be one of None, 'periodic'"),
        ("frequencies", 0, ValueError, ABOVE_0),
        ("frequency_scale", 0.0, ValueError, "must be finite and above 0"),
        ("frequency_scale", float("inf"), ValueError, "must be finite and above 0"),
        ("bins", 0, ValueError, ABOVE_0),
        ("embedded", 0, ValueError, ABOVE_0),
        ("category_features", 0, ValueError, ABOVE_0),
        ("members", 0, ValueError, ABOVE_0),
        ("members", 2.0, TypeError, ABOVE_0),
        ("sharing", "last", ValueError, "must be one of 'all', 'first'"),
        ("scaling_layer", None, TypeError, "must be True or False"),
        ("ntk", "yes", TypeError, "must be True or False"),
        ("fit_start", 0, TypeError, "must be True or False"),
    ],
)
def test_a_config_refuses_what_is_out_of_its_range(field, value, error, match):
    with pytest.raises(error, match=f"{field}.*{match}|{match}"):
        TabularConfig(**{field: value})


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("field", "value", "error", "match"),
    [
        ("network", None, TypeError, "network must be a TabularConfig"),
        ("members", 0, ValueError, ABOVE_0),
        ("folds", -1, ValueError, "must be an int of at least 0"),
        ("folds", 1, ValueError, "folds must be 0 or at least 2"),
        ("patience", -1, ValueError, "must be an int of at least 0"),
        ("patience", 1.5, TypeError, "must be an int of at least 0"),
        ("epochs", 0, ValueError, ABOVE_0),
        ("batch_size", 0, ValueError, ABOVE_0),
        ("learning_rate", -0.1, ValueError, "must be finite and at least 0"),
        ("schedule", "cosine", ValueError, "must be one of 'coslog4'"),
        ("beta_2", 1.0, ValueError, r"must be in \[0, 1\)"),
        ("epsilon", 0.0, ValueError, "must be finite and above 0"),
        ("weight_decay", float("nan"), ValueError, "must be finite and at least 0"),
        ("dropout_rate", 1.0, ValueError, r"must be in \[0, 1\)"),
        ("scale_factor", -1.0, ValueError, "must be finite and at least 0"),
        ("bias_factor", -1.0, ValueError, "must be finite and at least 0"),
        ("slope_factor", -1.0, ValueError, "must be finite and at least 0"),
        ("embedding_factor", "1", TypeError, "must be a number finite and at least 0"),
        ("clip", 1, TypeError, "must be True or False"),
    ],
)
def test_a_recipe_refuses_what_is_out_of_its_range(field, value, error, match):
    with pytest.raises(error, match=f"^{field}.*{match}|^{match}"):
        Recipe(**{"network": NETWORK, field: value})


@pytest.mark.bad_input
def test_a_loss_and_an_optimizer_refuse_what_they_cannot_use():
    with pytest.raises(TypeError, match="config must be a TabularConfig"):
        TabularLoss(jaxmlp.MLPConfig(in_features=1, out_features=1), max, True)  # pyright: ignore
    with pytest.raises(TypeError, match=r"criterion must be a function.*cannot be called so"):
        TabularLoss(NETWORK, jaxmlp.losses.squared_error, True)  # pyright: ignore
    with pytest.raises(TypeError, match="drops must be True or False"):
        TabularLoss(NETWORK, lambda z, y, _: z - y, 0)  # pyright: ignore
    with pytest.raises(ValueError, match="schedule must be one of 'coslog4'"):
        TabularOptimizer("linear")  # pyright: ignore
    with pytest.raises(ValueError, match=f"steps {ABOVE_0}"):
        pack_settings(Recipe(network=NETWORK), steps=0, dtype=jnp.float32)
    with pytest.raises(ValueError, match=f"rows {ABOVE_0}"):
        choose_recipe(0, 3, regression=True)


def test_settings_keep_their_names_in_an_array():
    recipe = Recipe(network=NETWORK, learning_rate=0.5, embedding_factor=0.75)
    settings = TabularSettings(*pack_settings(recipe, steps=4, dtype=jnp.float32).tolist())
    for name in TabularSettings._fields[:-2]:
        assert getattr(settings, name) == pytest.approx(getattr(recipe, name), rel=1e-7)
    assert (settings.per_step, settings.progress) == (0.25, 0)


def test_equal_settings_are_equal_and_hash_alike():
    for make in (realmlp, tabm):
        assert hash(make(regression=True)) == hash(make(regression=True))
    assert TabularOptimizer("coslog4") == TabularOptimizer("coslog4")


@pytest.mark.parametrize("regression", [True, False])
def test_the_recipe_of_realmlp_has_the_numbers_of_table_a_1(regression):
    recipe = realmlp(regression=regression)
    network = recipe.network
    assert network.hidden_features == (256, 256, 256)
    assert network.activation == ("mish" if regression else "selu")
    assert network.embedding == "periodic"
    assert (network.frequencies, network.frequency_scale, network.embedded) == (16, 0.1, 3)
    assert network.category_features == 8
    assert network.parametric
    assert network.scaling_layer
    assert network.ntk
    assert network.fit_start
    assert recipe.learning_rate == (0.2 if regression else 0.04)
    assert (recipe.epochs, recipe.batch_size, recipe.schedule) == (256, 256, "coslog4")
    assert (recipe.beta_2, recipe.epsilon) == (0.95, 1e-8)
    assert (recipe.dropout_rate, recipe.weight_decay) == (0.15, 0.02)
    factors = (recipe.scale_factor, recipe.bias_factor, recipe.slope_factor)
    assert (*factors, recipe.embedding_factor) == (6, 0.1, 0.1, 0.1)


def test_the_recipe_of_tabm_has_the_numbers_of_its_authors():
    recipe = tabm(regression=True)
    network = recipe.network
    assert network.hidden_features == (512, 512)
    assert (network.activation, network.members, network.sharing) == ("relu", 32, "all")
    assert (network.embedding, network.bins, network.embedded) == ("piecewise_linear", 48, 16)
    for name in ("parametric", "scaling_layer", "ntk", "fit_start"):
        assert not getattr(network, name)
    assert (recipe.learning_rate, recipe.weight_decay, recipe.dropout_rate) == (2e-3, 3e-4, 0.1)
    assert (recipe.batch_size, recipe.beta_2, recipe.epsilon) == (256, 0.999, 1e-8)
    factors = (recipe.scale_factor, recipe.bias_factor, recipe.slope_factor)
    assert (*factors[:2], recipe.embedding_factor) == (1, 1, 1)


def test_few_rows_keep_the_network():
    recipe = for_few_rows(realmlp(regression=True))
    assert recipe.network == realmlp(regression=True).network
    assert (recipe.folds, recipe.dropout_rate) == (0, 0)


@pytest.mark.parametrize("rows", [1, 100, 10_000, 1_000_000])
@pytest.mark.parametrize("features", [0, 10, 1000])
def test_there_is_a_recipe_for_every_size_of_table(rows, features):
    recipe = choose_recipe(rows, features, regression=False)
    assert 16 <= recipe.epochs <= 200
    assert dataclasses.replace(recipe) == recipe


def test_coslog4_is_0_at_the_ends_of_its_cycles_and_1_within():
    ends = np.array([0, 1, 3, 7, 15]) / 15
    tops = (2 ** (np.arange(4) + 0.5) - 1) / 15
    # Cosines near their extrema, of float32 phases up to 8 pi: (8 pi 6e-8)**2 and 1 rounding.
    np.testing.assert_allclose(coslog4(jnp.asarray(ends, jnp.float32)), 0, atol=1e-10)
    np.testing.assert_allclose(coslog4(jnp.asarray(tops, jnp.float32)), 1, rtol=1e-6)


def test_flat_cos_is_flat_and_then_a_cosine():
    t = jnp.array([0, 0.2, 0.5, 0.625, 0.75, 1])
    expected = [1, 1, 1, (1 + 0.5**0.5) / 2, 0.5, 0]
    np.testing.assert_allclose(flat_cos(t), expected, atol=1e-7)


def test_a_foreign_name_is_an_error_of_the_module():
    with pytest.raises(AttributeError, match=r"jaxmlp.tabular has no 'realmpl'.*realmlp"):
        jaxmlp.tabular.realmpl  # noqa: B018  # pyright: ignore
    assert dir(jaxmlp.tabular) == sorted(jaxmlp.tabular.__all__)
