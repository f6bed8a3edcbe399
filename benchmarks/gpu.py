"""Asks what a training step costs on a GPU, for each driver of jaxmlp, JAX by hand, and PyTorch.

    python3 run.py -m pip install --editable ".[benchmarks,cuda]"
    python3 run.py benchmarks/gpu.py --workloads W1 W2 W3 W4 --output output

The method is that of `fit.py`: a process per contestant, interleaved rounds. A round's time ends
when the device has finished (`jax.block_until_ready`, `torch.cuda.synchronize`); rows lie on the
device. Matrix products take TensorFloat32 everywhere, or float32 with `--precision highest`.
Without a GPU it says so and ends; `--allow-cpu` runs it all the same, to try the script out.
"""

import argparse
import importlib
import os
from pathlib import Path

from fit import draw, measure
from machine import describe_machine
from peers import Peer
from workloads import WORKLOADS


def make_peers(environment: dict[str, str], device: str) -> dict[str, Peer]:
    """Returns the contestants; all share the GPU's memory, so none may reserve it."""

    def fit(title: str, **variables: str) -> Peer:
        return Peer(title, "peers_fit", "prepare_jaxmlp", {**environment, **variables})

    def by_hand(title: str, function: str) -> Peer:
        return Peer(title, "peers_jax", function, environment)

    def torch(title: str, function: str) -> Peer:
        return Peer(title, "peers_torch", function, {**environment, "TORCH_DEVICE": device})

    # XLA leaves loops out of CUDA graphs unless asked.
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_enable_command_buffer=+WHILE"
    return {
        "jaxmlp": fit("jaxmlp.fit"),
        **{
            driver: fit(f"jaxmlp.fit, driver {driver}", JAXMLP_DRIVER=driver)
            for driver in ("step", "chunk", "epoch", "epochs")
        },
        "graph": fit("jaxmlp.fit, epoch in a CUDA graph", JAXMLP_DRIVER="epoch", XLA_FLAGS=flags),
        "scan": by_hand("JAX by hand, scanned epoch", "prepare_scan"),
        "jit": by_hand("JAX by hand, jit per step", "prepare_jit"),
        "torch": torch("PyTorch eager", "prepare_eager"),
        "torch-compile": torch("torch.compile", "prepare_compiled"),
        "torch-func": torch("torch.compile of torch.func", "prepare_functional"),
    }


def find_torch_device(device: str) -> str | None:
    """Returns the device for PyTorch, or `None` where it is missing or has no CUDA."""
    try:
        torch = importlib.import_module("torch")
    except ModuleNotFoundError:
        return None
    return device if device == "cpu" or torch.cuda.is_available() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.5, help="per contestant and round")
    parser.add_argument(
        "--precision", choices=("tensorfloat32", "highest"), default="tensorfloat32"
    )
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--allow-cpu", action="store_true")
    arguments = parser.parse_args()
    environment = {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_DEFAULT_MATMUL_PRECISION": arguments.precision,
    }
    os.environ.update(environment)
    import jax

    device = jax.devices()[0]
    if device.platform != "gpu" and not arguments.allow_cpu:
        print(f"JAX sees no GPU here, only {device.device_kind}: nothing was measured.")
        return
    torch_device = find_torch_device("cuda" if device.platform == "gpu" else "cpu")
    peers = make_peers(environment, torch_device or "")
    if torch_device is None:
        print("PyTorch with CUDA is missing: its rows are left out.\n")
        peers = {name: peer for name, peer in peers.items() if peer.module != "peers_torch"}
    if device.platform != "gpu":
        del peers["graph"]
    print(f"## Time per training step on {device.device_kind}, {arguments.precision}\n")
    print(f"{describe_machine()}\n\n{arguments.rounds} rounds")
    peaks = {"peak-jax": Peer("JAX", "matmul", "prepare_jax", environment)}
    results = {
        key: measure(
            WORKLOADS[key], peers, peaks, rounds=arguments.rounds, seconds=arguments.seconds
        )
        for key in arguments.workloads
    }
    if arguments.output is not None:
        draw(results, arguments.output / "gpu.png")


if __name__ == "__main__":
    main()
