"""A folder as a store of Zarr that checks what it reads; a kill while it writes leaves the old file or the new one."""

import copy
import hashlib
import pathlib
import uuid
from collections.abc import AsyncIterator
from typing import Any, Self

import google_crc32c
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore

from gmdsl.core.errors import StoreError
from gmdsl.run.storage.durable import move
from gmdsl.run.storage.manifest import AGAIN, METADATA, Manifest, digest_metadata, length


class CheckedStore(LocalStore):
    """The files of a run, as its manifest says that they must be.

    Metadata, and chunks that never change, have checksums in the manifest; a chunk of draws ends with its own. What is
    not as it must be is a `StoreError` that names the file. What is written waits under another name until `flush`.

    Args:
        root: the folder of the store.
        manifest: what must be there.
        scratch: a folder on the same disk for files that wait; None where nothing is written.
        draws: the length of the arrays of draws; None where any is right.
    """

    def __init__(
        self, root: pathlib.Path, manifest: Manifest, scratch: pathlib.Path | None = None, draws: int | None = None
    ):
        super().__init__(root, read_only=scratch is None)
        self.manifest, self.scratch, self.draws = manifest, scratch, draws
        self.seen: set[str] = set()  # chunks of draws that were read or written, and must be there from then on
        self.waiting: dict[str, pathlib.Path] = {}

    def with_read_only(self, read_only: bool = False) -> Self:
        """The same store; one that may write needs a folder for it."""
        other = copy.copy(self)
        other._read_only = read_only or self.scratch is None
        return other

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # as that of LocalStore

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """The content of a file, checked; None where there is none and need not be one.

        Raises:
            StoreError: it is damaged, missing or cannot be read.
        """
        content = self._check(key, self._read(key))
        if content is None:
            return None
        buffer = (prototype or default_buffer_prototype()).buffer.from_bytes(content)
        return buffer if byte_range is None else buffer[_part(byte_range, len(content))]

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Likewise."""
        import asyncio

        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Any]:
        """Likewise, of several files."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    def set_sync(self, key: str, value: Any) -> None:
        """Writes a file that takes its place when the store is flushed."""
        if self.scratch is None:
            raise StoreError(f"{self.root}: this store is only read.")
        path = self.scratch / f"{uuid.uuid4().hex}.partial"
        path.write_bytes(value.to_bytes())
        self.waiting[key] = path
        self.seen.add(key)

    async def set(self, key: str, value: Any) -> None:
        """Likewise."""
        import asyncio

        await asyncio.to_thread(self.set_sync, key, value)

    def delete_sync(self, key: str) -> None:
        """Deletes a file, also one that waits."""
        self._forget(key)
        super().delete_sync(key)

    async def delete(self, key: str) -> None:
        """Likewise."""
        self._forget(key)
        await super().delete(key)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """What there must be in a group, whether it is there or not; other folders are as they are."""
        names = self.manifest.groups.get(prefix.strip("/"))
        if names is None:
            async for name in super().list_dir(prefix):
                yield name
        else:
            for name in (*names, METADATA):
                yield name

    def flush(self) -> None:
        """Brings what waits to the disk, and then to its place."""
        places = {path: self.root / key for key, path in self.waiting.items() if path.exists()}
        move(places)
        self.waiting = {}

    def check_all(self) -> None:
        """Looks at every file that never changes.

        Raises:
            StoreError: one is damaged or missing.
        """
        for key in (*self.manifest.metadata, *self.manifest.chunks):
            self.get_sync(key)

    def _read(self, key: str) -> bytes | None:
        for path in (self.waiting.get(key), self.root / key):
            try:
                if path is not None:
                    return path.read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                continue  # a file that waited and was interrupted on its way may be in its place
            except OSError as error:
                raise self._damaged(key, f"cannot be read ({error.strerror or error})") from error
        return None

    def _check(self, key: str, content: bytes | None) -> bytes | None:
        manifest = self.manifest
        if key in manifest.metadata:
            self._check_metadata(key, self._there(key, content))
        elif key in manifest.chunks:
            if hashlib.sha256(self._there(key, content)).hexdigest() != manifest.chunks[key]:
                raise self._damaged(key, "is damaged (its checksum is wrong)")
        elif "/".join(key.split("/", 2)[:2]) in manifest.moving:
            if content is None:
                if key in self.seen:
                    raise self._damaged(key, "is missing")
            elif google_crc32c.value(content[:-4]).to_bytes(4, "little") != content[-4:]:
                raise self._damaged(key, "is damaged (its checksum is wrong)")
            else:
                self.seen.add(key)
        return content

    def _check_metadata(self, key: str, content: bytes) -> None:
        try:
            right = digest_metadata(key, content) == self.manifest.metadata[key]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise self._damaged(key, f"is damaged ({error})") from None
        if not right:
            raise self._damaged(key, "is damaged (it is not what was written)")
        name = key.removesuffix(f"/{METADATA}")
        if self.draws is not None and not key.startswith("warmup_") and length(content) not in (None, self.draws):
            raise StoreError(
                f"resume({str(self.root)!r}): {name} has room for {length(content)} draws, the run has {self.draws}: it"
                " was stopped while it was lengthened. Call gm.resume in one process, which repairs it."
            )

    def _there(self, key: str, content: bytes | None) -> bytes:
        if content is None:
            raise self._damaged(key, "is missing")
        return content

    def _forget(self, key: str) -> None:
        self.seen.discard(key)
        path = self.waiting.pop(key, None)
        if path is not None:
            path.unlink(missing_ok=True)

    def _damaged(self, key: str, what: str) -> StoreError:
        return StoreError(f"resume({str(self.root)!r}): the file {self.root / key} {what}. {AGAIN}")


def _part(byte_range: Any, size: int) -> slice:
    """The bytes that Zarr asks for."""
    if hasattr(byte_range, "start"):
        return slice(byte_range.start, byte_range.end)
    if hasattr(byte_range, "offset"):
        return slice(byte_range.offset, None)
    return slice(max(0, size - byte_range.suffix), None)
