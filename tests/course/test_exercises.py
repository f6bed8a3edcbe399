"""The check of each exercise passes a right answer, and tells usual wrong ones what is wrong."""

import doctest
import itertools
import os
import subprocess
import sys
import time

import chapters
import exercises
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp


@pytest.fixture(autouse=True)
def _as_for_a_reader(monkeypatch):
    monkeypatch.setattr(exercises, "language", "en")
    with jax.numpy_dtype_promotion("standard"):
        yield


def tanh_network(x, kernel, bias, output_kernel, output_bias):
    return jnp.tanh(x @ kernel + bias) @ output_kernel + output_bias


def stable_cross_entropy(logits, label):
    return -jax.nn.log_softmax(logits)[label]


def momentum_step(w, v, gradient, learning_rate, momentum):
    v = momentum * v + gradient
    return w - learning_rate * v, v


def batches(rows, batch_size, seed):
    order = np.random.default_rng(seed).permutation(rows)
    return [order[start : start + batch_size] for start in range(0, rows, batch_size)]


def time_per_call(function, calls):
    function().block_until_ready()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        function().block_until_ready()
        times.append(time.perf_counter() - start)
    return sum(times) / calls


def he_kernel(key, fan_in, fan_out):
    return jax.random.normal(key, (fan_in, fan_out)) * (2 / fan_in) ** 0.5


def count_parameters(widths):
    config = jaxmlp.MLPConfig(
        in_features=widths[0], hidden_features=tuple(widths[1:-1]), out_features=widths[-1]
    )
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def best_epoch(validation_losses, patience):
    best, waited = 0, 0
    for epoch in range(1, len(validation_losses)):
        waited += 1
        if validation_losses[epoch] < validation_losses[best]:
            best, waited = epoch, 0
        if waited == patience:
            break
    return best


RIGHT = {
    1: lambda w, b, x1: (-b - w[0] * x1) / w[1],
    2: tanh_network,
    3: lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    4: stable_cross_entropy,
    5: lambda delta, kernel, h: jnp.einsum("ro,uo->ru", delta, kernel) * (1 - h) * (1 + h),
    6: momentum_step,
    7: batches,
    8: time_per_call,
    9: he_kernel,
    10: count_parameters,
    11: best_epoch,
    12: lambda weight, bias: jaxmlp.Dense(jnp.asarray(weight).T, jnp.asarray(bias)),
}


@pytest.mark.parametrize("chapter", RIGHT)
def test_a_right_answer_passes(chapter, capsys):
    exercises.check(chapter, RIGHT[chapter])
    assert capsys.readouterr().out == f"Chapter {chapter}: right!\n"


def test_every_chapter_has_a_check():
    assert len(RIGHT) == len(exercises.CHECKS) == len(chapters.CHAPTERS)


def without_waiting(function, calls):
    function()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def with_compilation(function, calls):
    start = time.perf_counter()
    for _ in range(calls):
        function().block_until_ready()
    return (time.perf_counter() - start) / calls


def momentum_wrong(sign, uses_old):
    def step(w, v, gradient, learning_rate, momentum):
        new = momentum * v + gradient
        return w + sign * learning_rate * (v if uses_old else new), new

    return step


WRONG = [
    (1, lambda w, b, x1: (w[0] * x1 + b) / w[1], "sign"),
    (1, lambda w, b, x1: -w[0] * x1 / w[1], r"Where is b\?"),  # noqa: ARG005
    (1, lambda w, b, x1: -(w[1] * x1 + b) / w[0], "belongs to x1"),
    (1, lambda w, b, x1: w[0] * x1 + w[1] + b, "should be"),
    (1, lambda w, b, x1: None, "returns nothing"),  # noqa: ARG005
    (2, lambda x, k, b, o, c: np.tanh(tanh_network(x, k, b, o, c)), "no activation"),
    (2, lambda x, k, b, o, c: (x @ k + b) @ o + c, "Where is tanh"),
    (2, lambda x, k, b, o, c: np.tanh(x @ k) @ o, "biases"),  # noqa: ARG005
    (2, lambda x, k, b, o, c: np.tanh(x @ k.T + b) @ o.T + c, "stopped with ValueError"),
    (2, lambda x, k, b, o, c: tanh_network(x[0], k, b, o, c), "shapes"),
    (3, jax.nn.sigmoid, "itself, not its slope"),
    (3, lambda z: z * (1 - z), "in place of z"),
    (3, lambda z: 1 - np.tanh(z) ** 2, "slope of tanh"),
    (4, lambda logits, y: -np.log(np.exp(logits)[y] / np.exp(logits).sum()), "too large"),
    (4, lambda logits, y: -stable_cross_entropy(logits, y), "minus"),
    (4, lambda logits, y: stable_cross_entropy(logits, y) / np.log(2), "natural"),
    (4, lambda logits, y: -jax.nn.log_softmax(logits), "shapes"),  # noqa: ARG005
    (5, lambda delta, kernel, h: delta @ kernel.T, "Where is the slope"),  # noqa: ARG005
    (5, lambda delta, kernel, h: delta @ kernel.T * h * (1 - h), "slope of the sigmoid"),
    (5, lambda delta, kernel, h: delta @ kernel.T * (1 - np.tanh(h) ** 2), "already"),
    (5, lambda delta, kernel, h: delta @ kernel * (1 - h**2), "stopped with"),
    (6, momentum_wrong(1, uses_old=False), "uphill"),
    (6, momentum_wrong(-1, uses_old=True), "new velocity"),
    (6, lambda *arguments: momentum_step(*arguments)[::-1], "first"),
    (6, lambda *arguments: momentum_step(*arguments)[0], "shapes"),
    (7, lambda rows, size, seed: batches(rows, size, seed)[: rows // size], "make batches of"),
    (7, lambda rows, size, seed: [b * 0 for b in batches(rows, size, seed)], "exactly once"),
    (7, lambda rows, size, seed: batches(rows, size, None), "same seed"),  # noqa: ARG005
    (7, lambda rows, size, seed: batches(rows, size, 0), "Another seed"),  # noqa: ARG005
    (7, lambda n, s, seed: np.split(np.arange(n), range(s, n, s)), "not shuffled"),  # noqa: ARG005
    (8, without_waiting, "Too short"),
    (8, with_compilation, "Too long"),
    (8, lambda function, calls: calls * time_per_call(function, calls), "Too long"),
    (8, lambda function, calls: 0.02, "more than once"),  # noqa: ARG005
    (9, lambda key, n, m: he_kernel(key, n, m) * (2 / n) ** 0.5, "standard deviation"),
    (9, lambda key, n, m: he_kernel(key, m, n).T, "standard deviation"),
    (9, lambda key, n, m: he_kernel(key, n, m).T, "shape"),
    (9, lambda key, n, m: he_kernel(jax.random.key(0), n, m), "Another key"),  # noqa: ARG005
    (9, lambda key, n, m: he_kernel(key, n, m) + 0.1, "mean"),
    (
        9,
        lambda key, n, m: jax.random.uniform(key, (n, m), minval=-1) * (6 / n) ** 0.5,
        "should be normal",
    ),
    (10, lambda widths: sum(n * m for n, m in itertools.pairwise(widths)), "biases"),
    (10, lambda widths: count_parameters(widths) + widths[0], "Inputs have no bias"),
    (10, lambda widths: sum(widths), "should be"),
    (11, lambda losses, patience: int(np.argmin(losses)), "after the stop"),  # noqa: ARG005
    (11, lambda losses, patience: best_epoch(losses, patience) + 1, "counted from 0"),
    (11, lambda losses, patience: best_epoch(losses, patience + 1), "should be"),
    (11, lambda losses, patience: best_epoch(losses, patience - 1), "should be"),
    (12, jaxmlp.Dense, "row per unit"),
    (12, lambda weight, bias: (weight.T, bias), "jaxmlp.Dense"),
    (12, lambda weight, bias: jaxmlp.Dense(weight.T, None), "should be"),  # noqa: ARG005
]


@pytest.mark.parametrize(("chapter", "answer", "hint"), WRONG)
def test_a_wrong_answer_fails_with_a_hint(chapter, answer, hint):
    with pytest.raises(exercises.WrongAnswerError, match=hint):
        exercises.check(chapter, answer)


def test_hints_are_spanish_where_that_is_chosen(monkeypatch, capsys):
    monkeypatch.setattr(exercises, "language", "es")
    with pytest.raises(exercises.WrongAnswerError, match="¿Dónde está b"):
        exercises.check(1, lambda w, b, x1: -w[0] * x1 / w[1])  # noqa: ARG005
    exercises.check(1, RIGHT[1])
    assert capsys.readouterr().out == "Capítulo 1: ¡correcto!\n"


@pytest.mark.parametrize(
    ("settings", "language"),
    [
        ({"LANG": "es_MX.UTF-8"}, "es"),
        ({"LANGUAGE": "en", "LANG": "es_ES.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_environment_chooses_the_language(settings, language):
    names = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    run = subprocess.run(
        [sys.executable, "-c", "import exercises; print(exercises.language)"],
        cwd=chapters.COURSE,
        env=environment | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == f"{language}\n"


def test_every_hint_is_there_in_both_languages():
    texts = [
        value
        for module in (sys.modules["comparing"], sys.modules["probing"], sys.modules["answers"])
        for value in vars(module).values()
        if isinstance(value, sys.modules["comparing"].Text)
    ]
    assert len(texts) > 15
    for text in texts:
        assert text.en.count("{}") == text.es.count("{}")
        assert text.en != text.es


def test_the_example_of_check_is_so():
    assert doctest.testmod(exercises) == (0, 1)


def test_an_unknown_chapter_is_refused():
    with pytest.raises(ValueError, match="one of 1 to 12; got 13"):
        exercises.check(13, RIGHT[1])


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="Pass its name, without"):
        exercises.check(1, 3.0)


def test_an_unknown_language_is_refused(monkeypatch):
    monkeypatch.setattr(exercises, "language", "fr")
    with pytest.raises(ValueError, match="'en' or 'es'; got 'fr'"):
        exercises.check(1, RIGHT[1])
