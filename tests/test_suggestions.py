"""Names of other libraries are answered with ours; and what objects show of themselves."""

import importlib
import inspect
import pydoc

import jax
import numpy as np
import optax
import pytest
from fits import LINEAR, fit, make_loader
from test_wrong_types import name_of, public_names

import jaxmlp
from jaxmlp import ensembles, losses, metrics, plot, sources
from jaxmlp.checks import suggestions

NAMES = [
    ("jaxmlp", "mse", "jaxmlp.losses.squared_error"),
    ("jaxmlp", "score", "jaxmlp.evaluate"),
    ("jaxmlp", "MLP", "jaxmlp.MLPConfig"),
    ("jaxmlp", "MLPClassifier", "jaxmlp.MLPConfig"),
    ("jaxmlp", "Adam", r"optax.adam\(learning_rate\)"),
    ("jaxmlp", "ReLU", r"MLPConfig\(activation='relu'\)"),
    ("jaxmlp", "GridSearchCV", "jaxmlp.search"),
    ("jaxmlp", "StandardScaler", "jaxmlp.with_standardization"),
    ("jaxmlp", "accuracy", "jaxmlp.metrics.accuracy"),
    ("jaxmlp", "ft", "jaxmlp.fit"),
    ("jaxmlp.losses", "mse", "jaxmlp.losses.squared_error"),
    ("jaxmlp.losses", "CrossEntropyLoss", "jaxmlp.losses.softmax_cross_entropy"),
    ("jaxmlp.losses", "SquaredError", "jaxmlp.losses.squared_error"),
    ("jaxmlp.losses", "accuracy", "jaxmlp.metrics.accuracy"),
    ("jaxmlp.metrics", "mse", "jaxmlp.metrics.rmse"),
    ("jaxmlp.metrics", "f1_score", "jaxmlp.metrics.f1"),
    ("jaxmlp.network.activations", "logistic", r"MLPConfig\(activation='sigmoid'\)"),
    ("jaxmlp.plot", "plot", "jaxmlp.plot.plot_search"),
    ("jaxmlp.plot", "ConfusionMatrixDisplay", "jaxmlp.plot.plot_confusion"),
    ("jaxmlp", "plot_curves", "jaxmlp.plot.plot_history"),
    ("jaxmlp.sources", "read_csv", "jaxmlp.sources.csv"),
    ("jaxmlp.ensembles", "KFold", "jaxmlp.ensembles.fold_weights"),
]
SETTINGS = [
    (jaxmlp.MLPConfig, "hidden_layer_sizes", "Did you mean 'hidden_features'"),
    (jaxmlp.MLPConfig, "dropout", "Did you mean 'dropout_rate'"),
    (jaxmlp.DataLoader, "batchsize", "Did you mean 'batch_size'"),
    (jaxmlp.DataLoader, "num_workers", "Leave it out"),
    (jaxmlp.make_loss, "metric", "Did you mean 'metrics'"),
    (jaxmlp.fit, "lr", r"Use optax.adam\(learning_rate\)"),
    (jaxmlp.fit, "learning_rate", r"Use optax.adam\(learning_rate\)"),
    (jaxmlp.fit, "callbacks", "Did you mean 'on_epoch'"),
    (jaxmlp.fit, "batch_size", r"Use DataLoader\(batch_size"),
    (jaxmlp.fit, "verbose", "Did you mean 'progress'"),
    (jaxmlp.fit, "validation_data", "Did you mean 'validation'"),
    (jaxmlp.fit, "early_stopping", "Did you mean 'patience'"),
    (jaxmlp.fit, "num_epochs", "Did you mean 'epochs'"),
    (jaxmlp.fit_members, "n_jobs", "Did you mean 'threads'"),
    (jaxmlp.search, "cv", "Did you mean 'folds'"),
    (jaxmlp.search, "param_grid", "Did you mean 'candidates'"),
]
VALUES = [
    ("activation", "logistic", "sigmoid"),
    ("activation", "LeakyReLU", "leaky_relu"),
    ("output_activation", "Softmax", "softmax"),
    ("kernel_init", "he_nromal", "he_normal"),
    ("param_dtype", "float_32", "float32"),
]


@pytest.mark.parametrize(("module", "name", "ours"), NAMES)
def test_a_name_that_there_is_not_suggests_ours(module, name, ours):
    with pytest.raises(AttributeError, match=rf"{module} has no '{name}'. Did you mean {ours}\?"):
        getattr(importlib.import_module(module), name)


def test_a_name_that_is_like_none_is_just_refused():
    with pytest.raises(AttributeError, match=r"jaxmlp has no 'qqqqqq'\.$"):
        _ = jaxmlp.qqqqqq


@pytest.mark.parametrize(("function", "name", "hint"), SETTINGS)
def test_a_setting_that_there_is_not_suggests_ours(function, name, hint):
    with pytest.raises(TypeError, match=f"has no setting '{name}'. {hint}"):
        function(**{name: 1})


@pytest.mark.bad_input
@pytest.mark.parametrize(("field", "value", "ours"), VALUES)
def test_a_value_that_there_is_not_suggests_ours(field, value, ours):
    with pytest.raises(ValueError, match=f"got '{value}'. Did you mean '{ours}'"):
        jaxmlp.MLPConfig(in_features=1, hidden_features=(2,), out_features=1, **{field: value})


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("criterion", "ours"), [("mse", "squared_error"), ("cross_entropy", "softmax_cross_entropy")]
)
def test_a_criterion_by_name_suggests_the_function(criterion, ours):
    config = jaxmlp.MLPConfig(in_features=1, out_features=1)
    with pytest.raises(TypeError, match=f"Did you mean jaxmlp.losses.{ours}"):
        jaxmlp.make_loss(config, criterion)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("optimizer", "remedy"),
    [
        (optax.adam, r"Call it: adam\(1e-3\)"),
        ("Adam", r"optax.adam\(1e-3\)"),
        (LINEAR["loss_fn"], "loss function, that comes before the optimizer"),
    ],
)
def test_an_optimizer_that_was_not_called_is_told_to_be(optimizer, remedy):
    with pytest.raises(TypeError, match=f"optimizer must be an optax optimizer.*{remedy}"):
        fit(**LINEAR | {"optimizer": optimizer})


@pytest.mark.bad_input
def test_a_criterion_that_misses_an_option_is_told_at_once():
    config = jaxmlp.MLPConfig(in_features=1, out_features=1)
    with pytest.raises(TypeError, match=r"missing a required argument: 'levels'.*partial"):
        jaxmlp.make_loss(config, losses.quantile)  # type: ignore


def test_a_metric_that_was_not_called_is_told_at_once():
    config = jaxmlp.MLPConfig(in_features=1, out_features=1)
    with pytest.raises(TypeError, match=r"metrics\['p'\] must be a function.*Call it"):
        jaxmlp.make_loss(config, losses.hinge, metrics={"p": metrics.precision})  # type: ignore


@pytest.mark.parametrize("part", ["jaxmlp", "losses", "metrics", "ensembles", "sources", "plot"])
def test_every_suggestion_names_something_that_there_is(part):
    module = importlib.import_module("jaxmlp" if part == "jaxmlp" else f"jaxmlp.{part}")
    for name in suggestions._FOREIGN[part]:
        assert hasattr(module, name)


@pytest.mark.parametrize("module", [jaxmlp, losses, metrics, ensembles, sources, plot])
def test_dir_shows_the_public_names(module):
    assert sorted(dir(module)) == sorted(module.__all__)


@pytest.mark.parametrize("function", sorted(set(public_names()), key=name_of), ids=name_of)
def test_help_shows_the_text_and_the_parameters(function):
    text = pydoc.plain(pydoc.render_doc(function))
    first = (inspect.getdoc(function) or "").splitlines()[0]
    assert first in " ".join(text.split()).replace("| ", "") or first in text


class TestShown:
    def test_a_config_shows_what_is_not_as_by_default(self):
        config = jaxmlp.MLPConfig(in_features=1, out_features=2, norm=None, use_bias=False)
        assert repr(config) == "MLPConfig(in_features=1, out_features=2, use_bias=False)"
        assert eval(repr(config), {"MLPConfig": jaxmlp.MLPConfig}) == config

    def test_a_loss_shows_its_network_and_criterion(self):
        config = jaxmlp.MLPConfig(in_features=1, out_features=2)
        shown = repr(jaxmlp.make_loss(config, losses.squared_error))
        assert shown == f"make_loss({config!r}, squared_error)"

    def test_a_metric_shows_its_name(self):
        assert repr(metrics.accuracy) == "Metric('accuracy')"
        assert repr(metrics.top_k_accuracy(2)) == "Metric('top_2_accuracy', 2)"

    def test_a_loader_shows_its_rows_and_settings(self):
        loader = jaxmlp.DataLoader(np.ones((5, 2)), batch_size=2, shuffle=True, seed=3)
        wanted = "DataLoader(5 rows of MemorySource, batch_size=2, shuffle=True, seed=3)"
        assert repr(loader) == wanted

    def test_a_fit_shows_how_it_went_and_no_arrays(self):
        result = fit(**LINEAR, epochs=2)
        assert repr(result).startswith("FitResult(15 parameters, 2 epochs, best_epoch=")
        assert "stopped_by='epochs', loss=" in repr(result)
        assert len(repr(result)) < 200
        # Statistics that are not trained are no parameters, as in `summary`.
        standardised = jaxmlp.with_standardization(LINEAR["params"], np.ones((2, 4), np.float32))
        assert "FitResult(15 parameters" in repr(result._replace(params=standardised))

    def test_members_and_searches_show_how_they_went_and_no_arrays(self):
        result = jaxmlp.search(
            LINEAR["loss_fn"],
            lambda h: optax.sgd(h["rate"]),
            lambda key: jaxmlp.init_params(LINEAR["loss_fn"].config, key=key),
            make_loader(),
            candidates={"rate": [0.1, 0.2]},
            folds=2,
            epochs=1,
            key=jax.random.key(0),
        )
        assert repr(result).startswith(f"SearchResult(2 candidates, best={result.best}, best_sett")
        assert repr(result.members).startswith(
            "MembersResult(4 members in 1 group, stopped 4 by 'ep"
        )
        assert repr(result.members.groups[0]) == "Group(4 members, settings={})"
