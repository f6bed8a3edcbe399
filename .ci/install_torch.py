"""Installs PyTorch into this environment if pip offers a build without CUDA packages."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENT = "torch==2.13.0"


def main() -> None:
    """Asks pip what it would install, and installs that unless it brings CUDA."""
    if importlib.util.find_spec("torch") is not None:
        print("PyTorch is here")
        return
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        asked = subprocess.run(
            [*pip, "install", "--dry-run", "--report", report, REQUIREMENT],
            check=False,
            capture_output=True,
            text=True,
        )
        if asked.returncode != 0:
            print("PyTorch: no build to be had, so the tests that compare with it are skipped:")
            print(asked.stderr[-500:])
            return
        names = [item["metadata"]["name"] for item in json.loads(report.read_text())["install"]]
    if any(name.startswith(("nvidia", "cuda", "triton")) for name in names):
        print("PyTorch: only a CUDA build on offer; the tests that compare with it are skipped")
        return
    subprocess.run([*pip, "install", REQUIREMENT], check=True)
    print("PyTorch installed")


if __name__ == "__main__":
    main()
