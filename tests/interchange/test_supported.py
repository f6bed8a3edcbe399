"""The page of what goes where says what the conversions do."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTNERS = ("equinox", "flatbuffers", "flax", "keras", "onnx", "sklearn", "torch")


@pytest.mark.long
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, PARTNERS)), reason="a partner is not installed"
)
def test_the_page_of_what_goes_where_is_what_the_conversions_do():
    """Another page is written by the command in supported.py."""
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "numpy",
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONIOENCODING": "utf-8",
    }
    script = [sys.executable, ROOT / "tests" / "interchange" / "supported.py"]
    run = subprocess.run(script, capture_output=True, encoding="utf-8", env=environment)
    assert run.returncode == 0, run.stderr
    assert run.stdout == (ROOT / "docs" / "guides" / "supported.md").read_text(encoding="utf-8")
