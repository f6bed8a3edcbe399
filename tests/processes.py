"""One of several processes that read the same rows: prints its parts of batches, job by job."""

import functools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmlp

ROWS = 50


def loss_fn(params, batch, key):
    del key
    error = (batch.x @ params - batch.y) ** 2
    return jaxmlp.weighted_mean(error, batch.weight), {}


class Rows:
    """Rows that tell which were read; in chunks of so many rows."""

    def __init__(self, chunk_rows=None):
        self.asked = []
        self.chunks = chunk_rows and np.append(np.arange(0, ROWS, chunk_rows), ROWS)

    def __len__(self):
        return ROWS

    def read(self, rows):
        self.asked.append(rows.tolist())
        x = np.sin(np.arange(3) + rows[:, None])
        return jaxmlp.Batch(x, np.cos(rows))

    def fingerprint(self):
        return "sin"


def make_loader(source, sharding=None):
    settings = {"batch_size": 8, "shuffle": True, "seed": 4, "sharding": sharding}
    if source.chunks is not None:
        settings["window_chunks"] = 3
    return jaxmlp.DataLoader(source, **settings)


def local_rows(leaf):
    """This process's rows of a global array, by their position."""
    parts = {shard.index[0].start or 0: shard.data for shard in leaf.addressable_shards}
    return {str(start): np.asarray(data).tolist() for start, data in parts.items()}


def run(axes, chunk_rows=None):
    mesh = jax.make_mesh(
        axes, ("data", "model")[: len(axes)], axis_types=(jax.sharding.AxisType.Auto,) * len(axes)
    )
    sharding = jax.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    source = Rows(chunk_rows)
    loader = make_loader(source, sharding)
    batches = list(loader)
    optimizer = optax.sgd(0.1, momentum=0.9)
    everywhere = jax.NamedSharding(mesh, jax.sharding.PartitionSpec())

    @functools.partial(jax.jit, out_shardings=everywhere)
    def init():
        return jaxmlp.init_state(jnp.ones(3), optimizer, key=jax.random.key(0))

    state = init()
    train_step, losses = jaxmlp.make_train_step(loss_fn, optimizer), []
    for batch in batches:
        state, metrics = train_step(state, batch)
        losses.append(float(metrics["loss"]))
    return {
        "x": [local_rows(batch.x) for batch in batches],
        "weight": [local_rows(batch.weight) for batch in batches],
        "shapes": [batch.x.shape for batch in batches],
        "asked": source.asked,
        "losses": losses,
        "state": loader.state_dict(),
    }


if __name__ == "__main__":
    address, number, count, jobs = sys.argv[1], *map(json.loads, sys.argv[2:])
    jax.config.update("jax_platforms", "cpu")
    if count > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, num_processes=count, process_id=number)
    print(json.dumps([run(tuple(axes), *chunk_rows) for axes, *chunk_rows in jobs]))
