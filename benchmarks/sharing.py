"""What does a fit cost after the first: with new but equal functions, other seeds, folds, epochs?

    python3 run.py benchmarks/sharing.py

Each fit of a small table makes its config, loss, optimizer and loader anew, as a function that is
called in a loop does. "equal" changes nothing that is computed; "folds" and "epochs" change the
number of rows or epochs; "rates" change the learning rate, so that each is compiled. A figure is
the median over the 7 fits after the first, in seconds, by that of the first fit of the process.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import figures
import jax
import numpy as np
import optax
from machine import describe_machine

import jaxmlp

FITS = 8
generator = np.random.default_rng(0)
X = generator.normal(size=(1000, 20)).astype(np.float32)
Y = (X[:, :3].sum(axis=1) > 0).astype(int)


def fit(*, seed: int = 0, rows: int = 1000, epochs: int = 40, rate: float = 1e-3) -> float:
    """Returns the seconds that a fit takes, from its config to its result."""
    begin = time.perf_counter()
    config = jaxmlp.MLPConfig(in_features=20, hidden_features=(32, 32), out_features=2)
    loss_fn = jaxmlp.make_loss(
        config, jaxmlp.losses.softmax_cross_entropy, metrics={"accuracy": jaxmlp.metrics.accuracy}
    )
    loader = jaxmlp.DataLoader(X[:rows], Y[:rows], batch_size=32, shuffle=True, seed=seed)
    params = jaxmlp.init_params(config, key=jax.random.key(seed))
    result = jaxmlp.fit(
        *(loss_fn, optax.adam(rate), params, loader),
        epochs=epochs,
        key=jax.random.key(seed),
        validation=(X[rows - 200 :], Y[rows - 200 :]),
    )
    jax.block_until_ready(result.params)
    return time.perf_counter() - begin


CONTESTANTS: dict[str, Callable[[int], float]] = {
    "equal": lambda number: fit(seed=number),
    "folds": lambda number: fit(rows=990 + number),
    "epochs": lambda number: fit(epochs=38 + number),
    "rates": lambda number: fit(rate=1e-3 * (1 + number / 10)),
}


def main() -> None:
    """Prints a row per contestant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=FITS, help="of each kind, at least 2")
    figures.add_option(parser)
    arguments = parser.parse_args()
    print(describe_machine())
    first = fit()
    print(f"{'first fit':10} {first:8.3f} s")
    rounds = [
        {name: run(number) for name, run in CONTESTANTS.items()}
        for number in range(1, arguments.fits)
    ]
    found = []
    for name in CONTESTANTS:
        seconds = statistics.median(times[name] for times in rounds)
        print(f"{name:10} {seconds:8.3f} s  {seconds / first:6.3f} of the first")
        found.append(figures.Figure("1,000 x 20", name, seconds, "s", seconds / first))
    figures.write(arguments.json, found)


if __name__ == "__main__":
    main()
