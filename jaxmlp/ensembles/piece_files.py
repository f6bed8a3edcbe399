"""Turns trained pieces into files beside a sweep's checkpoints, and back into its groups."""

import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from ..storage import (
    CheckpointError,
    Contents,
    MismatchError,
    differences,
    encode,
    flatten_by_path,
    read,
    restore_by_path,
    write_atomically,
)
from .sweep_files import StoredGroup, SweepFiles, as_stored

_PIECE = "jaxmlp.piece"
_FILE_NAME = re.compile(r"piece_\d{8}_\d{8}\.safetensors")


class PieceFiles:
    """The pieces of a sweep in the directory of its checkpoints: each is kept when it arrives.

    Args:
        directory: Where the checkpoints lie; it exists.
        files: What checkpoints of this sweep hold.
    """

    def __init__(self, directory: str | Path, files: SweepFiles) -> None:
        self._directory, self._files = Path(directory), files

    def paths(self) -> list[Path]:
        """Returns the files of pieces that are there."""
        names = [name for name in os.listdir(self._directory) if _FILE_NAME.fullmatch(name)]
        return [self._directory / name for name in sorted(names)]

    def write(self, group: int, positions: Int[np.ndarray, " members"], until: int) -> None:
        """Writes what members of a group have reached at an epoch; a failure is warned about."""
        progress = self._files.groups[group].progress
        numbers = self._files.groups[group].members.numbers[positions]
        stored = jax.tree.map(lambda leaf: leaf[positions], as_stored(progress, until))
        header = {"group": group, "positions": positions.tolist(), "until": until}
        metadata = {**self._files.metadata(), _PIECE: json.dumps(header)}
        path = self._directory / f"piece_{until:08d}_{numbers[0]:08d}.safetensors"
        try:
            write_atomically(path, encode(flatten_by_path(stored), metadata))
        except OSError as error:
            warnings.warn(
                f"A piece could not be kept; the sweep is not affected, but would train it again "
                f"if it were killed. {error}",
                RuntimeWarning,
                stacklevel=2,
            )

    def load(self) -> None:
        """Writes what the files hold into the groups, where it is further than what is there.

        A damaged file is warned about; its members are trained again.

        Raises:
            MismatchError: A piece is of other networks, optimizers or metrics.
            ValueError: A piece is of a sweep with other settings, stages, data or random keys.
        """
        for path in self.paths():
            try:
                contents = read(path, check=lambda contents, path=path: self._check(path, contents))
            except MismatchError:
                raise
            except (CheckpointError, OSError) as error:
                warnings.warn(
                    f"{path} cannot be read; its members are trained again. {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )
                continue
            self._restore(path, contents)

    def remove(self) -> None:
        """Removes the files, after a checkpoint that holds all of them has been written."""
        for path in self.paths():
            path.unlink(missing_ok=True)

    def _check(self, path: Path, contents: Contents) -> None:
        if not contents.has_checksums:
            raise CheckpointError(f"{path} has no checksums, so it is not of jaxmlp.")
        self._files.check_header(path, contents)
        group, positions, until = _read_header(path, contents)
        members = [len(group.members.numbers) for group in self._files.groups]
        if (
            not 0 <= group < len(members)
            or not ((positions >= 0) & (positions < members[group])).all()
        ):
            raise MismatchError(f"{path} has members that this sweep has not.")
        if problems := differences(self._skeleton(group, positions, until), contents.arrays):
            raise MismatchError(
                f"{path} is of other networks, optimizers or metrics: {'; '.join(problems)}. "
                "Resume with those of then, or start anew in another directory."
            )

    def _skeleton(self, group: int, positions: np.ndarray, until: int) -> StoredGroup:
        progress = self._files.groups[group].progress
        return jax.tree.map(lambda leaf: leaf[positions], as_stored(progress, until))

    def _restore(self, path: Path, contents: Contents) -> None:
        group, positions, until = _read_header(path, contents)
        progress = self._files.groups[group].progress
        stored = restore_by_path(self._skeleton(group, positions, until), contents.arrays)
        further = stored.state.epoch > progress.state.epoch[positions]
        further |= stored.state.stopped & ~progress.state.stopped[positions]

        def keep(there: np.ndarray, leaf: np.ndarray) -> None:
            there[positions[further]] = leaf[further]

        jax.tree.map(keep, as_stored(progress, until), stored)
        self._files.meet_trainers(path, contents)


def _read_header(path: Path, contents: Contents) -> tuple[int, np.ndarray, int]:
    try:
        header: dict[str, Any] = json.loads(contents.metadata[_PIECE])
        return int(header["group"]), np.array(header["positions"], int), int(header["until"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise MismatchError(f"{path} is no piece of a sweep ({error}).") from error
