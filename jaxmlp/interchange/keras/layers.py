"""What networks of ours do and Keras has no layer for, as layers and functions of Keras'.

Files that Keras writes of models with them are loaded once this file is imported, as `to_keras` and
`from_keras` do.
"""

from typing import Any, no_type_check

from ..partners import import_partner


def import_keras() -> Any:
    """Imports Keras 3.

    Raises:
        ImportError: It, or the backend that it is set to, is not installed.
    """
    try:
        return import_partner("keras", "keras")
    except ImportError as error:
        error.add_note(
            "Keras runs on one of several libraries, by default TensorFlow: for JAX set "
            "os.environ['KERAS_BACKEND'] = 'jax' before it is imported."
        )
        raise


keras: Any = import_keras()
_registered: Any = keras.saving.register_keras_serializable


@_registered("jaxmlp")
def tanh_gelu(z: Any) -> Any:
    """The tanh form of GELU; that of its name in Keras is the erf form."""
    return keras.activations.gelu(z, approximate=True)


_GATES = {
    "geglu": tanh_gelu,
    "glu": keras.activations.sigmoid,
    "reglu": keras.activations.relu,
    "swiglu": keras.activations.silu,
}


@_registered("jaxmlp")
class Gate(keras.layers.Layer):
    """`value * f(gate)` of the first and second half of the features."""

    # Keras reads the signature, of which type-checking hooks leave nothing.
    @no_type_check
    def __init__(self, gate: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.gate = gate

    def call(self, z: Any) -> Any:
        """Computes the activations, half as many as there are features."""
        value, gate = keras.ops.split(z, 2, axis=-1)
        return value * _GATES[self.gate](gate)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape, with half the features."""
        return (*input_shape[:-1], (input_shape[-1] or 0) // 2)

    def get_config(self) -> dict[str, Any]:
        """Returns what Keras' files hold of the layer."""
        return {**super().get_config(), "gate": self.gate}
