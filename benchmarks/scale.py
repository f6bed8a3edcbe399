"""Asks how the cost of training grows with rows, features, width, depth, members and epochs.

    python3 run.py benchmarks/scale.py --output output

One dimension is swept at a time; the others stay at 10,000 rows, 20 features, two hidden layers of
64, 1 member and 2 epochs of batches of 256. Each point is a process of its own (`scale_points.py`).
Time is that of `fit`, or of `fit_members` for several members, once its program is compiled;
compiling is what JAX says that it took to trace, lower and compile in the first fit, with the
drawing of parameters. Memory is what the peak of the process rose by in the first fit from when
the user's rows were made: the loader's copy of them counts. It is compared with what cannot be done
without, rows + 4 x parameters (the user's, the trained ones and Adam's moments) + one batch's
activations, where that is at least 256 MiB: below, the 30 MiB of a compiled program would hide it.
Straight lines on log paper are fitted to the points; where one ends, the growth bends.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import figures
from machine import describe_machine
from scale_lines import Curve, draw, tell_lines
from scale_points import Cost, Point

SWEEPS = {
    "rows": (1_000, 10_000, 100_000, 1_000_000, 10_000_000),
    "features": (10, 30, 100, 300, 1_000, 3_000, 10_000),
    "width": (16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096),
    "depth": (1, 2, 4, 8, 16, 32, 64),
    "members": (1, 2, 4, 8, 16, 100, 1_000, 10_000),
    "epochs": (1, 3, 10, 30, 100, 300, 1_000),
}
SMOKE = {
    "rows": (256, 512, 1_024),
    "features": (2, 4, 8),
    "width": (4, 8, 16),
    "depth": (1, 2, 3),
    "members": (1, 2, 4),
    "epochs": (1, 2, 4),
}
BASE = Point()
SMOKE_BASE = Point(rows=256, features=4, width=8, depth=1, epochs=1)
# Below, memory is not compared.
LEAST_BYTES = 2**28
TARGET = 1.2


def measure(point: Point, limit_seconds: float) -> Cost | str:
    """Measures in a process; returns the reason where there is no result."""
    script = Path(__file__).with_name("scale_points.py")
    try:
        done = subprocess.run(
            [sys.executable, script, json.dumps(dataclasses.asdict(point))],
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_seconds,
        )
    except subprocess.TimeoutExpired:
        return f"left out: more than {limit_seconds:g} s"
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return f"failed ({done.returncode}): {said[-1] if said else ''}"
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def sweep(
    dimension: str, base: Point, values: tuple[int, ...], limit_seconds: float
) -> list[tuple[int, Point, Cost]]:
    """Prints a table from small to large; what follows a point without a result is left out."""
    print(f"\n### {dimension}\n")
    print(f"| {dimension} | fit, s | compiling, s | peak, MiB | needed, MiB | peak by needed |")
    print("|---|---|---|---|---|---|")
    found = []
    for value in values:
        point = dataclasses.replace(base, **{dimension: value})
        cost = measure(point, limit_seconds)
        if isinstance(cost, str):
            print(f"| {value:,} | {cost}; so are larger ones | | | | |", flush=True)
            break
        found.append((value, point, cost))
        ratio = cost.peak_bytes / point.needed_bytes
        told = ""
        if point.needed_bytes >= LEAST_BYTES:
            told = f"{ratio:.2f}" if ratio <= TARGET else f"**{ratio:.2f}**"
        print(
            f"| {value:,} | {cost.seconds:.3g} | {cost.compile_seconds:.2f} | "
            f"{cost.peak_bytes / 2**20:.1f} | {point.needed_bytes / 2**20:.1f} | {told} |",
            flush=True,
        )
    return found


def make_curves(found: list[tuple[int, Point, Cost]]) -> list[Curve]:
    x = [float(value) for value, _, _ in found]
    return [
        Curve("fit, s", x, [cost.seconds for _, _, cost in found]),
        # A logarithm wants more than nothing: a millisecond, a page.
        Curve("compiling, s", x, [max(1e-3, cost.compile_seconds) for _, _, cost in found]),
        Curve("peak, MiB", x, [max(4096, cost.peak_bytes) / 2**20 for _, _, cost in found]),
    ]


def make_figures(dimension: str, found: list[tuple[int, Point, Cost]]) -> list[figures.Figure]:
    """Returns the time of each point, by the first's, and memory by what is needed."""
    made = []
    for value, point, cost in found:
        ratio = cost.seconds / found[0][2].seconds
        made.append(figures.Figure(f"{dimension} {value}", "time", cost.seconds, "s", ratio))
        if point.needed_bytes >= LEAST_BYTES:
            ratio = cost.peak_bytes / point.needed_bytes
            made.append(figures.Figure("memory", f"{dimension} {value}", ratio, "needed", ratio))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--limit-seconds", type=float, default=180.0, help="most per point")
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--smoke", action="store_true", help="three tiny points per dimension")
    figures.add_option(parser)
    arguments = parser.parse_args()
    base, sweeps = (SMOKE_BASE, SMOKE) if arguments.smoke else (BASE, SWEEPS)
    print(f"## How the cost of training grows\n\n{describe_machine()}\n\n{base}")
    curves: dict[str, list[Curve]] = {}
    found_figures = []
    for dimension in arguments.dimensions:
        found = sweep(dimension, base, sweeps[dimension], arguments.limit_seconds)
        curves[dimension] = make_curves(found)
        found_figures += make_figures(dimension, found)
        print(f"\nExponents. {'. '.join(map(tell_lines, curves[dimension]))}.", flush=True)
    figures.write(arguments.json, found_figures)
    if arguments.output is not None:
        draw(curves, arguments.output / "scale.png")


if __name__ == "__main__":
    main()
