"""Turns parameters into treescope's view of their arrays, as a piece of the page."""

import re
from typing import Any

from ..network import Params


def show_arrays(params: Params) -> str:
    """Returns HTML in which arrays unfold to pictures of their numbers; large ones are cut.

    Raises:
        ImportError: treescope is not installed.
    """
    try:
        import treescope
    except ImportError as error:
        raise ImportError(
            "raw_arrays=True needs treescope, which is not installed; pip install 'jaxmlp[report]'."
        ) from error
    visualizer: Any = treescope.active_autovisualizer
    with visualizer.set_scoped(treescope.ArrayAutovisualizer()):
        shown = treescope.render_to_html(params)
    # Its name of the place is drawn anew each time.
    return re.sub(r"treescope_out_[0-9a-f]{32}", "treescope_out", shown)
