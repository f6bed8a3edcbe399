"""Names the contestants: who trains, in which module, with which settings of its process."""

import importlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple


class Contestant(NamedTuple):
    """Someone who is set up for one task.

    `run(epochs)` trains that many epochs and returns their seconds, once the results are there;
    `steps` is the number of steps per epoch. What is compiled or loaded once is paid before, in the
    first runs.
    """

    steps: int
    run: Callable[[int], float]


class Peer(NamedTuple):
    """Where a contestant is made: `function(task)` of a module, under these variables.

    Of `imports`, all contestants take their time at once; of the rest, one after the other.
    """

    title: str
    module: str
    function: str
    environment: dict[str, str]
    imports: tuple[str, ...] = ()

    def prepare(self, task: Any) -> Contestant:
        return getattr(importlib.import_module(self.module), self.function)(task)


ALL = os.cpu_count() or 1
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# The first is what the others are compared with. Peers import their framework when prepared, so a
# missing one drops its row only.
PEERS = {
    "jaxmlp": Peer("jaxmlp.fit", "peers_fit", "prepare_jaxmlp", {}),
    "scan": Peer("JAX by hand, scanned epoch", "peers_jax", "prepare_scan", {}),
    "jit": Peer("JAX by hand, jit per step", "peers_jax", "prepare_jit", {}),
    "torch-1": Peer("PyTorch eager, 1 thread", "peers_torch", "prepare_eager", ONE_THREAD),
    "torch": Peer(f"PyTorch eager, {ALL} threads", "peers_torch", "prepare_eager", {}),
    "torch-loader": Peer("PyTorch, its DataLoader", "peers_torch", "prepare_loader", {}),
    "torch-compile": Peer("torch.compile", "peers_torch", "prepare_compiled", {}),
    "torch-func": Peer("torch.compile of torch.func", "peers_torch", "prepare_functional", {}),
    "sklearn": Peer("scikit-learn", "peers_fit", "prepare_sklearn", {}),
    "keras": Peer("Keras on JAX", "peers_fit", "prepare_keras", {"KERAS_BACKEND": "jax"}),
    "nnx": Peer("Flax NNX", "peers_jax", "prepare_nnx", {}),
    "equinox": Peer("Equinox", "peers_jax", "prepare_equinox", {}),
}
# Square matrix products, for the machine's peak: the best of these in each round.
PEAKS = {
    "peak-numpy": Peer("NumPy", "matmul", "prepare_numpy", {}),
    "peak-jax": Peer("JAX", "matmul", "prepare_jax", {}),
    "peak-torch": Peer("PyTorch", "matmul", "prepare_torch", {}),
}
