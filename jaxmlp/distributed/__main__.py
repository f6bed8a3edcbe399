"""Turns a command line into processes: `python -m jaxmlp.distributed -n 2 script.py`."""

import sys

from .launcher import launch

if __name__ == "__main__":
    sys.exit(launch(sys.argv[1:]))
