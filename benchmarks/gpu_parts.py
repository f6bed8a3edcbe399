"""Names what `gpu.py` measures: parts, tasks, contestants, and the least work of a unit."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from file_fits import FileTask, write_rows
from gpu_limits import Work
from gpu_peers import MembersPrediction, SearchTask
from peers import Peer
from peers_ensemble import EnsembleTask
from predict import NETWORKS
from predictors import Prediction
from workloads import WORKLOADS, Workload


class Part(NamedTuple):
    """One table: a task, who takes part, jaxmlp first, and the work of the unit that is timed."""

    title: str
    task: Any
    peers: dict[str, Peer]
    unit: str
    work: Work


class Setting(NamedTuple):
    """What the parts depend on: variables of processes, PyTorch's device or "", sizes."""

    environment: dict[str, str]
    torch_device: str
    on_gpu: bool
    workloads: list[str]
    folder: Path
    smoke: bool
    without: frozenset[str]

    def peer(self, title: str, module: str, function: str, **variables: str) -> Peer:
        environment = {**self.environment, **variables}
        if "torch" in function or module == "peers_torch":
            environment["TORCH_DEVICE"] = self.torch_device
            return Peer(title, module, function, environment, imports=("torch",))
        return Peer(title, module, function, environment, imports=("jaxmlp",))

    def choose(self, peers: dict[str, Peer], quick: tuple[str, ...]) -> dict[str, Peer]:
        """Leaves out PyTorch where it is missing, who is not asked for, and in a trial most."""
        return {
            name: peer
            for name, peer in peers.items()
            if (self.torch_device or "TORCH_DEVICE" not in peer.environment)
            and name not in self.without
            and (not self.smoke or name in ("jaxmlp", *quick))
        }


def step_work(workload: Workload, *, streamed: bool = False) -> Work:
    """Products, and reading and writing parameters and Adam's two moments; rows, once each."""
    parameters = sum(inputs * outputs + outputs for inputs, outputs in workload.layers)
    rows = 4.0 * workload.batch_size * (workload.in_features + 1)
    return Work(workload.step_flops, rows + 6 * 4 * parameters, rows if streamed else 0.0)


def fit_parts(setting: Setting) -> Iterator[Part]:
    # XLA leaves loops out of CUDA graphs unless asked.
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_enable_command_buffer=+WHILE"
    drivers = ("step", "chunk", "epoch", "epochs")
    peers = {
        "jaxmlp": setting.peer("jaxmlp.fit", "peers_fit", "prepare_jaxmlp"),
        **{
            driver: setting.peer(
                f"jaxmlp.fit, driver {driver}", "peers_fit", "prepare_jaxmlp", JAXMLP_DRIVER=driver
            )
            for driver in drivers
        },
        "graph": setting.peer(
            "jaxmlp.fit, epoch in a CUDA graph",
            *("peers_fit", "prepare_jaxmlp"),
            JAXMLP_DRIVER="epoch",
            XLA_FLAGS=flags,
        ),
        "scan": setting.peer("JAX by hand, scanned epoch", "peers_jax", "prepare_scan"),
        "jit": setting.peer("JAX by hand, jit per step", "peers_jax", "prepare_jit"),
        "torch": setting.peer("PyTorch eager", "peers_torch", "prepare_eager"),
        "torch-compile": setting.peer("torch.compile", "peers_torch", "prepare_compiled"),
        "torch-func": setting.peer(
            "torch.compile of torch.func", "peers_torch", "prepare_functional"
        ),
    }
    if not setting.on_gpu:
        del peers["graph"]
    for key in setting.workloads:
        workload = WORKLOADS[key]
        chosen = setting.choose(peers, ("scan",))
        yield Part(f"{key}: {workload.title}", workload, chosen, "step", step_work(workload))


def members_parts(setting: Setting) -> Iterator[Part]:
    peers = {
        "jaxmlp": setting.peer("jaxmlp.fit_members", "peers_ensemble", "prepare_jaxmlp"),
        "vmap": setting.peer("JAX by hand, vmap", "peers_ensemble", "prepare_vmap"),
        "torch": setting.peer("torch.func.vmap", "peers_ensemble", "prepare_torch"),
    }
    for key, members in (("W1", 4),) if setting.smoke else (("W1", 128), ("W2", 32)):
        workload = WORKLOADS[key]
        yield Part(
            f"{members} members of {key}",
            EnsembleTask(workload, members),
            setting.choose(peers, ("vmap", "torch")),
            "member-step",
            step_work(workload),
        )


def search_parts(setting: Setting) -> Iterator[Part]:
    peers = {
        "jaxmlp": setting.peer("jaxmlp.search", "gpu_peers", "prepare_search"),
        "fits": setting.peer("jaxmlp.fit, one after the other", "gpu_peers", "prepare_fits"),
        "torch": setting.peer(
            "PyTorch eager, one after the other", "gpu_peers", "prepare_torch_loops"
        ),
    }
    candidates = 3 if setting.smoke else 64
    workload = WORKLOADS["W1"]
    yield Part(
        f"a search of {candidates} learning rates on W1",
        SearchTask(workload, candidates),
        setting.choose(peers, ()),
        "member-step",
        step_work(workload),
    )


def predict_parts(setting: Setting) -> Iterator[Part]:
    peers = {
        "jaxmlp": setting.peer("jaxmlp.compile_predict / predict", "predictors", "prepare_jaxmlp"),
        "jit": setting.peer("jax.jit(jaxmlp.apply)", "predictors", "prepare_jaxmlp_jit"),
        "torch": setting.peer("PyTorch eager", "predictors", "prepare_torch"),
        "torch-compile": setting.peer("torch.compile", "predictors", "prepare_torch_compiled"),
    }
    for key in ("W1",) if setting.smoke else NETWORKS:
        for rows in (1, 2000 if setting.smoke else 1_000_000):
            widths = NETWORKS[key]
            title = f"{key}'s network, {rows:,} rows"
            task = Prediction(title, widths, rows)
            yield Part(title, task, setting.choose(peers, ()), "call", _predict_work(widths, rows))
    members, rows = (3, 1000) if setting.smoke else (32, 100_000)
    widths = NETWORKS["W1"]
    of_members = {
        "jaxmlp": setting.peer("ensembles.predict_members", "gpu_peers", "prepare_members"),
        "vmap": setting.peer("JAX by hand, vmap", "gpu_peers", "prepare_members_vmap"),
        "torch": setting.peer("torch.func.vmap", "gpu_peers", "prepare_members_torch"),
    }
    yield Part(
        f"{members} members of W1's network, {rows:,} rows",
        MembersPrediction(widths, members, rows),
        setting.choose(of_members, ("torch",)),
        "call",
        _predict_work(widths, rows, members),
    )


def files_parts(setting: Setting) -> Iterator[Part]:
    key = "W1" if setting.smoke else "W3"
    task = FileTask(key, str(setting.folder))
    write_rows(task)
    peers = {
        "jaxmlp": setting.peer("jaxmlp.fit over sources.npy", "file_fits", "prepare_npy"),
        "memory": setting.peer("jaxmlp.fit, rows in memory", "file_fits", "prepare_memory"),
    }
    workload = WORKLOADS[key]
    work = step_work(workload, streamed=True)
    yield Part(f"{key} from files", task, setting.choose(peers, ("memory",)), "step", work)


def _predict_work(widths: tuple[int, ...], rows: int, members: int = 1) -> Work:
    """Products; rows on their way to the device and outputs on their way back."""
    flops = 2.0 * rows * members * sum(a * b for a, b in itertools.pairwise(widths))
    moved = 4.0 * rows * (widths[0] + members * widths[-1])
    return Work(flops, moved, moved)


PARTS: dict[str, Callable[[Setting], Iterator[Part]]] = {
    "fit": fit_parts,
    "members": members_parts,
    "search": search_parts,
    "predict": predict_parts,
    "files": files_parts,
}
