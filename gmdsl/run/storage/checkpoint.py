"""State files: where a run stands, written so that a kill at any moment leaves a good one.

A file is written beside its final name, flushed to the disk and renamed; it begins with the checksum of what follows.
Two are kept: should the newest be damaged, the one before it serves. Arrays are NumPy's, settings are JSON; no pickle.
"""

import hashlib
import io
import json
import os
import pathlib
import uuid
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError

KEPT = 2
_MAGIC = b"gmdsl state 1\n"


@dataclass(frozen=True)
class Commit:
    """Where a run stands.

    Attributes:
        done: records of each chain that are safely stored, warm-up included.
        facts: settings and digests, as JSON.
        arrays: the leaves of the carries of the chains.
    """

    done: int
    facts: dict[str, Any]
    arrays: tuple[np.ndarray, ...]


class DamagedError(Exception):
    """A state file that is not whole."""


def write(folder: pathlib.Path, commit: Commit) -> None:
    """Writes a state file atomically and drops all but the newest two."""
    final = folder / f"{commit.done:012d}.state"
    partial = folder / f"{final.name}.{uuid.uuid4().hex}.partial"
    with partial.open("wb") as file:
        file.write(_pack(commit))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(final)
    _sync(folder)
    for old in files(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    for leftover in folder.glob("*.partial"):
        leftover.unlink(missing_ok=True)


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The state files, newest first."""
    return sorted(folder.glob("*.state"), reverse=True)


def done(folder: pathlib.Path) -> int:
    """Records that the newest state file says are safe; 0 where there is none."""
    found = files(folder)
    return int(found[0].name.removesuffix(".state")) if found else 0


def write_note(path: pathlib.Path, number: int) -> None:
    """Writes a file that holds one number, whole or not at all."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    with partial.open("w") as file:
        file.write(f"{number}\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync(path.parent)


def read_note(path: pathlib.Path) -> int:
    """The number in such a file; 0 where there is none."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return 0


def newest(folder: pathlib.Path) -> Commit:
    """The newest state that is whole.

    Raises:
        SpecError: there is none.

    Warns:
        UserWarning: a newer one is damaged and was passed over.
    """
    found = files(folder)
    for number, path in enumerate(found):
        try:
            commit = _unpack(path.read_bytes())
        except DamagedError as damage:
            if number + 1 < len(found):
                warnings.warn(f"resume(...): {path} is damaged ({damage}); the one before it is used.", stacklevel=3)
            continue
        return commit
    if not found:
        raise SpecError(
            f"resume(...): nothing was committed in {folder.parent}. Start the run by gm.sample(store=...)."
        )
    raise SpecError(
        f"resume(...): all state files in {folder} are damaged. The draws are there (xarray.open_datatree); start a new"
        " run from them, gm.sample(..., init=tree, store=another path)."
    )


def _pack(commit: Commit) -> bytes:
    body = io.BytesIO()
    facts = json.dumps({"done": commit.done, **commit.facts}).encode()
    named = {f"leaf_{i}": leaf for i, leaf in enumerate(commit.arrays)}
    arrays: dict[str, Any] = {"facts": np.frombuffer(facts, np.uint8), **named}
    np.savez(body, **arrays)
    payload = body.getvalue()
    return _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def _unpack(content: bytes) -> Commit:
    size = len(_MAGIC) + 65
    if len(content) < size or not content.startswith(_MAGIC):
        raise DamagedError("it does not begin like a state file" if content else "it is empty")
    payload = content[size:]
    if hashlib.sha256(payload).hexdigest().encode() != content[len(_MAGIC) : size - 1]:
        raise DamagedError("its checksum is wrong")
    with np.load(io.BytesIO(payload), allow_pickle=False) as held:
        facts = json.loads(held["facts"].tobytes())
        leaves: Sequence[np.ndarray] = [held[f"leaf_{i}"] for i in range(len(held.files) - 1)]
    return Commit(facts.pop("done"), facts, tuple(leaves))


def _sync(folder: pathlib.Path) -> None:
    """Makes a rename durable, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
