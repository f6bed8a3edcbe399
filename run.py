"""Runs Python in an environment of this checkout, which it makes on first use.

    python3 run.py examples/digits.py
    python3 run.py -m pytest

Needs Python 3.11 or newer with pip, and nothing else.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> int:
    """Makes the environment if it is missing or out of date, then runs the arguments in it."""
    if sys.version_info < (3, 11):
        print(f"jaxmlp needs Python 3.11 or newer; this is {sys.version}.", file=sys.stderr)
        return 1
    if len(sys.argv) == 1:
        print(__doc__)
        return 1
    environment = ROOT / f".venv-{sys.version_info.major}.{sys.version_info.minor}"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = environment / "jaxmlp-installed"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
        print(f"Setting up {environment.name} (once)", file=sys.stderr)
        install(environment, python)
        stamp.write_text(wanted)
    return subprocess.call([python, *sys.argv[1:]])


def install(environment: Path, python: Path) -> None:
    """Installs this checkout, editable, with what its examples, tests and checks need."""
    # Some distributions ship pip but not ensurepip: then this Python's pip installs from outside.
    with_pip = importlib.util.find_spec("ensurepip") is not None
    venv.create(environment, clear=True, with_pip=with_pip)
    pip = [python, "-m", "pip"] if with_pip else [sys.executable, "-m", "pip", "--python", python]
    flags = ["--quiet", "--disable-pip-version-check"]
    subprocess.check_call([*pip, "install", *flags, "pip", "--editable", f"{ROOT}[dev]"])


if __name__ == "__main__":
    sys.exit(main())
