"""Turns answers of which there are many right ones into complaints, by what they must have."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from comparing import Text, call, require


def probe_batches(answer: Callable[..., Any]) -> None:
    """Complains of batches that are no shuffled, repeatable partition of the rows."""
    for rows, size in ((10, 4), (64, 16), (3, 8)):
        made = [np.asarray(batch) for batch in call(answer, rows, size, 0)]
        sizes = [len(batch) for batch in made]
        wanted = [size] * (rows // size) + [rows % size] * (rows % size > 0)
        require(sizes == wanted, _SIZES, rows, size, sizes, wanted)
        found = np.concatenate(made)
        require(sorted(found.tolist()) == list(range(rows)), _NOT_ONCE, rows)
    order = np.concatenate(call(answer, 64, 16, 0))
    again = np.concatenate(call(answer, 64, 16, 0))
    other = np.concatenate(call(answer, 64, 16, 1))
    require(order.tolist() != list(range(64)), _IN_ORDER)
    require(order.tolist() == again.tolist(), _SAME_SEED)
    require(order.tolist() != other.tolist(), _OTHER_SEED)


_SIZES = Text(
    "{} rows in batches of {} make batches of {} here, but they should be {}.",
    "{} filas en lotes de {} dan aquí lotes de {}, pero deberían ser {}.",
)
_NOT_ONCE = Text(
    "Each of the numbers from 0 up to {} (without it) must be there exactly once.",
    "Cada número desde 0 hasta {} (sin incluirlo) debe aparecer exactamente una vez.",
)
_IN_ORDER = Text("The rows are not shuffled.", "Las filas no están barajadas.")
_SAME_SEED = Text(
    "The same seed must give the same order.", "La misma semilla debe dar el mismo orden."
)
_OTHER_SEED = Text("Another seed must give another order.", "Otra semilla debe dar otro orden.")


class _Pending:
    """A result that is ready some time after it was handed out, as JAX's are."""

    def block_until_ready(self) -> "_Pending":
        time.sleep(0.02)
        return self


def probe_time(answer: Callable[..., Any]) -> None:
    """Complains of a time that counts the compilation, or does not wait for the result."""
    count = 0

    def function() -> _Pending:
        nonlocal count
        count += 1
        if count == 1:
            time.sleep(0.5)  # compiles
        return _Pending()

    got = float(call(answer, function, 5))
    require(count > 1, _NOT_CALLED)
    require(got > 0.015, _NOT_WAITED)
    # With the compilation, a mean of five would be 0.12; a busy machine wakes late from a sleep.
    require(got < 0.09, _TOO_LONG)


_NOT_CALLED = Text(
    "The function must be called more than once.", "Hay que llamar a la función más de una vez."
)
_NOT_WAITED = Text(
    "Too short: has the result been waited for, and the time been divided by the calls?",
    "Demasiado corto: ¿esperaste el resultado, y dividiste el tiempo entre las llamadas?",
)
_TOO_LONG = Text(
    "Too long: is the first call, which compiles, left out, and is it the time of one call?",
    "Demasiado largo: ¿dejaste fuera la primera llamada, que compila, y es el tiempo de una sola?",
)


def probe_kernel(answer: Callable[..., Any]) -> None:
    """Complains of a kernel whose numbers are not drawn by the rule of He et al."""
    for fan_in, fan_out in ((200, 400), (500, 100)):
        key = jax.random.key(fan_in)
        kernel = np.asarray(call(answer, key, fan_in, fan_out), np.float64)
        require(kernel.shape == (fan_in, fan_out), _KERNEL_SHAPE, kernel.shape, (fan_in, fan_out))
        wanted = np.sqrt(2 / fan_in)
        # The standard error of the deviation of n normal numbers is 1 / sqrt(2 n) of it: 0.4 %.
        spread = kernel.std()
        require(abs(spread / wanted - 1) < 0.03, _SPREAD, f"{spread:.4f}", f"{wanted:.4f}")
        require(abs(kernel.mean()) < 0.03 * wanted, _MEAN, f"{kernel.mean():.4f}")
        # 4.6 % of normal numbers are beyond two deviations, and of uniform ones none.
        require(np.mean(abs(kernel) > 2 * wanted) > 0.03, _NOT_NORMAL)
        other = np.asarray(call(answer, jax.random.key(fan_in + 1), fan_in, fan_out))
        require(not np.array_equal(kernel, other), _KEY)
        again = np.asarray(call(answer, key, fan_in, fan_out), np.float64)
        require(np.array_equal(kernel, again), _SAME_KEY)


_KERNEL_SHAPE = Text(
    "The shape is {}, but it should be {}.", "La forma es {}, pero debería ser {}."
)
_SPREAD = Text(
    "The standard deviation is {}, but it should be {}.",
    "La desviación estándar es {}, pero debería ser {}.",
)
_MEAN = Text(
    "The mean should be about 0, but it is {}.", "La media debería ser casi 0, pero es {}."
)
_NOT_NORMAL = Text(
    "The numbers should be normal: jax.random.normal.",
    "Los números deben ser normales: jax.random.normal.",
)
_KEY = Text("Another key must give other numbers.", "Otra clave debe dar otros números.")
_SAME_KEY = Text(
    "The same key must give the same numbers.", "La misma clave debe dar los mismos números."
)
