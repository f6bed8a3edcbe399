"""Turns an answer to the exercise of each chapter into a complaint, if it is wrong."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from comparing import Complaint, Text, call, compare
from probing import probe_batches, probe_kernel, probe_time

Answer = Callable[..., Any]


def _normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _boundary(answer: Answer) -> None:
    compare(
        answer,
        lambda w, b, x1: -(x1 * w[0] + b) / w[1],
        [(np.array([2.0, -4.0]), 1.0, 3.0), (np.array([0.5, 3.0]), -2.0, np.array([-1.0, 0.5]))],
        {
            lambda w, b, x1: (x1 * w[0] + b) / w[1]: Text(
                "The sign is wrong: x1 * w[0] + b goes to the other side of the equation.",
                "El signo está mal: x1 * w[0] + b pasa al otro lado de la ecuación.",
            ),
            lambda w, _b, x1: -(x1 * w[0]) / w[1]: Text("Where is b?", "¿Dónde está b?"),
            lambda w, b, x1: -(x1 * w[1] + b) / w[0]: Text(
                "w[0] belongs to x1, and w[1] to x2.", "w[0] va con x1, y w[1] con x2."
            ),
        },
    )


def _forward(answer: Answer) -> None:
    def right(x, kernel, bias, output_kernel, output_bias):
        return np.tanh(x @ kernel + bias) @ output_kernel + output_bias

    # With square kernels, a transposed one has the right shape and the wrong numbers.
    square = [_normal(0, 5, 3), _normal(1, 3, 3), _normal(2, 3), _normal(3, 3, 3), _normal(4, 3)]
    other = [_normal(5, 4, 2), _normal(6, 2, 6), _normal(7, 6), _normal(8, 6, 1), _normal(9, 1)]
    compare(
        answer,
        right,
        [tuple(square), tuple(other)],
        {
            lambda *arguments: np.tanh(right(*arguments)): Text(
                "The output layer has no activation here.",
                "Aquí la capa de salida no tiene activación.",
            ),
            lambda x, k, b, o, c: (x @ k + b) @ o + c: Text("Where is tanh?", "¿Dónde está tanh?"),
            lambda x, k, _b, o, _c: np.tanh(x @ k) @ o: Text(
                "Where are the biases?", "¿Dónde están los sesgos?"
            ),
        },
    )


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def _sigmoid_slope(answer: Answer) -> None:
    compare(
        answer,
        lambda z: _sigmoid(z) * (1 - _sigmoid(z)),
        [(np.linspace(-5, 5, 7, dtype=np.float32),), (np.float32(0.3),)],
        {
            _sigmoid: Text("That is f(z) itself, not its slope.", "Eso es f(z), no su pendiente."),
            lambda z: z * (1 - z): Text(
                "a * (1 - a) is right, but with a = f(z) in place of z.",
                "a * (1 - a) es correcto, pero con a = f(z) en lugar de z.",
            ),
            lambda z: 1 - np.tanh(z) ** 2: Text(
                "That is the slope of tanh.", "Esa es la pendiente de tanh."
            ),
        },
    )


def _cross_entropy(answer: Answer) -> None:
    def right(logits, label):
        shifted = logits.astype(np.float64) - logits.max()
        return np.log(np.exp(shifted).sum()) - shifted[label]

    rows = np.array([[2.0, 1.0, -1.0], [0.0, 1000.0, 3.0]], np.float32)
    compare(
        answer,
        right,
        [(rows[0], 1), (rows[0], 2), (rows[1], 2)],
        {
            lambda logits, label: -right(logits, label): Text(
                "A loss is not negative: where is the minus?",
                "Una pérdida no es negativa: ¿dónde está el signo menos?",
            ),
            lambda logits, label: right(logits, label) / np.log(2): Text(
                "The logarithm is the natural one, np.log.",
                "El logaritmo es el natural, np.log.",
            ),
        },
    )


def _hidden_delta(answer: Answer) -> None:
    compare(
        answer,
        lambda delta, kernel, h: delta @ kernel.T * (1 - h**2),
        [
            (_normal(0, 5, 3), _normal(1, 3, 3), np.tanh(_normal(2, 5, 3))),
            (_normal(3, 4, 1), _normal(4, 6, 1), np.tanh(_normal(5, 4, 6))),
        ],
        {
            lambda delta, kernel, _h: delta @ kernel.T: Text(
                "Where is the slope of tanh?", "¿Dónde está la pendiente de tanh?"
            ),
            lambda delta, kernel, h: delta @ kernel.T * h * (1 - h): Text(
                "h * (1 - h) is the slope of the sigmoid; here it is tanh.",
                "h * (1 - h) es la pendiente de la sigmoide; aquí es tanh.",
            ),
            lambda delta, kernel, h: delta @ kernel.T * (1 - np.tanh(h) ** 2): Text(
                "h is tanh(z) already.", "h ya es tanh(z)."
            ),
        },
    )


def _momentum_step(answer: Answer) -> None:
    w, v, gradient = _normal(0, 4), _normal(1, 4), _normal(2, 4)
    compare(
        answer,
        lambda w, v, g, rate, mu: (w - rate * (mu * v + g), mu * v + g),
        [(w, v, gradient, 0.1, 0.9), (w, 0 * v, gradient, 0.5, 0.5)],
        {
            lambda w, v, g, rate, mu: (w + rate * (mu * v + g), mu * v + g): Text(
                "That goes uphill: the step is subtracted.",
                "Eso va cuesta arriba: el paso se resta.",
            ),
            lambda w, v, g, rate, mu: (w - rate * v, mu * v + g): Text(
                "Take the step with the new velocity, not with the old one.",
                "Da el paso con la velocidad nueva, no con la anterior.",
            ),
            lambda w, v, g, rate, mu: (mu * v + g, w - rate * (mu * v + g)): Text(
                "The weights come first, then the velocity.",
                "Primero van los pesos, después la velocidad.",
            ),
        },
    )


def _count_parameters(answer: Answer) -> None:
    def right(widths):
        return sum((n + 1) * units for n, units in itertools.pairwise(widths))

    compare(
        answer,
        right,
        [((64, 128, 10),), ((2, 1),), ((3, 5, 5, 7),)],
        {
            lambda widths: right(widths) - sum(widths[1:]): Text(
                "Where are the biases?", "¿Dónde están los sesgos?"
            ),
            lambda widths: right(widths) + widths[0]: Text(
                "Inputs have no bias.", "Las entradas no tienen sesgo."
            ),
        },
    )


def _best_epoch(answer: Answer) -> None:
    def right(losses, patience):
        best = 0
        for epoch, loss in enumerate(losses):
            if epoch - best > patience:
                return best
            best = epoch if loss < losses[best] else best
        return best

    compare(
        answer,
        right,
        [
            ([3.0, 2.0, 2.5, 2.4, 2.3, 1.0], 3),
            ([3.0, 2.0, 2.5, 2.4, 1.0, 1.5], 3),
            ([1.0, 2.0, 3.0, 0.5], 5),
            ([2.0, 1.0, 1.0, 1.0, 0.5], 2),
            ([3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 0.5], 2),
        ],
        {
            lambda losses, _patience: int(np.argmin(losses)): Text(
                "The lowest of all losses may come after the stop, which is never seen.",
                "La menor de todas puede venir después de la parada, y esa no se ve nunca.",
            ),
            lambda losses, patience: right(losses, patience) + 1: Text(
                "Epochs are counted from 0.", "Las épocas se cuentan desde 0."
            ),
        },
    )


def _from_linear(answer: Answer) -> None:
    for shape in ((3, 5), (4, 4)):
        weight, bias = _normal(0, *shape), _normal(1, shape[0])
        dense = call(answer, weight, bias)
        if not hasattr(dense, "kernel"):
            raise Complaint(_NO_DENSE, type(dense).__name__)
        compare(
            lambda _weight, _bias, dense=dense: (dense.kernel, dense.bias),
            lambda weight, bias: (weight.T, bias),
            [(weight, bias)],
            {
                lambda weight, bias: (weight, bias): Text(
                    "weight has a row per unit, a kernel has a column per unit.",
                    "weight tiene una fila por unidad; un kernel, una columna por unidad.",
                )
            },
        )


_NO_DENSE = Text(
    "Your function should return a jaxmlp.Dense; it returns a {}.",
    "Tu función debería devolver un jaxmlp.Dense; devuelve un {}.",
)

CHECKS = dict(
    enumerate(
        [
            *(_boundary, _forward, _sigmoid_slope, _cross_entropy, _hidden_delta, _momentum_step),
            *(
                probe_batches,
                probe_time,
                probe_kernel,
                _count_parameters,
                _best_epoch,
                _from_linear,
            ),
        ],
        start=1,
    )
)
