"""Tests that a member which diverges is taken back and reported, and disturbs no other."""

import functools
import warnings

import jax
import numpy as np
import optax
import pytest
from fits import LINEAR, LINEAR_CONFIG, VALIDATION, X, Y, assert_same, fit, make_loader

import jaxmlp
from jaxmlp.ensembles.programs import Programs

KEYS = jax.random.split(jax.random.key(0), 4)
# The step whose update becomes infinite, or never.
BAD = np.array([-1, 12, -1, 3])
EPOCHS = 6


def init(key):
    return jaxmlp.init_params(LINEAR_CONFIG, key=key)


def fit_members(members, **settings):
    settings = {"epochs": EPOCHS, "validation": VALIDATION} | settings
    chosen = np.array(members)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return jaxmlp.fit_members(
            LINEAR["loss_fn"],
            lambda h: optax.chain(optax.sgd(0.1), explode(h["bad_step"])),
            init,
            make_loader(),
            keys=KEYS[chosen],
            hyperparameters={"bad_step": BAD[chosen]},
            **settings,
        )


def explode(bad_step):
    def update(updates, state, params=None):
        del params
        factor = jax.numpy.where(state == bad_step, jax.numpy.inf, 1.0)
        return jax.tree.map(lambda u: u * factor, updates), state + 1

    return optax.GradientTransformation(lambda _: jax.numpy.zeros((), jax.numpy.int32), update)


@functools.cache
def fit_alone(k, validated=True):
    optimizer = optax.chain(optax.sgd(0.1), explode(int(BAD[k])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return fit(
            loss_fn=LINEAR["loss_fn"],
            optimizer=optimizer,
            params=init(jax.random.fold_in(KEYS[k], np.uint32(2**32 - 1))),
            key=KEYS[k],
            epochs=EPOCHS,
            validation=VALIDATION if validated else None,
            nonfinite="stop",
        )


STRATEGIES = {
    "vmap": {"strategy": "vmap"},
    "one": {"members_at_once": 1},
    "two devices": {"strategy": "shard"},
}


@functools.cache
def fit_all(strategy, validated=True):
    validation = VALIDATION if validated else None
    return fit_members(range(4), validation=validation, **STRATEGIES[strategy])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_member_that_diverges_is_reported(strategy):
    result = fit_all(strategy)
    assert result.stopped_by.tolist() == ["epochs", "nonfinite", "epochs", "nonfinite"]
    assert result.bad_step.tolist() == [-1, 12, -1, 3]


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_member_that_diverges_ends_as_fit_does(strategy, validated):
    result = fit_all(strategy, validated)
    for k in (1, 3):
        alone = fit_alone(k, validated)
        # Batched matrix products round otherwise.
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            result.member(k),
            alone.params,
        )
        assert result.best_epoch[k] == alone.best_epoch
        ran = np.isfinite(result.history["loss"][k]).sum()
        assert ran == len(alone.history["epoch"])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_member_that_diverges_changes_no_other(strategy):
    result = fit_all(strategy)
    calm = fit_members([0, 2, 0, 2], **STRATEGIES[strategy])
    assert_same(calm.member(0), result.member(0))
    assert_same(calm.member(1), result.member(2))
    np.testing.assert_array_equal(calm.history["loss"][:2], result.history["loss"][[0, 2]])


def test_members_computed_together_share_the_rows(monkeypatch):
    programs = {}
    compiled = Programs.compiled

    def record(self, name, *arguments):
        programs[name] = self._jitted[name].lower(*arguments).as_text()
        return compiled(self, name, *arguments)

    monkeypatch.setattr(Programs, "compiled", record)
    fit_members(range(4), strategy="vmap")
    assert {"run", "recover"} <= programs.keys()
    for text in programs.values():
        for rows in (X, VALIDATION[0]):
            copies = "x".join(map(str, (4, *rows.shape)))
            assert f"tensor<{copies}xf32>" not in text


def test_one_warning_names_all_members_that_diverged():
    with pytest.warns(RuntimeWarning, match=r"2 of 4 members met NaN.*1 \(step 12\), 3 \(step 3\)"):
        jaxmlp.fit_members(
            LINEAR["loss_fn"],
            lambda h: optax.chain(optax.sgd(0.1), explode(h["bad_step"])),
            init,
            make_loader(),
            keys=KEYS,
            epochs=EPOCHS,
            hyperparameters={"bad_step": BAD},
        )


def test_skipped_steps_are_counted_by_member():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fit_members(range(4), nonfinite="skip")
    # The optimizer's own count is kept with its state, so that it meets the same step again.
    skipped = result.history["skipped"].sum(axis=1)
    assert (skipped > 0).tolist() == [False, True, False, True]
    assert result.stopped_by.tolist() == ["epochs"] * 4


@pytest.mark.usefixtures("x64")
def test_settings_of_the_calling_thread_hold_in_all_threads():
    config = jaxmlp.MLPConfig(in_features=4, out_features=3, param_dtype="float64")
    settings = {
        "loss_fn": jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy),
        "epochs": 2,
    }
    data = jaxmlp.DataLoader(X.astype(np.float64), Y, batch_size=12)
    bad = np.array([-1, 7])
    with pytest.warns(RuntimeWarning, match="1 of 2 members"):
        result = jaxmlp.fit_members(
            settings["loss_fn"],
            lambda h: optax.chain(optax.sgd(0.1), explode(h["bad_step"])),
            lambda key: jaxmlp.init_params(config, key=key),
            data,
            epochs=2,
            keys=KEYS[:2],
            hyperparameters={"bad_step": bad},
            threads=2,
        )
    assert result.params.output.kernel.dtype == np.float64
    for k in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            alone = fit(
                data,
                optimizer=optax.chain(optax.sgd(0.1), explode(int(bad[k]))),
                params=jaxmlp.init_params(
                    config, key=jax.random.fold_in(KEYS[k], np.uint32(2**32 - 1))
                ),
                key=KEYS[k],
                nonfinite="stop",
                **settings,
            )
        # Far below float32's precision: nothing was rounded on the way.
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13),
            result.member(k),
            alone.params,
        )
