"""Ways on which an estimator leaves and comes back."""

import copy
import pickle

import joblib

from jaxmlp.sklearn import load


def by_file(estimator, tmp_path):
    estimator.save(tmp_path / "model.safetensors")
    return load(tmp_path / "model.safetensors")


def by_joblib(estimator, tmp_path):
    joblib.dump(estimator, tmp_path / "model.joblib")
    return joblib.load(tmp_path / "model.joblib")


WAYS = {
    "file": by_file,
    "pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator)),
    "joblib": by_joblib,
    "deepcopy": lambda estimator, _: copy.deepcopy(estimator),
}
