"""The page in a browser without a network: its numbers are JAX's, and names do nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from browser import CHROMIUM, Browser
from pages import opener
from runs import moons_report, moons_run, noisy_params, record

import jaxmlp
from jaxmlp import losses, report
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS, GATED_ACTIVATIONS

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed to open the page in"),
]
WIDTH, ROWS = 5, 6
ALL = (*ELEMENTWISE_ACTIVATIONS, *GATED_ACTIVATIONS)


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    with opener(browser, tmp_path) as open_report:
        yield open_report


@functools.cache
def oracle(config, criterion):
    """Compiles what JAX computes of a row: layers, dL/dz, loss and gradient."""
    loss_fn = jaxmlp.make_loss(config, criterion)

    def compute(params, batch):
        layers = jaxmlp.intermediates(params, batch.x, config=config)
        deltas = jaxmlp.deltas(params, batch, config=config, criterion=criterion)
        return layers, deltas, jax.value_and_grad(loss_fn, has_aux=True)(params, batch, None)

    return jax.jit(compute)


def check(shown, params, config, criterion, x, y, tolerance):
    """Compares all that the page shows of a row with JAX's numbers."""
    batch = jaxmlp.Batch(jnp.asarray(x[None]), jnp.asarray(y[None]))
    layers, deltas, ((loss, _), gradient) = oracle(config, criterion)(params, batch)
    following = [layer.inputs for layer in layers[1:]] + [layers[-1].activation]
    for page, layer, delta, outputs in zip(shown["layers"], layers, deltas, following, strict=True):
        pairs = {
            "inputs": layer.inputs,
            "z": layer.net_input,
            "a": layer.activation,
            "outputs": outputs,
            "delta": delta,
        }
        for name, expected in pairs.items():
            close(page[name], np.asarray(expected)[0], tolerance, name)
    close(shown["loss"], loss, tolerance, "loss")
    dense = (*gradient.hidden, gradient.output)[shown["layer"]]
    to, source = shown["to"], shown["from"]
    expected = dense.bias[to] if source == -1 else dense.kernel[source, to]
    close(shown["product"], expected, tolerance, "gradient")
    close(np.prod(shown["factors"]), expected, tolerance, "product of the factors")


def close(shown, expected, tolerance, name):
    expected = np.asarray(expected, np.float64)
    scale = np.abs(expected).max(initial=1e-30)
    np.testing.assert_allclose(
        shown, expected, rtol=tolerance, atol=tolerance * min(scale, 1.0), err_msg=name
    )


# Where `residual` goes with `half`, every norm, activation and output occurs.
CASES = [
    pytest.param(
        *(norm, residual, half, output), marks=[] if residual == bool(half) else [pytest.mark.slow]
    )
    for number, (norm, residual, half) in enumerate(
        (norm, residual, half)
        for norm in (None, "layer", "rms")
        for residual in (False, True)
        for half in (0, 1)
    )
    for output in [(None, "softmax", "tanh", "sigmoid", "softplus")[number % 5]]
]


@pytest.mark.parametrize(("norm", "residual", "half", "output"), CASES)
def test_every_activation_norm_gate_and_residual_gives_jax_s_numbers(
    norm, residual, half, output, opened
):
    """In double precision, so that fourteen layers leave nothing to rounding."""
    activations = ALL[half::2]
    with jax.enable_x64(True):
        config = jaxmlp.MLPConfig(
            in_features=3,
            hidden_features=(WIDTH,) * len(activations),
            out_features=2,
            activation=activations,
            output_activation=output,
            norm=norm,
            norm_epsilon=1e-5 if norm is None else 1e-2,
            residual=residual,
            param_dtype="float64",
        )
        # Small outputs, since JAX's derivative of a saturated sigmoid is rounded.
        epochs = [
            params._replace(output=jax.tree.map(lambda a: a / 10, params.output))
            for params in (noisy_params(config, seed) for seed in (1, 2))
        ]
        generator = np.random.default_rng(3)
        x, y = generator.normal(size=(ROWS, 3)), generator.normal(size=(ROWS, 2))
        criterion = losses.squared_error
        made = report.Report(record(*epochs), config, x, y, criterion=criterion)
        browser = opened(made)
        choices = [(0, 1, 0, 0, 1), (1, 4, len(activations), 2, 1), (1, 5, 6, -1, 3)]
        gated = next(n for n, name in enumerate(activations) if name in GATED_ACTIVATIONS)
        choices += [(0, 2, gated, 1, 2), (0, 2, gated, 1, WIDTH + 2), (1, 3, 7, 4, 0)]
        for epoch, row, layer, source, to in choices:
            shown = browser.choose(epoch=epoch, row=row, layer=layer)
            shown = browser.choose(**{"from": source, "to": to})
            assert (shown["layer"], shown["from"], shown["to"]) == (layer, source, to)
            check(shown, epochs[epoch], config, criterion, x[row], y[row], 1e-8)


def test_a_function_of_one_s_own_gives_jax_s_numbers(opened):
    wave = jaxmlp.Activation("wave", lambda z: z + jnp.sin(z) ** 2)
    config = jaxmlp.MLPConfig(
        in_features=3, hidden_features=(4, 4), out_features=2, activation=wave, norm="rms"
    )
    epochs = [noisy_params(config, seed) for seed in (1, 2)]
    x = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    y = np.arange(ROWS, dtype=np.int32) % 2
    criterion = losses.softmax_cross_entropy
    browser = opened(report.Report(record(*epochs), config, x, y, criterion=criterion))
    for epoch, row in ((0, 1), (1, 5)):
        shown = browser.choose(epoch=epoch, row=row, layer=1, to=3)
        check(shown, epochs[epoch], config, criterion, x[row], y[row], 1e-5)


def test_standardised_inputs_give_jax_s_numbers(opened):
    config = jaxmlp.MLPConfig(in_features=2, hidden_features=(4,), out_features=1)
    x = np.random.default_rng(0).normal(5, 3, size=(ROWS, 2)).astype(np.float32)
    y = x[:, :1] * 2
    params = jaxmlp.with_standardization(noisy_params(config, 1), x)
    browser = opened(report.Report(record(params), config, x, y, criterion=losses.squared_error))
    shown = browser.choose(row=3)
    check(shown, params, config, losses.squared_error, x[3], y[3], 1e-5)
    assert "standardised" in browser.run("document.getElementById('forward-steps').textContent")


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_slider_moved_by_keys_shows_the_numbers_of_its_epoch(language, opened):
    recorder, config, x, y = moons_run()
    browser = opened(moons_report(language=language, max_rows=len(x)))
    browser.choose(row=17, layer=1, to=5)
    browser.run("document.getElementById('epoch').focus()")
    for record_before in recorder.records[-2:-8:-1]:
        browser.press("ArrowLeft", 37)
        shown = browser.choose()
        assert shown["epoch"] == record_before.epoch
        params = jax.tree.map(jnp.asarray, record_before.params)
        check(shown, params, config, losses.softmax_cross_entropy, x[17], y[17], 1e-5)


def test_the_weight_before_and_after_is_that_of_both_epochs(opened):
    recorder = moons_run()[0]
    shown = opened(moons_report()).choose(epoch=6, layer=1, **{"from": 2, "to": 3})
    before, after = (recorder.records[n].params.hidden[1].kernel[2, 3] for n in (5, 6))
    assert (shown["before"], shown["after"]) == (before, after)


def test_play_goes_to_the_end_and_rewind_to_the_start(opened):
    browser = opened(moons_report(), "#epoch=8")
    browser.run("document.getElementById('play').click()")
    browser.wait("JSON.parse(document.getElementById('shown').textContent).epoch === 200")
    browser.wait("document.getElementById('play').textContent === 'Play'")
    browser.run("document.getElementById('rewind').click()")
    assert browser.choose()["epoch"] == 0


def test_a_weight_of_the_drawing_can_be_chosen_and_every_bias_is_drawn(opened):
    browser = opened(moons_report())
    biases = browser.run("document.querySelectorAll('#network-drawing path.bias').length")
    lines = browser.run("document.querySelectorAll('#network-drawing path').length")
    assert (biases, lines - biases) == (8 + 8 + 2, 2 * 8 + 8 * 8 + 8 * 2)
    browser.run(
        "document.querySelectorAll('#network-drawing path.bias')[17]"
        ".dispatchEvent(new Event('click'))"
    )
    shown = browser.choose()
    assert (shown["layer"], shown["from"], shown["to"]) == (2, -1, 1)


def test_names_of_the_caller_are_text_alone(opened):
    hostile = '</script><script>window.struck = 1</script><img src="x" onerror="window.struck = 1">'
    names = {"feature_names": [hostile, "$$x$$"], "class_names": [hostile, "$$y$$"]}
    browser = opened(moons_report(title=hostile, **names))
    assert browser.run("window.struck") is None
    assert browser.run("document.title") == hostile
    assert hostile in browser.run("document.getElementById('from').textContent")
    assert hostile in browser.run("document.getElementById('errors').textContent")


def test_wide_layers_fold_and_show_the_unit_that_is_chosen(opened):
    config = jaxmlp.MLPConfig(in_features=40, hidden_features=(100,), out_features=3)
    x = np.random.default_rng(0).normal(size=(ROWS, 40)).astype(np.float32)
    y = np.arange(ROWS, dtype=np.int32) % 3
    params = noisy_params(config, 1)
    made = report.Report(record(params), config, x, y, criterion=losses.softmax_cross_entropy)
    browser = opened(made)
    shown = browser.choose(layer=0, to=77)
    check(shown, params, config, losses.softmax_cross_entropy, x[0], y[0], 1e-5)
    assert browser.run("document.querySelectorAll('#network-drawing circle').length") == 27
    assert "+ 88 more" in browser.run("document.getElementById('network-drawing').textContent")
    titles = browser.run("document.getElementById('network-drawing').textContent")
    assert "→ 78:" in titles


def test_colours_are_dark_where_they_are_asked_to_be(opened):
    browser = opened(moons_report(), "#theme=dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    assert browser.run(paper) == "rgb(20, 22, 26)"
    browser.choose(theme="light")
    assert browser.run(paper) == "rgb(255, 255, 255)"


def test_a_notebook_shows_the_same_page_in_a_frame(browser, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!DOCTYPE html>{moons_report()._repr_html_()}", encoding="utf-8")
    inner = "document.querySelector('iframe')?.contentDocument"
    browser.open(path, ready=f"{inner}?.documentElement?.dataset.ready === 'true'")
    assert browser.run(f"{inner}.querySelectorAll('#network-drawing circle').length") == 20
    assert browser.errors == []


def test_the_chosen_term_is_among_those_shown_and_all_add_up_to_z(opened):
    config = jaxmlp.MLPConfig(in_features=40, hidden_features=(5,), out_features=3)
    x = np.random.default_rng(0).normal(size=(ROWS, 40)).astype(np.float32)
    x[:, 31] = 0
    y = np.arange(ROWS, dtype=np.int32) % 3
    params = noisy_params(config, 1)
    made = report.Report(record(params), config, x, y, criterion=losses.softmax_cross_entropy)
    browser = opened(made)
    shown = browser.choose(layer=0, to=2, **{"from": 31})
    lines = "[...document.querySelectorAll('#forward-steps tbody tr')]"
    cells = f"{lines}.map(row => [...row.cells].map(cell => cell.textContent))"
    rows = [row for row in browser.run(cells) if len(row) == 4]
    assert "x32" in [row[0] for row in rows]
    *terms, total = (float(row[3].replace("\u2212", "-")) for row in rows)
    assert rows[-2][0] == "bias"
    # Four digits are shown of each.
    assert sum(terms) == pytest.approx(shown["layers"][0]["z"][2], abs=5e-3)
    assert total == pytest.approx(shown["layers"][0]["z"][2], rel=1e-3)
