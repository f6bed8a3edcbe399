"""A run of two processes, of which the second cannot read a row that it needs."""

import jax
import numpy as np
import optax

import jaxmlp
import jaxmlp.distributed


class Rows:
    """Rows on a disk that fails in one process after some reads."""

    chunks = None
    reads = 0

    def __len__(self):
        return 32

    def read(self, rows):
        self.reads += 1
        if self.reads > 20 and jax.process_index() == 1:
            raise OSError(5, "the disk has failed")
        return jaxmlp.Batch(np.ones((len(rows), 2), np.float32), np.ones(len(rows), np.float32))

    def fingerprint(self):
        return "ones"


def main():
    jax.config.update("jax_platforms", "cpu")
    jaxmlp.distributed.initialize(heartbeat_timeout=100)
    config = jaxmlp.MLPConfig(in_features=2, out_features=1)
    sharding = jax.NamedSharding(jax.make_mesh((jax.device_count(),), ("data",)), jax.P("data"))
    jaxmlp.fit(
        jaxmlp.make_loss(config, jaxmlp.losses.squared_error),
        optax.sgd(0.1),
        jaxmlp.init_params(config, key=jax.random.key(0)),
        jaxmlp.DataLoader(Rows(), batch_size=8, sharding=sharding),
        epochs=1000,
        key=jax.random.key(1),
    )


if __name__ == "__main__":
    main()
