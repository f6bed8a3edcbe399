"""Asks where the norm and the dropout of a hidden layer belong: before or after the activation?

    python3 run.py benchmarks/placements.py --data FOLDER --splits 4

Contestants are forward passes written by hand over the same parameters, trained as in
`defaults.py`: same splits, orders of rows and keys, early stopping on the validation loss. The
first of each kind is what `jaxmlp.apply` does. Score and table as there.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import figures
import jax
import jax.numpy as jnp
import numpy as np
import optax
from defaults import Score, make_figures, measure, print_tables
from defaults_data import DataSet, load_all, split_rows
from machine import describe_machine

import jaxmlp

# The order of a layer's operations on its net input: activation f, norm n, dropout d.
NORMS = ("nf", "fn", "f")
DROPOUTS = ("nfd", "nf", "ndf", "dnf", "fdn")
DROPOUT_RATE = 0.2


def forward(params: Any, x: Any, order: str, activation: Callable, key: Any) -> jax.Array:
    """Computes outputs; each hidden layer does its operations in the given order."""
    for index, dense in enumerate(params.hidden):

        def normalise(z, norm=dense.norm):
            centred = z - z.mean(axis=-1, keepdims=True)
            unit = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5)
            return unit * norm.scale + norm.bias

        def drop(a, index=index):
            if key is None:
                return a
            keep = jax.random.bernoulli(jax.random.fold_in(key, index), 1 - DROPOUT_RATE, a.shape)
            return jnp.where(keep, a / (1 - DROPOUT_RATE), 0)

        x = x @ dense.kernel + dense.bias
        for operation in order:
            x = {"f": activation, "n": normalise, "d": drop}[operation](x)
    return x @ params.output.kernel + params.output.bias


def run_cell(
    name: str, depth: int, activation: str, data: DataSet, options: argparse.Namespace
) -> Iterator[Score]:
    """Trains all contestants at all learning rates, one split after the other."""
    contestants = DROPOUTS if options.dropout else NORMS
    config = jaxmlp.MLPConfig(
        in_features=data.x.shape[1],
        hidden_features=(64,) * depth,
        out_features=data.classes or 1,
        norm="layer",
    )
    losses = jaxmlp.losses
    criterion = losses.softmax_cross_entropy if data.classes else losses.squared_error
    function = jnp.tanh if activation == "tanh" else getattr(jax.nn, activation)

    def make_loss(h):
        def loss_fn(params, batch, key):
            outputs = forward(params, batch.x, h["order"], function, key)
            return jaxmlp.weighted_mean(criterion(outputs, batch.y), batch.weight), {}

        return loss_fn

    members = [(rate, order) for order in contestants for rate in options.rates]
    for split in range(options.splits):
        rows = split_rows(data, split, options.rows)
        key = jax.random.key(split)
        params = jaxmlp.init_params(config, key=key)
        result = jaxmlp.fit_members(
            make_loss,
            lambda h: optax.adam(h["rate"]),
            jax.tree.map(lambda leaf: np.stack([leaf] * len(members)), params),
            jaxmlp.DataLoader(*rows.train, batch_size=64, shuffle=True),
            epochs=int(np.clip(options.steps * 64 / len(rows.train[0]), 20, 200)),
            keys=jnp.stack([key] * len(members)),
            seeds=[split] * len(members),
            hyperparameters={
                "rate": [rate for rate, _ in members],
                "order": [order for _, order in members],
            },
            validation=rows.validation,
            patience=15,
        )
        for number, (rate, order) in enumerate(members):
            found = result.member(number)
            out = np.asarray(forward(found, rows.test[0], order, function, None))
            scores = measure(out.astype(np.float64), rows.test[1], data.classes)
            epoch = int(result.best_epoch[number])
            yield Score(name, depth, activation, rate, split, order, *scores, epoch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of .npz files: further data sets")
    parser.add_argument(
        "--sets", nargs="+", help="names of data sets, those of load_all; all by default"
    )
    parser.add_argument("--dropout", action="store_true", help="of dropout instead of norms")
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--rows", type=int, default=1000, help="most training rows")
    parser.add_argument("--depths", nargs="+", type=int, default=[2])
    parser.add_argument("--activations", nargs="+", default=["relu", "silu"])
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-3, 1e-2])
    parser.add_argument("--steps", type=int, default=2000, help="most steps, beyond 20 epochs")
    figures.add_option(parser)
    options = parser.parse_args()
    data_sets = load_all(options.data)
    if unknown := set(options.sets or ()) - set(data_sets):
        parser.error(f"--sets must be of {', '.join(data_sets)}; got {', '.join(unknown)}")
    print("## Where norm and dropout belong\n")
    print(f"{describe_machine()}\n\n{' '.join(sys.argv[1:])}")
    print("\nPer cent above the best, ± standard error; bold where more than twice that\n")
    scores = []
    for name in options.sets or data_sets:
        for depth in options.depths:
            for activation in options.activations:
                scores += run_cell(name, int(depth), activation, data_sets[name], options)
        print(name, file=sys.stderr, flush=True)
    print_tables(scores, "error")
    ours = (DROPOUTS if options.dropout else NORMS)[0]
    figures.write(options.json, make_figures(scores, "error", ours))


if __name__ == "__main__":
    main()
