"""What a network for tables computes, against the oracle."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_tabular as reference
from tables_and_networks import (
    CONFIGS,
    REALMLP,
    TABM,
    as_if_trained,
    compute,
    make_bins,
    make_trained,
)
from tables_and_networks import make_rows as make

from jaxmlp.tabular import (
    PiecewiseLinearEmbedding,
    SharedDense,
    TabularRows,
    apply_tabular,
    embed_rows,
    init_periodic_embedding,
    init_piecewise_linear_embedding,
    parametric_activation,
    periodic_embedding,
    piecewise_linear_embedding,
    piecewise_linear_encoding,
    shared_dense,
)

# Sums of at most 20 products in each of at most 5 stages, of numbers up to about 100.
RTOL = 1e-12
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("x64")]


def assert_close(got, expected, rtol=RTOL):
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


def test_periodic_embedding_is_that_of_the_paper():
    params = init_periodic_embedding(3, key=jax.random.key(0), frequencies=5, embedded=2)
    x = make().numbers
    expected = [reference.periodic(params, row) for row in x]
    assert_close(periodic_embedding(params, jnp.asarray(x)).reshape(len(x), -1), expected)


def test_piecewise_linear_encoding_is_that_of_the_paper():
    rows = make()
    bins = make_bins(rows, TABM)
    # Also beyond the bins, at their ends, and of a feature that has two of five.
    bins.low[1], bins.width[1] = [0, 1, 0, 0, 0], [1, 0.5, 0, 0, 0]
    x = np.concatenate([rows.numbers, bins.low.T, [[9, 9, 9], [-9, -9, -9]]])
    for feature in range(3):
        got = piecewise_linear_encoding(jnp.asarray(x), bins)[:, feature]
        expected = [
            reference.encoding(bins.low[feature], bins.width[feature], v[feature]) for v in x
        ]
        assert_close(got, expected)


def test_piecewise_linear_embedding_is_that_of_the_paper():
    rows = make()
    bins = make_bins(rows, TABM)
    drawn = init_piecewise_linear_embedding(3, key=jax.random.key(0), bins=5, embedded=2)
    params = as_if_trained(drawn)
    expected = [reference.piecewise_linear(params, row, bins) for row in rows.numbers]
    got = piecewise_linear_embedding(params, jnp.asarray(rows.numbers), bins)
    assert_close(got.reshape(len(expected), -1), expected)


def test_a_piecewise_linear_embedding_starts_as_a_linear_one():
    rows = make()
    params = init_piecewise_linear_embedding(3, key=jax.random.key(0), bins=5, embedded=2)
    x = jnp.asarray(rows.numbers)
    got = piecewise_linear_embedding(params, x, make_bins(rows, TABM))
    np.testing.assert_array_equal(got, x[..., None] * params.weight + params.bias)


def test_a_piecewise_linear_embedding_is_continuous_at_the_ends_of_bins():
    bins = make_bins(make(), TABM)
    generator = np.random.default_rng(0)
    shapes = [(3, 2), (3, 2), (3, 5, 2)]
    params = PiecewiseLinearEmbedding(*(jnp.asarray(generator.normal(size=s)) for s in shapes))
    for end in np.concatenate([bins.low.T, (bins.low + bins.width).T]):
        below, above = (
            piecewise_linear_embedding(params, jnp.asarray(end[None] + d), bins)
            for d in (-1e-9, 1e-9)
        )
        # Slopes are below 100.
        np.testing.assert_allclose(below, above, atol=1e-6)


@pytest.mark.parametrize("ntk", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("own_kernels", [False, True])
def test_shared_dense_is_batch_ensemble(ntk, scaled, own_kernels):
    generator = np.random.default_rng(0)
    h = generator.normal(size=(5, 3, 4))
    kernel = generator.normal(size=(3, 4, 2) if own_kernels else (4, 2))
    scales = [generator.normal(size=(3, n)) if scaled else None for n in (4, 2)]
    parts: Any = (kernel, generator.normal(size=(3, 2)), *scales)
    layer = SharedDense(*parts)
    placed = jax.tree.map(jnp.asarray, layer)
    expected = [[reference.dense(layer, h[r, m], m, ntk) for m in range(3)] for r in range(5)]
    assert_close(shared_dense(placed, jnp.asarray(h), ntk=ntk), expected)


def test_ntk_divides_by_the_root_of_the_inputs():
    layer = SharedDense(jnp.ones((16, 1)), jnp.zeros(1))
    assert shared_dense(layer, jnp.ones((1, 1, 16)), ntk=True).item() == 4


@pytest.mark.parametrize("name", ["selu", "mish", "relu"])
def test_a_parametric_activation_lies_between_linear_and_itself(name):
    z, slope = np.linspace(-3, 3, 13), np.linspace(-0.5, 1.5, 13)
    expected = z + slope * (reference.ACTIVATIONS[name](z) - z)
    assert_close(parametric_activation(name, jnp.asarray(z), jnp.asarray(slope)), expected)
    assert_close(parametric_activation(name, jnp.asarray(z), None), reference.ACTIVATIONS[name](z))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_network_computes_what_the_oracle_does(name):
    config, rows = CONFIGS[name], make()
    params = make_trained(config, rows)
    bins = make_bins(rows, config)
    got = compute(params, rows, config=config, bins=bins)
    assert got.shape == (len(rows.numbers), config.members, 2)
    assert_close(got, reference.forward(params, rows, config, bins))


@pytest.mark.parametrize("name", ["realmlp", "tabm"])
def test_compiled_is_as_called(name):
    config, rows = CONFIGS[name], make()
    params, bins = make_trained(config, rows), make_bins(rows, config)
    assert_close(
        compute(params, rows, config=config, bins=bins),
        apply_tabular(params, rows, config=config, bins=bins),
    )


@pytest.mark.parametrize("name", ["realmlp", "tabm"])
def test_networks_mapped_over_are_networks_one_by_one(name):
    config, rows = CONFIGS[name], make()
    many = [make_trained(config, rows, seed) for seed in range(3)]
    bins = make_bins(rows, config)
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *many)
    mapped = jax.vmap(lambda params: compute(params, rows, config=config, bins=bins))(stacked)
    for one, got in zip(many, mapped, strict=True):
        assert_close(got, compute(one, rows, config=config, bins=bins))


@pytest.mark.parametrize("name", ["realmlp", "tabm"])
def test_the_output_of_a_row_depends_on_that_row_alone(name):
    config, rows = CONFIGS[name], make()
    params, bins = make_trained(config, rows), make_bins(rows, config)
    whole = compute(params, rows, config=config, bins=bins)
    some = TabularRows(*(part[10:13] for part in rows))
    assert_close(compute(params, some, config=config, bins=bins), whole[10:13])


@pytest.mark.parametrize("name", ["realmlp", "tabm"])
def test_no_rows_give_no_outputs(name):
    config, rows = CONFIGS[name], make()
    none = TabularRows(*(part[:0] for part in rows))
    got = compute(make_trained(config, rows), none, config=config, bins=make_bins(rows, config))
    assert got.shape == (0, config.members, 2)


def test_features_are_numbers_then_columns_then_categories():
    rows = make()
    params = make_trained(REALMLP, rows)
    features = embed_rows(params, rows)
    assert features.shape == (len(rows.numbers), 3 * 4 + 2 + 2 * 2)
    np.testing.assert_array_equal(features[:, 12:14], rows.columns)
    np.testing.assert_array_equal(features[:, 14:16], params.categories[0][rows.codes[:, 0]])


@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_are_those_of_finite_differences(name):
    config, rows = CONFIGS[name], make(count=12)
    params, bins = make_trained(config, rows), make_bins(rows, config)

    def loss(params):
        outputs = apply_tabular(params, rows, config=config, bins=bins)
        return jnp.mean(jnp.sin(outputs))

    gradients = jax.jit(jax.grad(loss))(params)
    compiled = jax.jit(loss)
    generator = np.random.default_rng(0)
    for _ in range(3):
        way = jax.tree.map(lambda a: generator.normal(size=a.shape), params)
        slope = sum(
            jnp.vdot(g, d) for g, d in zip(*map(jax.tree.leaves, (gradients, way)), strict=True)
        )
        ahead, behind = (
            compiled(jax.tree.map(lambda a, d, s=s: a + s * d, params, way)) for s in (1e-6, -1e-6)
        )
        # Central differences err by 1e-12 of the third derivative, and 1e-16 / 1e-6 of rounding.
        np.testing.assert_allclose((ahead - behind) / 2e-6, slope, rtol=1e-6, atol=1e-8)
