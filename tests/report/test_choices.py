"""What a reader chooses on the page of a run: an output, a wrong row, two epochs of a weight."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from browser import CHROMIUM, Browser
from pages import opener
from runs import MOONS, moons, noisy_params, record

import jaxmlp
from jaxmlp import losses, report
from jaxmlp.inspection import decide, probabilities_of

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed to open the page in"),
]
GENERATOR = np.random.default_rng(0)
X3 = GENERATOR.normal(size=(30, 3)).astype(np.float32)
Y3 = GENERATOR.normal(size=(30, 3)).astype(np.float32) * np.float32([1, 10, 100])


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    with opener(browser, tmp_path) as open_report:
        yield open_report


def columns(browser, name):
    """Returns the data of a figure's series by column."""
    found = f"Bokeh.documents.map(d => d.get_model_by_name('{name}')).find(m => m)"
    return browser.run(f"Object.fromEntries(Object.entries({found}.data_source.data))")


def test_each_output_of_a_regression_has_jax_s_predictions_and_its_own_targets(opened):
    config = jaxmlp.MLPConfig(in_features=3, hidden_features=(4,), out_features=3)
    epochs = [noisy_params(config, seed) for seed in (1, 2)]
    made = report.Report(record(*epochs), config, X3, Y3, criterion=losses.squared_error)
    browser = opened(made)
    for epoch, output in ((0, 0), (0, 2), (1, 1)):
        shown = browser.choose(epoch=epoch, output=output, row=4)
        expected = np.asarray(jaxmlp.apply(epochs[epoch], X3, config=config))
        assert shown["output"] == output
        np.testing.assert_allclose(shown["answer"], expected[4], rtol=1e-5, atol=1e-6)
        drawn = columns(browser, "residuals-points")
        np.testing.assert_allclose(drawn["y"], expected[:, output], rtol=1e-6)
        np.testing.assert_array_equal(drawn["x"], Y3[:, output])
        spread = np.sqrt(np.mean((Y3[:, output] - expected[:, output]) ** 2))
        text = browser.run("document.getElementById('errors').textContent")
        assert f"output {output + 1}" in text
        assert float(text.rpartition(" ")[2]) == pytest.approx(spread, rel=1e-3)


def test_the_image_and_the_points_are_those_of_the_chosen_output(opened):
    config = jaxmlp.MLPConfig(in_features=2, out_features=2)
    # The first output grows to the right, the second upwards.
    kernel = jnp.eye(2)
    params = jaxmlp.Params((), jaxmlp.Dense(kernel, jnp.zeros(2)))
    x = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), axis=-1).reshape(-1, 2)
    made = report.Report(
        record(params), config, x, x.astype(np.float32), criterion=losses.squared_error
    )
    browser = opened(made)
    images = "Bokeh.documents.map(d => d.get_model_by_name('region-0')).find(m => m)"
    for output in (0, 1):
        browser.choose(output=output)
        # Rows of the image go upwards.
        values, shape = browser.run(
            f"(() => {{ const {{ image }} = {images}.data_source.data; "
            "return [Array.from(image[0]), image[0].shape]; })()"
        )
        image = np.array(values).reshape(shape)
        along, across = (1, 0) if output == 0 else (0, 1)
        assert (np.diff(image, axis=along) >= 0).all()
        assert (np.ptp(image, axis=across) == 0).all()
        assert (image.min(), image.max()) == (0, 255)


PROBABILITIES = [(1, None), (1, "sigmoid"), (3, None), (3, "softmax"), (3, "sigmoid")]


@pytest.mark.parametrize(("outputs", "activation"), PROBABILITIES)
def test_probabilities_of_a_row_are_those_of_the_library(outputs, activation, opened):
    config = jaxmlp.MLPConfig(
        in_features=3, hidden_features=(4,), out_features=outputs, output_activation=activation
    )
    params = noisy_params(config, 1)
    y = np.arange(30, dtype=np.int32) % max(2, outputs)
    made = report.Report(record(params), config, X3, y, criterion=a_loss)
    browser = opened(made)
    expected = np.asarray(jaxmlp.apply(params, X3, config=config), np.float64)
    for row in (0, 7):
        shown = browser.choose(row=row)
        np.testing.assert_allclose(
            shown["answer"], probabilities_of(expected, config)[row], rtol=1e-5
        )
        told = browser.run("document.getElementById('answer').textContent")
        decided = decide(expected, config)
        right = "right" if decided[row] == y[row] else "wrong"
        assert f"prediction: {decided[row]}, which is {right}; target: {y[row]}" in told


def a_loss(outputs, targets):
    """Any that takes classes with any outputs."""
    del targets
    return jnp.sum(outputs**2, axis=-1)


@functools.cache
def moons_of_noise():
    x, y = moons(40)
    params = noisy_params(MOONS, 3)
    return report.Report(record(params), MOONS, x, y, criterion=losses.softmax_cross_entropy)


def wrong_rows():
    x, y = moons(40)
    outputs = jaxmlp.apply(noisy_params(MOONS, 3), x, config=MOONS)
    return np.flatnonzero(np.asarray(outputs).argmax(axis=-1) != y).tolist()


@pytest.mark.parametrize("way", ["button", "key"])
def test_the_next_wrong_row_is_gone_to_and_after_the_last_comes_the_first(way, opened):
    browser = opened(moons_of_noise(), f"#row={wrong_rows()[0]}")
    expected = [*wrong_rows()[1:], wrong_rows()[0]]
    assert 2 < len(expected) < 40
    seen = []
    for _ in expected:
        if way == "button":
            browser.run("document.getElementById('next-wrong').click()")
        else:
            browser.press("n", 78)
        seen.append(browser.choose()["row"])
    assert seen == expected
    assert browser.choose()["wrong"] == len(expected)


def test_a_letter_in_a_list_of_choices_moves_no_row(opened):
    browser = opened(moons_of_noise())
    row = browser.choose()["row"]
    browser.run("document.getElementById('layer').focus()")
    browser.press("n", 78)
    assert browser.choose()["row"] == row


def test_where_there_are_no_classes_no_row_is_wrong(opened):
    config = jaxmlp.MLPConfig(in_features=3, out_features=1)
    params = noisy_params(config, 1)
    made = report.Report(record(params), config, X3, Y3[:, :1], criterion=losses.squared_error)
    browser = opened(made)
    assert browser.run("document.getElementById('next-wrong').hidden")
    assert browser.run("document.getElementById('output').parentElement.hidden")


def test_epochs_between_a_weight_s_values_are_told(opened):
    recorder = jaxmlp.Recorder(epochs=[0, 10, 20])
    states = [
        jaxmlp.init_state(noisy_params(MOONS, seed), optax.sgd(0.1), key=jax.random.key(0))
        for seed in range(3)
    ]
    recorder.begin(states[0], 0)
    recorder(states[1], {"epoch": 9, "loss": 1.0})
    recorder(states[2], {"epoch": 19, "loss": 1.0})
    x, y = moons(40)
    made = report.Report(recorder, MOONS, x, y, criterion=losses.softmax_cross_entropy)
    browser = opened(made, "#epoch=2&layer=1&from=2&to=3")
    told = browser.run("document.getElementById('chain-steps').textContent")
    assert "Epochs of training between them: 10." in told
    assert "at the recorded epoch before: epoch 10" in told
    assert "at this epoch: epoch 20" in told


def test_names_of_metrics_are_text_alone(opened):
    hostile = "</script><script>window.struck = 1</script>$$x$$"
    recorder = jaxmlp.Recorder(epochs=[1, 2])
    state = jaxmlp.init_state(noisy_params(MOONS, 0), optax.sgd(0.1), key=jax.random.key(0))
    for epoch in range(2):
        recorder(state, {"epoch": epoch, "loss": 1.0, hostile: 0.5})
    x, y = moons(40)
    made = report.Report(recorder, MOONS, x, y, criterion=losses.softmax_cross_entropy)
    browser = opened(made)
    assert browser.run("window.struck") is None
    figure = "Bokeh.documents.map(d => d.get_model_by_name('metrics')).find(m => m)"
    shown = browser.run(f"{figure}.above[0].items[0].label.value")
    assert shown == hostile
