"""Measures what a device can do at most: products, memory, launches, and the way to the host."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

SECONDS = 0.2
ROUNDS = 5


class Work(NamedTuple):
    """What a task cannot do without: operations, bytes in device memory, bytes from the host."""

    flops: float = 0.0
    memory_bytes: float = 0.0
    transfer_bytes: float = 0.0


class Limits(NamedTuple):
    """Rates in 1/s; `products` by the size of square matrices, `launch` and `call` in seconds."""

    products: dict[int, float]
    memory: float
    transfer: float
    launch: float
    call: float

    def bound(self, work: Work) -> tuple[float, str]:
        """Returns the seconds that no program can go below, and what binds."""
        needed = {
            "products": work.flops / max(self.products.values()),
            "memory": work.memory_bytes / self.memory,
            "transfer": work.transfer_bytes / self.transfer,
            "launch": self.launch,
        }
        name = max(needed, key=lambda name: needed[name])
        return needed[name], name


def measure_limits(*, sizes: tuple[int, ...], numbers: int) -> Limits:
    """Measures with products of these sizes and arrays of so many float32 numbers."""
    return Limits(
        products={size: _product_rate(size) for size in sizes},
        memory=_triad_rate(numbers),
        transfer=_transfer_rate(numbers),
        launch=_launch_seconds(),
        call=_call_seconds(),
    )


def tell(limits: Limits, precision: str) -> str:
    products = ", ".join(f"{rate / 1e12:.3g} at {n}" for n, rate in limits.products.items())
    return (
        f"Limits, measured: products in {precision}, TFLOP/s: {products}; triad "
        f"{limits.memory / 1e9:.0f} GB/s; from the host {limits.transfer / 1e9:.3g} GB/s; an empty "
        f"kernel in a loop {limits.launch * 1e6:.2f} us; a program that adds 1, called from "
        f"Python {limits.call * 1e6:.1f} us."
    )


def _product_rate(size: int) -> float:
    a, b = jax.random.normal(jax.random.key(0), (2, size, size))
    product = jax.jit(jnp.matmul)
    return 2 * size**3 / _seconds(lambda: product(a, b))


def _triad_rate(numbers: int) -> float:
    """McCalpin's STREAM triad, a = b + s c: two arrays read and one written."""
    b, c = jnp.ones((2, numbers))
    triad = jax.jit(lambda b, c: b + 3.0 * c)
    return 3 * 4 * numbers / _seconds(lambda: triad(b, c))


def _transfer_rate(numbers: int) -> float:
    rows = np.ones(numbers, np.float32)
    return rows.nbytes / _seconds(lambda: jax.device_put(rows, may_alias=False))


def _launch_seconds() -> float:
    """An iteration of a compiled loop whose body is one kernel of one number."""
    iterations = 1000
    # The barrier keeps iterations apart.
    loop = jax.jit(
        lambda x: jax.lax.fori_loop(
            0, iterations, lambda _, x: jax.lax.optimization_barrier(x + 1), x
        )
    )
    x = jnp.zeros(())
    return _seconds(lambda: loop(x)) / iterations


def _call_seconds() -> float:
    add = jax.jit(lambda x: x + 1)
    x = jnp.zeros(())
    return _seconds(lambda: add(x))


def _seconds(run: Callable[[], jax.Array]) -> float:
    """Returns the least time of a call, over rounds of calls that the device has in a queue."""
    jax.block_until_ready(run())
    start = time.perf_counter()
    jax.block_until_ready(run())
    calls = max(1, min(1000, int(SECONDS / ROUNDS / (time.perf_counter() - start))))
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        last = None
        for _ in range(calls):
            last = run()
        jax.block_until_ready(last)
        rounds.append((time.perf_counter() - start) / calls)
    return min(rounds)
