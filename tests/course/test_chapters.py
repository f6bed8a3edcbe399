"""Every chapter of the course runs from its page, and what it says of its numbers is so."""

import os
import re
import subprocess
import sys

import chapters
import pytest

# What the text says of the numbers that its cells print, by the names in the cells.
CLAIMS = {
    "01_perceptron": (
        "min(mistakes) > 0 and result.history['accuracy'][-1] == 1",
        "result.history['accuracy'][0] < 1",
    ),
    "02_layers": (
        "((last.activation[:, 0] > 0.5) == xor).all()",
        "abs(out - last.activation).max() < 1e-6",
    ),
    "03_activations": (
        "abs(difference).max() < 1e-5",
        "accuracies.pop('identity') < 0.92 < 0.95 < min(accuracies.values())",
    ),
    "04_losses": ("np.isnan(naive).any() and abs(loss - 1000) < 1",),
    "05_backpropagation": (
        "np.allclose(by_hand, by_jax, rtol=1e-5)",
        "np.allclose(hidden_delta, theirs[0], rtol=1e-5)",
        # The error of central differences: push^2 / 6 times the third derivative, below 1 here.
        "abs(slope - by_jax) < 1e-4",
    ),
    "06_gradient_descent": (
        "valley_losses['momentum'] < valley_losses['sgd']",
        "valley(walk(optax.sgd(0.09), 30)[-1]) < 1",
        "valley(walk(optax.sgd(0.01), 30)[-1]) > 10",
        "valley(walk(optax.sgd(0.101), 30)[-1]) > valley(walk(optax.sgd(0.101), 1)[-1])",
        "max(network_losses['momentum'], network_losses['adam']) < network_losses['sgd']",
    ),
    "07_batches": (
        "cosines == sorted(cosines) and cosines[0] < 0.2 and cosines[3] > 0.5",
        # One epoch of fit compiles as the loop's step does; on other machines it may round anew.
        "difference < 1e-5",
        "first_labels(0, 0).tolist() != first_labels(0, 1).tolist()",
    ),
    "08_compiled": (
        "max(numpy, compiled) < loops / 10",
        "times['a compiled step'] < times['operations one by one'] / 3",
    ),
    "09_initialisation": (
        "sizes['sigmoid, g = 1'][0] == min(norms[0] for norms in sizes.values()) < 1e-9",
        "sizes['relu, g = 2'][0] > 30 * sizes['relu, g = 2'][-1]",
        "0.1 < sizes['relu, g = √2'][0] / sizes['relu, g = √2'][-1] < 10",
        "final_losses['sigmoid, g = 1'] > 2.2 > 0.5 > final_losses['relu, g = √2']",
    ),
    "10_depth_and_width": (
        "by_rate.best_settings['learning_rate'] not in (rates[0], rates[-1])",
        "test_accuracy > 0.95",
    ),
    "11_overfitting": (
        "history['validation_loss'][-1] > 1.1 * history['validation_loss'].min()",
        "history['loss'][-1] < 0.01",
        "early.stopped_by == 'patience' and len(early.history['epoch']) < 100",
        "dropped.history['validation_loss'][-1] < plain.history['validation_loss'][-1]",
        "dropped.history['validation_loss'].min() < plain.history['validation_loss'].min()",
    ),
    "12_from_pytorch": ("test_accuracy > 0.97", "same"),
}


def test_every_chapter_of_the_folder_is_in_the_course_and_has_its_claims():
    found = {path.stem for path in chapters.COURSE.glob("*.md")} - {"index"}
    assert found == {path.stem for path in chapters.CHAPTERS} == set(CLAIMS)


@pytest.mark.long
@pytest.mark.parametrize("path", chapters.CHAPTERS, ids=lambda path: path.stem)
def test_chapter_runs_and_its_claims_and_its_solution_hold(path, tmp_path):
    cells = chapters.cells_of(path)
    assert cells
    claims = [f"assert {claim}, {claim!r}" for claim in CLAIMS[path.stem]]
    script = tmp_path / f"{path.stem}.py"
    script.write_text("\n".join([*cells, *claims, chapters.solution_of(path)]))
    # As for a reader: a Python started in the folder of the course, with JAX as it comes.
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import runpy; runpy.run_path({str(script)!r})"],
        cwd=chapters.COURSE,
        env=os.environ | {"MPLBACKEND": "Agg", "LANGUAGE": "en", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    number = int(path.stem.split("_")[0])
    assert run.stdout.splitlines()[-1] == f"Chapter {number}: right!"


@pytest.mark.parametrize("path", chapters.CHAPTERS, ids=lambda path: path.stem)
def test_the_exercise_of_a_page_is_its_solution_s(path):
    number = int(path.stem.split("_")[0])
    (asked,) = re.findall(
        r"^```python\n(def .*?)^```$", path.read_text().split("{dropdown}")[0], re.M | re.S
    )
    check = asked.splitlines()[-1]
    signature = asked[: asked.index("):") + 2]
    assert chapters.solution_of(path).startswith(f"{signature}\n")
    assert chapters.solution_of(path).endswith(f"{check}\n")
    assert check.startswith(f"exercises.check({number}, ")
