"""Turns an estimator into one file, and the file into the estimator, without pickle."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.utils._metadata_requests import SIMPLE_METHODS, MetadataRequest

from ..checks import require_path
from ..storage import (
    CheckpointError,
    Contents,
    encode,
    library_versions,
    read,
    write_atomically,
)
from .devices import name_device
from .storable import flatten_value, restore_value

_CLASS = "jaxmlp.estimator"
_FORMAT = "jaxmlp.estimator_format"
_VERSIONS = "jaxmlp.versions"
_KNOWN_FORMAT = "1"
# An array of UTF-8, since it may be longer than a header.
_VALUES = "values.json"
_REQUESTS = "_metadata_request"


def write_estimator(path: str | Path, estimator: Any) -> None:
    """Writes what an estimator was given and what it learned; see its `save`.

    Raises:
        OSError: It could not be written.
        TypeError: It has something that cannot be stored.
    """
    require_path("path", path)
    arrays: dict[str, np.ndarray] = {}
    names = estimator.get_params(deep=False)
    given = {name: getattr(estimator, name) for name in names}
    if "device" in given:
        given["device"] = name_device(given["device"])
    arguments = {}
    for name, value in given.items():
        try:
            arguments[name] = flatten_value(value, name, arrays)
        except TypeError as error:
            raise TypeError(
                f"{error}. Save a copy without it: "
                f"copy.copy(estimator).set_params({name}=None).save(path)."
            ) from None
    learned = {name: value for name, value in vars(estimator).items() if name not in given}
    if _REQUESTS in learned:
        learned[_REQUESTS] = _requests_of(learned[_REQUESTS])
    try:
        attributes = {name: flatten_value(v, name, arrays) for name, v in learned.items()}
    except TypeError as error:
        raise TypeError(f"{error}. Delete the attribute, or use pickle.") from None
    text = json.dumps({"arguments": arguments, "attributes": attributes}, allow_nan=False)
    arrays[_VALUES] = np.frombuffer(text.encode(), np.uint8)
    versions = {**library_versions(), "scikit-learn": sklearn.__version__}
    metadata = {
        _CLASS: type(estimator).__name__,
        _FORMAT: _KNOWN_FORMAT,
        _VERSIONS: json.dumps(versions),
    }
    write_atomically(path, encode(arrays, metadata), follow_links=True)


def read_estimator(path: str | Path, kinds: Mapping[str, type]) -> Any:
    """Reads an estimator of one of some classes, given by their names.

    Nothing in the file is run; names in it are looked up among what is registered.

    Raises:
        CheckpointError: The file is damaged, of another kind or of a later version.
        OSError: It cannot be read.
    """
    require_path("path", path)

    def check(contents: Contents) -> None:
        found = contents.metadata.get(_CLASS)
        if found is None or not contents.has_checksums or _VALUES not in contents.arrays:
            raise CheckpointError(
                f"{path} is no file of an estimator's save. A network is read by jaxmlp.load."
            )
        if contents.metadata.get(_FORMAT) != _KNOWN_FORMAT:
            raise CheckpointError(f"{path} was written by a newer jaxmlp; install that one.")
        if found not in kinds:
            raise CheckpointError(
                f"{path} holds an estimator of the class {found!r}, not of {', '.join(kinds)}."
            )

    contents = read(path, check=check)
    try:
        values = json.loads(bytes(contents.arrays[_VALUES]))
        arguments, attributes = (
            {name: restore_value(v, contents.arrays) for name, v in values[part].items()}
            for part in ("arguments", "attributes")
        )
        return _make(kinds[contents.metadata[_CLASS]], arguments, attributes)
    except (
        AttributeError,
        LookupError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise CheckpointError(
            f"{path} does not hold an estimator that this jaxmlp can make; was it written by a "
            f"newer one? {error!r}"
        ) from None


def _make(kind: Any, arguments: dict[str, Any], attributes: dict[str, Any]) -> Any:
    """Makes an estimator; arguments that an older version did not have are the default ones."""
    estimator = kind(**arguments)
    for name, value in attributes.items():
        is_learned = re.fullmatch(r"_?[A-Za-z]\w*", name) and not name.endswith("__")
        if not is_learned or name in arguments or callable(getattr(kind, name, None)):
            raise ValueError(f"{name!r} is no attribute of a fit")
        is_request = name == _REQUESTS
        setattr(estimator, name, _as_requests(value, estimator) if is_request else value)
    return estimator


def _requests_of(requests: MetadataRequest) -> dict[str, dict[str, Any]]:
    """Returns which arguments of its methods an estimator wants routed to it."""
    return {name: dict(getattr(requests, name).requests) for name in SIMPLE_METHODS}


def _as_requests(wanted: dict[str, dict[str, Any]], owner: Any) -> MetadataRequest:
    made = MetadataRequest(owner=owner)
    for method in SIMPLE_METHODS:
        for param, alias in wanted.get(method, {}).items():
            getattr(made, method).add_request(param=param, alias=alias)
    return made
