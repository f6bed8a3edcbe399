"""The checkpoint files of a run: which are kept, what is in them, and what they are refused for."""

import json
import threading

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import CONFIG, KEY, LINEAR, VALIDATION, assert_same, cut_calls, fit, make_loader
from interruptions import assert_same_result, interrupted

import jaxmlp
from jaxmlp.storage import container, writer
from jaxmlp.storage.rotation import checkpoint_paths

# Each spoils a checkpoint, whose checksums are then made anew; "text" stands for the header's.
CRAFTED = {
    "no JSON": lambda run: run.update(text="{"),
    "no object": lambda run: run.update(text="[1]"),
    "deep JSON": lambda run: run.update(text="[" * 100_000),
    "a name too many": lambda run: run["header"].update(more=1),
    "a name too few": lambda run: run["header"].pop("history"),
    "settings of another type": lambda run: run["header"].update(settings=[1]),
    "a position of another type": lambda run: run["header"].update(data=[1]),
    "a position that is none": lambda run: run["header"]["data"].update(epoch=-1),
    "data settings of another type": lambda run: run["header"]["data"].update(settings=3),
    "metrics that are no names": lambda run: run["header"].update(history=[1, 2, 3]),
    "metrics that are no list": lambda run: run["header"].update(history="loss"),
    "a metric without an array": lambda run: run["header"]["history"].append("more"),
    "an array without a metric": lambda run: run["header"]["history"].pop(),
    "metrics of two lengths": lambda run: run["arrays"].update({"history.0": np.zeros(9, int)}),
    "a metric that is a number": lambda run: run["arrays"].update({"history.0": np.zeros((), int)}),
}


class TestFiles:
    def test_as_many_are_kept_as_asked(self, tmp_path):
        checkpoints = jaxmlp.Checkpoints(directory=tmp_path, seconds=0.0, keep=2)
        fit(checkpoint=checkpoints, driver="epoch", epochs=9)
        names = [path.name for path in checkpoint_paths(tmp_path)]
        assert len(names) <= 2
        assert names[-1] == "step_000000000045.safetensors"

    def test_none_is_written_before_it_is_due_but_the_last(self, tmp_path):
        fit(checkpoint=jaxmlp.Checkpoints(directory=tmp_path, seconds=3600.0), driver="epoch")
        assert len(checkpoint_paths(tmp_path)) == 1

    def test_a_damaged_one_is_reported_and_the_one_before_it_used(self, monkeypatch, tmp_path):
        cut_calls(monkeypatch, chunk=2)
        for calls in (1, 2):
            interrupted(
                monkeypatch, calls, checkpoint=tmp_path, resume=True, driver="chunk", epochs=3
            )
        newest = checkpoint_paths(tmp_path)[-1]
        newest.write_bytes(newest.read_bytes()[:-1])
        with pytest.warns(RuntimeWarning, match=r"step_0+5\.safetensors is not a usable"):
            result = fit(checkpoint=tmp_path, resume=True, driver="chunk", epochs=3)
        assert_same_result(result, fit(driver="chunk", epochs=3))

    def test_the_newest_holds_the_best_parameters(self, tmp_path):
        result = fit(checkpoint=tmp_path, validation=VALIDATION, optimizer=optax.sgd(5.0))
        assert result.best_epoch < 4
        resumed = fit(
            checkpoint=tmp_path, resume=True, validation=VALIDATION, optimizer=optax.sgd(5.0)
        )
        assert_same(resumed.params, result.params)

    def test_writing_does_not_wait_for_the_disk(self, monkeypatch, tmp_path):
        written, release = [], threading.Event()

        def slow(path, chunks):
            release.wait(20)
            written.append((path, sum(map(len, chunks))))

        monkeypatch.setattr(writer, "write_atomically", slow)
        epochs = []

        def see(state, metrics):
            del state
            epochs.append(metrics["epoch"])
            if metrics["epoch"] == 3:
                assert not written
                release.set()

        fit(checkpoint=jaxmlp.Checkpoints(directory=tmp_path, seconds=0.0), on_epoch=see)
        assert epochs == [0, 1, 2, 3, 4]
        assert written

    def test_a_failure_to_write_is_told_and_the_result_is_kept(self, monkeypatch, tmp_path):
        def fail(path, chunks):
            del path, chunks
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(writer, "write_atomically", fail)
        with pytest.warns(RuntimeWarning, match="could not be written.*No space left"):
            result = fit(checkpoint=tmp_path)
        assert_same_result(result, fit())


class TestRefusals:
    @pytest.fixture
    def directory(self, tmp_path):
        fit(checkpoint=tmp_path, epochs=2, validation=VALIDATION)
        return tmp_path

    def resume(self, directory, *args, **settings):
        settings = {"validation": VALIDATION, "epochs": 3, **settings}
        return fit(*args, checkpoint=directory, resume=True, **settings)

    def test_a_directory_with_checkpoints_is_not_overwritten(self, directory):
        before = [path.read_bytes() for path in checkpoint_paths(directory)]
        with pytest.raises(FileExistsError, match="resume=True to go on with it"):
            fit(checkpoint=directory)
        assert [path.read_bytes() for path in checkpoint_paths(directory)] == before

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"ema_decay": 0.5}, "ema_decay=None, now 0.5"),
            ({"patience": 3}, "patience=None, now 3"),
            ({"accumulate_steps": 3}, "accumulate_steps=1, now 3"),
            ({"validation": None}, "validation='.*', now None"),
            ({"key": jax.random.key(9)}, "another key"),
            ({"optimizer": optax.sgd(0.1, momentum=0.9)}, "another network or optimizer.*trace"),
        ],
    )
    def test_other_settings(self, directory, changed, message):
        with pytest.raises(ValueError, match=message):
            self.resume(directory, **changed)

    def test_another_network(self, directory):
        config = jaxmlp.MLPConfig(in_features=CONFIG.in_features, out_features=CONFIG.out_features)
        params = jaxmlp.init_params(config, key=KEY)
        with pytest.raises(jaxmlp.CheckpointError, match=r"hidden.* is not expected"):
            self.resume(directory, params=params)

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"batch_size": 10}, "batch_size=12, now 10"),
            ({"seed": 5}, "seed=.*now 5"),
            ({"shuffle": False}, "shuffle=True, now False"),
        ],
    )
    def test_another_loader(self, directory, changed, message):
        with pytest.raises(ValueError, match=message):
            self.resume(directory, make_loader(**changed))

    def test_other_rows(self, directory):
        loader = make_loader()
        x = np.array(loader.x)
        x[7, 1] += 1
        other = jaxmlp.DataLoader(
            x, loader.y, loader.weight, batch_size=12, shuffle=True, seed=loader.seed
        )
        with pytest.raises(ValueError, match="data have changed"):
            self.resume(directory, other)

    def test_a_file_of_something_else(self, tmp_path):
        config = jaxmlp.MLPConfig(in_features=2, out_features=1)
        path = tmp_path / "step_000000000001.safetensors"
        jaxmlp.save(path, config, jaxmlp.init_params(config, key=KEY))
        with pytest.raises(jaxmlp.CheckpointError, match="no checkpoint of fit"):
            fit(checkpoint=tmp_path, resume=True)

    def test_an_iterable_in_the_place_of_a_loader(self, directory):
        with pytest.raises(ValueError, match="of a run over a DataLoader, and data is an iterable"):
            self.resume(directory, list(make_loader()))

    def test_a_loader_in_the_place_of_an_iterable(self, tmp_path):
        fit(list(make_loader()), checkpoint=tmp_path, epochs=2, validation=VALIDATION)
        with pytest.raises(ValueError, match="of a run over an iterable, and data is a DataLoader"):
            self.resume(tmp_path)

    @pytest.mark.parametrize("name", CRAFTED)
    def test_a_whole_file_that_makes_no_sense(self, directory, name):
        (path,) = checkpoint_paths(directory)
        contents = container.read(path)
        run = {"header": json.loads(contents.metadata["jaxmlp.run"]), "arrays": contents.arrays}
        CRAFTED[name](run)
        metadata = {"jaxmlp.run": run.get("text") or json.dumps(run["header"])}
        path.write_bytes(b"".join(container.encode(run["arrays"], metadata)))
        with pytest.raises(jaxmlp.CheckpointError, match=str(path)):
            self.resume(directory)

    def test_two_runs_in_one_directory(self, tmp_path):
        def second(state, metrics):
            del state, metrics
            with pytest.raises(BlockingIOError):
                fit(checkpoint=tmp_path, resume=True)
            return True

        assert fit(checkpoint=tmp_path, on_epoch=second).stopped_by == "callback"

    def test_a_directory_that_is_a_file(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match="file"):
            fit(checkpoint=tmp_path / "file")

    @pytest.mark.bad_input
    def test_resume_needs_a_directory(self):
        with pytest.raises(ValueError, match="only with checkpoint"):
            fit(resume=True)

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        ("setting", "error"),
        [
            ({"seconds": -1}, ValueError),
            ({"seconds": float("inf")}, ValueError),
            ({"keep": 0}, ValueError),
            ({"directory": 3}, TypeError),
        ],
    )
    def test_settings_out_of_range(self, setting, error):
        with pytest.raises(error, match=next(iter(setting))):
            jaxmlp.Checkpoints(**{"directory": "somewhere", **setting})


def test_the_settings_stored_are_readable(tmp_path):
    fit(checkpoint=tmp_path)
    contents = container.read(checkpoint_paths(tmp_path)[-1])
    stored = json.loads(contents.metadata["jaxmlp.run"])
    assert stored["settings"]["accumulate_steps"] == 1
    assert stored["data"]["epoch"] == 5
    assert "jax" in stored["versions"]


def test_only_arrays_that_lie_in_the_state_are_stored(tmp_path):
    fit(checkpoint=tmp_path, **LINEAR)
    contents = container.read(checkpoint_paths(tmp_path)[-1])
    stored = sum(array.nbytes for array in contents.arrays.values())
    params = sum(jnp.asarray(leaf).nbytes for leaf in jax.tree.leaves(LINEAR["params"]))
    # Parameters, two moments, and the numbers of five epochs and a few counters.
    assert stored < 3 * params + 1000
