"""The state of every optimizer of optax is saved and resumed bit for bit, or told at the start."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from fits import fit
from interruptions import assert_same_result
from optax._src import alias

import jaxmlp
from jaxmlp import init_state, load_state, save_state

# Those with other arguments than a learning rate.
SPECIAL = {
    "mechanize": lambda make: make(optax.sgd(0.1)),
    "sam": lambda make: make(
        optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    ),
    "schedule_free": lambda make: make(optax.sgd(0.1), 0.1),
    "split_real_and_imaginary": lambda make: make(optax.adam(0.1)),
    "dog": lambda make: make(0.1),
    "dowg": lambda make: make(0.1),
    "noisy_sgd": lambda make: make(0.1, key=jax.random.key(3)),
}
# Those that optax warns of, or that need a gradient for every row, which a step refuses.
REFUSED = {"differentially_private_aggregate", "dpsgd", "optimistic_adam"}
# They ask for more than a step has: a gradient per example, the loss or the shapes of kernels in
# arguments of their own.
UNTRAINED = {"sam", "scale_by_muon", "sophia"}
PARAMS = {"kernel": jnp.full((4, 3), 0.1), "bias": jnp.zeros(3)}


def loss_fn(params, batch, key):
    del key
    logits = batch.x @ params["kernel"] + params["bias"]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.y)
    return jaxmlp.weighted_mean(losses, batch.weight), {}


SETTINGS = {"loss_fn": loss_fn, "params": PARAMS, "driver": "epoch"}


def all_optimizers():
    """Every function of optax and optax.contrib that makes an optimizer, by its name."""
    found = {}
    for module in (alias, optax.contrib):
        for name, make in inspect.getmembers(module, inspect.isfunction):
            signature = inspect.signature(make)
            is_optimizer = "GradientTransformation" in str(signature.return_annotation)
            if name in REFUSED or not (is_optimizer or name in SPECIAL):
                continue
            required = [p.name for p in signature.parameters.values() if p.default is p.empty]
            if name in SPECIAL:
                found[name] = functools.partial(SPECIAL[name], make)
            else:
                assert required in ([], ["learning_rate"]), f"how to make {name}?"
                found[name] = functools.partial(make, *[0.01] * len(required))
    return found


OPTIMIZERS = all_optimizers()


def partitioned(make):
    return optax.partition(
        {"kernels": make(), "rest": optax.sgd(0.1)},
        lambda params: jax.tree.map(lambda a: "kernels" if a.ndim == 2 else "rest", params),
    )


WRAPPERS = {
    "alone": lambda make: make(),
    "chained": lambda make: optax.chain(optax.clip_by_global_norm(1.0), make(), optax.ema(0.9)),
    "named": lambda make: optax.named_chain(("clip", optax.clip(1.0)), ("main.part", make())),
    "several steps": lambda make: optax.MultiSteps(make(), 2).gradient_transformation(),
    "partitioned": partitioned,
    "masked": lambda make: optax.masked(make(), jaxmlp.kernel_mask),
    "if finite": lambda make: optax.apply_if_finite(make(), 3),
    "flattened": lambda make: optax.flatten(make()),
}


def test_the_list_is_that_of_optax():
    assert len(OPTIMIZERS) >= 50
    assert {"adam", "lbfgs", "muon", "prodigy", "schedule_free_adamw"} <= OPTIMIZERS.keys()


def filled(state):
    """The same tree of random bits, so that no array could be mistaken for another."""
    generator = np.random.default_rng(0)

    def fill(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) or leaf.dtype == bool:
            return leaf
        size = leaf.size * leaf.dtype.itemsize
        content = generator.integers(0, 256, size, np.uint8)
        return jnp.asarray(content.view(leaf.dtype).reshape(leaf.shape))

    return jax.tree.map(fill, state)


@pytest.mark.parametrize(
    ("name", "wrapper"),
    [
        *((name, wrapper) for name in OPTIMIZERS for wrapper in ("alone", "partitioned")),
        *(("adam", wrapper) for wrapper in WRAPPERS if wrapper not in ("alone", "partitioned")),
    ],
)
def test_a_state_comes_back_bit_for_bit(name, wrapper, tmp_path):
    optimizer = WRAPPERS[wrapper](OPTIMIZERS[name])
    like = init_state(PARAMS, optimizer, key=jax.random.key(0))
    state = filled(like)
    save_state(tmp_path / "state", state)
    loaded = load_state(tmp_path / "state", like)
    assert jax.tree.structure(loaded) == jax.tree.structure(state)
    for one, other in zip(jax.tree.leaves(loaded), jax.tree.leaves(state), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert (one.dtype, one.shape, one.weak_type) == (other.dtype, other.shape, False)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def assert_resumes(optimizer, directory):
    settings = SETTINGS | {"optimizer": optimizer}
    fit(checkpoint=directory, epochs=1, **settings)
    result = fit(checkpoint=directory, resume=True, epochs=3, **settings)
    assert_same_result(result, fit(epochs=3, **settings))


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - UNTRAINED))
def test_a_run_resumes_bit_for_bit(name, tmp_path):
    assert_resumes(OPTIMIZERS[name](), tmp_path)


@pytest.mark.parametrize("wrapper", sorted(WRAPPERS.keys() - {"alone"}))
def test_a_run_with_a_combined_optimizer_resumes_bit_for_bit(wrapper, tmp_path):
    assert_resumes(WRAPPERS[wrapper](OPTIMIZERS["adam"]), tmp_path)


def test_a_run_with_injected_hyperparameters_resumes_bit_for_bit(tmp_path):
    schedule = optax.cosine_decay_schedule(0.1, 15)
    assert_resumes(optax.inject_hyperparams(optax.adamw)(schedule, weight_decay=0.1), tmp_path)


@pytest.mark.parametrize("labels", [(0.5, 1.5), (False, True)])
def test_labels_that_have_no_name_are_told_before_training(labels, tmp_path):
    kernels, rest = labels
    optimizer = optax.partition(
        {kernels: optax.adam(0.1), rest: optax.adam(0.1)},
        jax.tree.map(lambda a: kernels if a.ndim == 2 else rest, PARAMS),
    )

    def untouched(*_):
        raise AssertionError("training has begun")

    settings = SETTINGS | {"optimizer": optimizer, "loss_fn": untouched}
    with pytest.raises(TypeError, match="could keep no checkpoints: Arrays are stored by fields"):
        fit(checkpoint=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
