"""Estimators in files of their own, and in pickles."""

import json
import pickle
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest
import sklearn
from copying import WAYS
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.metrics import get_scorer

import jaxmlp
from jaxmlp import storage
from jaxmlp.sklearn import MLPClassifier, MLPRegressor, load

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
TABLE = pd.DataFrame(X, columns=["a", "b", "c", "größe"])
SETTINGS = {"preset": "sklearn", "max_iter": 4, "random_state": 0}
LABELLED, LABELS = make_multilabel_classification(60, random_state=0)

pytestmark = [
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning"),
    pytest.mark.filterwarnings("ignore:lbfgs failed:Warning"),
]


def same(one, other):
    """Whether two values are of the same types and bits all through."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        equal = one.tolist() == other.tolist() if one.dtype == object else None
        return one.dtype == other.dtype and (equal or np.array_equal(one, other))
    if isinstance(one, np.random.RandomState):
        return same(one.get_state(legacy=False), other.get_state(legacy=False))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return same(vars(one), vars(other)) if hasattr(one, "__dict__") else one == other


FITTED = {
    "classes of text": lambda: MLPClassifier(**SETTINGS).fit(TABLE, NAMES),
    "classes of objects": lambda: MLPClassifier(**SETTINGS).fit(X, NAMES.astype(object)),
    "two classes": lambda: MLPClassifier(**SETTINGS).fit(X.astype(np.float32), Y == 0),
    "labels": lambda: MLPClassifier(**SETTINGS).fit(LABELLED, LABELS),
    "weighted": lambda: MLPClassifier(
        class_weight={0: 1, 1: 2.5, 2: np.float32(3)}, **SETTINGS
    ).fit(X, Y.astype(np.int8)),
    "stopped early": lambda: MLPClassifier(
        early_stopping=True, scoring="neg_log_loss", **SETTINGS
    ).fit(X, Y),
    "numbers": lambda: MLPRegressor(solver="sgd", learning_rate="adaptive", **SETTINGS).fit(X, Y),
    "inverse scaling": lambda: MLPRegressor(
        solver="sgd", learning_rate="invscaling", **SETTINGS
    ).fit(X, np.stack([Y, Y], axis=1)),
    "counts": lambda: MLPRegressor("poisson", [8, np.int64(4)], **SETTINGS).fit(X, Y),
    "lbfgs": lambda: MLPRegressor(solver="lbfgs", **SETTINGS).fit(X, Y),
    "parts": lambda: MLPClassifier(random_state=np.random.RandomState(3)).partial_fit(
        X, Y, classes=[0, 1, 2]
    ),
    "infinite patience": lambda: MLPRegressor(n_iter_no_change=np.inf, **SETTINGS).fit(X, Y),
    "nothing": lambda: MLPRegressor(hidden_layer_sizes=(3, 2)),
}


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


@pytest.mark.parametrize("name", FITTED)
def test_everything_comes_back_bit_for_bit(name, tmp_path):
    estimator = FITTED[name]()
    for way in WAYS.values():
        assert same(way(estimator, tmp_path), estimator)


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "sklearn"},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"early_stopping": True, "warm_start": True},
    ],
    ids=str,
)
def test_training_goes_on_as_if_never_saved(settings, way, tmp_path):
    estimator = MLPClassifier(max_iter=3, random_state=np.random.RandomState(1), **settings)
    other = way(estimator.fit(X, NAMES), tmp_path)
    for one in (estimator, other):
        one.fit(X, NAMES) if "warm_start" in settings else one.partial_fit(X, NAMES)
    assert same(other, estimator)
    np.testing.assert_array_equal(other.predict_proba(X), estimator.predict_proba(X))


def test_routed_arguments_come_back(tmp_path):
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = MLPRegressor().set_fit_request(sample_weight=True, X_val="rows")
        other = WAYS["file"](estimator, tmp_path)
        assert str(other.get_metadata_routing()) == str(estimator.get_metadata_routing())


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_pickles_and_files_hold_no_rows(kind, tmp_path):
    sizes = []
    for times in (1, 20):
        x, y = np.tile(X, (times, 1)), np.tile(Y, times)
        estimator = kind(early_stopping=True, batch_size=100, **SETTINGS).fit(x, y)
        leaves = jax.tree.leaves(vars(estimator))
        assert not [leaf for leaf in leaves if np.size(leaf) > 1000]
        estimator.save(tmp_path / "model.safetensors")
        sizes.append(
            (len(pickle.dumps(estimator)), (tmp_path / "model.safetensors").stat().st_size)
        )
    np.testing.assert_allclose(*sizes, atol=100)
    # Weights, the best ones, and the two moments of adam.
    weights = sum(array.nbytes for array in (*estimator.coefs_, *estimator.intercepts_))
    assert max(sizes[0]) < 4 * weights + 8000


def test_another_process_predicts_the_same(tmp_path):
    script = (
        "import pickle, sys, numpy as np; from sklearn.datasets import load_iris; "
        "from jaxmlp.sklearn import load; x = load_iris().data; "
        "estimators = [load(sys.argv[1]), pickle.load(open(sys.argv[2], 'rb'))]; "
        "np.save(sys.argv[3], [estimator.predict_proba(x) for estimator in estimators])"
    )
    estimator = MLPClassifier(early_stopping=True, **SETTINGS).fit(X, Y)
    paths = [str(tmp_path / name) for name in ("model.safetensors", "model.pickle", "out.npy")]
    estimator.save(paths[0])
    with open(paths[1], "wb") as file:
        pickle.dump(estimator, file)
    subprocess.run([sys.executable, "-c", script, *paths], check=True)
    for probabilities in np.load(paths[2]):
        np.testing.assert_array_equal(probabilities, estimator.predict_proba(X))


def test_a_class_reads_its_own_files(tmp_path):
    path = tmp_path / "model.safetensors"
    MLPClassifier(alpha=0.5).save(path)
    assert MLPClassifier.load(path).alpha == 0.5
    with pytest.raises(jaxmlp.CheckpointError, match="class 'MLPClassifier', not of MLPRegressor"):
        MLPRegressor.load(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"callbacks": [print]}, r"callbacks\.0 is a builtin_function_or_method"),
        ({"callbacks": lambda *_: None}, r"callbacks is a function.*set_params\(callbacks=None\)"),
        ({"scoring": get_scorer("r2")}, "scoring is a _Scorer, which a file cannot hold"),
    ],
)
def test_what_cannot_be_stored_is_named_and_nothing_is_written(settings, message, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("before")
    with pytest.raises(TypeError, match=message):
        MLPRegressor(**settings).save(path)
    assert path.read_text() == "before"


def test_attributes_of_a_user_that_cannot_be_stored_are_named(tmp_path):
    estimator = MLPRegressor()
    estimator.note_ = {"made by": object()}
    with pytest.raises(TypeError, match=r"note_\.0\.1 is a object"):
        estimator.save(tmp_path / "model.safetensors")


def test_files_that_hold_no_estimator_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    config = jaxmlp.MLPConfig(in_features=2, out_features=1)
    jaxmlp.save(path, config, jaxmlp.init_params(config, key=jax.random.key(0)))
    with pytest.raises(jaxmlp.CheckpointError, match=r"no file of an estimator's save"):
        load(path)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    MLPRegressor(**SETTINGS).fit(X, Y).save(path)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], b"", whole[:-9] + b"x" + whole[-8:]):
        path.write_bytes(damaged)
        with pytest.raises(jaxmlp.CheckpointError, match="is not a usable checkpoint"):
            load(path)


def rewrite(path, *, metadata=None, **values):
    """Writes a file of an estimator with other values, as a later version or a forger might."""
    contents = storage.read(path)
    text = json.loads(bytes(contents.arrays["values.json"]))
    for part, changes in values.items():
        text[part] |= changes
    arrays = contents.arrays | {"values.json": np.frombuffer(json.dumps(text).encode(), np.uint8)}
    storage.write_atomically(path, storage.encode(arrays, contents.metadata | (metadata or {})))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metadata": {"jaxmlp.estimator_format": "2"}}, "written by a newer jaxmlp"),
        ({"metadata": {"jaxmlp.estimator": "SVC"}}, "class 'SVC'"),
        ({"arguments": {"new": 1}}, "was it written by a newer one.*'new'"),
        ({"attributes": {"coefs_": {"os.system": {"command": "true"}}}}, "KeyError.*os.system"),
        ({"attributes": {"coefs_": {"array": "absent"}}}, "KeyError.*absent"),
        ({"attributes": {"predict": 1}}, "'predict' is no attribute of a fit"),
        ({"attributes": {"__class__": 1}}, "'__class__' is no attribute of a fit"),
        ({"attributes": {"alpha": 1}}, "'alpha' is no attribute of a fit"),
        ({"attributes": {"x_": {"times": ["O", "coefs_.0"]}}}, "'O' is no type of times"),
        ({"attributes": {"x_": {"Dense": {"kernel": 1}}}}, "TypeError"),
    ],
    ids=str,
)
def test_files_with_something_else_in_them_are_refused(changes, message, tmp_path):
    path = tmp_path / "model.safetensors"
    MLPRegressor().save(path)
    rewrite(path, **changes)
    with pytest.raises(jaxmlp.CheckpointError, match=message):
        load(path)


def test_arguments_that_a_file_lacks_are_the_usual_ones(tmp_path):
    path = tmp_path / "model.safetensors"
    MLPRegressor(alpha=0.5, progress=True).save(path)
    contents = storage.read(path)
    text = json.loads(bytes(contents.arrays["values.json"]))
    del text["arguments"]["progress"]
    arrays = {"values.json": np.frombuffer(json.dumps(text).encode(), np.uint8)}
    storage.write_atomically(path, storage.encode(arrays, contents.metadata))
    assert load(path).get_params() == MLPRegressor(alpha=0.5).get_params()
