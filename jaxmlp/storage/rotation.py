"""Turns a directory of checkpoints into its newest whole one, and forgets the old ones."""

import contextlib
import functools
import os
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from .container import Contents, read
from .headers import CheckpointError, MismatchError, NewerFormatError, TooLargeError

_FILE_NAME = re.compile(r"step_(\d{12})\.safetensors")
_MAX_STEP = 10**12


def checkpoint_path(directory: str | Path, step: int) -> Path:
    """Returns the path of a step's checkpoint; names sort as steps do.

    Args:
        directory: Where the checkpoints lie.
        step: Number of steps taken, in [0, 10**12).

    Raises:
        ValueError: The step is out of range.
    """
    if not 0 <= step < _MAX_STEP:
        raise ValueError(f"step must be in [0, 10**12); got {step}.")
    return Path(directory) / f"step_{step:012d}.safetensors"


def checkpoint_paths(directory: str | Path) -> list[Path]:
    """Returns the checkpoints of a directory, the oldest first.

    Args:
        directory: Where to look; one that does not exist has none.
    """
    with contextlib.suppress(FileNotFoundError):
        names = [name for name in os.listdir(directory) if _FILE_NAME.fullmatch(name)]
        return [Path(directory) / name for name in sorted(names)]
    return []


def newest_valid(
    directory: str | Path, check: Callable[[Path, Contents], None]
) -> tuple[Path, Contents] | None:
    """Reads the newest whole checkpoint of a directory.

    A damaged one is warned about and renamed to end in `.damaged`, so that it is not tried again;
    one that cannot be read is warned about, and stays.

    Args:
        directory: Where to look.
        check: Raises unless a checkpoint is of this run; it is given the path, and what the file
            holds with shapes in the place of arrays, before these are read.

    Returns:
        Its path and content, or `None` if there are no checkpoints.

    Raises:
        CheckpointError: There are checkpoints, but none is whole; or the newest whole one is in a
            later format than this jaxmlp knows.
        PermissionError: One may not be read.
    """
    paths = checkpoint_paths(directory)
    for path in reversed(paths):
        try:
            return path, read(path, check=functools.partial(_check_ours, path, check))
        except (NewerFormatError, MismatchError, PermissionError):
            raise
        except TooLargeError as error:
            reason = str(error)
        except CheckpointError as error:
            with contextlib.suppress(OSError):  # a directory that may only be read
                os.replace(path, f"{path}.damaged")
            reason = str(error)
        except OSError as error:
            reason = f"{path} cannot be read ({error.strerror})."
        warnings.warn(
            f"{reason} The checkpoint before it is used instead.", RuntimeWarning, stacklevel=2
        )
    if paths:
        raise CheckpointError(
            f"None of the {len(paths)} checkpoints in {directory} is whole. Start anew in another "
            "directory, or restore the files from a copy."
        )
    return None


def _check_ours(path: Path, check: Callable[[Path, Contents], None], contents: Contents) -> None:
    if not contents.has_checksums:
        raise CheckpointError(f"{path} has no checksums, so it is not of jaxmlp.")
    check(path, contents)


def prune(paths: Sequence[Path], *, keep: int) -> list[Path]:
    """Removes all checkpoints of a run but the last ones.

    Only those are given that the run wrote or went on from, and those before: of others, which it
    could not read, nobody knows what they are, so that they neither count nor are removed.

    Args:
        paths: The checkpoints, the oldest first.
        keep: How many of the last ones to keep, at least 1.

    Returns:
        Those that are left; one that cannot be removed is warned about.

    Raises:
        ValueError: `keep` is below 1.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1; got {keep}.")
    for path in paths[:-keep]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            warnings.warn(
                f"{path} is an old checkpoint that cannot be removed ({error.strerror}); the run "
                "is not affected.",
                RuntimeWarning,
                stacklevel=2,
            )
    return list(paths[-keep:])
