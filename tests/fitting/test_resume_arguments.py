"""A resumed run has the arguments of then, and what no checkpoint can keep is told at the start."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import KEY, LINEAR, LINEAR_CONFIG, VALIDATION, X, Y, assert_same, cut_calls, fit
from interruptions import assert_same_result, interrupted

import jaxmlp
from jaxmlp.storage import container
from jaxmlp.storage.rotation import checkpoint_paths

OTHER = jaxmlp.init_params(LINEAR_CONFIG, key=jax.random.key(7))


class TestStartingParams:
    @pytest.fixture
    def directory(self, tmp_path):
        fit(checkpoint=tmp_path, epochs=2, **LINEAR)
        return tmp_path

    def resume(self, directory, **changed):
        return fit(checkpoint=directory, resume=True, **{**LINEAR, "epochs": 3, **changed})

    def test_others_than_then_are_refused(self, directory):
        with pytest.raises(ValueError, match=r"a run that started from other params; resume with"):
            self.resume(directory, params=OTHER)

    def test_one_number_that_differs_is_enough(self, directory):
        bias = LINEAR["params"].output.bias.at[1].add(1e-6)
        params = LINEAR["params"]._replace(output=LINEAR["params"].output._replace(bias=bias))
        with pytest.raises(ValueError, match="started from other params"):
            self.resume(directory, params=params)

    def test_equal_ones_in_other_arrays_are_those_of_then(self, directory):
        params = jax.tree.map(np.array, LINEAR["params"])
        assert_same_result(self.resume(directory, params=params), fit(epochs=3, **LINEAR))

    def test_they_stay_those_of_the_first_run_when_resumed_twice(self, directory):
        self.resume(directory)
        assert_same_result(self.resume(directory, epochs=4), fit(epochs=4, **LINEAR))
        with pytest.raises(ValueError, match="started from other params"):
            self.resume(directory, params=OTHER, epochs=5)

    def test_a_checkpoint_that_does_not_tell_them_is_accepted(self, directory):
        (path,) = checkpoint_paths(directory)
        contents = container.read(path)
        header = json.loads(contents.metadata["jaxmlp.run"])
        assert header["settings"].pop("params")
        metadata = {"jaxmlp.run": json.dumps(header)}
        path.write_bytes(b"".join(container.encode(contents.arrays, metadata)))
        assert_same_result(self.resume(directory), fit(epochs=3, **LINEAR))


class TestEpochs:
    def test_fewer_than_were_reached_are_refused(self, tmp_path):
        fit(checkpoint=tmp_path, epochs=4, **LINEAR)
        with pytest.raises(ValueError, match=r"has reached epoch 4 .*epochs of at least.*got 3"):
            fit(checkpoint=tmp_path, resume=True, epochs=3, **LINEAR)

    def test_an_epoch_that_has_begun_counts(self, monkeypatch, tmp_path):
        cut_calls(monkeypatch, chunk=2)
        settings = {"checkpoint": tmp_path, "driver": "chunk", **LINEAR}
        assert int(interrupted(monkeypatch, 4, epochs=3, **settings).state.step) == 7
        with pytest.raises(ValueError, match=r"has reached epoch 2 .*got 1"):
            fit(resume=True, epochs=1, **settings)
        expected = fit(epochs=2, driver="chunk", **LINEAR)
        assert_same_result(fit(resume=True, epochs=2, **settings), expected)

    def test_fewer_than_were_asked_for_are_taken_where_they_were_not_reached(self, tmp_path):
        settings = {"checkpoint": tmp_path, **LINEAR}
        fit(epochs=9, on_epoch=lambda _, metrics: metrics["epoch"] == 1, **settings)
        result = fit(resume=True, epochs=4, **settings)
        assert_same_result(result, fit(epochs=4, **LINEAR))


AVERAGED = {"swa_start": 2, "validation": VALIDATION, **LINEAR}


class TestAverages:
    """The mean over epochs from `swa_start` on, wherever the run was cut."""

    @pytest.mark.parametrize("driver", ["step", "epoch"])
    @pytest.mark.parametrize("first", [3, 4, 5])
    def test_more_epochs_give_the_mean_of_one_long_run(self, first, driver, tmp_path):
        settings = {"driver": driver, **AVERAGED}
        fit(checkpoint=tmp_path, epochs=first, **settings)
        result = fit(checkpoint=tmp_path, resume=True, epochs=6, **settings)
        assert_same_result(result, fit(epochs=6, **settings))

    @pytest.mark.parametrize("epoch", range(5))
    def test_a_run_that_was_stopped_after_any_epoch_gives_the_same_mean(self, epoch, tmp_path):
        settings = {"checkpoint": tmp_path, "epochs": 6, **AVERAGED}
        fit(on_epoch=lambda _, metrics: metrics["epoch"] == epoch, **settings)
        result = fit(resume=True, **settings)
        assert_same_result(result, fit(epochs=6, **AVERAGED))

    def test_the_mean_of_a_resumed_run_is_that_of_its_epochs(self, tmp_path):
        settings = {"checkpoint": tmp_path, "swa_start": 2, **LINEAR}
        kept = []

        def keep(state, _):
            kept.append(jax.tree.map(np.float64, state.params))

        fit(epochs=3, on_epoch=keep, **settings)
        result = fit(epochs=6, resume=True, on_epoch=keep, **settings)
        mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *kept[2:])
        # A running mean of four in float32: some ulp.
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), result.params, mean
        )

    @pytest.mark.parametrize(
        ("then", "now"), [({"swa_start": 2}, {"swa_start": 3}), ({}, {"swa_start": 3})]
    )
    def test_another_start_than_then_is_refused(self, then, now, tmp_path):
        fit(checkpoint=tmp_path, epochs=3, **then, **LINEAR)
        with pytest.raises(ValueError, match=r"swa_start=(2|None), now 3"):
            fit(checkpoint=tmp_path, resume=True, epochs=6, **now, **LINEAR)

    def test_a_moving_average_goes_on(self, tmp_path):
        settings = {"ema_decay": 0.8, "validation": VALIDATION, **LINEAR}
        fit(checkpoint=tmp_path, epochs=3, **settings)
        result = fit(checkpoint=tmp_path, resume=True, epochs=6, **settings)
        assert_same_result(result, fit(epochs=6, **settings))


@jax.tree_util.register_pytree_with_keys_class
class TwoOfAName:
    """A user's pytree whose children share a key."""

    def __init__(self, first, second):
        self.children = (first, second)

    def tree_flatten_with_keys(self):
        key = jax.tree_util.GetAttrKey("w")
        return [(key, child) for child in self.children], None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


W = np.ones((4, 3), np.float32)
NAMELESS = {
    "keys that are tuples": ({("w", 1): W}, r"dict keys that are str or int; got .*\('w', 1\)"),
    "keys that are floats": ({0.5: W}, "dict keys that are str or int; got .*0.5"),
    "two of a name": (TwoOfAName(W, W), "two at state.train.params.w. Give the children"),
    "a long key": ({"w" * 1100: W}, "must have 1 to 1000 characters"),
    "types of 8 bits": ({"w": W.astype(jnp.float8_e4m3fn)}, "has the type float8_e4m3fn"),
}


class TestWhatCannotBeKept:
    @pytest.mark.parametrize("name", NAMELESS)
    def test_is_told_before_training(self, name, tmp_path):
        params, reason = NAMELESS[name]

        def untouched(*_):
            raise AssertionError("training has begun")

        with pytest.raises(
            (TypeError, ValueError), match=rf"could keep no checkpoints: .*{reason}"
        ):
            fit(
                loss_fn=untouched,
                optimizer=optax.sgd(0.1),
                params=params,
                checkpoint=tmp_path / "run",
            )
        assert not (tmp_path / "run").exists()

    def test_trains_without_checkpoints(self):
        def loss_fn(params, batch, key):
            del key
            return jaxmlp.weighted_mean(jnp.sum(batch.x @ params["w", 1], 1), batch.weight), {}

        result = fit(loss_fn=loss_fn, optimizer=optax.sgd(0.1), params={("w", 1): W})
        assert result.stopped_by == "epochs"

    def test_is_told_by_fit_members_before_training(self, tmp_path):
        def loss_fn(params, batch, key):
            del key
            return jaxmlp.weighted_mean(jnp.sum(batch.x @ params["w", 1], 1), batch.weight), {}

        with pytest.raises(TypeError, match=r"dict keys that are str or int; got .*\('w', 1\)"):
            jaxmlp.fit_members(
                loss_fn,
                optax.sgd(0.1),
                lambda key: {("w", 1): jax.random.normal(key, (4, 3))},
                jaxmlp.DataLoader(X, Y, batch_size=25),
                epochs=1,
                keys=jax.random.split(KEY, 2),
                checkpoint=tmp_path / "run",
            )
        assert not (tmp_path / "run").exists()


@pytest.mark.bad_input
def test_a_sweep_over_several_processes_keeps_no_checkpoints(monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(
        ValueError, match=r"fit_members is for one process.*process_count\(\)=2\. Start a sweep"
    ):
        jaxmlp.fit_members(
            LINEAR["loss_fn"],
            LINEAR["optimizer"],
            lambda _: LINEAR["params"],
            jaxmlp.DataLoader(X, Y, batch_size=25),
            epochs=1,
            keys=jax.random.split(KEY, 2),
            checkpoint=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.bad_input
def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "link").symlink_to("nowhere/else")
    with pytest.raises(OSError, match="link cannot be made for the checkpoints of this run"):
        fit(checkpoint=tmp_path / "link", **LINEAR)


class TestDonation:
    """A step that is made by hand takes the state from `fit`, if `on_epoch` gives it away."""

    STEP = staticmethod(jaxmlp.make_train_step(LINEAR["loss_fn"], LINEAR["optimizer"]))
    BATCH = jaxmlp.Batch(X[:12], Y[:12], np.ones(12, np.float32))

    @pytest.mark.parametrize("driver", ["step", "chunk", "epoch"])
    def test_a_state_that_was_donated_is_told(self, driver):
        def step(state, _):
            self.STEP(state, self.BATCH)

        message = r"on_epoch is given the state with which fit goes on.*jax\.tree\.map\(jnp\.copy"
        with pytest.raises(ValueError, match=message):
            fit(on_epoch=step, driver=driver, **LINEAR)

    def test_in_the_last_epoch_too(self):
        def step(state, metrics):
            if metrics["epoch"] == 4:
                self.STEP(state, self.BATCH)

        with pytest.raises(ValueError, match="on_epoch is given the state with which fit goes on"):
            fit(on_epoch=step, **LINEAR)

    def test_the_remedy_works_and_changes_no_number(self):
        def step(state, _):
            self.STEP(jax.tree.map(jnp.copy, state), self.BATCH)

        assert_same(fit(on_epoch=step, **LINEAR).state, fit(**LINEAR).state)
