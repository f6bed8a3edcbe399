"""Makes contestants that train many networks of one shape, each with parameters of its own.

Wherever members can differ in the order of their rows, they do. The number of members comes with
the task; a step of a contestant is one step of one member.
"""

import functools
import importlib
import multiprocessing
import os
import time
from typing import Any, NamedTuple

import numpy as np
from peers import Contestant
from workloads import LEARNING_RATE, Workload


class EnsembleTask(NamedTuple):
    """What is trained, and how many times."""

    workload: Workload
    members: int


def prepare_jaxmlp(task: EnsembleTask) -> Contestant:
    """`fit_members` as it comes, or as the environment variable JAXMLP_STRATEGY names."""
    import jax
    import optax
    from networks import make_training

    import jaxmlp

    workload, members = task
    training = make_training(workload)
    keys = jax.random.split(jax.random.key(0), members)
    rates = np.full(members, LEARNING_RATE, np.float32)
    strategy: Any = os.environ.get("JAXMLP_STRATEGY", "auto")
    options: Any = (
        {"members_at_once": int(strategy)} if strategy.isdigit() else {"strategy": strategy}
    )

    def init(key: Any) -> Any:
        return jaxmlp.init_params(training.config, key=key)

    def make_optimizer(h: Any) -> Any:
        return optax.adam(h["learning_rate"])

    def run(epochs: int) -> float:
        start = time.perf_counter()
        result = jaxmlp.fit_members(
            training.loss_fn,
            make_optimizer,
            init,
            training.loader,
            epochs=epochs,
            keys=keys,
            hyperparameters={"learning_rate": rates},
            seeds=range(members),
            **options,
        )
        jax.block_until_ready(result.params)
        return time.perf_counter() - start

    return Contestant(len(training.loader) * members, run)


def prepare_vmap(task: EnsembleTask) -> Contestant:
    """The hand-written scan of `peers_jax`, vmapped over members and their orders."""
    import jax
    import jax.numpy as jnp
    from peers_jax import init_state, make_step

    workload, members = task
    x, y = map(jnp.asarray, workload.make_data())
    step = make_step(workload)

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, x: jax.Array, y: jax.Array, index: jax.Array) -> tuple[Any, jax.Array]:
        def body(state: Any, rows: jax.Array) -> tuple[Any, jax.Array]:
            return jax.vmap(lambda state, rows: step(state, x[rows], y[rows]))(state, rows)

        return jax.lax.scan(body, state, index)

    def run(epochs: int) -> float:
        start = time.perf_counter()
        one = init_state(workload)
        state = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], members, axis=0), one)
        for index in orders(task, epochs):
            state, _ = epoch(state, x, y, index)
        jax.block_until_ready(state)
        return time.perf_counter() - start

    return Contestant(_whole_batches(workload) * members, run)


def prepare_torch(task: EnsembleTask) -> Contestant:
    """`torch.func`: stacked modules, vmap of the gradient, fused Adam on the stacked parameters."""
    torch = importlib.import_module("torch")
    from peers_torch import DEVICE, make_data, make_loss, make_network, synchronize

    workload, members = task
    mean_loss = make_loss(workload)
    networks = [make_network(workload) for _ in range(members)]
    initial, _ = torch.func.stack_module_state(networks)
    x, y = make_data(workload)

    def loss_fn(params: Any, x: Any, y: Any) -> Any:
        return mean_loss(lambda x: torch.func.functional_call(networks[0], params, (x,)), x, y)

    gradients = torch.func.vmap(torch.func.grad(loss_fn))

    def run(epochs: int) -> float:
        start = time.perf_counter()
        params = {name: p.detach().clone().requires_grad_() for name, p in initial.items()}
        optimizer = torch.optim.Adam(params.values(), LEARNING_RATE, fused=True)
        for index in orders(task, epochs):
            for rows in torch.from_numpy(index).to(DEVICE):
                found = gradients({k: p.detach() for k, p in params.items()}, x[rows], y[rows])
                for name, parameter in params.items():
                    parameter.grad = found[name]
                optimizer.step()
        synchronize()
        return time.perf_counter() - start

    return Contestant(_whole_batches(workload) * members, run)


def prepare_processes(task: EnsembleTask) -> Contestant:
    """One eager PyTorch loop per member, over processes of one thread each, which stay."""
    workload, members = task
    pool = multiprocessing.get_context("spawn").Pool()

    def run(epochs: int) -> float:
        start = time.perf_counter()
        jobs = [(member, workload, epochs) for member in range(members)]
        pool.starmap(_train_alone, jobs, chunksize=1)
        return time.perf_counter() - start

    return Contestant(-(-workload.rows // workload.batch_size) * members, run)


def prepare_sklearn(task: EnsembleTask) -> Contestant:
    """One scikit-learn network per member, over processes by joblib."""
    import warnings

    joblib = importlib.import_module("joblib")
    networks = importlib.import_module("sklearn.neural_network")
    workload, members = task
    x, y = workload.make_data()
    kind = networks.MLPClassifier if workload.classifies else networks.MLPRegressor

    def train(seed: int, epochs: int) -> Any:
        warnings.simplefilter("ignore")
        network = kind(
            hidden_layer_sizes=workload.hidden_features,
            batch_size=workload.batch_size,
            alpha=0,
            learning_rate_init=LEARNING_RATE,
            max_iter=epochs,
            n_iter_no_change=epochs + 1,
            random_state=seed,
        )
        return network.fit(x, y)

    def run(epochs: int) -> float:
        start = time.perf_counter()
        with joblib.parallel_config("loky", inner_max_num_threads=1):
            joblib.Parallel(n_jobs=-1)(joblib.delayed(train)(k, epochs) for k in range(members))
        return time.perf_counter() - start

    return Contestant(-(-workload.rows // workload.batch_size) * members, run)


def _train_alone(member: int, workload: Workload, epochs: int) -> None:
    importlib.import_module("torch").manual_seed(member)
    _prepare_alone(workload).run(epochs)


@functools.cache
def _prepare_alone(workload: Workload) -> Contestant:
    from peers_torch import prepare_eager

    return prepare_eager(workload)


def orders(task: EnsembleTask, epochs: int) -> Any:
    """Draws each epoch's row numbers, shape (steps, members, batch)."""
    workload, members = task
    generator = np.random.default_rng(0)
    steps = _whole_batches(workload)
    first = np.tile(np.arange(workload.rows, dtype=np.int32), (members, 1))
    for _ in range(epochs):
        order = generator.permuted(first, axis=1)[:, : steps * workload.batch_size]
        yield np.ascontiguousarray(order.reshape(members, steps, -1).swapaxes(0, 1))


def _whole_batches(workload: Workload) -> int:
    return workload.rows // workload.batch_size
