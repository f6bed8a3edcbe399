"""Times a data-parallel step over two devices or two processes beside one process's.

All train the same network on the same batches with `jaxmlp.fit`: one process with one device, whose
products run in all threads; one process with a device per core (`host devices`); and two processes
with one device each, which add up gradients over sockets (`processes`). Each contestant is a
process of its own, or two, that takes a round when it is told to. Rounds are interleaved; the ratio
is the median over rounds of a contestant's time by that of one process in the same round. On as
many cores, 1 would be perfect: the same arithmetic, and the exchange for nothing.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import figures
import numpy as np
from workloads import LEARNING_RATE, WORKLOADS, Workload

# Steps in an epoch; contestants with their numbers of processes, and of devices in each.
STEPS = 64
CONTESTANTS = {"one process": (1, 1), "host devices": (1, 2), "processes": (2, 1)}


def make_fit(workload: Workload, epochs: int, *, spread: bool) -> Any:
    """Returns a function that trains for some epochs, and how many steps it takes."""
    import jax
    import optax

    import jaxmlp

    x, y = workload.make_data()
    config = jaxmlp.MLPConfig(
        in_features=workload.in_features,
        hidden_features=workload.hidden_features,
        out_features=workload.out_features,
    )
    criterion = (
        jaxmlp.losses.softmax_cross_entropy if workload.classifies else jaxmlp.losses.squared_error
    )
    sharding = None
    if spread:
        mesh = jax.make_mesh((jax.device_count(),), ("data",))
        sharding = jax.NamedSharding(mesh, jax.P("data"))
    rows = min(workload.rows, STEPS * workload.batch_size)
    loader = jaxmlp.DataLoader(
        x[:rows], y[:rows], batch_size=workload.batch_size, shuffle=True, sharding=sharding
    )
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    loss_fn, optimizer = jaxmlp.make_loss(config, criterion), optax.adam(LEARNING_RATE)

    def run() -> None:
        key = jax.random.key(1)
        settings: Any = {"epochs": epochs, "key": key, "progress": False}
        result = jaxmlp.fit(loss_fn, optimizer, params, loader, **settings)
        jax.block_until_ready(result.params)

    return run, epochs * len(loader)


def take_rounds(name: str, number: int, address: str, workload: Workload, epochs: int) -> None:
    """Takes a round for each line of standard input, and prints its microseconds per step."""
    import jax

    processes, devices = CONTESTANTS[name]
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    if processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, num_processes=processes, process_id=number)
    run, steps = make_fit(workload, epochs, spread=name != "one process")
    run()
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(json.dumps((time.perf_counter() - start) / steps * 1e6), flush=True)


def start(name: str, workload: str, epochs: int) -> list[subprocess.Popen[str]]:
    """Starts the processes of a contestant."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    settings = [workload, str(epochs)]
    return [
        subprocess.Popen(
            [sys.executable, Path(__file__), name, str(number), address, *settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        for number in range(CONTESTANTS[name][0])
    ]


def read(process: subprocess.Popen[str]) -> Any:
    """Reads the next line that is an answer: sockets write lines, too."""
    assert process.stdout is not None
    for line in process.stdout:
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            continue
    raise RuntimeError("a contestant has ended; its error stands above.")


def take_round(processes: list[subprocess.Popen[str]]) -> float:
    """Returns the microseconds per step of the slowest process."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return max(map(read, processes))


def measure(name: str, rounds: int, epochs: int) -> list[figures.Figure]:
    """Prints a line of a Markdown table for each contestant."""
    running: dict[str, list[subprocess.Popen[str]]] = {}
    try:
        for contestant in CONTESTANTS:
            running[contestant] = start(contestant, name, epochs)
            # One at a time: compiling shall not disturb each other.
            list(map(read, running[contestant]))
        times = {contestant: [] for contestant in CONTESTANTS}
        for index in range(rounds):
            for contestant in sorted(CONTESTANTS, reverse=bool(index % 2)):
                times[contestant].append(take_round(running[contestant]))
    finally:
        for process in (process for processes in running.values() for process in processes):
            process.kill()
    found, title = [], WORKLOADS[name].title
    for contestant, taken in times.items():
        ratios = np.array(taken) / np.array(times["one process"])
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        median = float(np.median(taken))
        print(
            f"| {title} | {contestant} | {median:.0f} | {middle:.2f} ({low:.2f} to {high:.2f}) |",
            flush=True,
        )
        found.append(figures.from_ratios(title, contestant, median, "us/step", ratios))
    return found


if __name__ == "__main__":
    contestant, number, address, workload, epochs = sys.argv[1:]
    take_rounds(contestant, int(number), address, WORKLOADS[workload], int(epochs))
