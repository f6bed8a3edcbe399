"""Turns one network per feature, given to each partner and taken back, into a page of the site.

`PYTHONPATH=.:tests python tests/interchange/supported.py > docs/guides/supported.md` writes the
page; test_supported.py compares it with what comes out.
"""

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("KERAS_BACKEND", "numpy")

import jax
import jax.numpy as jnp
import numpy as np
from network_family import params_of

import jaxmlp
from jaxmlp import interchange
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS, GATED_ACTIVATIONS

BASE = {"in_features": 3, "hidden_features": (4, 4), "out_features": 3}
SNAKE = jaxmlp.Activation("snake", lambda z: z + jnp.sin(z) ** 2, gain=1.0)
X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


class Case(NamedTuple):
    """A row of a table: settings beside those of `BASE`, and what else the parameters have."""

    title: str
    settings: dict
    standardised: bool = False
    members: int = 0


def named(field, names):
    return [Case(f"`{name}`", {field: name}) for name in names]


TABLES = {
    "Layers": [
        Case("hidden layers of one width", {}),
        Case("hidden layers of several widths", {"hidden_features": (4, 5, 6)}),
        Case("no hidden layer", {"hidden_features": ()}),
        Case("no biases", {"use_bias": False}),
        Case("norm `layer`", {"norm": "layer"}),
        Case("norm `rms`", {"norm": "rms"}),
        Case("norm `layer` of another epsilon", {"norm": "layer", "norm_epsilon": 1e-3}),
        Case("norm `layer` without biases", {"norm": "layer", "use_bias": False}),
        Case("residual sums", {"residual": True}),
        Case("dropout", {"dropout_rate": 0.25}),
        Case("standardisation of inputs", {}, standardised=True),
        Case("members of an ensemble", {}, members=3),
    ],
    "Types": [
        *(Case(f"`{name}`", {"param_dtype": name})
          for name in ("float32", "float64", "float16", "bfloat16")),
        *(Case(f"`float32`, computed in `{name}`", {"compute_dtype": name})
          for name in ("bfloat16", "float16", "float64")),
        Case("`float16`, standardised in `float32`", {"param_dtype": "float16"}, standardised=True),
    ],
    "Hidden activations": [
        *named("activation", (*ELEMENTWISE_ACTIVATIONS, *GATED_ACTIVATIONS)),
        Case("another one per layer", {"activation": ("tanh", "relu")}),
        Case("an `Activation` of your own", {"activation": SNAKE}),
    ],
    "Functions of outputs": [
        Case("none", {}),
        *named("output_activation", ("softmax", *ELEMENTWISE_ACTIVATIONS)),
        Case("an `Activation` of your own", {"output_activation": SNAKE}),
    ],
}  # fmt: skip


def through_file(write, read=None):
    """What writes a network into a file, and reads it where there is a reader."""

    def there_and_back(config, params):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "network", config, params)
            return read and read(Path(folder) / "network")

    return there_and_back


def through_sklearn(config, params):
    is_classifier = config.output_activation in ("softmax", "sigmoid")
    classes = range(config.out_features) if is_classifier else None
    return interchange.from_sklearn(interchange.to_sklearn(config, params, classes=classes))


PARTNERS = {
    "NumPy": through_file(interchange.to_numpy),
    "C": through_file(interchange.to_c),
    "ONNX": through_file(interchange.to_onnx, interchange.from_onnx),
    "StableHLO": through_file(interchange.to_stablehlo),
    "PyTorch": lambda c, p: interchange.from_torch(interchange.to_torch(c, p)),
    "scikit-learn": through_sklearn,
    "Keras": lambda c, p: interchange.from_keras(interchange.to_keras(c, p)),
    "NNX": lambda c, p: interchange.from_nnx(interchange.to_nnx(c, p)),
    "Linen": lambda c, p: interchange.from_linen(*interchange.to_linen(c, p)),
    "Equinox": lambda c, p: interchange.from_equinox(interchange.to_equinox(c, p)),
}
BOTH, OUT, REFUSED = "⇄", "→", "·"


def outputs(config, params):
    """Outputs of some rows; of members, those of each."""

    def of_network(each):
        return jaxmlp.apply(each, X, config=config)

    return of_network(params) if params.output.kernel.ndim == 2 else jax.vmap(of_network)(params)


def outcome(there_and_back, case):
    """`BOTH` if a network comes back with equal outputs bit for bit; an error that it does not."""
    config = jaxmlp.MLPConfig(**{**BASE, **case.settings})
    params = jax.tree.map(jnp.asarray, params_of(config, 0, standardised=case.standardised))
    if case.members:
        params = jax.tree.map(lambda a: jnp.stack([a, *[-a] * (case.members - 1)]), params)
    try:
        found = there_and_back(config, params)
    except ValueError:
        return REFUSED
    if found is None:
        return OUT
    np.testing.assert_array_equal(outputs(*found), outputs(config, params), err_msg=case.title)
    assert found[0].dropout_rate == config.dropout_rate
    return BOTH


def table(cases):
    """A table in Markdown with a line per case, and a column per partner."""
    yield f"| | {' | '.join(PARTNERS)} |"
    yield f"|---|{':-:|' * len(PARTNERS)}"
    for case in cases:
        marks = (outcome(there_and_back, case) for there_and_back in PARTNERS.values())
        yield f"| {case.title} | {' | '.join(marks)} |"


HEAD = f"""\
# What goes where

Each mark was made by giving a network with that feature to the other side, and taking it back where
that is possible:

- {BOTH} it goes out, and comes back with the same outputs bit for bit;
- {OUT} it goes out, into a file that holds what to compute and no network to take back;
- {REFUSED} it is refused, by an error that names what cannot go and what to do.

Networks have two hidden layers of width 4, `relu`, biases and `float32`, unless a line says
otherwise; JAX has its 64-bit types switched on. Dropout, which is no part of predictions, is left
out of files. NumPy and C compute 16-bit networks in `float32`, and ONNX `bfloat16` ones, with the
same parameters. That outputs on the other side are equal, too, is tested with 600 networks; how
closely, {{doc}}`interchange` and {{doc}}`frameworks` say.
"""


def page():
    """The text of the page."""
    with jax.enable_x64(True):
        parts = [f"## {title}\n\n" + "\n".join(table(cases)) for title, cases in TABLES.items()]
    return "\n\n".join([HEAD.rstrip(), *parts]) + "\n"


if __name__ == "__main__":
    print(page(), end="")
