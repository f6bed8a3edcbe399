"""Counts traces and compilations, for the tests of what is compiled how often."""

import contextlib
import logging
import re
from collections import Counter

import jax
from fits import LINEAR


class CountingLoss:
    """Counts how often Python runs the loss function: once per trace."""

    def __init__(self, loss_fn=LINEAR["loss_fn"]):
        self.loss_fn, self.traces = loss_fn, Counter()

    def __call__(self, params, batch, key):
        self.traces["validation" if key is None else "training"] += 1
        return self.loss_fn(params, batch, key)


@contextlib.contextmanager
def compilations():
    """Counts XLA's compilations by the name of the jitted function."""
    counts = Counter()

    class Counting(logging.Handler):
        def emit(self, record):
            found = re.match(r"Finished XLA compilation of jit\((.*)\)", record.getMessage())
            if found:
                counts[found[1]] += 1

    logger, handler = logging.getLogger("jax._src.dispatch"), Counting()
    logger.addHandler(handler)
    try:
        with jax.log_compiles():
            yield counts
    finally:
        logger.removeHandler(handler)
