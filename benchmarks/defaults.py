"""Asks which initial parameters are a good default: what nets end at, by the law they started from.

    python3 run.py benchmarks/defaults.py --data FOLDER --first-split 100

Every contestant trains the same networks: each data set, depth, activation and learning rate, with
the same splits, orders of rows and keys; inputs and regression targets standardised, Adam, early
stopping on the validation loss, parameters of the best epoch. The score is the error on the test
rows: RMSE in standard deviations of the target, or the share of wrong classes (`--loss`: the
cross-entropy). All contestants of a data set, depth and activation are members of one
`fit_members`. A difference is the mean over cells, split by split, and its standard error is that
over splits: splits and keys are the pairs. FOLDER may hold further data sets as `.npz` files.
"""

import argparse
import csv
import dataclasses
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import figures
import jax
import jax.numpy as jnp
import numpy as np
import optax
from defaults_data import DataSet, load_all, split_rows
from machine import describe_machine

import jaxmlp


class Law(NamedTuple):
    """Where kernels and biases are drawn from: names of `kernel_init`, and factors on them.

    Without a name, a contestant is what `init_params` draws by default.
    """

    hidden: str | None
    first: str | None = None  # as the other hidden layers
    output_factor: float = 1.0
    bias_factor: float = 0.0  # times biases of PyTorch's


# The first three are peers' defaults; then he_normal, with one change each; then neighbours.
CONTESTANTS = {
    "torch": Law("torch", bias_factor=1.0),
    "keras": Law("glorot_uniform"),
    "flax": Law("lecun_normal"),
    "he_normal": Law("he_normal"),
    "he, output": Law("he_normal", output_factor=0.3),
    "he, first": Law("he_normal", first="torch"),
    "he, biases": Law("he_normal", bias_factor=3.0),
    "he, all three": Law("he_uniform", first="torch", output_factor=0.3, bias_factor=3.0),
    "biases 2": Law("lecun_uniform", first="torch", output_factor=0.3, bias_factor=2.0),
    "output 0.1": Law("lecun_uniform", first="torch", output_factor=0.1, bias_factor=3.0),
    "default": Law(None),
}
PEERS = ("torch", "keras", "flax")


class Cell(NamedTuple):
    """What the contestants share but for the learning rate."""

    name: str
    depth: int
    activation: str


class Score(NamedTuple):
    name: str
    depth: int
    activation: str
    rate: float
    split: int
    contestant: str
    error: float
    loss: float
    best_epoch: int


def draw(law: Law, config: jaxmlp.MLPConfig, key: jax.Array) -> jaxmlp.Params:
    """Draws a contestant's parameters, each layer from its own law, all with the same key."""
    if law.hidden is None:
        return jaxmlp.init_params(config, key=key)

    def drawn(name: str | None) -> jaxmlp.Params:
        kind: Any = name or law.hidden
        return jaxmlp.init_params(
            dataclasses.replace(config, kernel_init=kind, output_kernel_scale=1.0), key=key
        )

    base, biases = drawn(None), drawn("torch")
    output = base.output._replace(kernel=base.output.kernel * np.float32(law.output_factor))
    layers = (drawn(law.first).hidden[0], *base.hidden[1:], output)
    made = [
        jaxmlp.Dense(dense.kernel, np.float32(law.bias_factor) * jnp.asarray(other.bias))
        for dense, other in zip(layers, (*biases.hidden, biases.output), strict=True)
    ]
    return jaxmlp.Params(tuple(made[:-1]), made[-1])


def run_cell(
    cell: Cell, data: DataSet, contestants: list[str], options: argparse.Namespace
) -> Iterator[Score]:
    """Trains all contestants at all learning rates, one split after the other."""
    config = jaxmlp.MLPConfig(
        in_features=data.x.shape[1],
        hidden_features=(options.width,) * cell.depth,
        out_features=data.classes or 1,
        activation=cell.activation,  # type: ignore  (argparse checks it)
    )
    losses = jaxmlp.losses
    criterion = losses.softmax_cross_entropy if data.classes else losses.squared_error
    loss_fn = jaxmlp.make_loss(config, criterion)
    predict = jax.jit(jax.vmap(lambda p, x: jaxmlp.apply(p, x, config=config), in_axes=(0, None)))

    def make_optimizer(h):
        return optax.adam(h["rate"])

    members = [(rate, name) for rate in options.rates for name in contestants]
    for split in range(options.first_split, options.first_split + options.splits):
        rows = split_rows(data, split, options.rows)
        loader = jaxmlp.DataLoader(
            *rows.train, batch_size=min(options.batch_size, len(rows.train[0])), shuffle=True
        )
        steps = len(rows.train[0]) / options.batch_size
        key = jax.random.key(split)
        drawn = {name: draw(CONTESTANTS[name], config, key) for name in contestants}
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(drawn[c] for _, c in members))
        result = jaxmlp.fit_members(
            loss_fn,
            make_optimizer,
            stacked,
            loader,
            epochs=int(np.clip(options.steps / steps, 20, options.epochs)),
            keys=jax.random.split(key, len(members)),
            seeds=[split] * len(members),
            hyperparameters={"rate": [rate for rate, _ in members]},
            validation=rows.validation,
            patience=options.patience,
            nonfinite="stop",
        )
        outputs = np.asarray(predict(result.params, rows.test[0]), np.float64)
        for (rate, contestant), out, epoch in zip(members, outputs, result.best_epoch, strict=True):
            error, loss = measure(out, rows.test[1], data.classes)
            yield Score(*cell, rate, split, contestant, error, loss, int(epoch))


def measure(outputs: np.ndarray, y: np.ndarray, classes: int) -> tuple[float, float]:
    """Returns RMSE and half its square, or the share of wrong classes and the cross-entropy."""
    if not classes:
        mean_square = float(np.mean((outputs[:, 0] - y) ** 2))
        return mean_square**0.5, mean_square / 2
    top = outputs.max(axis=1)
    log_sum = top + np.log(np.exp(outputs - top[:, None]).sum(axis=1))
    cross_entropy = np.mean(log_sum - np.take_along_axis(outputs, y[:, None], 1)[:, 0])
    return float(np.mean(outputs.argmax(axis=1) != y)), float(cross_entropy)


def print_tables(scores: list[Score], field: str) -> None:
    """Prints, per group of cells, every contestant less the best peer, and its standard error."""
    groups: dict[str, Callable[[Score], Any]] = {
        "data set": lambda s: s.name,
        "depth": lambda s: s.depth,
        "activation": lambda s: s.activation,
        "learning rate": lambda s: s.rate,
    }
    contestants = list(dict.fromkeys(s.contestant for s in scores))
    for title, group_of in groups.items():
        print(f"\n| {title} | best peer | {' | '.join(contestants)} |")
        print("|---" * (2 + len(contestants)) + "|")
        for group in dict.fromkeys(map(group_of, scores)):
            means = means_by_split([s for s in scores if group_of(s) == group], field)
            peers = [name for name in contestants if name in PEERS] or contestants
            best = min(peers, key=lambda name: means[name].mean())
            cells = [_difference(means[name], means[best]) for name in contestants]
            print(f"| {group} | {best} {means[best].mean():.4f} | {' | '.join(cells)} |")


def means_by_split(scores: list[Score], field: str) -> dict[str, np.ndarray]:
    """Returns a mean per split and contestant, of errors by the mean error of their data set."""
    names = {s.name for s in scores}
    sizes = {n: np.mean([getattr(s, field) for s in scores if s.name == n]) for n in names}
    if len(names) == 1:
        sizes = dict.fromkeys(names, 1.0)
    found: dict[str, dict[int, list[float]]] = {}
    for s in scores:
        by_split = found.setdefault(s.contestant, {})
        by_split.setdefault(s.split, []).append(getattr(s, field) / sizes[s.name])
    return {
        name: np.array([np.mean(values) for _, values in sorted(by_split.items())])
        for name, by_split in found.items()
    }


def make_figures(scores: list[Score], field: str, ours: str) -> list[figures.Figure]:
    """Returns mean errors per data set, by those of one contestant."""
    found = []
    for name in dict.fromkeys(s.name for s in scores):
        means = means_by_split([s for s in scores if s.name == name], field)
        for contestant, values in means.items():
            ratio = float(values.mean() / means[ours].mean())
            found.append(figures.Figure(name, contestant, float(values.mean()), field, ratio))
    return found


def _difference(ours: np.ndarray, best: np.ndarray) -> str:
    """Says the mean difference in per cent of the best peer, with its standard error."""
    percent = 100 * (ours - best) / best.mean()
    spread = percent.std(ddof=1) / len(percent) ** 0.5 if len(percent) > 1 else np.nan
    mark = "**" if percent.mean() > 2 * spread else ""
    return f"{mark}{percent.mean():+.1f} ± {spread:.1f}{mark}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of .npz files: further data sets")
    parser.add_argument("--sets", nargs="+", help="names of data sets; all by default")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first-split", type=int, default=0, help="number of the first split")
    parser.add_argument("--rows", type=int, default=1000, help="most training rows")
    parser.add_argument("--depths", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--activations", nargs="+", default=["relu", "tanh", "silu"])
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-3, 1e-2])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=200, help="most epochs")
    parser.add_argument("--steps", type=int, default=2000, help="most steps, beyond 20 epochs")
    parser.add_argument("--patience", type=int, default=12)
    parser.add_argument("--loss", action="store_true", help="compare losses instead of errors")
    parser.add_argument("--save", type=Path, help="CSV file for the score of every run")
    figures.add_option(parser)
    parser.add_argument("--quick", action="store_true", help="two splits of two small data sets")
    options = parser.parse_args()
    if options.quick:
        options.sets, options.splits = options.sets or ["diabetes", "wine"], 2
        options.epochs, options.depths = 20, [1, 2]
    data_sets = load_all(options.data)
    names = options.sets or list(data_sets)
    if unknown := set(names) - data_sets.keys():
        parser.error(f"unknown data sets {sorted(unknown)}; known: {', '.join(data_sets)}")
    print("## What networks end at, by their initial parameters\n")
    print(f"{describe_machine()}\n\n{' '.join(sys.argv[1:])}")
    print("\nPer cent above the best peer, ± standard error; bold where more than twice that\n")
    scores, start = [], time.perf_counter()
    for name in names:
        for depth, activation in itertools.product(options.depths, options.activations):
            cell = Cell(name, int(depth), str(activation))
            scores += run_cell(cell, data_sets[name], options.contestants, options)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        if options.save is not None:
            with options.save.open("w", newline="") as file:
                csv.writer(file).writerows([Score._fields, *scores])
    field = "loss" if options.loss else "error"
    print_tables(scores, field)
    figures.write(options.json, make_figures(scores, field, options.contestants[-1]))


if __name__ == "__main__":
    main()
