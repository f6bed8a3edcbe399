"""Tests that every optimizer of optax trains here as it does in the loop that optax documents."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compilations import compilations
from fits import assert_same
from optax_names import (
    ASKED,
    EPOCHS,
    KEY,
    REFUSED,
    TARGETS,
    WORKING,
    X,
    batches,
    filled,
    loader,
    loss_fn,
    make,
    params,
    train_by_optax,
    train_by_step,
)

import jaxmlp
from jaxmlp.optimizers import as_transformation

# The same operations in two programs: some ulp per step, in numbers near 1.
close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)

# One of each kind: of its state, and of what it is handed.
KINDS = ("MultiSteps", "add_noise", "inject_hyperparams", "partition", "sam")


def all_or_kinds(kinds=KINDS):
    """All names; those that are not of a kind of their own take longer than a test may."""
    return [
        pytest.param(name, marks=[] if name in kinds else [pytest.mark.slow]) for name in WORKING
    ]


WRAPPERS = {
    "chain": lambda inner: optax.chain(optax.clip_by_global_norm(0.5), inner, optax.identity()),
    "MultiSteps": lambda inner: optax.MultiSteps(inner, 2),
    "inject_hyperparams": lambda inner: optax.inject_hyperparams(
        lambda factor: optax.chain(inner, optax.scale(factor))
    )(factor=0.5),
    "partition": lambda inner: optax.partition(
        {"k": inner, "b": optax.sgd(0.1)}, {"kernel": "k", "bias": "b"}
    ),
}
# Their masks are of the whole tree, and under `partition` they see a part of it.
OF_THE_WHOLE = {"freeze", "masked", "multi_transform", "partition", "sam", "selective_transform"}


def inner_of(name):
    made = make(name)
    if not isinstance(made, optax.MultiSteps):
        return made
    return optax.GradientTransformationExtraArgs(made.init, made.update)


def assert_trains_as_optax(optimizer, asked):
    values, expected, opt_state = train_by_optax(optimizer, asked)
    history, state, traces = train_by_step(optimizer)
    close(history, values)
    jax.tree.map(close, state.params, expected)
    assert jax.tree.structure(state.opt_state) == jax.tree.structure(opt_state)
    assert traces[0] == traces[-1]


@pytest.mark.parametrize("name", WORKING)
def test_the_first_state_is_that_of_optax_to_the_bit_and_type(name):
    optimizer = make(name)
    state = jaxmlp.init_state(params(), optimizer, key=KEY)
    alone = as_transformation(optimizer).init(params())
    assert jax.tree.structure(state.opt_state) == jax.tree.structure(alone)
    for ours, theirs in zip(jax.tree.leaves(state.opt_state), jax.tree.leaves(alone), strict=True):
        assert ours.dtype == jnp.asarray(theirs).dtype
        assert not getattr(ours, "weak_type", False)  # keys have none
        assert (ours == theirs).all()


@pytest.mark.parametrize("name", ["adam", "adamw", "lion", "schedule_free_adamw", "sgd"])
def test_constants_of_the_first_state_compile_no_program_for_their_shapes(name):
    first = {"kernel": jnp.ones((5, 37)), "bias": jnp.ones(37)}  # of no other test's shapes
    with compilations() as counts:
        jaxmlp.init_state(first, make(name), key=KEY)
    assert counts["copy_arrays"] == 1
    assert counts.keys() <= {"copy_arrays", "convert_element_type"}


def test_an_optimizer_that_looks_at_numbers_begins_as_it_does_alone():
    def init(params):
        return {"sign": 1 if params["kernel"].sum() > 0 else -1, "first": params["kernel"] * 2}

    optimizer = optax.GradientTransformation(init, lambda grads, state, _: (grads, state))
    state = jaxmlp.init_state({"kernel": jnp.full((2, 3), -1.5)}, optimizer, key=KEY)
    assert state.opt_state["sign"] == -1
    assert (state.opt_state["first"] == -3).all()


@pytest.mark.parametrize("name", WORKING)
def test_a_step_computes_what_optax_alone_computes_and_compiles_once(name):
    assert_trains_as_optax(make(name), ASKED.get(name, ()))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", all_or_kinds({"sam", "polyak_sgd"}))
def test_it_does_so_inside_others(name, wrapper):
    if wrapper == "partition" and name in OF_THE_WHOLE:
        with pytest.raises((TypeError, ValueError), match=r"."):
            train_by_optax(WRAPPERS[wrapper](inner_of(name)), ASKED.get(name, ()))
        return
    assert_trains_as_optax(WRAPPERS[wrapper](inner_of(name)), ASKED.get(name, ()))


def fit(optimizer, **settings):
    settings = {"epochs": EPOCHS, "key": KEY} | settings
    return jaxmlp.fit(loss_fn, optimizer, params(), loader(), **settings)


@pytest.mark.parametrize("name", all_or_kinds())
def test_fit_takes_the_steps_of_the_loop(name):
    _, expected, _ = train_by_step(make(name))
    result = fit(make(name))
    jax.tree.map(close, result.params, expected.params)
    assert int(result.state.step) == int(expected.step)


@pytest.mark.parametrize("name", all_or_kinds())
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(name, tmp_path):
    fit(make(name), epochs=1, checkpoint=tmp_path)
    resumed = fit(make(name), checkpoint=tmp_path, resume=True)
    assert_same(resumed.state, fit(make(name)).state)


@pytest.mark.parametrize("name", all_or_kinds())
def test_members_are_what_fit_gives_alone(name):
    members = jaxmlp.fit_members(
        loss_fn,
        make(name),
        lambda key: jax.tree.map(lambda a: a + jax.random.uniform(key), params()),
        loader(),
        epochs=EPOCHS,
        keys=jax.random.split(KEY, 2),
        strategy="vmap",
    )
    start = jax.random.uniform(jax.random.fold_in(jax.random.split(KEY, 2)[1], 2**32 - 1))
    alone = jaxmlp.fit(
        loss_fn,
        make(name),
        jax.tree.map(lambda a: a + start, params()),
        loader(),
        epochs=EPOCHS,
        key=jax.random.split(KEY, 2)[1],
    )
    jax.tree.map(close, members.member(1), alone.params)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_by_name(name):
    with pytest.raises((TypeError, ValueError), match=REFUSED[name]):
        train_by_step(make(name))


def test_a_monitor_that_begins_with_its_measurements_trains():
    monitor = filled(
        optax.monitor(
            {"norm": optax.tree.norm, "mean": optax.measure_with_ema(optax.tree.norm, 0.9)}
        )
    )
    _, state, _ = train_by_step(optax.chain(monitor, optax.sgd(0.1)))
    _, _, expected = train_by_optax(optax.chain(monitor, optax.sgd(0.1)), ())
    jax.tree.map(close, state.opt_state, expected)


def test_multi_steps_of_a_factory_are_taken_for_members():
    members = jaxmlp.fit_members(
        loss_fn,
        lambda h: optax.MultiSteps(optax.sgd(h["learning_rate"]), 2),
        lambda _: params(),
        loader(),
        epochs=EPOCHS,
        keys=jax.random.split(KEY, 2),
        hyperparameters={"learning_rate": [0.1, 0.05]},
    )
    alone = fit(optax.MultiSteps(optax.sgd(0.05), 2))
    jax.tree.map(close, members.member(1), alone.params)


def test_frozen_params_stay_as_they_are():
    _, state, _ = train_by_step(make("partition"))
    np.testing.assert_array_equal(state.params["bias"], params()["bias"])


def test_a_schedule_advances_with_every_step():
    _, state, _ = train_by_step(make("inject_hyperparams"))
    # The last of 8 steps is number 7, of a line from 0.1 to 0.01 over 8.
    close(state.opt_state.hyperparams["learning_rate"], 0.1 - 7 / 8 * 0.09)


def test_a_plateau_lowers_the_learning_rate():
    # No loss is below a tenth of another, so that two steps after the first are too many.
    plateau = optax.contrib.reduce_on_plateau(patience=2, rtol=0.9, factor=0.5)
    _, state, _ = train_by_step(optax.chain(optax.sgd(0.01), plateau))
    assert state.opt_state[-1].scale < 1


def test_params_change_in_every_second_of_two_accumulated_steps():
    optimizer = optax.MultiSteps(optax.adam(0.1), 2)
    step = jaxmlp.make_train_step(loss_fn, optimizer)
    state = jaxmlp.init_state(params(), optimizer, key=KEY)
    changed = []
    for batch in batches()[:4]:
        before = np.array(state.params["kernel"])
        state, _ = step(state, batch)
        changed.append(bool(np.any(before != state.params["kernel"])))
    assert changed == [False, True, False, True]


def test_lbfgs_reaches_the_least_squares_solution():
    optimizer = optax.lbfgs()
    step = jaxmlp.make_train_step(loss_fn, optimizer)
    state = jaxmlp.init_state(params(), optimizer, key=KEY)
    for _ in range(12):
        state, _ = step(state, jaxmlp.Batch(X, TARGETS))
    # The targets are a linear function of x, up to the rounding of float32. Twelve steps on eight
    # coefficients; the loss is flat to float32 at the square root of its eps.
    solution, *_ = np.linalg.lstsq(np.c_[np.float64(X), np.ones(12)], np.float64(TARGETS))
    np.testing.assert_allclose(state.params["kernel"], solution[:3], atol=1e-3)
    np.testing.assert_allclose(state.params["bias"], solution[3], atol=1e-3)


def test_a_nonfinite_step_is_skipped_by_apply_if_finite():
    optimizer = make("apply_if_finite")
    step = jaxmlp.make_train_step(loss_fn, optimizer)
    state = jaxmlp.init_state(params(), optimizer, key=KEY)
    batch = jaxmlp.Batch(jnp.full((6, 3), jnp.nan), jnp.zeros((6, 2)))
    state, values = step(state, batch)
    assert np.isnan(values["loss"])
    np.testing.assert_array_equal(state.params["kernel"], params()["kernel"])
