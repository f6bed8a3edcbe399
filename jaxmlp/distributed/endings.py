"""Turns an error that nothing catches into the end of all processes, which name its process.

Left alone, a process that has failed waits for the others before it ends, and the others wait for
its gradients.
"""

import os
import sys
import time
from types import TracebackType

import jax

from ..storage import failures, report_failure

_SECONDS_TO_HEAR = 2.0


def end_with_others(heartbeat_timeout: int) -> None:
    """Has this process end at once, and tell the others, when an error is caught by nothing.

    Args:
        heartbeat_timeout: Seconds within which the coordination service ends this process if
            another has vanished.
    """
    before = sys.excepthook

    def end(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        before(kind, error, traceback)
        if not jax.distributed.is_initialized() or hasattr(sys, "ps1") or sys.flags.interactive:
            return
        try:
            _tell(error, heartbeat_timeout)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # Else it would wait for the others at its end, and they for it.
            os._exit(1)

    sys.excepthook = end


def _tell(error: BaseException, heartbeat_timeout: int) -> None:
    """Tells the others of an error of this process, or waits to be ended for one of theirs."""
    is_theirs = hasattr(error, "of_process") or bool(failures())
    if isinstance(error, jax.errors.JaxRuntimeError) and not is_theirs:
        # A collective operation fails when another process dies: who it was is known soon, by the
        # other's own word, or by the coordination service, which ends this process then.
        _say(f"if another process has died, it is named within {heartbeat_timeout} s.")
        deadline = time.monotonic() + heartbeat_timeout + 5
        while time.monotonic() < deadline and not is_theirs:
            time.sleep(0.2)
            is_theirs = bool(failures())
    if not is_theirs:
        report_failure(f"{type(error).__name__}: {error}")
        _say("this process has failed, and ends with all others.")
        # The coordination service ends with process 0; the others are to hear of the error first.
        time.sleep(_SECONDS_TO_HEAR if jax.process_index() == 0 else 0)
        return
    for number, text in failures().items():
        _say(f"process {number} had failed before: {text}")
    # Whoever has failed ends first, so that a launcher names it.
    time.sleep(2 * _SECONDS_TO_HEAR)


def _say(text: str) -> None:
    sys.stderr.write(f"jaxmlp.distributed: {text}\n")
    sys.stderr.flush()
