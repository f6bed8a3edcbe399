"""What does `import jaxmlp` take beside `import jax, optax`, and what does Python itself?

    python3 run.py benchmarks/imports.py

Each import is a new process with files that were read before, in interleaved rounds; seconds from
the start of the process to its end, medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec

import figures
from machine import describe_machine

STATEMENTS = {
    "jaxmlp": "import jaxmlp",
    "jax, optax": "import jax, optax",
    "python": "",
    "torch": "import torch",
}


def start(statement: str) -> float:
    """Returns the seconds of a process that runs the statement."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", statement],
        # All run from bytecode, which the first round writes where no installer has.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - begin


def main() -> None:
    """Prints a row per import."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    figures.add_option(parser)
    options = parser.parse_args()
    names = [name for name in STATEMENTS if name != "torch" or find_spec(name)]
    for name in names:
        start(STATEMENTS[name])  # reads files, and does not count
    rounds = [{name: start(STATEMENTS[name]) for name in names} for _ in range(options.rounds)]
    print(f"{describe_machine()}\n\n| import | s | by that of jax and optax |\n|---|---|---|")
    found = []
    for name in names:
        seconds = statistics.median(times[name] for times in rounds)
        ratios = [times[name] / times["jax, optax"] for times in rounds]
        print(f"| {name} | {seconds:.3f} | {statistics.median(ratios):.3f} |")
        found.append(figures.from_ratios("import", name, seconds, "s", ratios))
    figures.write(options.json, found)


if __name__ == "__main__":
    main()
