"""State files: where a run stands, written so that a kill at any moment leaves a good one.

A file is written beside its final name, flushed to the disk and renamed; it begins with the checksum of what follows.
Two are kept: should the newest be damaged, the one before it serves. Arrays are NumPy's, settings are JSON; no pickle.
"""

import hashlib
import io
import json
import pathlib
import re
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmdsl.core.errors import StoreError
from gmdsl.run.storage.durable import DamagedError, seal, unseal, write_file

KEPT = 2
NONE = "Put back a copy of it, or make the run again, gm.sample(..., store=another path)."
DAMAGED = (
    "The draws are there (xarray.open_datatree); start a new run from them, gm.sample(..., init=tree, store=another"
    " path)."
)
_MAGIC = b"gmdsl state 2\n"
_LEFTOVER = re.compile(r"(.*\.)?[0-9a-f]{32}\.partial")
_NAME = re.compile(r"[0-9]{12}\.state")


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


def write(folder: pathlib.Path, commit: Commit) -> None:
    """Writes a state file atomically and drops all but the newest two."""
    write_file(folder / f"{commit.done:012d}.state", _pack(commit))
    for old in files(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    for leftover in folder.glob("*.partial"):
        if _LEFTOVER.fullmatch(leftover.name) and leftover.is_file():
            leftover.unlink(missing_ok=True)


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The state files, newest first; files of other names are not looked at."""
    return sorted((path for path in folder.glob("*.state") if _NAME.fullmatch(path.name)), reverse=True)


def done(folder: pathlib.Path) -> int:
    """Records that the newest state file says are safe; 0 where there is none."""
    found = files(folder)
    return int(found[0].name.removesuffix(".state")) if found else 0


def write_note(path: pathlib.Path, number: int) -> None:
    """Writes a file that holds one number and its checksum, whole or not at all."""
    write_file(path, _note(number))


def read_note(path: pathlib.Path) -> int:
    """The number in such a file; 0 where there is none.

    Raises:
        StoreError: it is damaged.
    """
    try:
        content = path.read_bytes()
        number = int(content.split()[0])
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError, IndexError):
        content, number = b"", 0
    if content != _note(number):
        raise StoreError(
            f"resume({str(path.parent.parent)!r}): the file {path} is damaged. Put back a copy of it, or make the run"
            " again in another store: the same seed gives the same draws."
        )
    return number


def newest(folder: pathlib.Path, call: str = "resume(...)", none: str = NONE, damaged: str = DAMAGED) -> Commit:
    """The newest state that is whole.

    Args:
        folder: where the states are.
        call: what the user called.
        none: what to do where there is no state.
        damaged: what to do where no state is whole.

    Raises:
        StoreError: there is none.

    Warns:
        UserWarning: a newer one is damaged and was passed over.
    """
    found = files(folder)
    for number, path in enumerate(found):
        try:
            commit = _unpack(path)
        except DamagedError as damage:
            if number + 1 < len(found):
                warnings.warn(f"{call}: {path} is damaged ({damage}); the one before it is used.", stacklevel=3)
            continue
        return commit
    if not found:
        raise StoreError(f"{call}: there is no state file in {folder}. {none}")
    raise StoreError(f"{call}: all state files in {folder} are damaged. {damaged}")


def _pack(commit: Commit) -> bytes:
    body = io.BytesIO()
    facts = json.dumps({"done": commit.done, **commit.facts}).encode()
    named = {f"leaf_{i}": leaf for i, leaf in enumerate(commit.arrays)}
    arrays: dict[str, Any] = {"facts": np.frombuffer(facts, np.uint8), **named}
    np.savez(body, **arrays)
    return seal(_MAGIC, body.getvalue())


def _unpack(path: pathlib.Path) -> Commit:
    try:
        payload = unseal(_MAGIC, path.read_bytes())
        with np.load(io.BytesIO(payload), allow_pickle=False) as held:
            facts = json.loads(held["facts"].tobytes())
            leaves: Sequence[np.ndarray] = [held[f"leaf_{i}"] for i in range(len(held.files) - 1)]
        done = facts.pop("done")
    except OSError as error:
        raise DamagedError(f"it cannot be read, {error.strerror or error}") from error
    except (KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DamagedError("it is of another version of gmdsl") from error
    if path.name != f"{done:012d}.state":
        raise DamagedError(f"it is the state after {done} records, under another name")
    return Commit(done, facts, tuple(leaves))


def _note(number: int) -> bytes:
    return f"{number} {hashlib.sha256(str(number).encode()).hexdigest()[:16]}\n".encode()
