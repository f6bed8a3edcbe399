"""Fits over several devices: cases that tests compare."""

import functools
import hashlib
import os
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.sparse
from fits import LINEAR, LINEAR_CONFIG

import jaxmlp
from jaxmlp.loading import permutation

GENERATOR = np.random.default_rng(0)
ROWS, BATCH = 50, 16
X = GENERATOR.normal(size=(ROWS, 4)).astype(np.float32)
Y = GENERATOR.integers(0, 3, ROWS)
WEIGHT = GENERATOR.uniform(0.5, 2, ROWS).astype(np.float32)
VALIDATION = (X[:21] + 0.5, Y[:21], WEIGHT[:21])
CONFIG = jaxmlp.MLPConfig(
    in_features=4, hidden_features=(16, 8), out_features=3, dropout_rate=0.1, norm="layer"
)
PARAMS = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
ACCURACY = {"accuracy": jaxmlp.metrics.accuracy}
CRITERION = jaxmlp.losses.softmax_cross_entropy
LOSS = jaxmlp.make_loss(CONFIG, CRITERION, metrics=ACCURACY)
BINARY = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=1)
# For cases of which layers, norms and dropout are no part: it compiles in less time.
QUICK = {
    "loss_fn": jaxmlp.make_loss(LINEAR_CONFIG, CRITERION, metrics=ACCURACY),
    "params": LINEAR["params"],
}


def own_loss(params, batch, key):
    """A loss of one's own, without weights; a validation batch need not be one."""
    del key
    return jnp.mean((batch.x @ params - 1) ** 2), {"largest": jnp.max(batch.x)}


def bad_rows():
    x = X.copy()
    x[7] = np.nan
    return {"x": x, "check_finite": False}


def npy_files():
    folder = Path(tempfile.mkdtemp())
    for name, array in {"x": X, "y": Y, "weight": WEIGHT}.items():
        np.save(folder / f"{name}.npy", array)
    paths = [folder / f"{name}.npy" for name in ("x", "y", "weight")]
    for path in paths:
        # Processes compare files by their times of change, too.
        os.utime(path, (0, 0))
    return {"x": jaxmlp.sources.npy(*paths, chunk_rows=7), "y": None, "weight": None}


# Of two processes the first holds so many rows.
FIRST_ROWS = 21


def local_rows():
    """This process's own of two."""
    part = slice(FIRST_ROWS) if jax.process_index() == 0 else slice(FIRST_ROWS, None)
    return {"x": X[part], "y": Y[part], "weight": WEIGHT[part], "process_local": True}


def local_rows_by_quarters():
    """Of 48 rows, as many in each process."""
    size = 48 // jax.process_count()
    part = slice(jax.process_index() * size, (jax.process_index() + 1) * size)
    return {"x": X[part], "y": Y[part], "weight": WEIGHT[part], "process_local": True}


def sparse_local_rows():
    rows = local_rows()
    return {**rows, "x": scipy.sparse.csr_array(rows["x"])}


class Ordered:
    """Gives so many rows in every epoch, one after another."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return self.rows

    def order(self, epoch):
        return np.arange(epoch * self.rows, (epoch + 1) * self.rows)


def in_stated_order(*, drop_last=False, epochs=3):
    """All rows as batches of two parts take them, padding with weight 0 among them, in order."""
    lengths, share, rows = (FIRST_ROWS, ROWS - FIRST_ROWS), BATCH // 2, []
    steps = min(n // share for n in lengths) if drop_last else max(-(-n // share) for n in lengths)
    for epoch in range(epochs):
        orders = [permutation(n, seed=3, epoch=epoch, stream=i) for i, n in enumerate(lengths)]
        for step in range(steps):
            for first, order in zip((0, FIRST_ROWS), orders, strict=True):
                taken = order[step * share : (step + 1) * share]
                rows += [(first + row, WEIGHT[first + row]) for row in taken]
                rows += [(first + order[-1], 0)] * (share - len(taken))
    numbers, weight = (np.array(column) for column in zip(*rows, strict=True))
    settings = {"sampler": Ordered(steps * BATCH), "shuffle": False, "seed": 0}
    return {"x": X[numbers], "y": Y[numbers], "weight": weight.astype(np.float32), **settings}


def scaled(batch):
    return batch._replace(x=batch.x * 2 - 1)


# By name: what differs from the usual in the loader, and in `fit`.
CASES = {
    "dropout and weights": ({}, {}),
    "validation": ({}, {"validation": VALIDATION, "patience": 2}),
    "validation by a loader": ({}, {**QUICK, "validation": "loader"}),
    "exponential average": ({}, {"ema_decay": 0.8, "validation": VALIDATION}),
    "average of epochs": ({}, {**QUICK, "swa_start": 1, "validation": VALIDATION}),
    "micro-batches": ({}, {"accumulate_steps": 2}),
    "skipped steps": (bad_rows, {**QUICK, "nonfinite": "skip"}),
    "standardization": (
        {},
        {
            **QUICK,
            "params": jaxmlp.with_standardization(QUICK["params"], X),
            "validation": VALIDATION,
        },
    ),
    "class weights": ({"weight": jaxmlp.class_weights(Y)}, QUICK),
    "area under the curve": (
        {"y": (Y > 0).astype(np.int32)},
        {
            "loss_fn": jaxmlp.make_loss(
                BINARY,
                jaxmlp.losses.sigmoid_binary_cross_entropy,
                metrics={"area": jaxmlp.metrics.roc_auc},
            ),
            "params": jaxmlp.init_params(BINARY, key=jax.random.key(2)),
            "validation": (X, (Y > 0).astype(np.int32)),
            "monitor": "area",
            "mode": "max",
        },
    ),
    "transform": ({"transform": scaled}, QUICK),
    "sampler": (
        {"sampler": jaxmlp.WeightedSampler(WEIGHT, seed=1), "shuffle": False, "seed": 0},
        QUICK,
    ),
    "no short batch": ({"drop_last": True}, QUICK),
    "own loss": ({"drop_last": True}, {"loss_fn": own_loss, "params": jnp.ones(4)}),
    "files": (npy_files, {**QUICK, "validation": VALIDATION}),
    "callback": ({}, {**QUICK, "on_epoch": lambda _, metrics: metrics["epoch"] == 1}),
}
SMALL_CASES = {"small": ({}, QUICK), "bad row": (bad_rows, QUICK)}
# Of two processes each with its own rows, and the same order of all rows in one.
VALIDATED = {**QUICK, "validation": VALIDATION}
LOCAL_CASES = {
    "own rows": (local_rows, VALIDATED),
    "own rows, no short batch": (lambda: {**local_rows(), "drop_last": True}, VALIDATED),
    "own rows by quarters": (local_rows_by_quarters, VALIDATED),
    "own sparse rows": (sparse_local_rows, VALIDATED),
    "stated order": (in_stated_order, VALIDATED),
    "stated order, no short batch": (lambda: in_stated_order(drop_last=True), VALIDATED),
}
DRIVERS = ("auto", "step", "chunk", "epoch", "epochs")
OPTIMIZER = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(3e-2, 12))
)


def make_loader(changes, sharding):
    changes = changes() if callable(changes) else changes
    settings = {"x": X, "y": Y, "weight": WEIGHT, "batch_size": BATCH, "shuffle": True, "seed": 3}
    settings |= changes | {"sharding": sharding}
    return jaxmlp.DataLoader(settings.pop("x"), settings.pop("y"), **settings)


def run_case(name, sharding, driver="auto", **more):
    """Runs `fit` as a case says."""
    changes, settings = {**CASES, **SMALL_CASES, **LOCAL_CASES}[name]
    settings = {"loss_fn": LOSS, "params": PARAMS, "epochs": 3} | settings | more
    if settings.get("validation") == "loader":
        settings["validation"] = make_loader({}, sharding)
    if name == "files" and driver in ("epoch", "epochs"):
        driver = "chunk"
    if name == "callback" and driver == "epochs":
        driver = "epoch"
    loss_fn, params = settings.pop("loss_fn"), settings.pop("params")
    return jaxmlp.fit(
        loss_fn,
        OPTIMIZER,
        params,
        make_loader(changes, sharding),
        key=jax.random.key(1),
        driver=driver,
        **settings,
    )


def make_sharding(shape, kind="Explicit", names=("data", "model")):
    mesh = jax.make_mesh(
        tuple(shape),
        names[: len(shape)],
        axis_types=(getattr(jax.sharding.AxisType, kind),) * len(shape),
        devices=jax.devices()[: int(np.prod(shape))],
    )
    return jax.NamedSharding(mesh, jax.P("data"))


def shown(result):
    """What a fit gave, for JSON; the digest is of all bits."""
    arrays = [*map(np.asarray, jax.tree.leaves((result.params, result.state.opt_state)))]
    arrays += [np.asarray(values) for _, values in sorted(result.history.items())]
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    return {
        "digest": digest,
        "params": [np.asarray(leaf).ravel().tolist() for leaf in jax.tree.leaves(result.params)],
        "history": {name: values.tolist() for name, values in result.history.items()},
        "best_epoch": result.best_epoch,
        "stopped_by": result.stopped_by,
    }


@functools.cache
def alone(name):
    """What one device gives."""
    return shown(run_case(name, None))


def assert_close(ours, expected):
    """Sums over rows in another order, over 12 steps of Adam, which scales small gradients up."""
    for name in ("stopped_by", "best_epoch"):
        assert ours[name] == expected[name]
    assert list(ours["history"]) == list(expected["history"])
    for name, values in expected["history"].items():
        np.testing.assert_allclose(ours["history"][name], values, rtol=2e-4, atol=1e-6)
    for one, other in zip(ours["params"], expected["params"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5)
