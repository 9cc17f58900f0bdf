"""The manifest of a store: which files there must be, with the checksums of what never changes in them.

It is written once, with the store, and never again. Chunks of draws come and go; the state files vouch for them. The
attributes of groups, the length of the arrays of draws and the numbers of the draws change in the life of a run, and
are left out.
"""

import functools
import hashlib
import json
import pathlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gmdsl.core.errors import StoreError
from gmdsl.run.parallel.placement import Share
from gmdsl.run.storage.durable import DamagedError, seal, unseal, write_file

NAME = "manifest"
METADATA = "zarr.json"
WARMUP = "warmup_"  # groups that begin so keep their length
AGAIN = "Put back a copy of it, or make the run again in another store: the same seed gives the same draws."
_MAGIC = b"gmdsl manifest 1\n"


@dataclass(frozen=True)
class Manifest:
    """What must be in a store.

    Attributes:
        run: a name that no other run has.
        metadata: checksums of what never changes in the `zarr.json` of groups and arrays, by path.
        chunks: checksums of the chunks that never change: constants, observed values, coordinates.
        draws: names of the arrays of draws, such as `posterior/mu`.
    """

    run: str
    metadata: dict[str, str]
    chunks: dict[str, str]
    draws: tuple[str, ...]

    @functools.cached_property
    def groups(self) -> dict[str, list[str]]:
        """The arrays of each group."""
        found: dict[str, list[str]] = {}
        for key in self.metadata:
            group, *rest = key.removesuffix(METADATA).strip("/").split("/")
            if group and rest:
                found.setdefault(group, []).append(rest[0])
        return found

    @functools.cached_property
    def draw_numbers(self) -> list[str]:
        """The coordinates that number the draws."""
        return [f"{group}/draw" for group, names in self.groups.items() if "draw" in names]

    @functools.cached_property
    def moving(self) -> frozenset[str]:
        """The arrays of draws, for a quick look."""
        return frozenset(self.draws)


def list_files(run: str, files: Mapping[str, bytes]) -> Manifest:
    """The manifest of the files of a new store, by path."""
    metadata = {key: digest_metadata(key, content) for key, content in files.items() if key.endswith(METADATA)}
    moving = [key.removesuffix(f"/{METADATA}") for key in metadata if _draws_axis(json.loads(files[key])) is not None]
    numbers = [name for name in moving if name.endswith("/draw")]
    draws = tuple(name for name in moving if name not in numbers)
    changes = tuple(f"{name}/" for name in (*draws, *(n for n in numbers if not n.startswith(WARMUP))))
    chunks = {
        key: hashlib.sha256(content).hexdigest()
        for key, content in files.items()
        if key not in metadata and not key.startswith(changes)
    }
    return Manifest(run, metadata, chunks, draws)


def digest_metadata(key: str, content: bytes) -> str:
    """The checksum of what never changes in the `zarr.json` at that path.

    Raises:
        ValueError, RecursionError: it is no JSON of Zarr.
    """
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("not the metadata of a group or an array")
    if found.get("node_type") == "group":
        found.pop("attributes", None)
    axis = _draws_axis(found)
    if axis is not None and not key.startswith(WARMUP):
        found["shape"][axis] = "draws"
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def length(content: bytes) -> int | None:
    """Draws for which an array has room; None where it has no such axis."""
    found = json.loads(content)
    axis = _draws_axis(found)
    return None if axis is None else found["shape"][axis]


def resize(content: bytes, draws: int) -> bytes:
    """The metadata of the same array with room for so many draws."""
    found = json.loads(content)
    found["shape"][_draws_axis(found)] = draws
    return json.dumps(found, indent=2).encode()


def describe(content: bytes, attributes: Mapping[str, Any]) -> bytes:
    """The metadata of the same group with other attributes."""
    return json.dumps({**json.loads(content), "attributes": dict(attributes)}, indent=2).encode()


def write(folder: pathlib.Path, manifest: Manifest) -> None:
    """Writes the manifest into the folder of the states."""
    write_file(folder / NAME, seal(_MAGIC, json.dumps(asdict(manifest)).encode()))


def read(folder: pathlib.Path) -> Manifest:
    """The manifest of a store.

    Raises:
        StoreError: it is not there, damaged, or of another version.
    """
    path = folder / NAME
    try:
        found = json.loads(unseal(_MAGIC, path.read_bytes()))
        return Manifest(found["run"], found["metadata"], found["chunks"], tuple(found["draws"]))
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
    except (DamagedError, KeyError, TypeError, ValueError) as error:
        reason = f"is damaged ({error})"
    raise StoreError(
        f"resume({str(folder.parent)!r}): the list of its files, {path}, {reason};"
        f" stores of earlier versions have none. {AGAIN}"
    )


def identify(manifest: Manifest, share: Share) -> dict[str, Any]:
    """What a state file says of the run and the share that it belongs to."""
    return {"run": manifest.run, "share": [share.index, share.count]}


def _draws_axis(metadata: Mapping[str, Any]) -> int | None:
    """The axis of the draws in an array."""
    names = metadata.get("dimension_names") or []
    return names.index("draw") if "draw" in names else None
