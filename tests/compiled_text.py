"""Reads compiled programs: what devices exchange in the loop over steps."""

import re

from jaxmlp.fitting import calls

_COLLECTIVE = re.compile(r"(all-reduce|all-gather|all-to-all|collective-permute)(?:-start)?\(")


def collectives_of_steps(monkeypatch, run_it):
    """What is exchanged per step by the programs of many steps that a run calls."""
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
    # Of the computations, that with the gradients' sum is the body of the loop.
    bodies = [part for part in text.split("\n\n") if "all-reduce(%dot" in part]
    return [found for body in bodies for found in _COLLECTIVE.findall(body)]
