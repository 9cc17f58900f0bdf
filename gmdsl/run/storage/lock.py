"""One process at a time writes the chains of a share: a lock on its folder, which the system frees when it dies."""

import contextlib
import pathlib
from collections.abc import Generator

from gmdsl.core.errors import SpecError


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Generator[None]:
    """Holds the lock of a folder of state files; without effect where the system has no such locks.

    Raises:
        SpecError: another process holds it.

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
    with (folder / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpecError(
                f"resume({str(folder)!r}): another process is running these chains. Wait for it, or stop it."
            ) from None
        yield
