"""Tests of the training step: what it computes, what it owns, and how it can be transformed."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp import (
    Batch,
    DataLoader,
    MLPConfig,
    init_params,
    init_state,
    losses,
    make_loss,
    make_train_step,
    metrics,
)

CONFIG = MLPConfig(in_features=4, hidden_features=(8,), out_features=3, activation="tanh")
LOSS_FN = make_loss(CONFIG, losses.softmax_cross_entropy, metrics={"accuracy": metrics.accuracy})
OPTIMIZER = optax.sgd(0.1, momentum=0.9)
STEP = make_train_step(LOSS_FN, OPTIMIZER)
KEEPS_PARAMS = optax.GradientTransformation(lambda p: (p, p), lambda g, s, _=None: (g, s))
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
BATCH = Batch(RNG.normal(size=(12, 4)).astype(np.float32), RNG.integers(0, 3, 12))

# Three steps on numbers near 1, each rounded in another order by another compiled program.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def fresh_state(params=None, optimizer=OPTIMIZER, key=KEY):
    return init_state(
        init_params(CONFIG, key=KEY) if params is None else params, optimizer, key=key
    )


def quadratic(params, batch, _):
    """A user's loss: any pytree of params, any batch."""
    return jnp.mean((batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2), {}


QUADRATIC_BATCH = {"x": BATCH.x, "y": BATCH.x[:, 0]}


def key_as_metric(params, _, key):
    return jnp.sum(params["w"] ** 2), {"key": jax.random.key_data(key)}


def assert_all_close(a, b):
    def close(one, other):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_allclose(one, other, **CLOSE)

    jax.tree.map(close, a, b)


class TestInitialState:
    def test_it_holds_the_params(self):
        params = init_params(CONFIG, key=KEY)
        jax.tree.map(np.testing.assert_array_equal, fresh_state(params).params, params)

    def test_it_holds_the_state_of_the_optimizer(self):
        params = init_params(CONFIG, key=KEY)
        jax.tree.map(
            np.testing.assert_array_equal, fresh_state(params).opt_state, OPTIMIZER.init(params)
        )

    def test_it_is_at_step_0(self):
        step = fresh_state().step
        assert (int(step), step.dtype, step.shape) == (0, np.int32, ())

    @pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
    def test_it_holds_the_key(self, implementation):
        key = jax.random.key(5, impl=implementation)
        assert fresh_state(key=key).key == key

    def test_its_arrays_share_no_memory_with_the_params_or_each_other(self):
        params = init_params(CONFIG, key=KEY)
        state = fresh_state(params, KEEPS_PARAMS)
        arrays = [*jax.tree.leaves((state.params, state.opt_state)), *jax.tree.leaves(params)]
        assert len({array.unsafe_buffer_pointer() for array in arrays}) == len(arrays) == 16

    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
    def test_params_keep_their_type(self, dtype):
        assert fresh_state({"w": jnp.ones(3, dtype)}).params["w"].dtype == dtype

    def test_numpy_params_become_jax_arrays(self):
        state = fresh_state({"w": np.ones(3, np.float32)})
        assert isinstance(state.params["w"], jax.Array)

    def test_it_can_be_vmapped_over_keys(self):
        keys = jax.random.split(KEY, 5)
        states = jax.vmap(lambda key: fresh_state({"w": jnp.ones(3)}, key=key))(keys)
        assert (states.step.shape, states.key.shape) == ((5,), (5,))


class TestStep:
    def test_it_subtracts_the_learning_rate_times_the_gradient(self):
        params = init_params(CONFIG, key=KEY)
        gradient = jax.grad(lambda p: LOSS_FN(p, BATCH, None)[0])(params)
        state, _ = make_train_step(LOSS_FN, optax.sgd(0.5))(
            fresh_state(params, optax.sgd(0.5)), BATCH
        )
        assert_all_close(state.params, jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient))

    def test_its_metrics_are_those_before_the_update(self):
        params = init_params(CONFIG, key=KEY)
        _, values = STEP(fresh_state(params), BATCH)
        loss, expected = LOSS_FN(params, BATCH, None)
        assert_all_close(values, {"loss": loss, **expected})

    def test_it_counts(self):
        state = fresh_state()
        for _ in range(3):
            state, _ = STEP(state, BATCH)
        assert state.step == 3

    def test_step_t_draws_from_fold_in_of_key_and_t(self):
        step = make_train_step(key_as_metric, OPTIMIZER)
        state = fresh_state({"w": jnp.ones(3)})
        for t in range(3):
            state, values = step(state, None)
            expected = jax.random.key_data(jax.random.fold_in(KEY, t))
            np.testing.assert_array_equal(values["key"], expected)

    def test_it_leaves_the_key_as_it_is(self):
        state, _ = STEP(fresh_state(), BATCH)
        assert state.key == KEY

    def test_any_pytree_of_params_and_any_batch_train(self):
        params = {"w": jnp.zeros(4), "b": jnp.zeros(())}
        step, state = make_train_step(quadratic, OPTIMIZER), fresh_state(params)
        for _ in range(200):
            state, values = step(state, QUADRATIC_BATCH)
        # The targets are the first input.
        np.testing.assert_allclose(state.params["w"], [1, 0, 0, 0], atol=1e-2)
        assert values["loss"] < 1e-4


class TestDonation:
    def test_the_users_params_and_key_stay_usable(self):
        params, key = init_params(CONFIG, key=KEY), jax.random.key(3)
        before = jax.tree.map(np.array, params)
        state = fresh_state(params, key=key)
        for _ in range(2):
            state, _ = STEP(state, BATCH)
        jax.tree.map(np.testing.assert_array_equal, params, before)
        assert key == jax.random.key(3)

    def test_the_memory_of_the_old_state_is_reused(self):
        old = fresh_state()
        STEP(old, BATCH)
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves((old.params, old.opt_state)))

    def test_the_batch_is_not_donated(self):
        batch = jax.device_put(BATCH)
        STEP(fresh_state(), batch)
        assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(batch))

    def test_an_optimizer_may_keep_the_params_in_its_state(self):
        state = fresh_state(optimizer=KEEPS_PARAMS)
        state, _ = make_train_step(LOSS_FN, KEEPS_PARAMS)(state, BATCH)
        assert state.step == 1

    def test_two_states_of_the_same_params_do_not_disturb_each_other(self):
        params = init_params(CONFIG, key=KEY)
        first, second = map(fresh_state, [params] * 2)
        first, _ = STEP(first, BATCH)
        second, _ = STEP(second, BATCH)
        jax.tree.map(np.testing.assert_array_equal, first.params, second.params)


def stacked_batches():
    x = np.random.default_rng(1).normal(size=(3, 12, 4)).astype(np.float32)
    return Batch(x, np.tile(BATCH.y, (3, 1)))


def loop(step, state, batches):
    history = []
    for i in range(3):
        state, values = step(state, jax.tree.map(lambda leaf, i=i: leaf[i], batches))
        history.append(values)
    return state, jax.tree.map(lambda *leaves: jnp.stack(leaves), *history)


class TestTransformations:
    def test_without_jit_it_computes_the_same(self):
        params = {"w": jnp.full(4, 0.1), "b": jnp.zeros(())}
        step = make_train_step(quadratic, OPTIMIZER)
        with jax.disable_jit():
            eager = step(fresh_state(params), QUADRATIC_BATCH)
        assert_all_close(eager, step(fresh_state(params), QUADRATIC_BATCH))

    def test_a_scan_over_batches_is_a_loop(self):
        batches = stacked_batches()
        scanned = jax.lax.scan(STEP, fresh_state(), batches)
        assert_all_close(scanned, loop(STEP, fresh_state(), batches))

    def test_vmap_over_states_is_a_loop_over_members(self):
        members = [
            fresh_state(init_params(CONFIG, key=key), key=key) for key in jax.random.split(KEY, 4)
        ]
        states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
        together = jax.vmap(STEP, in_axes=(0, None))(states, BATCH)
        one_by_one = [STEP(member, BATCH) for member in members]
        assert_all_close(together, jax.tree.map(lambda *a: jnp.stack(a), *one_by_one))

    def test_it_is_deterministic(self):
        batches = stacked_batches()
        first, second = (loop(STEP, fresh_state(), batches)[0].params for _ in range(2))
        jax.tree.map(np.testing.assert_array_equal, first, second)


class TestTraces:
    def counted(self, loss_fn):
        calls = []

        def counting(params, batch, key):
            calls.append(1)
            return loss_fn(params, batch, key)

        return counting, calls

    def test_ten_steps_over_ragged_epochs_trace_once(self):
        loss_fn, calls = self.counted(LOSS_FN)
        step, state = make_train_step(loss_fn, OPTIMIZER), fresh_state()
        loader = DataLoader(BATCH.x, BATCH.y, batch_size=5, shuffle=True)
        epochs = (loader.epoch(number) for number in itertools.count())
        for batch in itertools.islice(itertools.chain.from_iterable(epochs), 10):
            state, _ = step(state, batch)
        assert (len(calls), int(state.step)) == (1, 10)

    def test_weakly_typed_params_trace_once(self):
        loss_fn, calls = self.counted(quadratic)
        params = {"w": jnp.full(4, 0.5), "b": jnp.asarray(1.0)}
        assert all(leaf.weak_type for leaf in params.values())
        step, state = (
            make_train_step(loss_fn, optax.adam(0.1)),
            fresh_state(params, optax.adam(0.1)),
        )
        for _ in range(10):
            state, _ = step(state, QUADRATIC_BATCH)
        assert len(calls) == 1

    def test_states_of_the_same_shapes_share_a_trace(self):
        loss_fn, calls = self.counted(LOSS_FN)
        step = make_train_step(loss_fn, OPTIMIZER)
        for seed in range(3):
            params = jaxmlp.init_params(CONFIG, key=jax.random.key(seed))
            step(fresh_state(params), BATCH)
        assert len(calls) == 1
