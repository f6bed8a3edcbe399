"""The coordination service in one process, and threads in the place of processes."""

import threading
import time

import jax

from jaxmlp.storage import processes

NUMBER = threading.local()


class Service:
    """Keeps texts by key, as the client of `jax.distributed` does for several processes."""

    def __init__(self):
        self.texts = {}
        self._changed = threading.Condition()

    def key_value_set(self, key, value, allow_overwrite=False):
        with self._changed:
            assert allow_overwrite or key not in self.texts
            assert value
            self.texts[key] = value
            self._changed.notify_all()

    def key_value_delete(self, key):
        with self._changed:
            for name in self._within(key):
                del self.texts[name]

    def key_value_dir_get(self, key):
        with self._changed:
            return [(name, self.texts[name]) for name in self._within(key)]

    def _within(self, key):
        # Whole names of folders alone.
        return [name for name in self.texts if name.startswith(key.rstrip("/") + "/")]

    def blocking_key_value_get(self, key, timeout_in_ms):
        end = time.monotonic() + timeout_in_ms / 1e3
        with self._changed:
            while key not in self.texts:
                left = end - time.monotonic()
                if left <= 0:
                    raise jax.errors.JaxRuntimeError(f"DEADLINE_EXCEEDED: {key}")
                self._changed.wait(left)
            return self.texts[key]


def run_threads(monkeypatch, functions):
    """Runs function i as process i; returns the service, and what each returned or raised."""
    service, outcomes = Service(), {}
    monkeypatch.setattr(processes, "_client", lambda: service)
    monkeypatch.setattr(processes, "_number", lambda: getattr(NUMBER, "number", 0))
    # Each thread counts its runs as a process does.
    monkeypatch.setattr(processes, "_runs", _PerThread())

    def run(number, function):
        NUMBER.number = number
        try:
            outcomes[number] = function(processes.Processes(range(len(functions))))
        except Exception as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return service, [outcomes[number] for number in range(len(functions))]


class _PerThread(threading.local):
    def __init__(self):
        self.counts = {}

    def get(self, key, default):
        return self.counts.get(key, default)

    def __getitem__(self, key):
        return self.counts[key]

    def __setitem__(self, key, value):
        self.counts[key] = value
