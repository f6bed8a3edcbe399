"""What the README and the pages of docs/ say is what happens."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SPANISH = (ROOT / "README.es.md").read_text()
# Of the house itself, and on pages of tables, there is nothing to run; the course is run as it is
# built (docs/conf.py).
PAGES = [
    path
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if "course" not in path.parts and "```python\n" in path.read_text()
]


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("language", ["python", "bash"])
def test_the_spanish_readme_has_the_same_blocks(language):
    assert blocks(language, SPANISH) == blocks(language)


@pytest.mark.parametrize(
    "part",
    [
        r"^#+ ",
        r"^(?:- )?\*\*",
        r"^\| ",
        r"\]\([^)#]+\)",
        r"`[^`\n]+`",
        r"\d[\d.,]*\d",
    ],
    ids=["headings", "bold openings", "table rows", "links", "code", "numbers"],
)
def test_the_spanish_readme_has_the_same_parts(part):
    english, spanish = (
        sorted(found.replace(",", "") for found in re.findall(part, text, re.MULTILINE))
        # They link to each other.
        for text in (README, SPANISH.replace("(README.md)", "(README.es.md)"))
    )
    assert spanish == english


def test_there_are_exactly_two_set_up_commands():
    section = README.split("## Two commands")[1].split("\n## ")[0]
    commands = re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert commands == ["python3 run.py examples/digits.py\n", "python3 run.py -m pytest\n"]


def test_ci_runs_the_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert "default=python3\n" in script
    assert '"$default" run.py -m pytest -q\n' in script


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.name)
def test_options_that_a_benchmark_shows_are_there(path):
    source = path.read_text()
    shown = re.findall(rf"^    python3 run.py benchmarks/{path.name}(.*)$", source, re.MULTILINE)
    for option in re.findall(r"--[a-z-]+", " ".join(shown)):
        assert f'add_argument("{option}"' in re.sub(r"\(\s+", "(", source)


@pytest.mark.parametrize("text", [README, SPANISH], ids=["English", "Spanish"])
def test_the_training_script_learns_and_equals_the_loop(text, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    script, loop, members, search, files, run = blocks("python", text)
    assert len([line for line in script.splitlines() if line.strip()]) <= 15
    names = {}
    exec(compile(script, "README.md", "exec"), names)
    exec(compile(loop, "README.md", "exec"), names)
    jax.tree.map(np.testing.assert_array_equal, names["result"].params, names["state"].params)
    accuracy = float(re.search(r"'accuracy': (\d\.\d+)", capsys.readouterr().out)[1])
    # Of 114 test rows, 63 % are of one class; 5 errors leave 0.956.
    assert accuracy > 0.95
    exec(compile(members, "README.md", "exec"), names)
    assert names["members"].history["loss"].shape == (4, 10)
    exec(compile(search, "README.md", "exec"), names)
    assert names["found"].best_settings in ({"learning_rate": 1e-3}, {"learning_rate": 1e-2})
    assert "dropped" in names["found"].table["stopped_by"]
    exec(compile(files, "README.md", "exec"), names)
    jax.tree.map(np.testing.assert_array_equal, names["result"].params, names["params"])
    for _ in range(2):
        exec(compile(run, "README.md", "exec"), names)
        assert len(names["result"].history["epoch"]) == 30


@pytest.mark.long
@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT / "docs")))
def test_the_blocks_of_a_page_run_one_after_the_other(path):
    names, text = {}, path.read_text()
    if "\nimport torch\n" in text:
        pytest.importorskip("torch", reason="PyTorch is not installed")
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, path.name, "exec"), names)


@pytest.mark.parametrize("path", re.findall(r"\]\(((?!http)[^)#]+)\)", README + SPANISH))
def test_linked_files_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"run\.py ((?:examples|benchmarks)/[a-z_]+\.py)", README)))
)
def test_named_scripts_exist(path):
    assert (ROOT / path).exists()
