"""The first parameters of a network for tables."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tables_and_networks import (
    CODES,
    CONFIGS,
    REALMLP,
    TABM,
    compute,
    make_bins,
    make_params,
    make_rows,
)

from jaxmlp.tabular import (
    TabularParams,
    apply_tabular,
    embed_rows,
    fit_layer,
    init_periodic_embedding,
    init_tabular,
    parametric_activation,
    shared_dense,
)

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("x64")]


@functools.partial(jax.jit, static_argnums=2)
def net_inputs(params, rows, config):
    """Net inputs of all layers, without biases, shape (rows, units) each."""
    h = embed_rows(params, rows)[:, None, :] * params.scale
    found = []
    for layer in (*params.hidden, params.output):
        z = shared_dense(layer, h, ntk=config.ntk)
        found.append((z - layer.bias)[:, 0])
        h = parametric_activation(config.activation, z, layer.slope)
    return found


def fitted(h, weight, seed=0, units=6):
    kernel = np.random.default_rng(seed).normal(size=(h.shape[1], units))
    return fit_layer(
        *(jnp.asarray(h), jnp.asarray(weight, float)),
        kernel=jnp.asarray(kernel),
        slope=jnp.full(units, 0.7),
        key=jax.random.key(seed),
        ntk=True,
        activation="mish",
    )


@pytest.mark.parametrize("name", ["realmlp", "realmlp_of_classes"])
def test_every_net_input_has_variance_1_over_the_rows(name):
    config, rows = CONFIGS[name], make_rows(count=200)
    params = make_params(config, rows)
    for z in net_inputs(params, rows, config):
        # A sum of 200 numbers.
        np.testing.assert_allclose(np.var(z, axis=0), 1, rtol=1e-12)


def test_the_variance_is_that_of_weighted_rows():
    rows, weight = make_rows(count=200), np.random.default_rng(0).uniform(0, 2, 200)
    params = make_params(REALMLP, rows, weight=weight)
    for z in net_inputs(params, rows, REALMLP):
        mean = np.average(z, axis=0, weights=weight)
        variance = np.average((z - mean) ** 2, axis=0, weights=weight)
        np.testing.assert_allclose(variance, 1, rtol=1e-12)


def test_kinks_lie_among_the_rows():
    h = np.random.default_rng(0).normal(size=(50, 3))
    layer, _ = fitted(h, np.ones(50), units=300)
    z = np.asarray(shared_dense(layer, jnp.asarray(h)[:, None], ntk=True) - layer.bias)[:, 0]
    assert (z.min(axis=0) <= -layer.bias).all()
    assert (-layer.bias <= z.max(axis=0)).all()
    # The mean of 5 draws of variance 1, weighted by Exp(1) draws over their sum, has variance
    # sum E[w**2] = 5 * 2 / 30 = 1/3; of 300 biases, its estimate has a deviation of 8 %.
    assert 1 / 3 * 0.68 < np.var(layer.bias) < 1 / 3 * 1.32


def test_no_row_lies_on_a_kink_where_rounding_would_choose_its_derivative():
    # Of 3 rows all 5 draws are of one in 1 of 81 units.
    h = np.random.default_rng(0).normal(size=(3, 2))
    layer, _ = fitted(h, np.ones(3), units=500)
    z = shared_dense(layer, jnp.asarray(h)[:, None], ntk=True)
    assert np.abs(z).min() > 1e-6


def test_activations_are_those_of_the_layer():
    h = np.random.default_rng(0).normal(size=(20, 3))
    layer, activations = fitted(h, np.ones(20))
    z = shared_dense(layer, jnp.asarray(h)[:, None], ntk=True)[:, 0]
    expected = parametric_activation("mish", z, layer.slope)
    # Kernels are divided before the product, or it is afterwards.
    np.testing.assert_allclose(activations, expected, rtol=1e-12, atol=1e-13)


def test_the_order_of_rows_changes_no_layer():
    generator = np.random.default_rng(0)
    h, weight, order = (
        generator.normal(size=(30, 3)),
        generator.uniform(1, 2, 30),
        generator.permutation(30),
    )
    layer, activations = fitted(h, weight)
    moved, moved_activations = fitted(h[order], weight[order])
    # Sums are rounded in another order.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), layer, moved)
    np.testing.assert_allclose(moved_activations, activations[order], rtol=1e-11, atol=1e-13)


def test_a_weight_counts_as_repetitions():
    generator = np.random.default_rng(0)
    h, weight = generator.normal(size=(30, 3)), generator.integers(0, 4, 30)
    layer, _ = fitted(h, weight)
    repeated, _ = fitted(np.repeat(h, weight, axis=0), np.ones(weight.sum()))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), layer, repeated)


def test_a_unit_that_is_constant_stays_finite():
    layer, activations = fitted(np.ones((10, 3)), np.ones(10))
    assert np.isfinite(layer.kernel).all()
    assert np.isfinite(activations).all()


@pytest.mark.parametrize("name", ["tabm", "tabm_mini"])
def test_members_agree_at_the_start_but_for_the_first_scale_and_heads(name):
    config, rows = CONFIGS[name], make_rows()
    params = make_params(config, rows)
    ones = jax.tree.map(jnp.ones_like, params.hidden[0].input_scale)
    first = params.hidden[0]._replace(input_scale=ones)
    # One head for all: members then agree wholly.
    head = jax.tree.map(lambda a: jnp.repeat(a[:1], config.members, axis=0), params.output)
    alike = params._replace(hidden=(first, *params.hidden[1:]), output=head)
    bins = make_bins(rows, config)
    outputs = np.asarray(compute(alike, rows, config=config, bins=bins))
    # Members are columns of one product, computed in the same way.
    np.testing.assert_allclose(outputs, np.repeat(outputs[:, :1], config.members, 1), rtol=1e-13)
    for changed in (params._replace(output=head), params._replace(hidden=alike.hidden)):
        outputs = np.asarray(compute(changed, rows, config=config, bins=bins))
        assert (np.ptp(outputs, axis=1) > 1e-6).all()


@pytest.mark.parametrize("name", ["tabm", "tabm_mini"])
def test_the_program_does_not_grow_with_members(name):
    def equations(members):
        config, rows = dataclasses.replace(CONFIGS[name], members=members), make_rows()
        settings = {"outputs": 2, "codes": CODES, "bins": make_bins(rows, config)}
        draw = functools.partial(init_tabular, config, rows, **settings)
        return str(jax.make_jaxpr(lambda key: draw(key=key))(jax.random.key(0))).count(" = ")

    assert equations(12) == equations(3)


def test_later_scales_are_ones_and_biases_alike():
    params = make_params(TABM, make_rows())
    for number, layer in enumerate(params.hidden):
        assert number == 0 or (layer.input_scale == 1).all()
        assert (layer.output_scale == 1).all()
        np.testing.assert_array_equal(layer.bias, layer.bias[:1].repeat(TABM.members, 0))


def test_one_scale_is_drawn_for_all_features_of_a_number_and_of_a_code():
    params = make_params(TABM, make_rows())
    scale = np.asarray(params.hidden[0].input_scale)
    places = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 4, 5, 5, 6, 6]  # numbers, columns, codes
    assert scale.shape == (TABM.members, len(places))
    assert all(len(set(zip(places, row, strict=True))) == 7 for row in scale)
    assert len(np.unique(scale)) == 7 * TABM.members


def test_without_embeddings_the_first_scales_are_signs():
    params = make_params(CONFIGS["tabm_without_embeddings"], make_rows())
    assert set(np.unique(params.hidden[0].input_scale)) == {-1, 1}


def test_tabm_mini_differs_in_the_first_scale_alone():
    first, second = make_params(CONFIGS["tabm_mini"], make_rows()).hidden
    assert first.input_scale is not None
    assert [first.output_scale, second.input_scale, second.output_scale] == [None] * 3
    assert first.bias.ndim == second.bias.ndim == 1


@pytest.mark.parametrize("ntk", [False, True])
def test_what_is_not_fitted_is_uniform_below_the_root_of_the_inputs(ntk):
    config = dataclasses.replace(TABM, hidden_features=(400, 400), ntk=ntk)
    layer = make_params(config, make_rows()).hidden[1]
    bound = 1 / 20
    kernel = layer.kernel / 20 if ntk else layer.kernel
    # Of 160,000 and 400 draws, the largest is this near to the bound but once in e**16 and e**10.
    assert bound * (1 - 1e-4) < np.abs(kernel).max() <= bound
    assert bound * (1 - 0.025) < np.abs(layer.bias).max() <= bound
    # A uniform variance of 160,000 draws has a deviation of 0.2 %.
    np.testing.assert_allclose(np.var(kernel), bound**2 / 3, rtol=0.01)


def test_draws_of_a_periodic_embedding_are_those_of_the_paper():
    drawn = init_periodic_embedding(
        500, key=jax.random.key(0), frequencies=16, embedded=3, frequency_scale=0.1
    )
    # Of 8,000 draws a deviation has one of 0.8 %, and of 24,000 a mean square of 0.6 %.
    np.testing.assert_allclose(np.std(drawn.frequency), 0.1, rtol=0.04)
    assert np.abs(drawn.phase).max() <= np.pi
    np.testing.assert_allclose(np.std(drawn.phase), np.pi / 3**0.5, rtol=0.04)
    assert max(np.abs(drawn.kernel).max(), np.abs(drawn.bias).max()) <= 1 / 4
    np.testing.assert_allclose(np.std(drawn.kernel), 1 / 4 / 3**0.5, rtol=0.03)


@pytest.mark.parametrize("name", ["realmlp", "tabm"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_have_the_type_of_the_numbers(name, dtype):
    params = make_params(CONFIGS[name], make_rows(dtype))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(dtype)}


def test_unknown_categories_start_at_zero():
    params = make_params(REALMLP, make_rows())
    assert not params.categories[0][0].any()
    assert params.categories[0][1:].all()


def test_parameters_are_none_but_those_that_the_config_asks_for():
    params = make_params(TABM, make_rows())
    assert isinstance(params, TabularParams)
    assert params.scale is None
    assert params.hidden[0].slope is None
    assert (make_params(REALMLP, make_rows()).scale == 1).all()


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"outputs": 0}, "outputs must be an int of at least 1"),
        ({"codes": (6,)}, r"codes must have one number per column of rows.codes, 2; got \(6,\)"),
        ({"codes": (6, 0)}, r"codes\[1\] must be an int of at least 1"),
        ({"weight": np.ones(3)}, r"weight must have shape \(40,\), one per row; got \(3,\)"),
        ({"bins": None}, "bins must be given for a piecewise-linear embedding"),
        (
            {"config": dataclasses.replace(TABM, bins=9)},
            r"bins must have shape.*\(3, 9\); got \(3, 5\)",
        ),
    ],
)
def test_wrong_shapes_are_told(changed, match):
    rows = make_rows()
    arguments = {"config": TABM, "outputs": 1, "codes": (6, 3), "bins": make_bins(rows, TABM)}
    arguments |= changed
    with pytest.raises(ValueError, match=match):
        init_tabular(arguments.pop("config"), rows, key=jax.random.key(0), **arguments)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"numbers": np.zeros((5, 2))}, r"rows.numbers must have shape \(rows, 3\).*\(5, 2\)"),
        ({"codes": np.zeros((5, 0), int)}, r"rows.codes must have shape \(rows, 2\).*\(5, 0\)"),
        ({"columns": np.zeros((5, 3))}, "rows must become 18 features.*got 19"),
    ],
)
def test_rows_of_other_columns_are_refused(changed, match):
    rows = make_rows(count=5)
    params = make_params(REALMLP, rows)
    with pytest.raises(ValueError, match=match):
        apply_tabular(params, rows._replace(**changed), config=REALMLP)


def test_missing_bins_are_told():
    rows = make_rows()
    params = make_params(TABM, rows)
    with pytest.raises(ValueError, match="bins must be given for a piecewise-linear embedding"):
        apply_tabular(params, rows, config=TABM)
