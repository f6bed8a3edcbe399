"""Another value for each parameter of the names of `jaxmlp`, and a call in which it acts."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from public_calls import BATCH, CONFIG, KEY, MUP, PARAMS, STATE, X, Y
from public_calls_of_rooms import FILES

import jaxmlp
from jaxmlp import losses, sources


class In(NamedTuple):
    """Another value, and the other arguments of the call in which it acts."""

    other: Any
    situation: dict[str, Any]


TANH = dataclasses.replace(CONFIG, activation="tanh")
DROPOUT = dataclasses.replace(CONFIG, dropout_rate=0.5)
DOUBLED = jax.tree.map(lambda a: 2 * a, PARAMS)
OTHER_KEY = jax.random.key(7)
ABSOLUTE = jaxmlp.make_loss(CONFIG, lambda z, _: jnp.sum(jnp.abs(z), axis=-1))
SMOOTHED = functools.partial(losses.softmax_cross_entropy, label_smoothing=0.5)
BAD = np.where(X == 5, np.nan, X).astype(np.float32)
WEIGHT = np.arange(6, dtype=np.float32)
SHARDING = jax.sharding.SingleDeviceSharding(jax.devices()[0])
TWO_DEVICES = jax.NamedSharding(jax.make_mesh((2,), ("data",)), jax.P("data"))
FORWARD = {
    "params": DOUBLED,
    "x": X + 1,
    "config": TANH,
    "key": In(OTHER_KEY, {"config": DROPOUT, "dropout_rate": None}),
    "dropout_rate": 0.9,
}
GRADIENTS = {
    "params": DOUBLED,
    "batch": BATCH._replace(x=X / 2),
    "config": TANH,
    "criterion": SMOOTHED,
    "key": In(OTHER_KEY, {"config": DROPOUT}),
}
# A rate of learning at which the loss goes up, so that epochs differ in being the best.
STEEP = {"optimizer": optax.sgd(3.0), "epochs": 4, "validation": (X, Y)}
MONITORED = {
    "monitor": "other",
    "mode": In("max", STEEP),
    "patience": In(1, {**STEEP, "epochs": 8, "patience": None}),
    "min_delta": In(1e6, {"validation": (X, Y), "epochs": 8, "patience": 2, "min_delta": 0.0}),
    "ema_decay": 0.5,
    "swa_start": In(0, {"epochs": 2}),
    # Six rows in batches of three cannot be cut into two.
    "accumulate_steps": 2,
}
NAN = {"data": jaxmlp.DataLoader(BAD, Y, batch_size=3, check_finite=False)}

OTHERS: dict[Any, dict[str, Any]] = {
    jaxmlp.Activation: {"name": "wave", "function": jnp.cos, "gain": 3.0},
    jaxmlp.Checkpoints: {"directory": "other", "seconds": 2.0, "keep": 9},
    jaxmlp.DataLoader: {
        "x": X + 1,
        "y": 1 - Y,
        "weight": WEIGHT,
        "batch_size": 2,
        "shuffle": True,
        "seed": 1,
        "drop_last": In(True, {"batch_size": 4}),
        "check_finite": In(False, {"x": BAD}),
        "sampler": [5, 4],
        "batch_sampler": In([[5, 4], [3]], {"batch_size": None}),
        "transform": lambda batch: batch._replace(x=batch.x * 2),
        "window_chunks": In(
            1,
            {
                "x": sources.npy(FILES["npy"], chunk_rows=1),
                "y": None,
                "weight": None,
                "shuffle": True,
            },
        ),
        "sharding": SHARDING,
        "process_local": In(True, {"sharding": TWO_DEVICES, "batch_size": 2}),
    },
    jaxmlp.MLPConfig: {
        "in_features": 3,
        "hidden_features": (8, 4),
        "out_features": 3,
        "activation": "relu",
        "output_activation": "tanh",
        "dropout_rate": 0.9,
        "norm": "rms",
        "norm_epsilon": 0.5,
        "residual": True,
        "use_bias": False,
        "kernel_init": "orthogonal",
        "output_kernel_scale": 0.5,
        "hidden_gain": 3.0,
        "mup_base_width": 4,
        "param_dtype": "float16",
        "compute_dtype": "bfloat16",
    },
    jaxmlp.StratifiedSampler: {"labels": np.array([0, 0, 0, 1, 1, 2]), "seed": 1},
    jaxmlp.WeightedSampler: {
        "weights": WEIGHT,
        "num_samples": 3,
        "replacement": In(False, {"num_samples": 6}),
        "seed": 1,
    },
    jaxmlp.apply: FORWARD,
    jaxmlp.class_weights: {"y": np.array([0, 0, 0, 0, 0, 1]), "weights": None},
    jaxmlp.deltas: GRADIENTS,
    jaxmlp.enable_compilation_cache: {"directory": "other"},
    jaxmlp.fit: {
        "loss_fn": ABSOLUTE,
        "optimizer": optax.sgd(0.2),
        "params": DOUBLED,
        "data": jaxmlp.DataLoader(X / 2, Y, batch_size=3),
        "epochs": 2,
        "key": OTHER_KEY,
        "state": STATE._replace(step=STATE.step + 7),
        "validation": (X, Y),
        "nonfinite": In("skip", NAN),
        "on_epoch": In(lambda *_: True, {"epochs": 2}),
        # One call of two epochs, which on_epoch cannot interrupt.
        "driver": In("epochs", {"on_epoch": lambda *_: None}),
        "progress": True,
        "checkpoint": "run",
        "resume": True,
        **MONITORED,
    },
    jaxmlp.init_params: {"config": MUP, "key": OTHER_KEY},
    jaxmlp.init_state: {"params": DOUBLED, "optimizer": optax.adam(0.1), "key": OTHER_KEY},
    jaxmlp.intermediates: FORWARD,
    jaxmlp.kernel_mask: {"params": {"a": {"kernel": X}, "b": X}},
    jaxmlp.load: {
        "path": "doubled.safetensors",
        "config": TANH,
        "activations": {"snake": jaxmlp.Activation("snake", jnp.sin)},
    },
    jaxmlp.load_state: {
        "path": "other.safetensors",
        "like": jaxmlp.init_state(PARAMS, optax.adam(0.1), key=KEY),
    },
    jaxmlp.make_loss: {
        "config": TANH,
        "criterion": SMOOTHED,
        "metrics": {"accuracy": jaxmlp.metrics.accuracy},
        "dropout_rate": 0.9,
        "target_scaling": In(
            losses.target_scaling(Y),
            {"criterion": losses.gaussian, "dropout_rate": None},
        ),
    },
    jaxmlp.evaluate: {"loss_fn": ABSOLUTE, "params": DOUBLED, "data": (X + 1, Y)},
    jaxmlp.compile_predict: {"params": DOUBLED, "config": TANH, "batch_sizes": (0,)},
    jaxmlp.predict: {
        "params": DOUBLED,
        "x": X + 1,
        "config": TANH,
        # What it changes is the shape of the program: 0 is refused.
        "batch_size": 0,
    },
    jaxmlp.make_train_step: {
        "loss_fn": ABSOLUTE,
        "optimizer": optax.sgd(0.2),
        "accumulate_steps": 4,
    },
    jaxmlp.mup_labels: {"config": dataclasses.replace(MUP, mup_base_width=1), "optimizer": "sgd"},
    jaxmlp.param_shardings: {
        "config": dataclasses.replace(MUP, hidden_features=(4,) * 3),
        "mesh": jax.make_mesh((2,), ("model",)),
        "axis": "data",
    },
    jaxmlp.per_example_grad_norms: GRADIENTS,
    jaxmlp.Recorder: {"epochs": [1, 5], "max_bytes": 200},
    jaxmlp.save: {"path": "b.safetensors", "config": TANH, "params": DOUBLED},
    jaxmlp.save_state: {"path": "b.safetensors", "state": STATE._replace(params=DOUBLED)},
    jaxmlp.summary: {"config": MUP},
    jaxmlp.train_test_split: {"test_size": 3, "seed": 1, "stratify": np.arange(6)},
    jaxmlp.weighted_mean: {
        "values": In(X[:, 0], {}),
        "weight": In(WEIGHT, {"values": X[:, 0]}),
    },
    jaxmlp.with_standardization: {
        "params": DOUBLED,
        "data": X * 2,
        "weight": WEIGHT,
        "features": [1],
    },
}
