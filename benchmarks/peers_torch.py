"""Makes contestants of PyTorch: eager with fused Adam, its DataLoader, and torch.compile twice.

Environment variables set the number of threads (OMP_NUM_THREADS), the device (TORCH_DEVICE) and, on
a GPU, the precision of matrix products (JAX_DEFAULT_MATMUL_PRECISION, as for the JAX peers).
"""

import importlib
import math
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from peers import Contestant
from workloads import LEARNING_RATE, Workload

torch = importlib.import_module("torch")

DEVICE = os.environ.get("TORCH_DEVICE", "cpu")
if os.environ.get("JAX_DEFAULT_MATMUL_PRECISION") == "tensorfloat32":
    torch.set_float32_matmul_precision("high")
# Up to this many numbers, shuffling all rows once per epoch beats gathering each batch.
SMALL = 2**20


def prepare_eager(workload: Workload) -> Contestant:
    """Rows in memory, in the order of a random permutation per epoch."""
    return _loop(workload, make_loss(workload), _slices(workload))


def prepare_loader(workload: Workload) -> Contestant:
    """The same with `DataLoader(TensorDataset(x, y), shuffle=True)`."""
    dataset = torch.utils.data.TensorDataset(*make_data(workload))
    loader = torch.utils.data.DataLoader(dataset, workload.batch_size, shuffle=True)
    return _loop(workload, make_loss(workload), lambda: loader)


def prepare_compiled(workload: Workload) -> Contestant:
    """Forward, loss and backward compiled; compiling `Adam.step` as well measured slower."""
    return _loop(workload, torch.compile(make_loss(workload)), _slices(workload))


def prepare_functional(workload: Workload) -> Contestant:
    """The expert's version: gradient and Adam as one function of all arrays, compiled.

    As the hand-written JAX, it leaves out the short last batch.
    """
    mean_loss = make_loss(workload)
    network = make_network(workload)
    initial = {name: p.detach().clone() for name, p in network.named_parameters()}
    batches = _slices(workload, drop_last=True)

    def loss_fn(params: dict[str, Any], x: Any, y: Any) -> Any:
        return mean_loss(lambda x: torch.func.functional_call(network, params, (x,)), x, y)

    @torch.compile
    def step(params: Any, means: Any, squares: Any, count: Any, x: Any, y: Any) -> Any:
        grads = torch.func.grad(loss_fn)(params, x, y)
        count = count + 1
        means = {k: 0.9 * means[k] + 0.1 * g for k, g in grads.items()}
        squares = {k: 0.999 * squares[k] + 0.001 * g * g for k, g in grads.items()}
        # Kingma & Ba 2015, section 2: the bias corrections as two scalars.
        rate = LEARNING_RATE / (1 - 0.9**count)
        correction = (1 - 0.999**count).rsqrt()
        params = {
            k: p - rate * means[k] / (squares[k].sqrt() * correction + 1e-8)
            for k, p in params.items()
        }
        return params, means, squares, count

    def run(epochs: int) -> float:
        zeros = [{k: torch.zeros_like(p) for k, p in initial.items()} for _ in range(2)]
        state = (initial, *zeros, torch.zeros((), device=DEVICE))
        start = time.perf_counter()
        with torch.no_grad():
            for _ in range(epochs):
                for x, y in batches():
                    state = step(*state, x, y)
        synchronize()
        return time.perf_counter() - start

    return Contestant(workload.rows // workload.batch_size, run)


def make_network(workload: Workload) -> Any:
    layers: list[Any] = []
    for shape in workload.layers:
        layers += [torch.nn.Linear(*shape), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).to(DEVICE)


def make_loss(workload: Workload) -> Callable[[Any, Any, Any], Any]:
    """Returns `(network, x, y) -> mean loss`."""
    functional = torch.nn.functional
    if workload.classifies:
        return lambda network, x, y: functional.cross_entropy(network(x), y)
    return lambda network, x, y: functional.mse_loss(network(x)[:, 0], y)


def make_data(workload: Workload) -> tuple[Any, Any]:
    x, y = (torch.from_numpy(array).to(DEVICE) for array in workload.make_data())
    return x, y.long() if workload.classifies else y


def _slices(workload: Workload, *, drop_last: bool = False) -> Callable[[], Iterable[Any]]:
    x, y = make_data(workload)
    size = workload.batch_size
    end = len(x) // size * size if drop_last else len(x)

    def batches() -> Iterable[Any]:
        order = torch.randperm(len(x), device=DEVICE)[:end]
        if x.numel() <= SMALL:
            return zip(x[order].split(size), y[order].split(size), strict=True)
        return ((x[rows], y[rows]) for rows in order.split(size))

    return batches


def _loop(
    workload: Workload,
    mean_loss: Callable[[Any, Any, Any], Any],
    batches: Callable[[], Iterable[Any]],
) -> Contestant:
    network = make_network(workload)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)
    initial = [p.detach().clone() for p in network.parameters()]

    def run(epochs: int) -> float:
        # Every run starts anew: past convergence, moments become subnormal numbers, which are slow.
        with torch.no_grad():
            for parameter, value in zip(network.parameters(), initial, strict=True):
                parameter.copy_(value)
                for moment in optimizer.state[parameter].values():
                    moment.zero_()
        start = time.perf_counter()
        for _ in range(epochs):
            for x, y in batches():
                loss = mean_loss(network, x, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        synchronize()
        return time.perf_counter() - start

    return Contestant(math.ceil(workload.rows / workload.batch_size), run)


def synchronize() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()
