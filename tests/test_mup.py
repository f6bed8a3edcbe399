"""Width-independent training: muP's kernels, its learning rates, and what they are for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import make_config

import jaxmlp
from jaxmlp.network import ACTIVATIONS

pytestmark = pytest.mark.long

BASE = 16


def make_mup_config(hidden_features, **fields):
    return make_config(
        hidden_features=hidden_features, kernel_init="mup", mup_base_width=BASE, **fields
    )


def test_at_the_base_width_the_kernels_are_those_of_he_normal():
    key = jax.random.key(0)
    mup = jaxmlp.init_params(make_mup_config((BASE, BASE)), key=key)
    config = make_config(hidden_features=(BASE, BASE), kernel_init="he_normal")
    standard = jaxmlp.init_params(config, key=key)
    jax.tree.map(np.testing.assert_array_equal, mup, standard)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_at_the_base_width_every_multiplier_is_one(optimizer):
    multipliers = jaxmlp.mup_labels(make_mup_config((BASE, BASE)), optimizer=optimizer).multipliers
    assert set(multipliers.values()) == {1.0}


@pytest.mark.parametrize("width", [64, 512])
def test_the_output_kernel_shrinks_with_the_width_more_than_its_fan_in_asks(width):
    config = make_mup_config((width,), activation="tanh", out_features=64)
    kernel = np.asarray(jaxmlp.init_params(config, key=jax.random.key(0)).output.kernel)
    # Table 3: base / fan_in**2. Relative standard error of a variance: at most sqrt(2 / n).
    assert kernel.var() == pytest.approx(BASE / width**2, rel=5 * np.sqrt(2 / kernel.size))


@pytest.mark.parametrize("width", [64, 512])
def test_hidden_kernels_have_the_variance_of_he_normal(width):
    config = make_mup_config((width, width), activation="tanh")
    kernel = np.asarray(jaxmlp.init_params(config, key=jax.random.key(0)).hidden[1].kernel)
    wanted = ACTIVATIONS["tanh"].gain ** 2 / width
    assert kernel.var() == pytest.approx(wanted, rel=5 * np.sqrt(2 / kernel.size))


# Widths 32 and 128 at base 16 are 2 and 8 times the base. Yang et al. 2021, Table 3.
MULTIPLIERS = {
    "adam": {
        "hidden[0].kernel": 1.0,
        "hidden[0].bias": 1.0,
        "hidden[0].norm.scale": 1.0,
        "hidden[0].norm.bias": 1.0,
        "hidden[1].kernel": 1 / 2,
        "hidden[1].bias": 1.0,
        "hidden[1].norm.scale": 1.0,
        "hidden[1].norm.bias": 1.0,
        "output.kernel": 1 / 8,
        "output.bias": 1.0,
    },
    "sgd": {
        "hidden[0].kernel": 2.0,
        "hidden[0].bias": 2.0,
        "hidden[0].norm.scale": 2.0,
        "hidden[0].norm.bias": 2.0,
        "hidden[1].kernel": 4.0,
        "hidden[1].bias": 8.0,
        "hidden[1].norm.scale": 8.0,
        "hidden[1].norm.bias": 8.0,
        "output.kernel": 1 / 8,
        "output.bias": 1.0,
    },
}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_multipliers_are_those_of_the_paper(optimizer):
    config = make_mup_config((32, 128), norm="layer")
    got = jaxmlp.mup_labels(config, optimizer=optimizer).multipliers
    assert got == MULTIPLIERS[optimizer]


def test_the_multipliers_are_those_of_adam_unless_told():
    config = make_mup_config((32, 128), norm="layer")
    assert jaxmlp.mup_labels(config).multipliers == MULTIPLIERS["adam"]


def test_every_parameter_is_labelled_with_its_own_path():
    config = make_mup_config((32, 128), norm="rms")
    labels, multipliers = jaxmlp.mup_labels(config)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(params)]
    assert [f".{label}" for label in jax.tree.leaves(labels)] == paths
    assert sorted(jax.tree.leaves(labels)) == sorted(multipliers)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_partition_gives_every_parameter_its_own_learning_rate(optimizer):
    config = make_mup_config((32, 128))
    labels, multipliers = jaxmlp.mup_labels(config, optimizer=optimizer)
    rules = {name: optax.sgd(0.5 * factor) for name, factor in multipliers.items()}
    rule = optax.partition(rules, labels)
    ones = jax.tree.map(jnp.ones_like, jaxmlp.init_params(config, key=jax.random.key(0)))
    updates, _ = rule.update(ones, rule.init(ones), ones)
    for label, update in zip(jax.tree.leaves(labels), jax.tree.leaves(updates), strict=True):
        np.testing.assert_array_equal(update, np.float32(-0.5 * multipliers[label]))


def test_a_partition_decays_kernels_only_with_the_kernel_mask():
    config = make_mup_config((32, 32))
    labels, multipliers = jaxmlp.mup_labels(config)
    rules = {
        name: optax.adamw(factor, weight_decay=0.5, mask=jaxmlp.kernel_mask)
        for name, factor in multipliers.items()
    }
    rule = optax.partition(rules, labels)
    ones = jax.tree.map(jnp.ones_like, jaxmlp.init_params(config, key=jax.random.key(0)))
    flat_loss = jaxmlp.make_train_step(lambda *_: (jnp.zeros(()), {}), rule)
    state, _ = flat_loss(jaxmlp.init_state(ones, rule, key=jax.random.key(0)), None)
    for label, leaf in zip(jax.tree.leaves(labels), jax.tree.leaves(state.params), strict=True):
        decay = 0.5 * multipliers[label] if label.endswith("kernel") else 0.0
        np.testing.assert_array_equal(leaf, np.float32(1 - decay))


def test_labels_of_a_config_without_mup_are_refused():
    message = "needs a config with kernel_init='mup' and a mup_base_width; got kernel_init='keras'"
    with pytest.raises(ValueError, match=message):
        jaxmlp.mup_labels(make_config(hidden_features=(8,), kernel_init="keras"))


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="optimizer must be 'adam' or 'sgd'; got 'lion'"):
        jaxmlp.mup_labels(make_mup_config((8,)), optimizer="lion")


WIDTHS = (64, 256, 1024)
MAKERS = {"adam": optax.adam, "sgd": optax.sgd}
LEARNING_RATES = {"adam": 3e-4, "sgd": 3e-3}


@functools.cache
def changes_in_training(kernel_init, optimizer):
    """RMS change by 4 steps of the last hidden activations and the output, one row per width."""
    rng = np.random.default_rng(0)
    batch = jaxmlp.Batch(
        rng.normal(size=(16, 8)).astype(np.float32), rng.normal(size=16).astype(np.float32)
    )
    changes = []
    for width in WIDTHS:
        config = jaxmlp.MLPConfig(
            in_features=8, hidden_features=(width, width), out_features=1, activation="tanh",
            kernel_init=kernel_init, mup_base_width=BASE if kernel_init == "mup" else None,
        )  # fmt: skip
        make, learning_rate = MAKERS[optimizer], LEARNING_RATES[optimizer]
        rule = make(learning_rate)
        if kernel_init == "mup":
            labels, multipliers = jaxmlp.mup_labels(config, optimizer=optimizer)
            rules = {name: make(learning_rate * factor) for name, factor in multipliers.items()}
            rule = optax.partition(rules, labels)
        loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.squared_error)
        train_step = jaxmlp.make_train_step(loss_fn, rule)
        layers = jax.jit(functools.partial(jaxmlp.intermediates, config=config))
        by_seed = []
        for seed in range(4):
            params = jaxmlp.init_params(config, key=jax.random.key(seed))
            state = jaxmlp.init_state(params, rule, key=jax.random.key(0))
            for _ in range(4):
                state, _ = train_step(state, batch)
            pairs = zip(layers(params, batch.x), layers(state.params, batch.x), strict=True)
            differences = [
                np.asarray(after.activation - before.activation) for before, after in pairs
            ]
            by_seed.append([np.sqrt(np.mean(d**2)) for d in differences[1:]])
        changes.append(np.mean(by_seed, axis=0))
    return np.array(changes)  # (widths, 2)


# Measured from width 64 to 1024: muP between 0.7 and 1.0 times the change; the standard
# parametrisation 5.5 (hidden, Adam), 13 (output, Adam) and 4.7 times (output, SGD).
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("place", [0, 1], ids=["hidden", "output"])
def test_with_mup_training_changes_activations_alike_at_every_width(place, optimizer):
    changes = changes_in_training("mup", optimizer)[:, place]
    assert changes.max() < 2 * changes.min()


@pytest.mark.parametrize(("place", "optimizer"), [(0, "adam"), (1, "adam"), (1, "sgd")])
def test_with_standard_parameters_training_changes_more_the_wider_the_network(place, optimizer):
    changes = changes_in_training("he_normal", optimizer)[:, place]
    assert changes[0] < changes[1] < changes[2]
    assert changes[2] > 4 * changes[0]
