"""Turns the size of a network and the time of past calls into the steps that a call should take."""

import jax
from jaxtyping import PyTree

# An interrupt waits for the end of a call, so that a call must be short; but it begins with a copy
# of the state, which of a wide network takes up to a fifth of a step.
CALL_SECONDS = 1.0


def seconds_per_step(params: PyTree, batch_rows: int, *, backend: str | None = None) -> float:
    """Estimates a step's time: 6 FLOPs per parameter and row, and a floor for what surrounds them.

    The rates are those of two CPU cores and of a data-centre GPU, in float32.

    Args:
        params: Parameters of the network.
        batch_rows: Rows of a step's batch.
        backend: JAX's name for the kind of device; `None` for this process's own.
    """
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    rate, floor = (2e11, 1e-5) if (backend or jax.default_backend()) == "cpu" else (1e13, 2e-5)
    return max(floor, 6 * size * batch_rows / rate)


class Pace:
    """How many steps a call should take, from the time that the last one took.

    It starts at a fifth of what the estimate allows, since that may be wrong by as much. Processes
    that share a run observe the same times, those of the first.

    Args:
        seconds: Estimated time of a step.
    """

    def __init__(self, seconds: float) -> None:
        self.steps = max(1, int(0.2 * CALL_SECONDS / seconds))
        self._is_compiled = False

    def observe(self, steps: int, seconds: float) -> None:
        """Takes note of a call; the first one's time is that of compilation."""
        if self._is_compiled:
            self.steps = next_steps(steps, seconds)
        self._is_compiled = True


def next_steps(steps: int, seconds: float) -> int:
    """Returns how many steps to take in the next call, after one of `steps` took `seconds`."""
    return max(1, min(4 * steps, int(steps * CALL_SECONDS / max(seconds, 1e-6))))
