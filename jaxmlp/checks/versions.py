"""Tells the version of jaxmlp, and warns about a jaxlib that computes wrong numbers."""

import warnings

__version__ = "0.1.0"

MISCOMPILING_JAXLIB = "0.10.2"


def warn_if_miscompiling(jaxlib_version: str) -> None:
    """Warns if this jaxlib silently miscompiles on CPU (JAX issue 39103).

    Args:
        jaxlib_version: Version of the jaxlib that is in use, such as `jaxlib.__version__`.
    """
    if jaxlib_version == MISCOMPILING_JAXLIB:
        warnings.warn(
            f"jaxlib {jaxlib_version} silently computes wrong numbers on CPU (JAX issue 39103). "
            "Install another one: pip install 'jax!=0.10.2' 'jaxlib!=0.10.2'.",
            RuntimeWarning,
            stacklevel=3,
        )
