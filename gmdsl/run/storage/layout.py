"""What lies where in a store, and how it is read."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import warnings
from collections.abc import Generator
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError, StoreError
from gmdsl.run.parallel.placement import Share
from gmdsl.run.storage import checkpoint, manifest
from gmdsl.run.storage.durable import write_file

STATE = "state"  # the array whose folder holds the state files: Zarr does not look in there
SHARES = "shares"  # the file that says in how many shares
DESCRIBED = "described"  # the file that says up to which record the attributes speak


def local_path(operation: str, store: Any) -> pathlib.Path:
    """The path of a store, which is a folder on a disk.

    Raises:
        SpecError: a URL, or no path at all.

    >>> local_path("sample", "s3://bucket/run.zarr")
    Traceback (most recent call last):
    ...
    gmdsl.core.errors.SpecError: sample(store='s3://bucket/run.zarr'): stores are folders on a local disk, this is a \
URL. Give a path such as 'run.zarr', and copy the finished store.
    """
    if not isinstance(store, str | os.PathLike) or not isinstance(os.fspath(store), str) or not os.fspath(store):
        raise SpecError(f"{operation}(store={store!r}): the path of a folder is needed, such as 'run.zarr'.")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/[/]?", os.fspath(store)) and not pathlib.PureWindowsPath(store).drive:
        raise SpecError(
            f"{operation}(store={os.fspath(store)!r}): stores are folders on a local disk, this is a URL. Give a path"
            " such as 'run.zarr', and copy the finished store."
        )
    return pathlib.Path(store)


def unoccupied(path: pathlib.Path) -> None:
    """Refuses a path where something is already.

    Raises:
        SpecError: a run, or something else.
    """
    if shares(path):
        raise SpecError(
            f"sample(store={str(path)!r}): there is a run already. Continue it by gm.resume({str(path)!r}, model,"
            " sampler), or give another path."
        )
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise SpecError(f"sample(store={str(path)!r}): there is something else at that path. Give another one.")


def shares(path: pathlib.Path) -> int:
    """In how many parts the run of a store is made; 0 where there is no run."""
    return checkpoint.read_note(path / STATE / SHARES) or int(bool(checkpoint.files(path / STATE)))


def folder(path: pathlib.Path, share: Share) -> pathlib.Path:
    """Where the state files of a share are."""
    return path / STATE if share.count == 1 else path / STATE / f"share-{share.index:05d}"


def all_done(path: pathlib.Path, count: int) -> int:
    """Records that every chain has safely stored."""
    return min(checkpoint.done(folder(path, Share(index, count))) for index in range(count))


def lengthen(path: pathlib.Path, draws: int) -> None:
    """Room for so many draws, also where a kill left some arrays with another length.

    Raises:
        StoreError: a file is missing or damaged, or cannot be written.
    """
    from gmdsl.run.storage.checked_store import CheckedStore

    store = CheckedStore(path, manifest.read(path / STATE), path / STATE)
    try:
        for key in store.manifest.metadata:
            content = store.get_sync(key).to_bytes()
            if not key.startswith(manifest.WARMUP) and manifest.length(content) not in (None, draws):
                write_file(path / key, manifest.resize(content, draws))
        _number_draws(store, draws)
    except OSError as error:
        raise StoreError(
            f"resume({str(path)!r}): cannot write ({error.strerror or error}). The draws that were committed are safe."
            " Make room, and call gm.resume again."
        ) from error


def _number_draws(store: Any, draws: int) -> None:
    """Writes the numbers of the draws where they are not right."""
    import zarr

    root: Any = zarr.open_group(store, mode="r+")
    for name in store.manifest.draw_numbers:
        if not name.startswith(manifest.WARMUP) and not _counts(root[name], draws):
            shutil.rmtree(store.root / name / "c", ignore_errors=True)
            root[name][:] = np.arange(draws)
    store.flush()


def _counts(array: Any, draws: int) -> bool:
    """Whether an array holds the numbers from 0 on."""
    try:
        return np.array_equal(array[:], np.arange(draws))
    except Exception:  # whatever codecs say of a damaged chunk, which is written anew
        return False


def described(path: pathlib.Path) -> int:
    """Records of which the attributes speak."""
    return checkpoint.read_note(path / STATE / DESCRIBED)


def checked(path: pathlib.Path, draws: int | None = None) -> Any:
    """The files of a store, to be read, after a look at all that never change.

    Args:
        path: where.
        draws: for how many there must be room; any number is right when None.

    Raises:
        StoreError: a file is missing or damaged.
    """
    from gmdsl.run.storage.checked_store import CheckedStore

    store = CheckedStore(path, manifest.read(path / STATE), draws=draws)
    store.check_all()
    return store


def opened(path: Any, done: int, warmup: int) -> Any:
    """The tree of the store at a path, after a look at the files that never change, as `tree_of` gives it.

    Raises:
        StoreError: a file is missing or damaged.
    """
    return tree_of(checked(pathlib.Path(path)), done, warmup)


def tree_of(store: Any, done: int, warmup: int) -> Any:
    """The tree of a store, its arrays read from the disk when used; without the draws that were not made.

    Args:
        store: what `checked` gives.
        done: records that every chain has safely stored.
        warmup: how many of them are warm-up.
    """
    from xarray import Dataset, DataTree, open_dataset

    children = {}
    tuned = ("tuned",) if (store.root / "tuned").is_dir() else ()
    for name in (*store.manifest.groups, *tuned):
        with quiet():
            data = open_dataset(store, group=name, engine="zarr", consolidated=False, chunks=None)
        if "draw" in data.dims:
            data = data.isel(draw=slice(0, records(name, done, warmup)))
        children[f"/{name}"] = data
    attributes = json.loads(store.get_sync(manifest.METADATA).to_bytes())["attributes"]
    return DataTree.from_dict({"/": Dataset(attrs=attributes), **children})


def records(group: str, done: int, warmup: int) -> int:
    """How many of the first `done` records a group holds."""
    return min(done, warmup) if group.startswith(manifest.WARMUP) else max(0, done - warmup)


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Without what Zarr says of metadata in one place and of types that its format has not settled."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated.*|.*Zarr V3.*|.*zarr v3.*")
        yield
