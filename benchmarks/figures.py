"""Writes what a benchmark measured as lines of JSON, one figure each, which `all.py` gathers."""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from workers import Times


class Figure(NamedTuple):
    """What one contestant took for a task.

    `ratio` is its value by that of the contestant whom the task compares all others with, the
    median over rounds where there are rounds.
    """

    task: str
    contestant: str
    value: float
    unit: str
    ratio: float


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, help="file for the figures, a line of JSON each")


def write(path: Path | None, figures: Iterable[Figure]) -> None:
    if path is not None:
        lines = [json.dumps(figure._asdict()) + "\n" for figure in figures]
        path.write_text("".join(lines), encoding="utf-8")


def read(path: Path) -> list[Figure]:
    return [Figure(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def from_times(
    task: str, times: Mapping[str, Times], unit: str, *, reference: str = "jaxmlp"
) -> list[Figure]:
    """Takes what `workers.race` returns; who has no times, has no figure."""
    base = times[reference].seconds
    return [
        Figure(task, name, float(np.median(result.seconds)), unit, _ratio(result.seconds, base))
        for name, result in times.items()
        if len(result.seconds) and len(base)
    ]


def from_ratios(
    task: str, contestant: str, value: float, unit: str, ratios: Iterable[float]
) -> Figure:
    """Takes the ratios of the rounds."""
    return Figure(task, contestant, float(value), unit, float(np.median(list(ratios))))


def _ratio(seconds: np.ndarray, base: np.ndarray) -> float:
    return float(np.median(seconds / base))
