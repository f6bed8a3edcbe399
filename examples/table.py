"""From a messy table to a saved model: categories, dates, missing values; scores and a picture."""

# %% Where the results go
import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score, train_test_split

from jaxmlp.sklearn import MLPClassifier

parser = argparse.ArgumentParser(description="Learns from a table with all that tables have.")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the results")
parser.add_argument("--smoke", action="store_true", help="two networks, three epochs")
args = parser.parse_args([] if "ipykernel" in sys.modules else None)  # a notebook: the defaults
networks, epochs = (2, 3) if args.smoke else (None, 200)

# %% 569 tumours; three columns become categories and a date, and every tenth value goes missing
data: Any = load_breast_cancer(as_frame=True)
table: pd.DataFrame = data.data[[name for name in data.data if name.startswith("mean")]].copy()
rng = np.random.default_rng(0)
quarters: Any = pd.qcut(table["mean smoothness"], 4, labels=["low", "middle", "high", "top"])
table["mean smoothness"] = quarters
table["mean symmetry"] = table["mean symmetry"] > table["mean symmetry"].median()
table["clinic"] = [f"clinic {number}" for number in rng.integers(12, size=len(table))]
table["seen on"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(
    rng.integers(300, size=len(table)), "D"
)
table = table.mask(rng.random(table.shape) < 0.1)
table["mean smoothness"] = table["mean smoothness"].astype(quarters.dtype)
diagnosis = pd.Series(data.target_names[data.target])
rows, test_rows = train_test_split(range(569), stratify=diagnosis, random_state=0)
x_train, x_test = table.iloc[rows], table.iloc[test_rows]
y_train, y_test = diagnosis.iloc[rows], diagnosis.iloc[test_rows]
print(x_train.dtypes.value_counts().to_string())

# %% The table as it is; class weights, since a malignant tumour that is missed costs more
costs = {"malignant": 2, "benign": 1}
model = MLPClassifier(class_weight=costs, n_ensemble=networks, max_iter=epochs, random_state=0)
model.fit(x_train, y_train)
print(f"test accuracy {model.score(x_test, y_test):.3f} from {model.recipe_.members} networks")

# %% Beside gradient boosting, on the same five folds
boosting = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
numbers = table.assign(**{"seen on": table["seen on"].astype("int64")})
for name in ("clinic", "mean symmetry"):
    numbers[name] = numbers[name].astype("category")
folds = {"cv": 2 if args.smoke else 5, "scoring": "neg_log_loss"}
plain = MLPClassifier(n_ensemble=networks, max_iter=epochs, random_state=0)
for name, estimator, x in (("MLP", plain, table), ("boosting", boosting, numbers)):
    scores = -cross_val_score(estimator, x, diagnosis, **folds)
    print(f"{name}: log loss {scores.mean():.3f} (standard error {scores.std() / 5**0.5:.3f})")

# %% What it looks at
importances: Any = permutation_importance(model, x_test, y_test, n_repeats=2, random_state=0)
means = pd.Series(importances["importances_mean"], table.columns)
print(means.sort_values(ascending=False).head().round(3).to_string())

# %% One file, without pickle; another process needs nothing else to predict one row
args.output.mkdir(parents=True, exist_ok=True)
model.save(args.output / "table.safetensors")
again = MLPClassifier.load(args.output / "table.safetensors")
print(again.predict(x_test.iloc[:1]), again.predict_proba(x_test.iloc[:1]).round(3))
print(f"test log loss {log_loss(y_test, again.predict_proba(x_test)):.3f}")

# %% Losses of all epochs, and whether probabilities can be believed
figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
left, right = figure.subplots(1, 2)
model.plot_curves(ax=left)
CalibrationDisplay.from_estimator(model, x_test, y_test, n_bins=5, ax=right)
figure.savefig(args.output / "table.png")
