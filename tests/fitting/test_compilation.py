"""What XLA is given: one program per function, and nothing baked into it."""

import functools

import jax
import numpy as np
import optax

import jaxmlp

CONFIG = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=3, dropout_rate=0.1)
LOSS = jaxmlp.make_loss(CONFIG, jaxmlp.losses.softmax_cross_entropy)


def rows(count):
    generator = np.random.default_rng(0)
    return generator.normal(size=(count, 4)).astype(np.float32), generator.integers(0, 3, count)


def test_ten_steps_with_a_ragged_last_batch_compile_once():
    optimizer = optax.adamw(optax.cosine_decay_schedule(1e-2, 10))
    params = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
    state = jaxmlp.init_state(params, optimizer, key=jax.random.key(1))
    train_step = jaxmlp.make_train_step(LOSS, optimizer)
    loader = jaxmlp.DataLoader(*rows(50), batch_size=12, shuffle=True)
    for _ in range(2):
        for batch in loader:
            state, _ = train_step(state, batch)
    assert int(state.step) == 10
    assert train_step._cache_size() == 1


def test_equal_configs_share_one_program():
    traces = 0

    @functools.partial(jax.jit, static_argnames="config")
    def outputs(params, x, config):
        nonlocal traces
        traces += 1
        return jaxmlp.apply(params, x, config=config)

    params = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
    x, _ = rows(5)
    outputs(params, x, config=CONFIG)
    outputs(params, x, config=jaxmlp.MLPConfig.from_json(CONFIG.to_json()))
    assert traces == 1


def test_step_closes_over_no_arrays():
    optimizer = optax.adam(1e-2)
    params = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
    state = jaxmlp.init_state(params, optimizer, key=jax.random.key(1))
    train_step = jaxmlp.make_train_step(LOSS, optimizer)
    batch = next(iter(jaxmlp.DataLoader(*rows(12), batch_size=12)))
    constants = jax.make_jaxpr(train_step)(state, batch).consts
    assert sum(np.size(constant) for constant in constants) == 0


def test_apply_is_a_jaxpr_without_randomness_when_it_has_no_key():
    params = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
    program = str(
        jax.make_jaxpr(functools.partial(jaxmlp.apply, config=CONFIG))(params, rows(5)[0])
    )
    assert "random" not in program
    assert "dot_general" in program
