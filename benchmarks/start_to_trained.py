"""Asks how long a user waits from the start of Python until a network has 97 % test accuracy.

    python3 run.py benchmarks/start_to_trained.py

Every run is a new process: importing, compiling, training and evaluating count, reading one file of
1,347 training and 450 test digits too. All train W1 (64-64-10, batch 32, Adam at 0.001), each with
its own library's way of drawing parameters, evaluate the test rows after every epoch, and stop at
97 % of them. Contestants take turns; a time is the median over rounds, of which the first, with
cold files, does not count. "First" is the time to the end of the first step, or of the first epoch
where one call trains an epoch. A warm cache is one that an earlier run of the same program filled.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures
import numpy as np
from machine import describe_machine

# name: title, function in trained.py, environment; {fresh} is a new folder, {kept} is one per name
CONTESTANTS = {
    "jaxmlp": ("jaxmlp.fit, cold", "train_jaxmlp", {}),
    "jaxmlp-warm": ("jaxmlp.fit, warm cache", "train_jaxmlp", {"JAXMLP_CACHE": "{kept}"}),
    "torch": ("PyTorch eager", "train_torch", {}),
    "torch-1": ("PyTorch eager, 1 thread", "train_torch", {"OMP_NUM_THREADS": "1"}),
    "torch-compile": (
        "torch.compile, cold",
        "train_torch",
        {"COMPILE": "1", "TORCHINDUCTOR_CACHE_DIR": "{fresh}"},
    ),
    "torch-compile-warm": (
        "torch.compile, warm cache",
        "train_torch",
        {"COMPILE": "1", "TORCHINDUCTOR_CACHE_DIR": "{kept}"},
    ),
    "sklearn": ("scikit-learn", "train_sklearn", {}),
    "keras": ("Keras on JAX", "train_keras", {"KERAS_BACKEND": "jax"}),
}


def write_digits(path: Path) -> None:
    """Saves a stratified quarter of the digits for the test and the rest, scaled alike."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, digits = load_digits(return_X_y=True)
    train, test = train_test_split(
        np.arange(len(digits)), test_size=0.25, stratify=digits, random_state=0
    )
    x = ((images - images[train].mean()) / images[train].std()).astype(np.float32)
    y = digits.astype(np.int32)
    np.savez(path, x=x[train], y=y[train], x_test=x[test], y_test=y[test])


def run_once(name: str, folder: Path, seed: int) -> dict[str, float] | str:
    """Returns the seconds to the first step and to the end, accuracy and epochs; or a problem."""
    _, function, variables = CONTESTANTS[name]
    (folder / name).mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory() as fresh:
        paths = {"fresh": fresh, "kept": folder / name}
        environment = {key: value.format(**paths) for key, value in variables.items()}
        # All run from bytecode, which the first round writes where no installer has.
        environment["PYTHONDONTWRITEBYTECODE"] = ""
        script = Path(__file__).with_name("trained.py")
        start = time.time()
        done = subprocess.run(
            [sys.executable, script, function, folder / "digits.npz", str(seed)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    report = json.loads(done.stdout.splitlines()[-1])
    return {**report, "first": report["first"] - start, "trained": report["trained"] - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    figures.add_option(parser)
    arguments = parser.parse_args()
    found = []
    runs: dict[str, list[dict[str, float] | str]] = {name: [] for name in arguments.contestants}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_digits(folder / "digits.npz")
        for index in range(arguments.rounds + 1):
            for contestant in arguments.contestants[:: 1 if index % 2 else -1]:
                result = run_once(contestant, folder, seed=index)
                if index > 0:
                    runs[contestant].append(result)
    print("## From the start of Python to 97 % of the test digits\n")
    print(f"{describe_machine()}\n\n{arguments.rounds} rounds\n")
    print("| contestant | first, s | trained, s (middle half) | epochs | by jaxmlp's, cold |")
    print("|---|---|---|---|---|")
    for contestant, results in runs.items():
        title = CONTESTANTS[contestant][0]
        problems = [result for result in results if isinstance(result, str)]
        if problems:
            print(f"| {title} | {problems[0]} | | | |")
            continue
        first, trained, epochs = (
            np.array([result[key] for result in results if not isinstance(result, str)])
            for key in ("first", "trained", "epochs")
        )
        low, middle, high = np.percentile(trained, (25, 50, 75))
        ratio = _ratio(trained, runs.get("jaxmlp"))
        print(
            f"| {title} | {np.median(first):.2f} | {middle:.2f} ({low:.2f} to {high:.2f}) | "
            f"{np.median(epochs):.0f} | {'' if ratio is None else f'{ratio:.2f}'} |"
        )
        for task, of in (("digits", "jaxmlp"), ("digits, warm", "jaxmlp-warm")):
            if (ratio := _ratio(trained, runs.get(of))) is not None:
                found.append(figures.Figure(task, contestant, float(middle), "s", ratio))
    figures.write(arguments.json, found)


def _ratio(trained: np.ndarray, reference: list[dict[str, float] | str] | None) -> float | None:
    if reference is None or any(isinstance(result, str) for result in reference):
        return None
    theirs = [result["trained"] for result in reference if not isinstance(result, str)]
    return float(np.median(trained / np.array(theirs)))


if __name__ == "__main__":
    main()
