"""The examples run, complain of nothing and write what they say; the main one reads digits well."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jaxmlp

EXAMPLES = Path(__file__).parent.parent / "examples"
OUTPUTS = {
    "digits": {"digits.png", "digits.safetensors"},
    "deep_ensemble": {"deep_ensemble.png"},
    "ensemble": {"ensemble.png", "search.png"},
    "from_pytorch": set(),
    "inside": set(),
    "optuna_search": set(),
    "own_model": {"own_model.png"},
    "perceptron": {"perceptron.png"},
    "regression": {"regression.png"},
    "report": {"report_en.html", "report_es.html"},
    "schedules": {"schedules.png"},
    "streaming": {"table.parquet"},
    "sweep": {"sweep.png"},
    "table": {"table.png", "table.safetensors"},
}


def run(*arguments: str | Path) -> str:
    """Returns what Python printed, after checking that it ended well and complained of nothing."""
    result = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MPLBACKEND": "Agg"},
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    # A progress bar counts epochs; whatever else stands there is a complaint.
    lines = re.split(r"[\r\n]+", result.stderr)
    assert "".join(line for line in lines if "epoch" not in line).strip() == ""
    return result.stdout


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(OUTPUTS)


@pytest.mark.long
@pytest.mark.parametrize("name", OUTPUTS)
def test_example_runs_without_warnings_and_writes_its_files(name, tmp_path):
    output = tmp_path / "new" / "folder"
    to_output = ("--output", output) if OUTPUTS[name] else ()
    assert run(EXAMPLES / f"{name}.py", "--smoke", *to_output)
    assert {path.name for path in output.glob("*")} == OUTPUTS[name]


@pytest.mark.parametrize("name", OUTPUTS)
def test_example_is_short_and_has_cells(name):
    lines = (EXAMPLES / f"{name}.py").read_text().splitlines()
    assert len(lines) < 100
    assert sum(line.startswith("# %% ") for line in lines) >= 3


def test_from_pytorch_runs_without_pytorch():
    without = (
        "import importlib.util as u, runpy, sys; found = u.find_spec; sys.argv = ['', '--smoke']; "
        "u.find_spec = lambda name, *rest: None if name == 'torch' else found(name, *rest); "
        f"runpy.run_path({str(EXAMPLES / 'from_pytorch.py')!r})"
    )
    printed = run("-c", without)
    assert "PyTorch half skipped" in printed
    assert "pip install torch" in printed
    assert "JAX:     loss" in printed


def test_digits_saves_a_network_that_restores_to_the_same_outputs(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["", "--smoke", "--output", str(tmp_path)])
    example = runpy.run_path(str(EXAMPLES / "digits.py"))
    config, params = jaxmlp.load(tmp_path / "digits.safetensors")
    assert config == example["config"]
    x = example["test"].x
    restored = jaxmlp.apply(params, x, config=config)
    np.testing.assert_array_equal(restored, jaxmlp.apply(example["networks"][0], x, config=config))


@pytest.mark.slow
def test_digits_reads_97_point_5_percent_of_the_test_rows_over_five_seeds(tmp_path):
    printed = run(EXAMPLES / "digits.py", "--seeds", "5", "--output", tmp_path)
    accuracies = [float(percent) for percent in re.findall(r"^seed \d.* (\S+)%$", printed, re.M)]
    assert len(accuracies) == 5
    assert np.mean(accuracies) >= 97.5
