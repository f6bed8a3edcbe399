"""A million steps on a small problem: memory stays flat, and nothing is compiled again.

Takes minutes, so it is not part of the suite:
`python3 run.py -m pytest tests/test_soak.py -m slow -n0 -s`.
"""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from compilations import CountingLoss, compilations
from fits import LINEAR, cut_calls, fit

import jaxmlp

STEPS = 1_000_000
STATUS = Path("/proc/self/statm")


class MemorySampler:
    """Reads the resident set size, in MiB, twice a second in a thread."""

    def __init__(self):
        self.samples, self._stop = [], threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self):
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._stop.wait(0.5):
            self.samples.append(int(STATUS.read_text().split()[1]) * page / 2**20)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="reads memory from Linux's /proc")
@pytest.mark.parametrize("driver", ["step", "chunk", "epoch", "epochs"])
def test_a_million_steps_take_no_more_memory_and_no_more_programs(driver, monkeypatch):
    generator = np.random.default_rng(0)
    steps_per_epoch = 100
    x = generator.normal(size=(16 * steps_per_epoch, 4)).astype(np.float32)
    loader = jaxmlp.DataLoader(x, generator.integers(0, 3, len(x)), batch_size=16, shuffle=True)
    if driver in ("chunk", "epochs"):
        sizes = {"chunk": {"chunk": 40}, "epochs": {"joined": 20, "steps": steps_per_epoch}}
        cut_calls(monkeypatch, **sizes[driver])
    loss_fn = CountingLoss()
    # A small rate, so that the loss stays finite for as long as it takes.
    settings = LINEAR | {"loss_fn": loss_fn, "driver": driver, "epochs": STEPS // steps_per_epoch}
    start = time.perf_counter()
    with MemorySampler() as memory, compilations() as counts:
        result = fit(loader, **settings)
    seconds = time.perf_counter() - start
    # The first quarter warms up caches and allocators.
    samples = memory.samples[len(memory.samples) // 4 :]
    quarter = len(samples) // 3
    growth = max(samples[-quarter:]) - max(samples[:quarter])
    print(f"{driver}: {seconds:.0f} s, {max(samples):.0f} MiB at most, grew by {growth:.1f} MiB")
    assert int(result.state.step) == STEPS
    assert result.stopped_by == "epochs"
    assert loss_fn.traces == {"training": 1}
    assert max(counts.values()) <= 20
    # What the history of 10,000 epochs takes; a leak of ten bytes a step would be more.
    assert growth < 8
