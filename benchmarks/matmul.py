"""Measures what the machine can do: float32 products of two square matrices, by three libraries."""

import importlib
import time
from collections.abc import Callable

import numpy as np
from peers import Contestant
from workloads import Workload

SIZE = 2048
FLOPS = 2 * SIZE**3


def prepare_numpy(_: Workload) -> Contestant:
    a, b = _matrices()
    out = np.empty_like(a)
    return _contestant(lambda: np.matmul(a, b, out=out))


def prepare_jax(_: Workload) -> Contestant:
    import jax

    a, b = map(jax.numpy.asarray, _matrices())
    product = jax.jit(jax.numpy.matmul)
    return _contestant(lambda: product(a, b).block_until_ready())


def prepare_torch(_: Workload) -> Contestant:
    torch = importlib.import_module("torch")
    a, b = map(torch.from_numpy, _matrices())
    out = torch.empty_like(a)
    return _contestant(lambda: torch.matmul(a, b, out=out))


def _matrices() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, SIZE, SIZE), np.float32)


def _contestant(product: Callable[[], object]) -> Contestant:
    def run(epochs: int) -> float:
        start = time.perf_counter()
        for _ in range(epochs):
            product()
        return time.perf_counter() - start

    return Contestant(1, run)
