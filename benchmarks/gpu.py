"""Asks what fits, members, searches, predictions and files cost on a GPU, and how near its limits.

    python3 run.py -m pip install --editable ".[benchmarks,cuda]"
    python3 run.py benchmarks/gpu.py --workloads W1 W2 W3 W4 --output output

The method is that of `fit.py`: a process per contestant, interleaved rounds. A round's time ends
when the device has finished (`jax.block_until_ready`, `torch.cuda.synchronize`); rows of fits lie
on the device, or in files for the last part; predictions go from NumPy rows to NumPy outputs.
Matrix products take TensorFloat32 everywhere, or float32 with `--precision highest`.

What the device can do is measured first (`gpu_limits.py`). "Of the limit" is the least time that
the work can take by these rates, by the time it took: products at the best rate, or the bytes that
have to be moved in its memory or from the host, or one launch, whichever takes longest. What stays
in the device's caches may beat the memory's rate.

Without a GPU it says so and ends; `--allow-cpu` runs it all the same, to try the script out.
"""

import argparse
import importlib
import os
import tempfile
from pathlib import Path

import figures
import numpy as np
from fit import draw
from gpu_limits import Limits, measure_limits, tell
from gpu_parts import PARTS, Part, Setting
from machine import describe_machine
from workers import race
from workloads import WORKLOADS

ANCHOR = """
For comparison, quoted and not measured here: a multilayer perceptron of width 64 whose layers are
fused into one kernel (tiny-cuda-nn; half precision, tensor cores) takes a fifth to a tenth of the
time of TensorFlow 2.5.0 with XLA, training on batches of 2^14 and predicting 2^21 rows on an RTX
3090. Müller, Rousselle, Novák, Keller 2021, "Real-time Neural Radiance Caching for Path Tracing",
arXiv 2106.12372, figure 7; the device is named beside that figure in tiny-cuda-nn's README."""


def find_torch_device(device: str) -> str | None:
    """Returns the device for PyTorch, or `None` where it is missing or has no CUDA."""
    try:
        torch = importlib.import_module("torch")
    except ModuleNotFoundError:
        return None
    return device if device == "cpu" or torch.cuda.is_available() else None


def measure(part: Part, limits: Limits, *, rounds: int, seconds: float) -> list[figures.Figure]:
    """Prints one table."""
    times = race(part.peers, part.task, rounds=rounds, seconds=seconds)
    bound, name = limits.bound(part.work)
    print(f"\n### {part.title}\n")
    print(f"| contestant | us/{part.unit} | by jaxmlp's (middle half) | of the limit |")
    print("|---|---|---|---|")
    for key, result in times.items():
        title = part.peers[key].title
        if not len(result.seconds):
            print(f"| {title} | {result.problem} | | |")
            continue
        middle, ratio = np.median(result.seconds), ""
        if len(times["jaxmlp"].seconds):
            low, half, high = np.percentile(result.seconds / times["jaxmlp"].seconds, (25, 50, 75))
            ratio = f"{half:.2f} ({low:.2f} to {high:.2f})"
        print(f"| {title} | {middle * 1e6:.4g} | {ratio} | {bound / middle:.2%} |")
    print(f"\nLimit {bound * 1e6:.3g} us per {part.unit}: {name}.", flush=True)
    return figures.from_times(part.title, times, f"s/{part.unit}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, help="of the part fit")
    parser.add_argument("--without", nargs="+", default=[], help="contestants to leave out")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.5, help="per contestant and round")
    parser.add_argument(
        "--precision", choices=("tensorfloat32", "highest"), default="tensorfloat32"
    )
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--allow-cpu", action="store_true")
    parser.add_argument("--smoke", action="store_true", help="smallest sizes, fewest contestants")
    figures.add_option(parser)
    arguments = parser.parse_args()
    environment = {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_DEFAULT_MATMUL_PRECISION": arguments.precision,
    }
    # Before JAX starts; all share the GPU's memory, so that none may reserve it.
    os.environ.update(environment)
    import jax

    device = jax.devices()[0]
    if device.platform != "gpu" and not arguments.allow_cpu:
        print(f"JAX sees no GPU here, only {device.device_kind}: nothing was measured.")
        return
    torch_device = find_torch_device("cuda" if device.platform == "gpu" else "cpu")
    if torch_device is None:
        print("PyTorch with CUDA is missing: its rows are left out.\n")
    print(f"## {device.device_kind}, {arguments.precision}\n")
    print(f"{describe_machine()}\n\n{arguments.rounds} rounds\n")
    sizes, numbers = ((256,), 2**16) if arguments.smoke else ((1024, 4096, 8192), 2**26)
    limits = measure_limits(sizes=sizes, numbers=numbers)
    print(tell(limits, arguments.precision))
    found: list[figures.Figure] = []
    panels: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(
            environment=environment,
            torch_device=torch_device or "",
            on_gpu=device.platform == "gpu",
            workloads=arguments.workloads or (["W1"] if arguments.smoke else list(WORKLOADS)),
            folder=Path(folder),
            smoke=arguments.smoke,
            without=frozenset(arguments.without),
        )
        for name in arguments.parts:
            for part in PARTS[name](setting):
                own = measure(part, limits, rounds=arguments.rounds, seconds=arguments.seconds)
                panels[part.title] = {part.peers[f.contestant].title: f.value for f in own}
                found += own
    print(ANCHOR)
    figures.write(arguments.json, found)
    if arguments.output is not None:
        draw(panels, arguments.output / "gpu.png", unit="us")


if __name__ == "__main__":
    main()
