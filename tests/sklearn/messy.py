"""A table with all kinds of columns, and a recipe that compiles quickly."""

import numpy as np
import pandas as pd

from jaxmlp.tabular import Recipe, TabularConfig

SMALL = Recipe(
    network=TabularConfig(hidden_features=(8,), activation="relu", embedding=None),
    members=2,
    folds=2,
    epochs=8,
    batch_size=64,
    learning_rate=0.05,
)


def messy_table(rows=100, *, seed=0):
    """Returns a frame and what depends on it: text of two classes."""
    draws = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": draws.normal(40, 10, rows),
            "town": draws.choice(["Ulm", "Rom", "Köln"], rows),
            "member": draws.choice([True, False], rows),
            "since": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(draws.integers(0, 900, rows), "D"),
            "kind": pd.Categorical(draws.choice([f"k{n}" for n in range(11)], rows)),
            "count": draws.integers(0, 9, rows),
        }
    )
    score = frame["age"] / 10 + 2 * (frame["town"] == "Ulm") + draws.normal(0, 0.3, rows)
    y = np.where(score > score.median(), "yes", "no")
    frame.loc[draws.random(rows) < 0.1, "age"] = np.nan
    frame.loc[draws.random(rows) < 0.1, "town"] = None
    frame.loc[draws.random(rows) < 0.1, "since"] = pd.NaT
    frame.loc[draws.random(rows) < 0.1, "kind"] = None
    frame["member"] = frame["member"].astype(object).where(draws.random(rows) > 0.1, None)
    return frame, y
