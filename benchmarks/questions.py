"""Lists what `all.py` runs and asks: each benchmark, each question, its target."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """How a script is called: in earnest, and at its smallest size."""

    arguments: tuple[str, ...] = ()
    smoke: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """A figure and its target.

    The ratios are those of `peers`, or of all others, by jaxmlp's, and the smallest must be at
    least the target. With `of`, it is the ratio of that contestant, by what its script compares it
    with, and must be at most the target.
    """

    text: str
    benchmark: str
    task: str
    target: float
    peers: tuple[str, ...] = ()
    of: str | None = None
    ours: str = "jaxmlp"


# Peers that a question names; the scripts have more.
TORCH = ("torch-1", "torch")
COMPILED = ("torch-compile", "torch-func")
QUICK = ("--rounds", "2", "--seconds", "0.02")
BENCHMARKS = {
    "step": Benchmark(smoke=QUICK),
    "fit": Benchmark(
        arguments=("--rounds", "7", "--peers", "scan", "sklearn", *TORCH, *COMPILED),
        smoke=(*QUICK, "--workloads", "W1", "--peers", "scan", "sklearn"),
    ),
    "xla_options": Benchmark(smoke=(*QUICK, "--workloads", "W1", "--options", "none", "--peers")),
    "ensemble": Benchmark(
        # A second is one epoch of 128 members and the drawing of their parameters.
        arguments=(
            *("--tasks", "W1x128", "W2x32", "--seconds", "4"),
            *("--peers", "vmap", *TORCH, "processes", "sklearn"),
        ),
        smoke=(*QUICK, "--tasks", "W1x2", "--peers", "vmap"),
    ),
    "start_to_trained": Benchmark(
        arguments=("--contestants", "jaxmlp", "jaxmlp-warm", *TORCH, "keras", "sklearn"),
        smoke=("--rounds", "1", "--contestants", "jaxmlp", "jaxmlp-warm", "sklearn"),
    ),
    "imports": Benchmark(smoke=("--rounds", "1")),
    "first_fit": Benchmark(smoke=("--rounds", "1")),
    "estimators": Benchmark(smoke=("--rounds", "2", "--quick")),
    "recipes": Benchmark(
        arguments=(
            *("--sets", "diabetes/breast cancer"),
            *("--only", "auto,scikit-learn,boosting,CatBoost,pytabkit RealMLP"),
        ),
        smoke=("--seeds", "1", "--sets", "wine", "--only", "auto,scikit-learn,boosting"),
    ),
    "searches": Benchmark(
        arguments=("--searches", "sklearn, 50 epochs"),
        smoke=("--rounds", "1", "--searches", "sklearn, 50 epochs of 16 units"),
    ),
    "search_peers": Benchmark(smoke=("--epochs", "2", "--tables", "friedman")),
    "predict": Benchmark(
        arguments=("--workloads", "W1"),
        smoke=(*QUICK, "--workloads", "W1", "--peers", "sklearn", "--rows", "1", "1000"),
    ),
    "data": Benchmark(
        arguments=("--batch-sizes", "32", "256"),
        smoke=(
            *(*QUICK, "--fit-seconds", "0.02", "--fit-workload", "W1"),
            *("--layouts", "memory", "--batch-sizes", "32", "--rows", "1000", "--peers", "hand"),
        ),
    ),
    "sharing": Benchmark(smoke=("--fits", "2")),
    "checkpoint": Benchmark(
        arguments=("--workloads", "W3"),
        smoke=("--rounds", "1", "--seconds", "0.05", "--workloads", "W1"),
    ),
    "recorder": Benchmark(
        arguments=("--epochs", "100", "200", "1000"), smoke=("--rounds", "1", "--epochs", "10")
    ),
    "machines": Benchmark(
        arguments=("--only", "sweeps", "--epochs", "1000", "--rounds", "1"),
        smoke=(
            *("--rounds", "1", "--workloads", "W1", "--step-epochs", "1", "--members", "20"),
            *("--epochs", "2", "--executors", "processes"),
        ),
    ),
    "scale": Benchmark(smoke=("--smoke", "--dimensions", "members")),
    "gpu": Benchmark(smoke=(*QUICK, "--smoke", "--allow-cpu")),
    "placements": Benchmark(
        smoke=(
            *("--sets", "diabetes", "--splits", "2", "--steps", "1", "--rows", "100"),
            *("--activations", "relu", "--rates", "0.01"),
        )
    ),
    "defaults": Benchmark(
        smoke=(
            *("--sets", "diabetes", "--splits", "2", "--epochs", "20", "--rows", "100"),
            *("--depths", "1", "--activations", "relu", "--rates", "0.01", "--width", "8"),
            *("--contestants", "torch", "default"),
        )
    ),
}
ON_GPU = ("torch", *COMPILED)
QUESTIONS = (
    Question(
        text="the jitted step, by one written by hand",
        benchmark="step",
        task="W1",
        target=0.98,
    ),
    Question(text="a step of `fit`, digits (W1), by PyTorch", benchmark="fit", task="W1",
             target=10, peers=TORCH),
    Question(text="the same, by scikit-learn", benchmark="fit", task="W1", target=8,
             peers=("sklearn",)),
    Question(text="the same, by JAX by hand", benchmark="fit", task="W1", target=1,
             peers=("scan",)),
    Question(text="a step of `fit`, table (W2), by PyTorch", benchmark="fit", task="W2",
             target=2, peers=TORCH),
    Question(text="the same, by compiled PyTorch", benchmark="fit", task="W2", target=1.3,
             peers=COMPILED),
    Question(text="the same, by JAX by hand", benchmark="fit", task="W2", target=1,
             peers=("scan",)),
    Question(text="a step of `fit`, MNIST-shaped (W3), by PyTorch", benchmark="fit", task="W3",
             target=1.5, peers=TORCH),
    Question(text="the same, by compiled PyTorch", benchmark="fit", task="W3", target=1.3,
             peers=COMPILED),
    Question(text="the same, by JAX by hand", benchmark="fit", task="W3", target=1,
             peers=("scan",)),
    Question(text="a step of `fit`, wide (W4), by JAX by hand", benchmark="fit", task="W4",
             target=1, peers=("scan",)),
    Question(text="a step of one of 128 members of W1, by all others", benchmark="ensemble",
             task="W1x128", target=2.5),
    Question(text="a step of one of 32 members of W2, by all others", benchmark="ensemble",
             task="W2x32", target=2),
    Question(text="start of Python to a trained network, cold", benchmark="start_to_trained",
             task="digits", target=1.25, peers=("torch", "torch-1", "keras")),
    Question(text="the same with a warm cache, by cold", benchmark="start_to_trained",
             task="digits", target=0.5, of="jaxmlp-warm"),
    Question(text="the same, by scikit-learn", benchmark="start_to_trained",
             task="digits, warm", target=1.25, peers=("sklearn",), ours="jaxmlp-warm"),
    Question(text="`import jaxmlp`, by `import jax, optax`", benchmark="imports", task="import",
             target=1.1, of="jaxmlp"),
    Question(text="an estimator's first fit with kept programs, by without",
             benchmark="first_fit", task="first fit", target=1 / 3, of="filled"),
    Question(text="an estimator's fit, 1,000 x 20", benchmark="estimators", task="1,000 x 20",
             target=3),
    Question(text="an estimator's fit, digits", benchmark="estimators",
             task="digits 1,797 x 64", target=3),
    Question(text="an estimator's predictions of 100,000 rows", benchmark="estimators",
             task="predict, 100,000 rows", target=1),
    Question(text="MLPSearchCV with twelve candidates, by GridSearchCV over our estimator",
             benchmark="searches", task="sklearn, 50 epochs", target=1),
    Question(text="`search` of 100 candidates with halving, digits, by scikit-learn",
             benchmark="search_peers", task="digits, jaxmlp", target=10),
    Question(text="the same by MLPSearchCV without halving", benchmark="search_peers",
             task="digits, MLPSearchCV", target=10, ours="MLPSearchCV"),
    Question(text="errors of what `search` found on unseen digits, by scikit-learn's",
             benchmark="search_peers", task="digits, unseen", target=1, peers=("GridSearchCV",)),
    Question(text="`search` of 100 candidates with halving, a table, by scikit-learn",
             benchmark="search_peers", task="friedman, jaxmlp", target=10),
    Question(text="the same by MLPSearchCV without halving", benchmark="search_peers",
             task="friedman, MLPSearchCV", target=10, ours="MLPSearchCV"),
    Question(text="errors of what `search` found on unseen rows, by scikit-learn's",
             benchmark="search_peers", task="friedman, unseen", target=1, peers=("GridSearchCV",)),
    Question(text="test error of the recipe, diabetes", benchmark="recipes", task="diabetes",
             ours="auto", target=1,
             peers=("scikit-learn", "boosting", "CatBoost", "pytabkit RealMLP")),
    Question(text="test error of the recipe, breast cancer", benchmark="recipes",
             task="breast cancer", ours="auto", target=1,
             peers=("scikit-learn", "boosting", "CatBoost")),
    Question(text="one row predicted, W1", benchmark="predict", task="W1, 1 rows",
             target=1 / 1.2,
             peers=("torch-1", "torch", "torch-compile", "sklearn", "onnx", "onnx-1")),
    Question(text="a million rows predicted, W1", benchmark="predict", task="W1, 1000000 rows",
             target=1,
             peers=("torch-1", "torch", "torch-compile", "sklearn", "onnx", "onnx-1")),
    Question(text="a batch of 32 rows in memory, by PyTorch's DataLoader", benchmark="data",
             task="memory, batch 32", target=50, peers=("torch-0", "torch-2")),
    Question(text="the same, by NumPy slices", benchmark="data", task="memory, batch 32",
             target=1, peers=("hand",)),
    Question(text="a step of `fit` over `.npy` files, by rows in memory", benchmark="data",
             task="fit of W3", target=1.11, of="npy"),
    Question(text="a step of `fit` over Parquet, by rows in memory", benchmark="data",
             task="fit of W3", target=1.11, of="parquet"),
    Question(text="a fit after the first with equal functions, by the first",
             benchmark="sharing", task="1,000 x 20", target=0.02, of="equal"),
    Question(text="`fit` with a checkpoint per second, by without", benchmark="checkpoint",
             task="W3", target=1.05, of="checkpoints"),
    Question(text="`fit` with a recorder, 200 epochs, by without", benchmark="recorder",
             task="200 epochs", target=1.05, of="recorder"),
    Question(text="10,000 members of 1,000 epochs by two processes, by the ideal",
             benchmark="machines", task="10,000 members of 1000 epochs", target=1.05,
             of="processes"),
    Question(text="the same by two workers of Dask", benchmark="machines",
             task="10,000 members of 1000 epochs", target=1.05, of="dask"),
    Question(text="peak memory of 10,000,000 rows, by what is needed", benchmark="scale",
             task="memory", target=1.2, of="rows 10000000"),
    Question(text="peak memory of 10,000 features, by what is needed", benchmark="scale",
             task="memory", target=1.2, of="features 10000"),
    Question(text="peak memory of layers of 4,096, by what is needed", benchmark="scale",
             task="memory", target=1.2, of="width 4096"),
    # Not measured where `gpu.py` finds none.
    Question(text="on a GPU: a step of `fit`, digits (W1), by PyTorch", benchmark="gpu",
             task="W1: digits 64-64-10, batch 32", target=10, peers=ON_GPU),
    Question(text="the same, by JAX by hand", benchmark="gpu",
             task="W1: digits 64-64-10, batch 32", target=1, peers=("scan",)),
    Question(text="on a GPU: a step of `fit`, MNIST-shaped (W3), by PyTorch", benchmark="gpu",
             task="W3: MNIST-shaped 784-512-512-10, batch 128", target=1.5, peers=ON_GPU),
    Question(text="the same, by JAX by hand", benchmark="gpu",
             task="W3: MNIST-shaped 784-512-512-10, batch 128", target=1, peers=("scan",)),
    Question(text="on a GPU: a step of one of 128 members of W1, by all others", benchmark="gpu",
             task="128 members of W1", target=2.5),
    Question(text="on a GPU: a million rows predicted, W1", benchmark="gpu",
             task="W1's network, 1,000,000 rows", target=1),
    Question(text="on a GPU: a step of `fit` over `.npy` files, by rows in memory",
             benchmark="gpu", task="W3 from files", target=0.9, peers=("memory",)),
)  # fmt: skip
ASKED = tuple(dict.fromkeys(question.benchmark for question in QUESTIONS))
