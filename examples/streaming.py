"""Trains on a table larger than its share of memory: streamed from Parquet, stopped and resumed."""

# %% Sizes, and where the table goes
import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
import optax

import jaxmlp

parser = argparse.ArgumentParser(description="Trains on a table that does not fit into memory.")
parser.add_argument("--output", type=Path, help="folder for the table; a temporary one if missing")
parser.add_argument("--smoke", action="store_true", help="a tiny table, two epochs")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)  # a notebook: the defaults
groups, group_rows, epochs = (4, 512, 2) if args.smoke else (512, 8192, 3)
features, batch_size = 64, 256

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError:
    sys.exit("This example writes Parquet: pip install pyarrow")

# %% A table that is never in memory as a whole: 1 GiB, written in row groups of 2 MiB
names = [f"x{number}" for number in range(features)]
direction = np.random.default_rng(0).normal(size=features).astype(np.float32)


def make_group(number):
    generator = np.random.default_rng((1, number))
    x = generator.normal(size=(group_rows, features)).astype(np.float32)
    y = np.sin(x @ direction / 4) + 0.1 * generator.normal(size=group_rows)
    columns = dict(zip(names, x.T.copy(), strict=True))
    return pa.table(columns | {"y": y.astype(np.float32)})


temporary = tempfile.TemporaryDirectory()
folder = args.output or Path(temporary.name)
folder.mkdir(parents=True, exist_ok=True)
path = folder / "table.parquet"
schema = make_group(0).schema
# Numbers that hardly repeat need no dictionary, and are read faster without.
with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
    for number in range(groups):
        writer.write_table(make_group(number), row_group_size=group_rows)
file_mib = path.stat().st_size / 2**20


# %% The same loader for `fit` and for a loop of one's own
def make_loader():
    source = jaxmlp.sources.parquet(path, y="y")
    return jaxmlp.DataLoader(source, batch_size=batch_size, shuffle=True, window_chunks=8)


config = jaxmlp.MLPConfig(in_features=features, hidden_features=(128, 128), out_features=1)
loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.squared_error)
params = jaxmlp.init_params(config, key=jax.random.key(0))
optimizer, key = optax.adam(1e-3), jax.random.key(1)


def peak_mib():
    status = Path("/proc/self/status")  # on Linux
    kib = status.read_text().partition("VmHWM:")[2].split()[0] if status.exists() else "nan"
    return float(kib) / 1024


before_mib = peak_mib()

# %% `fit` reads ahead while the device computes; in a terminal it shows its progress
fitted = jaxmlp.fit(loss_fn, optimizer, params, make_loader(), epochs=epochs, key=key)
print("loss by epoch:", *(f"{loss:.4f}" for loss in fitted.history["loss"]))

# %% By hand, stopped within the second epoch: a few numbers say where
train_step = jaxmlp.make_train_step(loss_fn, optimizer)
state = jaxmlp.init_state(params, optimizer, key=key)
loader = make_loader()
stop_at = len(loader) + len(loader) // 3
while int(state.step) < stop_at:
    for batch in itertools.islice(loader, stop_at - int(state.step)):
        state, metrics = train_step(state, batch)
saved = json.dumps(loader.state_dict())

# %% Resumed with a new loader: the same parameters as if nothing had happened, bit for bit
loader = make_loader()
loader.load_state_dict(json.loads(saved))
while int(state.step) < epochs * len(loader):
    for batch in loader:
        state, metrics = train_step(state, batch)
jax.tree.map(np.testing.assert_array_equal, state.params, fitted.params)
print(f"resumed at step {stop_at} of {int(state.step)}: the parameters of fit, bit for bit")

# %% Memory: two windows and a few blocks, whatever the size of the file
print(f"peak memory {peak_mib():.0f} MiB, {before_mib:.0f} before; table {file_mib:.0f} MiB")
