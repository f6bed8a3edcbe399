"""Runs all benchmarks and writes one table: question, our figure, the best peer's, target, met?

    python3 run.py -m pip install --editable ".[benchmarks,parquet]"
    python3 run.py benchmarks/all.py

Each script runs in a process of its own, one after the other, and gives its figures as lines of
JSON (`figures.py`); `questions.py` says what is asked of them, and those of which nothing is asked
run with `--smoke` or `--only` alone. The table goes into README.md, the picture beside it; with
`--output`, both go to that folder. With `--only`, questions of the other benchmarks stay as they
were the last time in the files of that folder. It takes hours: nothing else should run meanwhile.
"""

import argparse
import datetime
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import figures
import matplotlib
from machine import describe_machine
from matplotlib.figure import Figure
from questions import ASKED, BENCHMARKS, QUESTIONS, Question

HERE = Path(__file__).parent
BEGIN, END = "<!-- begin of all.py's table -->", "<!-- end of all.py's table -->"


class Answer(NamedTuple):
    """Our figure and the ratio that counts, with the peer that it is of."""

    value: float
    unit: str
    peer: str
    ratio: float
    met: bool


def run_benchmark(name: str, file: Path, *, smoke: bool) -> str:
    """Runs a script, its figures go to the file; returns a problem, or nothing."""
    benchmark = BENCHMARKS[name]
    arguments = benchmark.smoke if smoke else benchmark.arguments
    # Those of an earlier run shall not pass for new ones.
    file.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, HERE / f"{name}.py", *arguments, "--json", file],
        capture_output=True,
        text=True,
        check=False,
    )
    file.with_suffix(".md").write_text(done.stdout, encoding="utf-8")
    if done.returncode:
        # JAX puts lines behind the error.
        said = re.findall(r"^\w*Error\b.*$", done.stderr, re.MULTILINE) or done.stderr.splitlines()
        return f"{name}.py failed ({done.returncode}): {said[-1] if said else ''}"
    return ""


def answer(question: Question, found: list[figures.Figure]) -> Answer | None:
    """Looks a question up among the figures of its benchmark; `None` where they are missing."""
    by_name = {f.contestant: f for f in found if f.task == question.task}
    own = by_name.pop(question.of or question.ours, None)
    if own is None:
        return None
    if question.of is not None:
        return Answer(own.value, own.unit, "", own.ratio, own.ratio <= question.target)
    peers = [
        f
        for name, f in by_name.items()
        if (name in question.peers if question.peers else not name.startswith("jaxmlp"))
    ]
    if not peers:
        return None
    best = min(peers, key=lambda f: f.ratio)
    return Answer(own.value, own.unit, best.contestant, best.ratio, best.ratio >= question.target)


def make_table(answers: list[tuple[Question, Answer | None]]) -> str:
    rows = [
        "| question | ours | best peer | its ratio | target | met |",
        "|---|---|---|---|---|---|",
    ]
    for question, found in answers:
        target = f"{'at least' if question.of is None else 'at most'} {question.target:.3g}"
        if found is None:
            rows.append(f"| {question.text} | not measured | | | {target} | |")
            continue
        value = f"{found.value:.3g} {found.unit}"
        met = "yes" if found.met else "**no**"
        rows.append(
            f"| {question.text} | {value} | {found.peer} | {found.ratio:.3g} | {target} | {met} |"
        )
    return "\n".join(rows)


def draw(answers: list[tuple[Question, Answer]], path: Path) -> None:
    """Draws each ratio by its target, so that bars to the right of 1 are met."""
    # Text as text, which takes a tenth of the bytes of outlines.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "jaxmlp"})
    figure = Figure(figsize=(9, 1 + 0.24 * len(answers)), layout="constrained")
    axis = figure.subplots()
    texts = [question.text for question, _ in answers]
    margins = [
        found.ratio / question.target if question.of is None else question.target / found.ratio
        for question, found in answers
    ]
    axis.barh(texts, margins, color=["C0" if found.met else "C3" for _, found in answers])
    axis.axvline(1, color="0.3", linewidth=1)
    axis.set(xscale="log", xlabel="times better than the target")
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=7)
    figure.savefig(path, metadata={"Date": None})


def write_between(text: str, path: Path) -> None:
    """Puts a text between the two marks of a file, or makes a file of it.

    Raises:
        ValueError: The file has not exactly one of each.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else f"{BEGIN}\n{END}\n"
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        raise ValueError(f"{path.name} must have the lines {BEGIN!r} and {END!r} once each.")
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="all asked by default")
    parser.add_argument("--smoke", action="store_true", help="smallest sizes; wants --output")
    parser.add_argument("--output", type=Path, help="folder instead of benchmarks/")
    parser.add_argument(
        "--figures", type=Path, default=HERE.parent / "output" / "figures", help="folder of JSON"
    )
    arguments = parser.parse_args()
    if arguments.smoke and arguments.output is None:
        parser.error("--smoke needs --output FOLDER: its table is not one to keep.")
    output = arguments.output or HERE
    folder = output if arguments.smoke else arguments.figures
    for path in (output, folder):
        path.mkdir(parents=True, exist_ok=True)
    problems = []
    for name in arguments.only or (BENCHMARKS if arguments.smoke else ASKED):
        start = time.perf_counter()
        problem = run_benchmark(name, folder / f"{name}.jsonl", smoke=arguments.smoke)
        problems += [problem] if problem else []
        print(f"{name}: {problem or f'{time.perf_counter() - start:.0f} s'}", flush=True)
    found = {
        name: figures.read(path)
        for name in BENCHMARKS
        if (path := folder / f"{name}.jsonl").exists()
    }
    answers = [
        (question, answer(question, found.get(question.benchmark, []))) for question in QUESTIONS
    ]
    text = (
        f"{datetime.date.today().isoformat()}, {describe_machine()}\n\n{make_table(answers)}\n\n"
        "![Each ratio by its target](all.svg)\n"
    )
    write_between(text, output / "README.md")
    draw([(question, found) for question, found in answers if found], output / "all.svg")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
