"""Tests that the picture of a search shows the numbers of its table."""

import sys

import jax
import numpy as np
import optax
import pytest
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

import jaxmlp
from jaxmlp.ensembles import MembersResult, SearchResult, grid
from jaxmlp.plot import plot_search

RATES, WIDTHS = [0.001, 0.003, 0.01], [8, 16]
CANDIDATES = grid({"rate": RATES, "width": WIDTHS})
MEAN = np.array([0.9, 0.8, 0.5, 0.4, 0.3, 0.35])
CONFIGS = [
    jaxmlp.MLPConfig(in_features=3, out_features=2, hidden_features=hidden) for hidden in [(), (8,)]
]


def make_result(candidates=CANDIDATES, mean=MEAN, *, dropped=(), mode="min", folds=2):
    mean = np.asarray(mean, float)
    cost = np.where(np.isnan(mean), np.inf, mean if mode == "min" else -mean)
    rank = np.argsort(np.argsort(cost)) + 1
    stopped_by = np.where(np.isin(np.arange(len(mean)), dropped), "dropped", "epochs")
    best = int(cost.argmin())
    # Curves of 4 epochs, which end at the score; fold 1 of candidate 0 stops one epoch early.
    history = mean[:, None, None] + np.arange(3, -1, -1) + np.zeros((folds, 1))
    history[0, -1, 3] = np.nan
    members = MembersResult(
        groups=(),
        history={"validation_loss": history.reshape(-1, 4)},
        best_epoch=np.full(len(mean) * folds, 3),
        best_value=np.repeat(mean, folds),
        stopped_by=np.repeat(stopped_by, folds),
        bad_step=np.full(len(mean) * folds, -1),
    )
    table = {
        **candidates,
        "score_mean": mean,
        "score_std": mean / 10 if folds > 1 else np.zeros(len(mean)),
        **{f"score_fold_{fold}": mean for fold in range(folds)},
        "rank": rank,
        "stopped_by": stopped_by,
    }
    settings = {name: values[best] for name, values in candidates.items()}
    return SearchResult(table, best, settings, None, "loss", mode, members)


def bars(axis):
    """The error bars: (x, y, low, high, line) each."""
    for container in axis.containers:
        assert isinstance(container, ErrorbarContainer)
        line, _, (bar,) = container.lines
        (low, high) = bar.get_segments()[0][:, 1]
        yield (*line.get_xydata()[0], low, high, line)


def ring(axis):
    (found,) = (line for line in axis.lines if line.get_markersize() == 12)
    return found.get_xydata()[0].tolist()


def legend(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_every_candidate_has_its_score_and_the_spread_of_its_folds():
    axis = plot_search(make_result(), x="rate").axes[0]
    x, y, low, high, _ = zip(*bars(axis), strict=True)
    order = np.argsort(CANDIDATES["rate"], kind="stable")
    np.testing.assert_array_equal(x, np.array(CANDIDATES["rate"])[order])
    np.testing.assert_array_equal(y, MEAN[order])
    np.testing.assert_allclose(low, 0.9 * MEAN[order])
    np.testing.assert_allclose(high, 1.1 * MEAN[order])


def test_all_is_within_the_limits():
    axis = plot_search(make_result(), x="rate", hue="width").axes[0]
    assert axis.get_xlim()[0] < min(RATES) < max(RATES) < axis.get_xlim()[1]
    assert axis.get_ylim()[0] < 0.9 * MEAN.min() < 1.1 * MEAN.max() < axis.get_ylim()[1]


def test_axes_say_what_they_show():
    axis = plot_search(make_result(), x="rate").axes[0]
    assert axis.get_xlabel() == "rate"
    assert axis.get_ylabel() == "validation loss, mean of 2 folds"
    assert [text.get_text() for text in axis.get_xticklabels()] == ["0.001", "0.003", "0.01"]
    alone = plot_search(make_result(folds=1), x="rate").axes[0]
    assert alone.get_ylabel() == "validation loss"


def test_the_best_has_a_ring():
    axis = plot_search(make_result(), x="rate", hue="width").axes[0]
    assert ring(axis) == [0.01, 0.3]
    assert "best" in legend(axis)


def test_candidates_of_one_hue_have_a_colour_and_a_line():
    axis = plot_search(make_result(), x="rate", hue="width").axes[0]
    assert legend(axis) == ["8", "16", "best"]
    assert axis.get_legend().get_title().get_text() == "width"
    colors = {
        line.get_color() if isinstance(line.get_color(), str) else tuple(line.get_color())
        for *_, line in bars(axis)
    }
    assert len(colors) == 2
    lines = [line.get_xydata() for line in axis.lines if len(line.get_xydata()) == 3]
    np.testing.assert_array_equal(lines[0], np.c_[RATES, MEAN[::2]])
    np.testing.assert_array_equal(lines[1], np.c_[RATES, MEAN[1::2]])


def test_many_numbers_have_a_colour_bar():
    candidates = {"rate": np.geomspace(1e-4, 1e-1, 20).tolist(), "decay": np.arange(20.0).tolist()}
    figure = plot_search(make_result(candidates, np.arange(1.0, 21)), x="rate", hue="decay")
    assert figure.axes[1].get_ylabel() == "decay"
    colors = {tuple(to_rgba(line.get_color())) for *_, line in bars(figure.axes[0])}
    assert len(colors) == 20


def test_dropped_candidates_are_hollow_and_not_joined():
    axis = plot_search(make_result(dropped=(0, 3)), x="rate", hue="width").axes[0]
    hollow = [
        (x, y)
        for x, y, *_, line in bars(axis)
        if to_rgba(line.get_markerfacecolor())[:3] == (1, 1, 1)
    ]
    assert hollow == [(0.001, 0.9), (0.003, 0.4)]
    assert "dropped" in legend(axis)
    assert not [line for line in axis.lines if len(line.get_xydata()) == 3]


@pytest.mark.parametrize(("mode", "edge"), [("min", 0.97), ("max", 0.03)])
def test_candidates_without_score_are_crosses_at_the_bad_edge(mode, edge):
    result = make_result(mean=[np.nan, *MEAN[1:]], mode=mode)
    axis = plot_search(result, x="rate").axes[0]
    assert np.concatenate(
        [
            c.get_offsets()
            for c in axis.collections
            if len(c.get_offsets()) and c.get_offsets()[0, 1] == edge
        ]
    ).tolist() == [[0.001, edge]]
    assert len(list(bars(axis))) == 5
    assert "not finite" in legend(axis)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1e-3, 3e-3, 1e-2], "log"),
        ([1, 100, 100], "log"),
        ([0.0, 0.2, 50.0], "linear"),
        ([1.0, 5.0, 9.0], "linear"),
        (np.linspace(0.01, 1, 30).tolist(), "linear"),
        ([2.0, 2.0, 2.0], "linear"),
    ],
)
def test_an_axis_is_logarithmic_where_that_spreads_values_evenly(values, scale):
    mean = np.linspace(0.5, 1, len(values))
    axis = plot_search(make_result({"a": values}, mean), x="a").axes[0]
    assert (axis.get_xscale(), axis.get_yscale()) == (scale, "linear")
    across = plot_search(make_result({"a": mean.tolist()}, values), x="a").axes[0]
    assert across.get_yscale() == scale


def test_values_that_are_no_numbers_stand_side_by_side():
    result = make_result({"act": ["tanh", "relu", "tanh"]}, [0.3, 0.2, 0.1])
    axis = plot_search(result, x="act").axes[0]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["tanh", "relu"]
    assert [(x, y) for x, y, *_ in bars(axis)] == [(0, 0.3), (0, 0.1), (1, 0.2)]


def test_numbers_of_numpy_are_numbers():
    rates = [np.float32(0.5), np.int64(1)]
    axis = plot_search(make_result({"rate": rates}, [0.3, 0.2]), x="rate").axes[0]
    assert [x for x, *_ in bars(axis)] == [0.5, 1.0]


def test_configs_are_told_by_the_fields_in_which_they_differ():
    axis = plot_search(make_result({"config": CONFIGS}, [0.2, 0.1]), x="config").axes[0]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["()", "(8,)"]
    assert axis.get_xlabel() == "config: hidden_features"


def test_curves_are_the_means_over_folds_while_all_run():
    figure = plot_search(make_result(), x="rate", curves=True)
    _, axis = figure.axes
    expected = MEAN[:, None] + np.arange(3, -1, -1)
    expected[0, 3] = np.nan
    for line, curve in zip(axis.lines, expected, strict=True):
        np.testing.assert_allclose(line.get_ydata(), curve)
    assert np.argmax([line.get_linewidth() for line in axis.lines]) == 4


def test_a_search_of_ours_is_drawn_into_a_figure_of_yours(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    result = jaxmlp.search(
        lambda h: jaxmlp.make_loss(h["config"], jaxmlp.losses.softmax_cross_entropy),
        optax.sgd(0.1),
        lambda h, key: jaxmlp.init_params(h["config"], key=key),
        jaxmlp.DataLoader(x, (x[:, 0] > 0).astype(int), batch_size=20),
        candidates={"config": CONFIGS},
        folds=2,
        epochs=2,
        key=jax.random.key(0),
    )
    whole = Figure(layout="constrained")
    part = whole.subfigures(1, 2)[1]
    assert plot_search(result, x="config", hue="config", curves=True, figure=part) is part
    whole.savefig(tmp_path / "search.png")


@pytest.mark.parametrize("name", ["x", "hue"])
def test_a_hyperparameter_that_is_not_there_is_refused(name):
    message = rf"{name} must be a hyperparameter of the search, one of \['rate', 'width'\]; got 'a'"
    with pytest.raises(ValueError, match=message):
        plot_search(make_result(), **{"x": "rate", name: "a"})


@pytest.mark.bad_input
def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "jaxmlp.plot")
    with pytest.raises(ImportError, match=r"matplotlib.*pip install 'jaxmlp\[plot\]'"):
        import jaxmlp.plot  # noqa: F401  (what is tested is the import)
