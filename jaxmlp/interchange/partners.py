"""Turns the name of another library into its module, or into an error that names the extra."""

import dataclasses
import importlib
from typing import Any

from ..network import MLPConfig


def import_partner(package: str, extra: str) -> Any:
    """Imports a library when it is first needed.

    Args:
        package: Name of the module.
        extra: Extra of ours that installs it.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"jaxmlp.interchange needs {package.partition('.')[0]} for this, which is not "
            f"installed; pip install 'jaxmlp[{extra}]'."
        ) from error


def require_no_dropout(config: MLPConfig, partner: str) -> None:
    """Refuses a network with dropout where a partner has none."""
    if config.dropout_rate:
        without = dataclasses.replace(config, dropout_rate=0.0)
        raise ValueError(
            f"config must have no dropout, which {partner} has not; got dropout_rate="
            f"{config.dropout_rate}. Predictions have none: give {without}."
        )
