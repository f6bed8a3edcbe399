"""A run of several processes that is to be killed: saves all the time, and itself at its end."""

import os
import sys
from pathlib import Path

import jax
import numpy as np
import optax

import jaxmlp
import jaxmlp.distributed


def main(directory, epochs, heartbeat_timeout):
    jax.config.update("jax_platforms", "cpu")
    jaxmlp.distributed.initialize(heartbeat_timeout=heartbeat_timeout)
    (directory / f"pid{jax.process_index()}").write_text(str(os.getpid()))
    config = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=1, dropout_rate=0.1)
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    sharding = jax.NamedSharding(jax.make_mesh((jax.device_count(),), ("data",)), jax.P("data"))
    result = jaxmlp.fit(
        jaxmlp.make_loss(config, jaxmlp.losses.squared_error),
        optax.adam(1e-3),
        jaxmlp.init_params(config, key=jax.random.key(0)),
        jaxmlp.DataLoader(x, x[:, :1], batch_size=16, shuffle=True, sharding=sharding),
        epochs=epochs,
        key=jax.random.key(1),
        checkpoint=jaxmlp.Checkpoints(directory=directory / "checkpoints", seconds=0),
        resume=True,
        on_epoch=lambda _, metrics: print("epoch", metrics["epoch"]),
    )
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves((result.params, result.history))]
    np.savez(directory / f"result{jax.process_index()}.npz", *leaves)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
