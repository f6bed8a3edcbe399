"""A valid call of every name of `jaxmlp`, with what each of its arguments may be."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmlp
from jaxmlp import losses

CONFIG = jaxmlp.MLPConfig(
    in_features=2, hidden_features=(3,), out_features=2, kernel_init="he_normal"
)
MESH = jax.make_mesh((1, 2), ("data", "model"))
MUP = jaxmlp.MLPConfig(
    in_features=2, hidden_features=(4,), out_features=2, kernel_init="mup", mup_base_width=2
)
KEY = jax.random.key(0)
PARAMS = jaxmlp.init_params(CONFIG, key=KEY)
X = np.arange(12, dtype=np.float32).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])
LOSS = jaxmlp.make_loss(CONFIG, losses.softmax_cross_entropy)
BATCH = jaxmlp.Batch(X, Y)
LOADER = jaxmlp.DataLoader(X, Y, batch_size=3)
SHUFFLED = jaxmlp.DataLoader(X, Y, batch_size=3, shuffle=True)
OPTIMIZER = optax.sgd(0.1)
STATE = jaxmlp.init_state(PARAMS, OPTIMIZER, key=KEY)

# Per argument: a valid value, and which of the values in test_wrong_types.py are valid, too.
Int = (1, {"int"})
Path = {"text", "path"}

FORWARD = {
    "params": (PARAMS, set()),
    "x": (X, set()),
    "config": (CONFIG, set()),
    "key": (KEY, {"none"}),
    "dropout_rate": (0.5, {"none"}),
}
GRADIENTS = {
    "params": (PARAMS, set()),
    "batch": (BATCH, set()),
    "config": (CONFIG, set()),
    "criterion": (losses.softmax_cross_entropy, set()),
    "key": (KEY, {"none"}),
}
MONITORED = {
    "monitor": ("loss", {"text"}),
    "mode": ("min", {"none"}),
    "patience": (1, {"none", "int"}),
    "min_delta": (0.1, {"float", "int"}),
    "ema_decay": (None, {"none"}),
    "swa_start": (None, {"none", "int"}),
    "accumulate_steps": (1, {"int"}),
}
SWEEP = {
    "nonfinite": ("stop", set()),
    "strategy": ("map", set()),
    "members_at_once": (1, {"none", "int"}),
    "threads": (1, {"none", "int"}),
    "executor": (None, {"none"}),
    "members_per_piece": (None, {"none"}),
    "memory": (10**9, {"none", "int"}),
    "progress": (False, {"none", "bool"}),
    "checkpoint": (None, {"none", *Path}),
    "resume": (False, {"bool"}),
}
FIT = {
    "loss_fn": (LOSS, set()),
    "optimizer": (OPTIMIZER, set()),
    "params": (PARAMS, set()),
    "data": (LOADER, set()),
    "epochs": Int,
    "key": (KEY, set()),
    "state": (None, {"none"}),
    "validation": (None, {"none"}),
    "nonfinite": ("raise", set()),
    "on_epoch": (None, {"none", "function"}),
    "progress": (False, {"none", "bool"}),
    "driver": ("epoch", set()),
    "checkpoint": (None, {"none", *Path}),
    "resume": (False, {"bool"}),
    **MONITORED,
}
MANY = {
    "loss": (LOSS, {"function"}),
    "optimizer": (lambda h: optax.sgd(h["rate"]), {"function"}),
    "params": (lambda key: jaxmlp.init_params(CONFIG, key=key), {"function"}),
    "data": (SHUFFLED, set()),
    "epochs": Int,
    "validation": (None, {"none"}),
    **SWEEP,
}
CALLS: dict[Any, dict[str, tuple[Any, set[str]]]] = {
    jaxmlp.Activation: {
        "name": ("snake", {"text"}),
        "function": (jnp.sin, {"function"}),
        "gain": (1.5, {"none", "float", "int"}),
    },
    jaxmlp.Checkpoints: {
        "directory": ("run", {"text", "path"}),
        "seconds": (1.0, {"float", "int"}),
        "keep": (2, {"int"}),
    },
    jaxmlp.DataLoader: {
        "x": (X, {"list", "dict"}),
        "y": (Y, {"none"}),
        "weight": (np.ones(6), {"none"}),
        "batch_size": (3, {"int"}),
        "shuffle": (False, {"bool"}),
        "seed": (0, {"int"}),
        "drop_last": (False, {"bool"}),
        "check_finite": (True, {"bool"}),
        "sampler": (None, {"none", "list"}),
        "batch_sampler": (None, {"none"}),
        "transform": (None, {"none", "function"}),
        "window_chunks": (None, {"none"}),
        "sharding": (None, {"none"}),
        "process_local": (False, {"bool"}),
    },
    jaxmlp.MLPConfig: {
        "in_features": (2, {"int"}),
        "hidden_features": ((8, 8), set()),
        "out_features": (2, {"int"}),
        "activation": ("tanh", set()),
        "output_activation": ("softmax", {"none"}),
        "dropout_rate": (0.5, set()),
        "norm": ("layer", {"none"}),
        "norm_epsilon": (1e-3, {"float", "int"}),
        "residual": (False, {"bool"}),
        "use_bias": (True, {"bool"}),
        "kernel_init": ("he_normal", set()),
        "output_kernel_scale": (1.0, {"float", "int"}),
        "hidden_gain": (1.0, {"none", "float", "int"}),
        "mup_base_width": (None, {"none"}),
        "param_dtype": ("float32", set()),
        "compute_dtype": (None, {"none"}),
    },
    jaxmlp.StratifiedSampler: {"labels": (Y, {"list"}), "seed": (0, {"int"})},
    jaxmlp.WeightedSampler: {
        "weights": (np.ones(6), {"list"}),
        "num_samples": (2, {"none", "int"}),
        "replacement": (True, {"bool"}),
        "seed": (0, {"int"}),
    },
    jaxmlp.apply: FORWARD,
    jaxmlp.class_weights: {"y": (Y, {"list"}), "weights": ({0: 1.0, 1: 2.0}, {"none"})},
    jaxmlp.deltas: GRADIENTS,
    jaxmlp.enable_compilation_cache: {"directory": ("cache", {"none", "text", "path"})},
    jaxmlp.fit: FIT,
    jaxmlp.fit_members: {
        **MANY,
        "keys": (jax.random.split(KEY, 2), set()),
        "hyperparameters": ({"rate": [0.1, 0.2]}, set()),
        "seeds": (None, {"none", "list"}),
        "row_weights": (None, {"none"}),
        "validation_weights": (None, {"none"}),
        "validation_rows": (None, {"none"}),
        "stages": ((), set()),
        "keep": (None, {"none"}),
        **MONITORED,
    },
    jaxmlp.init_params: {"config": (CONFIG, set()), "key": (KEY, set())},
    jaxmlp.init_state: {
        "params": (PARAMS, set()),
        "optimizer": (OPTIMIZER, set()),
        "key": (KEY, set()),
    },
    jaxmlp.intermediates: FORWARD,
    jaxmlp.kernel_mask: {"params": (PARAMS, set())},
    jaxmlp.load: {
        "path": ("network.safetensors", {"text", "path"}),
        "config": (CONFIG, {"none"}),
        "activations": (None, {"none", "dict"}),
    },
    jaxmlp.load_state: {"path": ("state.safetensors", {"text", "path"}), "like": (STATE, set())},
    jaxmlp.make_loss: {
        "config": (CONFIG, set()),
        "criterion": (losses.softmax_cross_entropy, set()),
        "metrics": (None, {"none", "dict"}),
        "dropout_rate": (0.5, {"none"}),
        "target_scaling": (None, {"none"}),
    },
    jaxmlp.evaluate: {"loss_fn": (LOSS, set()), "params": (PARAMS, set()), "data": ((X, Y), set())},
    jaxmlp.predict: {
        "params": (PARAMS, set()),
        "x": (X, set()),
        "config": (CONFIG, set()),
        "batch_size": (4, {"none", "int"}),
    },
    jaxmlp.compile_predict: {
        "params": (PARAMS, set()),
        "config": (CONFIG, set()),
        "batch_sizes": ((1, 4), {"list"}),
    },
    jaxmlp.make_train_step: {
        "loss_fn": (LOSS, set()),
        "optimizer": (OPTIMIZER, set()),
        "accumulate_steps": (1, {"int"}),
    },
    jaxmlp.mup_labels: {"config": (MUP, set()), "optimizer": ("adam", set())},
    jaxmlp.param_shardings: {
        "config": (MUP, set()),
        "mesh": (MESH, set()),
        "axis": ("model", set()),
    },
    jaxmlp.per_example_grad_norms: GRADIENTS,
    jaxmlp.Recorder: {"epochs": (None, {"none", "list"}), "max_bytes": (2**20, {"int"})},
    jaxmlp.save: {
        "path": ("network.safetensors", {"text", "path"}),
        "config": (CONFIG, set()),
        "params": (PARAMS, set()),
    },
    jaxmlp.save_state: {"path": ("state.safetensors", {"text", "path"}), "state": (STATE, set())},
    jaxmlp.search: {
        **MANY,
        "candidates": ({"rate": [0.1, 0.2]}, set()),
        "key": (KEY, set()),
        "folds": (2, {"int"}),
        "stratify": (None, {"none"}),
        "halving": (None, {"none"}),
        "refit": (True, {"bool"}),
        **MONITORED,
    },
    jaxmlp.summary: {"config": (CONFIG, set())},
    jaxmlp.train_test_split: {
        "test_size": (2, {"int"}),
        "seed": (0, {"int"}),
        "stratify": (None, {"none"}),
    },
    jaxmlp.weighted_mean: {"values": (np.ones(6), set()), "weight": (np.ones(6), {"none"})},
    jaxmlp.with_standardization: {
        "params": (PARAMS, set()),
        "data": (X, set()),
        "weight": (np.ones(6), {"none"}),
        "features": ([0], {"none"}),
    },
}
