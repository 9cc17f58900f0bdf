"""One process at a time writes the chains of a share: a lock on its folder, which the system frees when it dies."""

import contextlib
import pathlib
from collections.abc import Generator

from gmdsl.core.errors import SpecError, StoreError


@contextlib.contextmanager
def locked(folder: pathlib.Path, verb: str = "resume", what: str = "these chains") -> Generator[None]:
    """Holds the lock of a folder of state files; without effect where the system has no such locks.

    Args:
        folder: the folder.
        verb: what the user called.
        what: what is written there.

    Raises:
        SpecError: another process holds it.
        StoreError: there is no such folder, or it cannot be written.

    >>> import tempfile
    >>> with locked(pathlib.Path(tempfile.mkdtemp())):
    ...     print("alone")
    alone
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        file = (folder / "lock").open("ab")
    except OSError as error:
        raise StoreError(
            f"{verb}({str(folder)!r}): the lock of {what}, {folder / 'lock'}, cannot be opened"
            f" ({error.strerror or error}). The store must be on a disk that may be written; without its folder of"
            " states, put back a copy, or make the run again in another store."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpecError(
                f"{verb}({str(folder)!r}): another process is running {what}. Wait for it, or stop it."
            ) from None
        yield
