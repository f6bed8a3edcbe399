"""Every benchmark runs at its smallest size and gives figures; the one table says what they are."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """Benchmarks import each other as scripts of one folder do."""
    monkeypatch.syspath_prepend(BENCHMARKS)


def names() -> list[str]:
    source = (BENCHMARKS / "questions.py").read_text()
    return re.findall(r'^    "(\w+)": Benchmark\(', source, re.MULTILINE)


def test_every_benchmark_of_the_readme_is_in_the_table():
    readme = (BENCHMARKS / "README.md").read_text()
    named = set(re.findall(r"^\| `(\w+)\.py` \|", readme, re.MULTILINE))
    assert named - {"all"} == set(names())


# The others take longer, or are like one of these.
QUICK = {"fit", "gpu"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long if name in QUICK else pytest.mark.slow)
        for name in names()
    ],
)
def test_a_benchmark_runs_at_its_smallest_size(name, tmp_path):
    from figures import read
    from questions import QUESTIONS

    command = [sys.executable, BENCHMARKS / "all.py", "--smoke", "--output", tmp_path]
    done = subprocess.run([*command, "--only", name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = read(tmp_path / f"{name}.jsonl")
    assert found
    assert all(np.isfinite([f.value, f.ratio]).all() and f.ratio > 0 for f in found)
    # A question about somebody who has no figures would never be answered.
    asked = {q.ours for q in QUESTIONS if q.benchmark == name and q.of is None}
    assert asked <= {f.contestant for f in found}
    assert "| question | ours |" in (tmp_path / "README.md").read_text()


def test_the_smallest_ratio_of_the_peers_is_compared_with_the_target():
    from figures import Figure
    from questions import Question

    answer = importlib.import_module("all").answer
    found = [
        Figure("W1", "jaxmlp", 2e-5, "s/step", 1.0),
        Figure("W1", "jaxmlp-vmap", 1e-5, "s/step", 0.5),
        Figure("W1", "torch", 6e-5, "s/step", 3.0),
        Figure("W1", "torch-1", 5e-5, "s/step", 2.5),
        Figure("W1", "scan", 2e-5, "s/step", 0.9),
        Figure("W2", "torch", 1e-5, "s/step", 0.1),
    ]
    asked = {"text": "", "benchmark": "fit", "task": "W1"}
    told = answer(Question(**asked, target=2.5, peers=("torch", "torch-1")), found)
    assert (told.value, told.peer, told.ratio, told.met) == (2e-5, "torch-1", 2.5, True)
    told = answer(Question(**asked, target=1.0), found)
    assert (told.peer, told.ratio, told.met) == ("scan", 0.9, False)
    told = answer(Question(**asked, target=0.5, of="jaxmlp-vmap"), found)
    assert (told.peer, told.ratio, told.met) == ("", 0.5, True)
    assert not answer(Question(**asked, target=0.49, of="jaxmlp-vmap"), found).met
    assert answer(Question(**{**asked, "task": "W3"}, target=1.0), found) is None
    assert answer(Question(**asked, target=1.0, peers=("keras",)), found) is None


def test_questions_about_a_gpu_are_asked_of_tables_that_it_has(tmp_path):
    from gpu_parts import PARTS, Setting
    from questions import QUESTIONS
    from workloads import WORKLOADS

    setting = Setting(
        environment={},
        torch_device="cuda",
        on_gpu=True,
        workloads=[*WORKLOADS],
        folder=tmp_path,
        smoke=False,
        without=frozenset(),
    )
    # Files are written for the last part.
    parts = {p.title: p.peers for name in PARTS if name != "files" for p in PARTS[name](setting)}
    asked = [q for q in QUESTIONS if q.benchmark == "gpu" and q.task != "W3 from files"]
    assert len(asked) == 6
    for question in asked:
        assert set(question.peers) | {question.ours} <= set(parts[question.task])


def test_the_table_replaces_only_what_lies_between_the_marks(tmp_path):
    module = importlib.import_module("all")
    path = tmp_path / "README.md"
    path.write_text(f"before\n{module.BEGIN}\nold\n{module.END}\nafter\n")
    for _ in range(2):
        module.write_between("new", path)
    assert path.read_text() == f"before\n{module.BEGIN}\nnew\n{module.END}\nafter\n"
    path.write_text("no marks")
    with pytest.raises(ValueError, match="must have the lines"):
        module.write_between("new", path)
    readme = (BENCHMARKS / "README.md").read_text()
    assert readme.count(module.BEGIN) == readme.count(module.END) == 1


def test_lines_on_log_paper_name_a_bend_and_its_exponents():
    from scale_lines import fit_lines

    x = [1.0, 10.0, 100.0, 1000.0, 10000.0]
    flat, steep = fit_lines(x, [5.0, 5.0, 5.0, 500.0, 50000.0])
    assert (flat.first, flat.last, steep.first, steep.last) == (1.0, 100.0, 100.0, 10000.0)
    np.testing.assert_allclose([flat.exponent, steep.exponent], [0.0, 2.0], atol=1e-12)
    # `factor * x ** exponent` goes through the points.
    np.testing.assert_allclose(steep.factor * 1000.0**steep.exponent, 500.0, rtol=1e-9)
    assert fit_lines([1.0], [2.0]) == []


def test_needed_memory_counts_rows_parameters_and_activations():
    from scale_points import Point

    point = Point(rows=1000, features=3, width=5, depth=1, members=2)
    rows, parameters = 1000 * (3 + 1), 2 * (3 * 5 + 5 + 5 * 1 + 1)
    assert point.needed_bytes == 4 * (rows + 4 * parameters + 256 * (3 + 5 + 1))


def test_a_limit_is_the_longest_of_what_the_work_needs():
    from gpu_limits import Limits, Work

    limits = Limits(products={256: 1e9, 1024: 1e12}, memory=1e9, transfer=1e8, launch=1e-6, call=1)
    assert limits.bound(Work(flops=1e12, memory_bytes=1e6)) == (1.0, "products")
    assert limits.bound(Work(flops=1.0, memory_bytes=1e9)) == (1.0, "memory")
    assert limits.bound(Work(transfer_bytes=1e9)) == (10.0, "transfer")
    assert limits.bound(Work()) == (1e-6, "launch")
