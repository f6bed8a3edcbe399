"""Tests of the checkpoints of sweeps: resumed equals uninterrupted, and what is refused."""

import json

import jax
import numpy as np
import optax
import pytest
from fits import CONFIG, KEY, LINEAR, LINEAR_CONFIG, LOSS, VALIDATION, X, Y, fit, make_loader
from interruptions import StopAfter
from test_ensemble_nonfinite import BAD, explode

import jaxmlp
from jaxmlp.storage import container
from jaxmlp.storage.rotation import checkpoint_paths

MEMBERS, EPOCHS = 5, 6
KEYS = jax.random.split(jax.random.key(2), MEMBERS)
SEEDS = np.arange(MEMBERS)
ROW_WEIGHTS = jaxmlp.ensembles.bootstrap_weights(len(X), seeds=range(MEMBERS))
RATES = np.geomspace(0.01, 0.3, MEMBERS).astype(np.float32)


def init(key):
    return jaxmlp.init_params(LINEAR_CONFIG, key=key)


# One function, so that all sweeps share programs.
def make_optimizer(h):
    return optax.adam(h["learning_rate"])


def fit_members(**settings):
    data = settings.pop("data", None)
    arguments = {
        "loss": LINEAR["loss_fn"],
        "optimizer": make_optimizer,
        "params": init,
        "data": make_loader() if data is None else data,
        "epochs": EPOCHS,
        "keys": KEYS,
        "seeds": SEEDS,
        "hyperparameters": {"learning_rate": RATES},
        "validation": VALIDATION,
        "members_at_once": 1,
    }
    return jaxmlp.fit_members(**arguments | settings)


def make_dropout_loss(h):
    return jaxmlp.make_loss(
        CONFIG, jaxmlp.losses.softmax_cross_entropy, dropout_rate=h["dropout_rate"]
    )


def init_of_width(h, key):
    return jaxmlp.init_params(config_of_width(h), key=key)


def config_of_width(h):
    return jaxmlp.MLPConfig(in_features=4, hidden_features=h["hidden"], out_features=3)


def loss_of_width(h):
    return jaxmlp.make_loss(config_of_width(h), jaxmlp.losses.softmax_cross_entropy)


# Each a sweep that keeps something else in its state.
SWEEPS = {
    "one at a time": {"row_weights": ROW_WEIGHTS, "ema_decay": 0.5},
    "two at once in two threads": {"members_at_once": 2, "threads": 2},
    "all at once": {"members_at_once": None, "strategy": "vmap"},
    "on two devices": {"members_at_once": None, "strategy": "shard"},
    "dropout and patience": {
        "loss": make_dropout_loss,
        "params": lambda key: jaxmlp.init_params(CONFIG, key=key),
        "hyperparameters": {"learning_rate": RATES, "dropout_rate": 0.1 + RATES},
        "patience": 1,
    },
    "architectures": {
        "loss": loss_of_width,
        "params": init_of_width,
        "hyperparameters": {"learning_rate": RATES, "hidden": [(), (6,), (), (6,), ()]},
        "validation": None,
        "swa_start": 3,
    },
    "a member that diverges": {
        "optimizer": lambda h: optax.chain(optax.sgd(0.1), explode(h["bad_step"])),
        "hyperparameters": {"bad_step": np.append(BAD, -1)},
    },
    "stages": {
        "stages": (2, 4),
        "keep": lambda _, history: history["loss"][:, -1] <= np.nanmedian(history["loss"][:, -1]),
    },
}


def assert_same_sweep(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def interrupt(monkeypatch, calls, **settings):
    """Runs a sweep whose calls have an epoch each, until so many of them are through."""
    with monkeypatch.context() as patched:
        patched.setattr("jaxmlp.ensembles.stages.stop_requests", lambda: StopAfter(calls))
        patched.setattr("jaxmlp.ensembles.sweeps.CALL_SECONDS", 1e-9)
        return fit_members(**settings)


@pytest.mark.filterwarnings("ignore:.*met NaN or infinity")
@pytest.mark.parametrize("name", SWEEPS)
def test_a_resume_of_a_resume_equals_the_run_that_was_not_interrupted(name, monkeypatch, tmp_path):
    settings = SWEEPS[name]
    monkeypatch.setattr("jaxmlp.ensembles.sweeps.CALL_SECONDS", 1e-9)
    whole = fit_members(**settings)
    endings = []
    for calls in (4, 9, 2, 1):
        result = interrupt(monkeypatch, calls, checkpoint=tmp_path, resume=True, **settings)
        endings += result.stopped_by.tolist()
    assert "interrupt" in endings
    assert_same_sweep(fit_members(checkpoint=tmp_path, resume=True, **settings), whole)
    # Nothing is left to be done, and it is the same again.
    assert_same_sweep(fit_members(checkpoint=tmp_path, resume=True, **settings), whole)


def test_a_checkpoint_of_one_strategy_goes_on_with_another(monkeypatch, tmp_path):
    interrupt(monkeypatch, 9, checkpoint=tmp_path)
    settings = {"members_at_once": None, "strategy": "vmap"}
    resumed = fit_members(checkpoint=tmp_path, resume=True, **settings)
    whole = fit_members()
    jax.tree.map(
        # Batched matrix products round otherwise.
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        resumed.params,
        whole.params,
    )
    assert resumed.stopped_by.tolist() == whole.stopped_by.tolist()


def test_more_epochs_continue_a_finished_sweep(tmp_path):
    fit_members(epochs=2, checkpoint=tmp_path)
    assert_same_sweep(fit_members(checkpoint=tmp_path, resume=True), fit_members())


def test_more_stages_continue_a_finished_sweep(tmp_path):
    settings = SWEEPS["stages"]
    fit_members(checkpoint=tmp_path, **settings | {"epochs": 4, "stages": (2,)})
    assert_same_sweep(
        fit_members(checkpoint=tmp_path, resume=True, **settings), fit_members(**settings)
    )


def test_checkpoints_are_written_between_calls(monkeypatch, tmp_path):
    monkeypatch.setattr("jaxmlp.ensembles.sweeps.CALL_SECONDS", 1e-9)
    taken = []
    take = jaxmlp.ensembles.sweep_files.SweepFiles.take
    monkeypatch.setattr(
        jaxmlp.ensembles.sweep_files.SweepFiles,
        "take",
        lambda files: taken.append(take(files)) or taken[-1],
    )
    fit_members(checkpoint=jaxmlp.Checkpoints(directory=tmp_path, seconds=0.0))
    steps = [snapshot.steps for snapshot in taken]
    # How many depends on how fast the disk is.
    assert any(0 < step < max(steps) for step in steps)
    assert steps == sorted(steps)
    assert steps[-1] == MEMBERS * EPOCHS * len(make_loader())


def test_nothing_else_is_changed_by_checkpoints(tmp_path):
    assert_same_sweep(fit_members(checkpoint=tmp_path), fit_members())


class TestRefusals:
    @pytest.fixture
    def directory(self, tmp_path):
        fit_members(epochs=2, checkpoint=tmp_path)
        return tmp_path

    def test_a_directory_with_checkpoints_is_not_overwritten(self, directory):
        with pytest.raises(FileExistsError, match="resume=True to go on with it"):
            fit_members(checkpoint=directory)

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"hyperparameters": {"learning_rate": 2 * RATES}}, "hyperparameters='"),
            ({"keys": KEYS[::-1]}, "keys='"),
            ({"seeds": SEEDS + 1}, "seeds='"),
            ({"row_weights": ROW_WEIGHTS}, "row_weights=None, now '"),
            ({"patience": 3}, "patience=None, now 3"),
            ({"validation": (X, Y)}, "validation='"),
            ({"epochs": 1}, "over 2 epochs.*got 1"),
            ({**SWEEPS["stages"], "stages": (1, 3)}, r"with stages=\[\]; .* got \[1, 3\]"),
            ({"data": make_loader(X + 1)}, "data have changed"),
            ({"optimizer": lambda h: optax.sgd(h["learning_rate"])}, "other networks, optimizers"),
        ],
    )
    def test_another_sweep(self, directory, changed, message):
        with pytest.raises(ValueError, match=message):
            fit_members(checkpoint=directory, resume=True, **changed)

    def test_a_checkpoint_of_fit(self, tmp_path):
        fit(checkpoint=tmp_path, epochs=1, loss_fn=LOSS, key=KEY)
        with pytest.raises(jaxmlp.CheckpointError, match="no checkpoint of fit_members"):
            fit_members(checkpoint=tmp_path, resume=True)

    def test_resume_without_checkpoint(self):
        with pytest.raises(ValueError, match="True only with checkpoint"):
            fit_members(resume=True)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda header, _: header.pop("epochs"),
            lambda header, _: header.update(more=1),
            lambda header, _: header.update(epochs="2"),
            lambda header, _: header.update(settings=[]),
            lambda header, _: header.update(data=None),
            lambda header, _: header.update(metrics=["loss"]),
            lambda _, arrays: arrays.pop("0.bad_step"),
            lambda _, arrays: arrays.update({"0.state.epoch": np.full(MEMBERS, 99, np.int32)}),
        ],
    )
    def test_a_crafted_header(self, directory, spoil):
        path = checkpoint_paths(directory)[-1]
        contents = container.read(path)
        header, arrays = json.loads(contents.metadata["jaxmlp.sweep"]), dict(contents.arrays)
        spoil(header, arrays)
        chunks = container.encode(arrays, {"jaxmlp.sweep": json.dumps(header)})
        path.write_bytes(b"".join(chunks))
        with pytest.raises(jaxmlp.CheckpointError):
            fit_members(checkpoint=directory, resume=True)


def loss_of_activation(h):
    def loss_fn(params, batch, _):
        logits = h["activation"](batch.x @ params.output.kernel + params.output.bias)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.y)
        return (losses * batch.weight).sum() / batch.weight.sum(), {}

    return loss_fn


def fit_activations(tmp_path, *activations, **settings):
    return fit_members(
        loss=loss_of_activation,
        optimizer=optax.sgd(0.1),
        keys=KEYS[np.zeros(2, int)],
        seeds=None,
        hyperparameters={"activation": list(activations)},
        checkpoint=tmp_path,
        **settings,
    )


def test_a_sweep_is_not_resumed_with_other_values_that_are_no_numbers(tmp_path):
    fit_activations(tmp_path, jax.nn.tanh, jax.nn.sigmoid, epochs=1)
    # What lies in memory elsewhere is the same in another process.
    for alike in (jax.nn.tanh, jax.jit(jax.nn.tanh.__wrapped__)):
        fit_activations(tmp_path, alike, jax.nn.sigmoid, epochs=2, resume=True)
    with pytest.raises(ValueError, match=r"hyperparameters\['activation'\]="):
        fit_activations(tmp_path, jax.nn.sigmoid, jax.nn.tanh, epochs=2, resume=True)
