"""The compile contract of `fit`: one trace and one compilation per function and fit."""

import functools

import jax
import numpy as np
import optax
import pytest
from compilations import CountingLoss, compilations
from fits import (
    DRIVERS,
    LINEAR,
    LOSS,
    PARAMS,
    VALIDATION,
    X,
    Y,
    cut_calls,
    fit,
    fit_with,
    make_loader,
)

import jaxmlp
from jaxmlp.fitting.drivers import run_loader
from jaxmlp.fitting.looks import looks_of

PROGRAMS = {
    "step": {"advance": 1, "finish": 1},
    "chunk": {"run_steps": 1, "finish": 1},
    "epoch": {"run_epochs": 1},
    "epochs": {"run_epochs": 1},
    "auto": {"run_epochs": 1},
}


@pytest.fixture(scope="module", params=DRIVERS)
def counted(request):
    """Two fits with the same settings: the traces and compilations of each."""
    loss_fn = CountingLoss()
    settings = LINEAR | {"loss_fn": loss_fn, "validation": VALIDATION}
    traces, compiled = [], []
    with pytest.MonkeyPatch.context() as monkeypatch:
        for _ in range(2):
            loss_fn.traces.clear()
            with compilations() as counts:
                fit_with(request.param, monkeypatch, **settings)
            traces.append(dict(loss_fn.traces))
            compiled.append(counts)
    return DRIVERS[request.param][0], traces, compiled


def test_a_fit_traces_the_loss_once_for_each_use(counted):
    assert counted[1][0] == {"training": 1, "validation": 1}


def test_a_fit_compiles_every_program_once(counted):
    driver, _, (first, _) = counted
    programs = {name.lstrip("_"): n for name, n in first.items()}
    known = {name for counts in PROGRAMS.values() for name in counts}
    assert {name: n for name, n in programs.items() if name in known} == PROGRAMS[driver]


def test_a_second_fit_traces_nothing(counted):
    assert counted[1][1] == {}


def test_a_second_fit_compiles_nothing(counted):
    assert not counted[2][1]


def test_blocks_of_a_file_share_one_program_also_where_a_run_goes_on(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    source = jaxmlp.sources.npy(tmp_path / "x.npy", tmp_path / "y.npy", chunk_rows=7)
    loader = jaxmlp.DataLoader(source, batch_size=12, shuffle=True, window_chunks=2)
    cut_calls(monkeypatch, chunk=2)
    loss_fn = CountingLoss()
    settings = LINEAR | {"loss_fn": loss_fn, "validation": VALIDATION, "driver": "chunk"}
    with compilations() as counts:
        fit(loader, **settings)
    assert loss_fn.traces == {"training": 1, "validation": 1}
    assert {"run_block": 1, "_finish": 1}.items() <= counts.items()
    with compilations() as counts:
        fit(loader, **settings)
        run = jaxmlp.fitting.calls.Run(loss_fn, LINEAR["optimizer"], jaxmlp.fitting.Plan(), 2, None)
        train = jaxmlp.init_state(LINEAR["params"], run.optimizer, key=jax.random.key(1))
        state = jaxmlp.fitting.init_fit_state(train, run.plan, validated=False)
        looks = looks_of(None, 2)
        *_, whole = run_loader("chunk", run, state, loader, {}, looks)
        loss_fn.traces.clear()
        call = next(run_loader("chunk", run, state, loader, {}, looks))
        *_, rest = run_loader("chunk", run, call.after, loader, call.unfinished, looks)
    assert int(whole.after.train.step) == int(rest.after.train.step) == 10
    assert not loss_fn.traces


FEATURES = {
    "moving average": {"ema_decay": 0.9},
    "plain average": {"swa_start": 1},
    "skipping": {"nonfinite": "skip"},
    "patience": {"patience": 4},
}


@pytest.mark.parametrize("name", FEATURES)
def test_no_feature_costs_a_trace(name):
    loss_fn = CountingLoss()
    settings = LINEAR | {"loss_fn": loss_fn, "validation": VALIDATION}
    fit(**settings, **FEATURES[name])
    assert loss_fn.traces == {"training": 1, "validation": 1}


def test_dropout_and_a_schedule_cost_no_trace():
    loss_fn = CountingLoss(LOSS)
    optimizer = optax.adamw(optax.cosine_decay_schedule(1e-2, 25))
    fit(loss_fn=loss_fn, optimizer=optimizer, params=PARAMS)
    assert loss_fn.traces == {"training": 1}


def test_another_number_of_epochs_compiles_nothing_where_calls_are_epochs():
    loss_fn = CountingLoss()
    settings = LINEAR | {"loss_fn": loss_fn, "driver": "epoch"}
    for epochs in (2, 3):
        fit(epochs=epochs, **settings)
    assert loss_fn.traces == {"training": 1}


def test_iterables_of_any_length_share_one_program():
    batches = list(make_loader(shuffle=False))
    loss_fn = CountingLoss()
    settings = LINEAR | {"loss_fn": loss_fn, "epochs": 1}
    fit(batches, **settings)
    with compilations() as counts:
        for count in (1, 3, 5):
            fit(batches[:count], **settings)
    assert not counts
    assert loss_fn.traces == {"training": 1}


def test_rows_and_parameters_are_not_baked_into_the_program():
    loss_fn = CountingLoss()
    settings = LINEAR | {"loss_fn": loss_fn}
    first = fit(**settings)
    params = jax.tree.map(lambda a: a + 1, LINEAR["params"])
    other = fit(make_loader(seed=9), **settings | {"params": params, "key": jax.random.key(7)})
    assert loss_fn.traces == {"training": 1}
    assert first.history["loss"].tolist() != other.history["loss"].tolist()


def test_compilations_are_seen():
    with compilations() as counts:
        jax.block_until_ready(jax.jit(lambda a: a + 12345.678)(jax.numpy.ones(7)))
    assert sum(counts.values()) >= 1


def test_the_program_closes_over_no_arrays():
    run = jaxmlp.fitting.calls.Run(
        LINEAR["loss_fn"], LINEAR["optimizer"], jaxmlp.fitting.Plan(), 1, None
    )
    state = jaxmlp.fitting.init_fit_state(
        jaxmlp.init_state(LINEAR["params"], run.optimizer, key=jax.random.key(0)),
        run.plan,
        validated=False,
    )
    loader = make_loader()
    rows = jax.tree.map(jax.numpy.asarray, jaxmlp.Batch(loader.x, loader.y, loader.weight))
    index = loader.index(0).astype(np.int32)[None]
    program = functools.partial(run.compiled("run_epochs"), steps=np.int32(len(loader)))
    constants = jax.make_jaxpr(program)(state, rows, index, 1, None).consts
    assert sum(constant.size for constant in constants) == 0


@pytest.mark.parametrize("kernel_init", ["rich", "he_normal"])
def test_layers_and_networks_share_the_program_that_draws_them(kernel_init):
    shapes = [(7, (11,) * 5, 3), (64, (64,), 10), (2, (), 1)]
    configs = [
        jaxmlp.MLPConfig(in_features=i, hidden_features=h, out_features=o, kernel_init=kernel_init)
        for i, h, o in shapes
    ]
    jax.clear_caches()
    with compilations() as counts:
        for config in configs:
            jaxmlp.init_params(config, key=jax.random.key(0))
    assert counts.pop("_draw") == 1
    # Of the key, where it is the first one.
    assert set(counts) <= {"_threefry_seed", "stage"}


def test_a_fit_from_its_parameters_to_its_result_compiles_few_programs():
    # Of shapes that no other test has, whose programs are not compiled yet.
    config = jaxmlp.MLPConfig(in_features=4, hidden_features=(13,), out_features=3)
    with compilations() as counts:
        params = jaxmlp.init_params(config, key=jax.random.key(0))
        loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy)
        fit(loss_fn=loss_fn, optimizer=optax.adam(1e-3), params=params, validation=VALIDATION)
    ours = {"copy_arrays": 1, "_init_records": 1, "run_epochs": 1}
    assert {name: counts[name] for name in ours} == ours
    assert counts.pop("_draw", 0) <= 1
    # One for each of four shapes in the copies of the result, two for those of scalars, three for
    # the validation rows, two for the key; none for optax's zeros.
    assert sum(counts.values()) <= sum(ours.values()) + 4 + 2 + 3 + 2
