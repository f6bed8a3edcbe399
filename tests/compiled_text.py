"""Reads compiled programs: what devices exchange."""

import re

from jaxmlp.fitting import calls

_COLLECTIVE = re.compile(r"(all-reduce|all-gather|all-to-all|collective-permute)(?:-start)?\(")


def collectives_of(monkeypatch, run_it):
    """What the program of many steps that a run calls has devices exchange, per step or once."""
    texts = {}
    compiled = calls.Run.compiled

    def noting(self, name):
        program = compiled(self, name)

        def call(*arguments, **named):
            if name.startswith("run_") and name not in texts:
                texts[name] = program.lower(*arguments, **named).compile().as_text()
            return program(*arguments, **named)

        return call

    monkeypatch.setattr(calls.Run, "compiled", noting)
    run_it()
    (text,) = texts.values()
    return _COLLECTIVE.findall(text)
