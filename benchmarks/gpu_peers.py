"""Makes the contestants that only `gpu.py` has: searches, and predictions of many members."""

import functools
import importlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from peers import Contestant
from workloads import Workload


class SearchTask(NamedTuple):
    """What is trained, and with how many learning rates."""

    workload: Workload
    candidates: int

    @property
    def rates(self) -> list[float]:
        return np.geomspace(1e-4, 1e-2, self.candidates).tolist()


class MembersPrediction(NamedTuple):
    """A network, its members, and how many rows each is given at a time."""

    widths: tuple[int, ...]
    members: int
    rows: int


def prepare_search(task: SearchTask) -> Contestant:
    """`jaxmlp.search` with a tenth of the rows to validate on, without the last fit."""
    import jax
    import optax
    from networks import make_training

    import jaxmlp

    training, validation = _split(task)
    candidates = {"learning_rate": task.rates}

    def make_optimizer(h: Any) -> Any:
        return optax.adam(h["learning_rate"])

    def init(key: Any) -> Any:
        return jaxmlp.init_params(setup.config, key=key)

    setup = make_training(task.workload, *training)

    def run(epochs: int) -> float:
        start = time.perf_counter()
        jaxmlp.search(
            *(setup.loss_fn, make_optimizer, init, setup.loader),
            candidates=candidates,
            epochs=epochs,
            key=jax.random.key(0),
            validation=validation,
            refit=False,
        )
        return time.perf_counter() - start

    return Contestant(len(setup.loader) * task.candidates, run)


def prepare_fits(task: SearchTask) -> Contestant:
    """`jaxmlp.fit` of one candidate after the other; each has been compiled before."""
    import optax
    from networks import make_training, train

    training, validation = _split(task)
    setup = make_training(task.workload, *training)

    def run(epochs: int) -> float:
        start = time.perf_counter()
        for rate in task.rates:
            train(setup._replace(optimizer=optax.adam(rate)), epochs, validation=validation)
        return time.perf_counter() - start

    return Contestant(len(setup.loader) * task.candidates, run)


def prepare_torch_loops(task: SearchTask) -> Contestant:
    """PyTorch's eager loop of one candidate after the other, without validation."""
    from peers_torch import prepare_eager

    one = prepare_eager(task.workload)
    return Contestant(
        one.steps * task.candidates,
        lambda epochs: sum(one.run(epochs) for _ in range(task.candidates)),
    )


def prepare_members(task: MembersPrediction) -> Contestant:
    """`ensembles.predict_members`, from NumPy rows to NumPy outputs as all of these."""
    import jaxmlp

    config, params = _stacked(task)
    predict = jaxmlp.ensembles.predict_members
    return _predicting(task, lambda x: np.asarray(predict(params, x, config=config)))


def prepare_members_vmap(task: MembersPrediction) -> Contestant:
    """`jit` of `vmap` of the forward pass."""
    import jax

    import jaxmlp

    config, params = _stacked(task)
    forward = functools.partial(jaxmlp.apply, config=config)
    predict = jax.jit(jax.vmap(forward, in_axes=(0, None)))
    return _predicting(task, lambda x: np.asarray(predict(params, x)))


def prepare_members_torch(task: MembersPrediction) -> Contestant:
    """`torch.func.vmap` of stacked modules."""
    peers_torch = importlib.import_module("peers_torch")
    predictors = importlib.import_module("predictors")
    torch, device = peers_torch.torch, peers_torch.DEVICE
    networks = [predictors.torch_network(_layers(task)) for _ in range(task.members)]
    params, _ = torch.func.stack_module_state(networks)

    def forward(params: Any, x: Any) -> Any:
        return torch.func.functional_call(networks[0], params, (x,))

    outputs = torch.func.vmap(forward, in_dims=(0, None))

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return outputs(params, torch.from_numpy(x).to(device)).cpu().numpy()

    return _predicting(task, predict)


def _split(task: SearchTask) -> tuple[Any, Any]:
    x, y = task.workload.make_data()
    end = len(x) - len(x) // 10
    return (x[:end], y[:end]), (x[end:], y[end:])


def _layers(task: MembersPrediction) -> Any:
    return importlib.import_module("predictors").draw_layers(task.widths)


def _stacked(task: MembersPrediction) -> Any:
    import jax
    import jax.numpy as jnp
    from predictors import make_params

    config, params = make_params(_layers(task))
    return config, jax.tree.map(lambda leaf: jnp.stack([leaf] * task.members), params)


def _predicting(task: MembersPrediction, predict: Callable[[np.ndarray], np.ndarray]) -> Contestant:
    x = np.random.default_rng(1).standard_normal((task.rows, task.widths[0]), np.float32)
    shape = (task.members, task.rows, task.widths[-1])
    if predict(x).shape != shape:
        raise ValueError(f"outputs must have shape {shape}; got {predict(x).shape}.")

    def run(epochs: int) -> float:
        start = time.perf_counter()
        for _ in range(epochs):
            predict(x)
        return time.perf_counter() - start

    return Contestant(1, run)
