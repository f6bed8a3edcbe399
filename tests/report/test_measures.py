"""Tests of the numbers by epoch and of the planes, against closed forms and `jax.grad`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from runs import MOONS, moons, moons_run, noisy_params, record

import jaxmlp
from jaxmlp import losses, metrics
from jaxmlp.report.measures import measure
from jaxmlp.report.regions import choose_plane, draw_plane
from jaxmlp.report.row_sample import take_rows

NAMES = {"feature_names": None, "class_names": None}
X, Y = moons(50)
ROWS = take_rows(X, Y, MOONS, max_rows=10, **NAMES)


def measured(config=MOONS, rows=ROWS, criterion=losses.softmax_cross_entropy, records=None):
    return measure(list(records or moons_run()[0].records), config, criterion, rows)


def test_gradient_norms_are_those_of_jax_grad():
    record_ = moons_run()[0].records[3]
    loss_fn = jaxmlp.make_loss(MOONS, losses.softmax_cross_entropy)
    gradient = jax.grad(lambda p: loss_fn(p, jaxmlp.Batch(X, Y), None)[0])(record_.params)
    expected = [
        np.sqrt(sum(float(jnp.sum(a**2)) for a in jax.tree.leaves(layer)))
        for layer in (*gradient.hidden, gradient.output)
    ]
    # Sums of some hundred float32 squares.
    np.testing.assert_allclose(measured()["gradientNorms"][3], expected, rtol=1e-5)


def test_update_ratios_are_changes_of_kernels_by_their_length_and_epoch():
    records = moons_run()[0].records
    before, after = (record_.params.hidden[0].kernel.astype(float) for record_ in records[4:6])
    epochs = records[5].epoch - records[4].epoch
    assert epochs == 4
    expected = np.linalg.norm(after - before) / np.linalg.norm(before) / epochs
    ratios = measured()["updateRatios"]
    assert ratios[0] == [None] * 3
    assert ratios[5][0] == pytest.approx(expected, rel=1e-12)


def test_a_single_probability_is_split_at_one_half():
    config = jaxmlp.MLPConfig(in_features=2, out_features=1, output_activation="sigmoid")
    rows = take_rows(X, Y, config, max_rows=10, **NAMES)
    records = record(noisy_params(config, 3)).records
    result = measured(config, rows, losses.squared_error, records)
    outputs = np.asarray(jaxmlp.apply(records[0].params, X, config=config))
    expected = np.asarray(metrics.confusion_matrix(outputs - 0.5, Y))
    assert expected.sum(axis=0).all()
    np.testing.assert_array_equal(result["confusion"][0], expected)
    drawn = draw_plane(records, config, rows, choose_plane(rows, None, None))["answers"][0]
    assert drawn["sure"].min() >= 0.5
    assert set(np.unique(drawn["class"])) == {0, 1}


def shifted(config, bias):
    params = noisy_params(config, 0)
    first = params.hidden[0]
    return params._replace(hidden=(first._replace(bias=jnp.asarray(bias)),))


def test_units_that_never_fire_are_dead():
    config = jaxmlp.MLPConfig(in_features=2, hidden_features=(4,), out_features=2)
    params = shifted(config, np.array([-100, 0, -100, 100], np.float32))
    result = measured(config, records=record(params).records)
    assert result["dead"] == [[2, 0]]
    assert result["saturated"] == [[0, 0]]


def test_units_with_almost_no_slope_are_saturated():
    config = jaxmlp.MLPConfig(
        in_features=2, hidden_features=(3,), out_features=2, activation="tanh"
    )
    # 1 - tanh(4)**2 is 0.0013, and the rows move z by less than 3.
    params = shifted(config, np.array([6, 0, -6], np.float32))
    result = measured(config, records=record(params).records)
    assert result["saturated"] == [[2, 0]]
    assert result["dead"] == [[0, 0]]


def test_every_net_input_is_in_its_histogram():
    for histogram in measured()["histograms"][:2]:
        assert {sum(counts) for counts in histogram["counts"]} == {50 * 8}


def test_the_confusion_is_that_of_the_metric():
    params = moons_run()[0].records[-1].params
    outputs = jaxmlp.apply(params, X, config=MOONS)
    expected = np.asarray(metrics.confusion_matrix(outputs, Y))
    np.testing.assert_array_equal(measured()["confusion"][-1], expected)


def test_one_output_is_the_log_odds_of_class_1():
    config = jaxmlp.MLPConfig(in_features=2, out_features=1)
    params = noisy_params(config, 0)
    criterion = losses.sigmoid_binary_cross_entropy
    rows = take_rows(X, Y, config, max_rows=10, **NAMES)
    outputs = jaxmlp.apply(params, X, config=config)[:, 0]
    result = measured(config, rows, criterion, record(params).records)
    expected = np.asarray(metrics.confusion_matrix(outputs[:, None], Y))
    np.testing.assert_array_equal(result["confusion"][0], expected)


class TestPlanes:
    def test_points_are_those_of_the_rows_shown(self):
        plane = choose_plane(ROWS, None, None)
        assert plane.features == (0, 1)
        np.testing.assert_array_equal(plane.places, ROWS.x[ROWS.shown])

    @pytest.mark.parametrize("x", [X[:, :1], np.ones((50, 3))], ids=["one input", "equal rows"])
    def test_there_is_none_of(self, x):
        config = jaxmlp.MLPConfig(in_features=x.shape[1], out_features=2)
        assert choose_plane(take_rows(x, Y, config, max_rows=5, **NAMES), None, None) is None

    def test_the_principal_plane_is_that_of_all_rows(self):
        config = jaxmlp.MLPConfig(in_features=4, out_features=2)
        x = np.random.default_rng(0).normal(size=(50, 4))
        few, all_of_them = (
            choose_plane(take_rows(x, Y, config, max_rows=rows, **NAMES), None, None)
            for rows in (5, 50)
        )
        np.testing.assert_array_equal(few.directions, all_of_them.directions)
        assert (len(few.places), len(all_of_them.places)) == (5, 50)

    def test_net_inputs_are_0_on_the_lines(self):
        plane = choose_plane(ROWS, None, None)
        records = [moons_run()[0].records[-1]]
        lines = draw_plane(records, MOONS, ROWS, plane)["lines"][0]
        assert [len(layer) for layer in lines] == [8, 8]
        first = records[0].params.hidden[0]
        for unit, found in enumerate(lines[0]):
            for u, v in found:
                z = np.stack([u, v], axis=-1) @ first.kernel[:, unit] + first.bias[unit]
                # Points are rounded to three places.
                size = np.abs(first.kernel[:, unit]).sum()
                np.testing.assert_allclose(z, 0, atol=6e-4 * size)
        assert sum(map(len, lines[0])) >= 4

    def test_answers_are_the_network_s(self):
        plane = choose_plane(ROWS, None, None)
        drawn = draw_plane(list(moons_run()[0].records[-1:]), MOONS, ROWS, plane)
        answer = drawn["answers"][0]
        corner = np.array([drawn["window"][:, 0]], np.float32)
        logits = jaxmlp.apply(moons_run()[0].records[-1].params, corner, config=MOONS)[0]
        assert answer["class"][0, 0] == int(np.argmax(logits))
        assert answer["sure"][0, 0] == pytest.approx(float(jax.nn.softmax(logits).max()), rel=1e-5)
