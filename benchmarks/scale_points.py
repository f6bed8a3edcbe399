"""Measures one point of `scale.py` in a process of its own: time, compilation and peak memory.

    python scale_points.py '{"rows": 10000, "width": 64, ...}'

Prints a line of JSON.
"""

import dataclasses
import json
import resource
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from workloads import LEARNING_RATE, Workload

# Fits that take less than this many seconds are repeated.
LONG = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """What is trained: one dimension of it is swept."""

    rows: int = 10_000
    features: int = 20
    width: int = 64
    depth: int = 2
    members: int = 1
    epochs: int = 2

    @property
    def workload(self) -> Workload:
        return Workload(
            title="",
            in_features=self.features,
            hidden_features=(self.width,) * self.depth,
            out_features=1,
            rows=self.rows,
            batch_size=min(256, self.rows),
        )

    @property
    def row_bytes(self) -> int:
        """Inputs and target of all rows, float32."""
        return 4 * self.rows * (self.features + 1)

    @property
    def needed_bytes(self) -> int:
        """Rows, 4 x parameters (the user's, the trained ones, Adam's moments), activations."""
        layers = self.workload.layers
        parameters = self.members * sum(inputs * outputs + outputs for inputs, outputs in layers)
        activations = self.workload.batch_size * (self.features + sum(out for _, out in layers))
        return self.row_bytes + 4 * 4 * parameters + 4 * activations


class Cost(NamedTuple):
    """Seconds of a fit whose program is compiled, those that compiling took, and bytes."""

    seconds: float
    compile_seconds: float
    peak_bytes: int


def measure(point: Point) -> Cost:
    """Fits twice or more; bytes are what the first one adds to the peak with the user's rows."""
    import jax

    compiling: list[float] = []

    def note(event: str, duration_secs: float, **_: object) -> None:
        if event.startswith("/jax/core/compile/"):
            compiling.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(note)
    # Imports, and what the first compilation leaves behind, are none of the point's.
    _fit(Point(rows=512, members=min(point.members, 2)), *_make_rows(512, 20))
    rows = _make_rows(point.rows, point.features)
    before = _peak_bytes()
    compiling.clear()
    _fit(point, *rows)
    # Later fits find memory cut up by the first.
    compile_seconds, peak = sum(compiling), _peak_bytes() - before
    later = [_fit(point, *rows)]
    while sum(later) < LONG and len(later) < 5:
        later.append(_fit(point, *rows))
    return Cost(float(np.median(later)), compile_seconds, peak)


def _make_rows(rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).standard_normal((rows, features), np.float32)
    return x, np.ascontiguousarray(x[:, 0])


def _fit(point: Point, x: np.ndarray, y: np.ndarray) -> float:
    """Returns the seconds of a fit, without those of drawing the parameters."""
    import jax
    from networks import make_training, train

    import jaxmlp

    training = make_training(point.workload, x, y)
    if point.members == 1:
        jax.block_until_ready(training.params)
        start = time.perf_counter()
        train(training, point.epochs)
        return time.perf_counter() - start
    keys = jax.random.split(jax.random.key(0), point.members)
    rates = np.full(point.members, LEARNING_RATE, np.float32)
    start = time.perf_counter()
    result = jaxmlp.fit_members(
        training.loss_fn,
        _make_optimizer,
        lambda key: jaxmlp.init_params(training.config, key=key),
        training.loader,
        epochs=point.epochs,
        keys=keys,
        hyperparameters={"learning_rate": rates},
        seeds=range(point.members),
    )
    jax.block_until_ready(result.params)
    return time.perf_counter() - start


def _make_optimizer(h):
    import optax

    return optax.adam(h["learning_rate"])


def _peak_bytes() -> int:
    """Returns the most memory that the process has held; on Linux, none of its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    print(json.dumps(measure(Point(**json.loads(sys.argv[1])))._asdict()))
