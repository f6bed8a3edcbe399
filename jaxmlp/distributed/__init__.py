"""One run over several processes: how they find each other, start, and end together.

In reading order: `environments` (who started this process, and as which), `endings` (an error that
nothing catches), `initialization`; `children` and `launcher`, which start processes on one machine,
and `__main__`, the command `python -m jaxmlp.distributed`. What `fit` needs of the others while it
runs is in `jaxmlp/storage/processes.py`.
"""

from .initialization import initialize

__all__ = ["initialize"]
