"""Runs of several processes, each of which writes what it saw of every scenario as JSON."""

import hashlib
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import jax
import numpy as np
import optax

import jaxmlp
import jaxmlp.distributed
from jaxmlp.storage import Processes, limit_meetings, writer

ROWS = 48
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
Y = np.sin(X).sum(axis=1, keepdims=True)
CONFIG = jaxmlp.MLPConfig(in_features=3, hidden_features=(4,), out_features=1, dropout_rate=0.1)
LOSS = jaxmlp.make_loss(CONFIG, jaxmlp.losses.squared_error)
LOADER = {"batch_size": 8, "shuffle": True, "seed": 1}
SETTINGS = {"epochs": 4, "validation": (X[:8], Y[:8]), "ema_decay": 0.9}


def over_all():
    return jax.NamedSharding(jax.make_mesh((jax.device_count(),), ("data",)), jax.P("data"))


def fit(directory=None, *, rows=(X, Y), rate=1e-2, loader=LOADER, seed=0, start=0, **settings):
    checkpoint = directory and jaxmlp.Checkpoints(directory=directory, seconds=0)
    return jaxmlp.fit(
        LOSS,
        optax.adam(rate),
        jaxmlp.init_params(CONFIG, key=jax.random.key(start)),
        jaxmlp.DataLoader(*rows, sharding=over_all(), **loader),
        key=jax.random.key(seed),
        **{"checkpoint": checkpoint, **SETTINGS, **settings},
    )


def shown(result):
    arrays = jax.tree.leaves((result.params, result.history, result.state._replace(key=())))
    digest = hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in arrays))
    return [digest.hexdigest(), int(result.state.step), result.stopped_by]


def last_file(directory):
    """The name and a hash of the newest checkpoint; those before depend on how fast disks are."""
    path = max(Path(directory).glob("step_*"))
    return [path.name, hashlib.sha256(path.read_bytes()).hexdigest()]


def caught(run, *args, **settings):
    """What a run raised, or that it raised nothing."""
    try:
        return shown(run(*args, **settings))
    except Exception as error:
        return [type(error).__name__, str(error), getattr(error, "__notes__", [])]


def train(directory):
    result = fit(directory / "train")
    file = last_file(directory / "train")
    resumed = shown(fit(directory / "train", resume=True, epochs=6))
    losses = result.history["validation_loss"].tolist()
    return {"result": shown(result), "resumed": resumed, "file": file, "losses": losses}


def going_on(directory):
    """Goes on with what another number of processes has begun."""
    return shown(fit(directory / "begun", resume=True, epochs=6))


def own_rows(directory):
    """Each process holds its own rows, of which the first has fewer."""
    there, count = jax.process_index(), jax.process_count()
    bounds = [0, 20, ROWS] if count == 2 else [0, ROWS]
    part = slice(*bounds[there : there + 2])
    rows, own = (X[part], Y[part]), {**LOADER, "process_local": True}

    def run(path=None, *, rows=rows, loader=own, **settings):
        return fit(path and directory / path, rows=rows, loader=loader, **settings)

    whole = shown(run())
    run("run", epochs=2)
    resumed = shown(run("run", resume=True))
    changed = (rows[0] + np.float32(there), rows[1])
    wide = (np.concatenate([rows[0]] * (1 + there), axis=1), rows[1])
    bad = (np.where(np.arange(len(rows[0]))[:, None] == 27, np.nan, rows[0]), rows[1])
    checked = {**own, "check_finite": False}
    begun = directory / "begun"
    cases = {
        "the same rows": {"rows": (X, Y)},
        "not said": {"loader": LOADER},
        "another form": {"rows": wide},
        "validation": {"validation": jaxmlp.DataLoader(*rows, **own, sharding=over_all())},
        "a process's rows changed": {"path": "run", "rows": changed, "resume": True},
        "all rows everywhere": {
            "path": "run",
            "rows": (X, Y),
            "loader": LOADER,
            "resume": True,
        },
    }
    if begun.exists():
        cases["begun by others"] = {"path": "begun", "resume": True}
    found = {name: caught(run, **settings) for name, settings in cases.items()}
    seen = {"whole": whole, "resumed": resumed, "found": found}
    if count == 2:
        try:
            run(rows=bad, loader=checked)
        except jaxmlp.NonFiniteError as error:
            seen["not finite"] = [str(error), error.rows.tolist()]
    return seen


def differences(directory):
    number, there = jax.process_index(), jax.process_index() > 0
    other = np.where(there, 2, 1) * X
    cases = {
        "key": {"seed": number},
        "params": {"start": number},
        "data.seed": {"loader": {**LOADER, "seed": number}},
        "data.batch_size": {"loader": {**LOADER, "batch_size": 8 * (1 + there)}},
        "the rows of data": {"rows": (other, Y)},
        "the number of rows": {"rows": (X[: ROWS - there], Y[: ROWS - there])},
        "validation": {"validation": (other[:8], Y[:8])},
        "the compiled step": {"rate": 1e-2 * (1 + there)},
        "ema_decay": {"ema_decay": 0.9 + 0.01 * number},
        "patience": {"patience": 2 + number},
        "the last epoch": {"epochs": 4 + number},
        "driver": {"driver": "step" if there else "auto"},
        "nonfinite": {"nonfinite": "stop" if there else "raise"},
        "on_epoch": {"on_epoch": print if there else None},
        "checkpoint": {"directory": directory / f"of{number}"},
        "resume": {"directory": directory / "same", "resume": there},
    }
    found = {name: caught(fit, **settings) for name, settings in cases.items()}
    original = jaxmlp.fitting.agreement.library_versions
    jaxmlp.fitting.agreement.library_versions = lambda: original() | {"jax": f"0.{number}"}
    found["the version of jax"] = caught(fit)
    jaxmlp.fitting.agreement.library_versions = original
    return {"found": found, "made": sorted(path.name for path in directory.iterdir())}


class Callback:
    """Says where it was called, and does what it is told after the second epoch."""

    def __init__(self, then=lambda: None, every_process=False):
        self.epochs, self.then, self.every_process = [], then, every_process

    def __call__(self, state, metrics):
        self.epochs.append(metrics["epoch"])
        # A computation of this process alone.
        assert np.isfinite(jax.numpy.sum(state.params.output.kernel))
        return self.then() if metrics["epoch"] == 1 else None


def callbacks(directory):
    del directory

    def fail():
        raise KeyError("boom")

    there = jax.process_index() == 1
    cases = {
        "called": Callback(),
        "stops": Callback(lambda: True),
        "raises": Callback(fail),
        "everywhere": Callback(every_process=True),
        "one of all stops": Callback(lambda: there, every_process=True),
        "one of all raises": Callback(fail if there else lambda: None, every_process=True),
    }
    seen = {name: [caught(fit, on_epoch=c), c.epochs] for name, c in cases.items()}
    return seen | {"bars": [shows_bar(), shows_bar(progress=True), shows_bar(progress=False)]}


def shows_bar(**settings):
    """What a run's progress bar is asked in this process: `None` is for terminals."""
    original, asked = jaxmlp.fitting.loop.ProgressBar, []

    def bar(epochs, *, show):
        asked.append(show)
        return original(epochs, show=False)

    jaxmlp.fitting.loop.ProgressBar = bar
    fit(epochs=1, **settings)
    jaxmlp.fitting.loop.ProgressBar = original
    return asked


def iterables(directory):
    """Batches of the user's own, which lie over all devices, as the parameters do."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",))
    sharding = jax.NamedSharding(mesh, jax.P("data"))
    batches = list(jaxmlp.DataLoader(X, Y, sharding=sharding, **LOADER))
    everywhere = jax.device_put(
        jaxmlp.init_params(CONFIG, key=jax.random.key(0)), jax.NamedSharding(mesh, jax.P())
    )
    settings = {"epochs": 2, "key": jax.random.key(0)}

    def run(**more):
        return jaxmlp.fit(LOSS, optax.adam(1e-2), everywhere, batches, **settings, **more)

    run(checkpoint=directory / "run")
    settings["epochs"] = 4
    return [shown(run()), shown(run(checkpoint=directory / "run", resume=True))]


def signals(directory):
    """The last process alone gets a signal, in the middle of a run."""
    is_last = jax.process_index() == jax.process_count() - 1
    get_one = Callback(lambda: os.kill(os.getpid(), signal.SIGTERM) if is_last else None, True)
    result = shown(fit(directory / "signal", epochs=1_000_000, on_epoch=get_one))
    epochs = result[1] // 6 + 2
    resumed = shown(fit(directory / "signal", resume=True, epochs=epochs))
    return {"result": result, "resumed": resumed, "whole": shown(fit(epochs=epochs))}


def failures(directory):
    """The first cannot write, or the others cannot read."""
    write = writer.write_atomically

    def full(*_):
        raise OSError(28, "the disk is full")

    writer.write_atomically = full
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        unwritten = shown(fit(directory / "full"))
    writer.write_atomically = write
    fit(directory / "shared")
    home = Path.cwd()
    os.chdir(directory)
    Path(f"elsewhere{jax.process_index()}").mkdir()
    if jax.process_index():
        os.chdir(f"elsewhere{jax.process_index()}")
    unshared = caught(fit, "shared", resume=True, epochs=6)
    os.chdir(home)
    there = caught(fit, directory / "shared")
    bad = np.where(np.arange(ROWS)[:, None] == 5, np.inf, Y)
    nonfinite = caught(fit, rows=(X, bad), loader={**LOADER, "check_finite": False})
    return {
        "warned": sorted({str(warning.message) for warning in met}),
        "unwritten": unwritten,
        "unshared": unshared,
        "there": there,
        "nonfinite": nonfinite,
    }


def lateness(directory):
    """The last process comes too late."""
    del directory
    limit_meetings(1.0)
    processes = Processes(range(jax.process_count()))
    if jax.process_index() == jax.process_count() - 1:
        time.sleep(6)
        return None
    begin = time.monotonic()
    return [*caught(lambda: processes.gather("the end", ""))[:2], time.monotonic() - begin]


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", int(sys.argv[2]))
    jaxmlp.distributed.initialize(heartbeat_timeout=30)
    folder = Path(sys.argv[1])
    seen = {}
    for name in sys.argv[3:]:
        (folder / name).mkdir(exist_ok=True)
        begin = time.monotonic()
        seen[name] = globals()[name](folder / name)
        print(name, f"{time.monotonic() - begin:.1f} s")
    (folder / f"{jax.process_index()}.json").write_text(json.dumps(seen))
