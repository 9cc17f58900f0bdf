"""Files that are on the disk when a function returns, each whole or not at all, and texts with their checksum."""

import hashlib
import os
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

THREADS = 8  # that flush together: a file system writes several files at once about as fast as one


class DamagedError(Exception):
    """A file that is not what was written."""


def write_file(path: pathlib.Path, content: bytes) -> None:
    """Writes a file beside its final name, flushes it to the disk and renames it."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    flush_folder(path.parent)


def flush(paths: Iterable[pathlib.Path]) -> None:
    """Flushes files to the disk, several at once."""
    _each(_flush_file, paths)


def move(places: Mapping[pathlib.Path, pathlib.Path]) -> None:
    """Flushes files to the disk and gives each its final name, several at once; the renames are durable, too."""
    new = set()
    for final in places.values():
        folder = final.parent
        while not folder.exists():
            folder = folder.parent
            new.add(folder)
        final.parent.mkdir(parents=True, exist_ok=True)

    def move_one(path: pathlib.Path) -> None:
        _flush_file(path)
        path.replace(places[path])
        flush_folder(places[path].parent)

    _each(move_one, places)
    flush_folders(new)


def flush_folders(folders: Iterable[pathlib.Path]) -> None:
    """Makes renames in these folders durable, where the system can."""
    _each(flush_folder, folders)


def flush_folder(folder: pathlib.Path) -> None:
    """Makes a rename durable, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def seal(magic: bytes, payload: bytes) -> bytes:
    r"""A payload behind a line that says what it is and its checksum.

    >>> unseal(b"text 1\n", seal(b"text 1\n", b"hello"))
    b'hello'
    """
    return magic + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def unseal(magic: bytes, content: bytes) -> bytes:
    """The payload of such a file.

    Raises:
        DamagedError: it is not whole, or of another format.
    """
    size = len(magic) + 65
    if not content:
        raise DamagedError("it is empty")
    if len(content) < size or not content.startswith(magic):
        raise DamagedError(f"it does not begin with {magic.decode().strip()!r}, it is of another version or kind")
    payload = content[size:]
    if hashlib.sha256(payload).hexdigest().encode() != content[len(magic) : size - 1]:
        raise DamagedError("its checksum is wrong")
    return payload


def _flush_file(path: pathlib.Path) -> None:
    _sync(path, os.O_RDWR)  # Windows flushes only what may be written


def _sync(path: pathlib.Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _each(work: Callable[[pathlib.Path], None], paths: Iterable[pathlib.Path]) -> None:
    paths = list(paths)
    if len(paths) < 2:
        for path in paths:
            work(path)
        return
    with ThreadPoolExecutor(min(THREADS, len(paths))) as threads:
        list(threads.map(work, paths))
