"""What a network is: its arrays, its activations, its settings.

In reading order: `types` (the nouns: parameters, a batch of rows, a loss function; which arrays are
trained), `activations` (functions by name, and the gain of their kernels), `numbers` (which of
them are refused in settings), `config` (settings, and JSON there and back), `inputs` (which inputs
and parameters are refused), `draws` (the arrays of a layer from a key). `init.py` and `forward.py`
of the package draw its parameters and compute it.
"""

from .activations import (
    ACTIVATIONS,
    ELEMENTWISE_ACTIVATIONS,
    GATED_ACTIVATIONS,
    HIDDEN_ACTIVATIONS,
    ElementwiseActivation,
    activate,
    as_activation,
    gain_of,
    names_of,
    net_input_features,
)
from .config import INITS_WITH_GAIN, KERNEL_INITS, MLPConfig, require_config
from .draws import Law, draw_dense, shared_size
from .inputs import check_dropout_rate, check_inputs
from .types import (
    Activation,
    Batch,
    Dense,
    LossFn,
    Norm,
    Params,
    Standardization,
    map_trained,
    trained_part,
    with_trained_part,
    with_types_of,
)

__all__ = [
    "ACTIVATIONS",
    "ELEMENTWISE_ACTIVATIONS",
    "GATED_ACTIVATIONS",
    "HIDDEN_ACTIVATIONS",
    "INITS_WITH_GAIN",
    "KERNEL_INITS",
    "Activation",
    "Batch",
    "Dense",
    "ElementwiseActivation",
    "Law",
    "LossFn",
    "MLPConfig",
    "Norm",
    "Params",
    "Standardization",
    "activate",
    "as_activation",
    "check_dropout_rate",
    "check_inputs",
    "draw_dense",
    "gain_of",
    "map_trained",
    "names_of",
    "net_input_features",
    "require_config",
    "shared_size",
    "trained_part",
    "with_trained_part",
    "with_types_of",
]
