"""Turns the parameters of one network into its layers and their names."""

from typing import Any

import numpy as np

from ..network import Dense, Params


def layers_of(params: Any) -> dict[str, Dense]:
    """Returns the layers by name, "hidden[0]", ..., "output", in their order.

    Raises:
        TypeError: `params` are no `Params`.
        ValueError: They are those of many members.
    """
    if not isinstance(params, Params):
        raise TypeError(
            f"params must be a jaxmlp.Params; got a {type(params).__name__}. Of a run, give "
            "result.params."
        )
    layers = {f"hidden[{index}]": dense for index, dense in enumerate(params.hidden)}
    layers["output"] = params.output
    shapes = {name: np.shape(dense.kernel) for name, dense in layers.items()}
    if any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(
            f"params must be those of one network, with kernels of two axes; got {shapes}. Of "
            "members, give result.member(number)."
        )
    return layers
