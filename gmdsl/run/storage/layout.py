"""What lies where in a store, and how it is read."""

import contextlib
import pathlib
import warnings
from collections.abc import Generator
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.run.parallel.placement import Share
from gmdsl.run.storage import checkpoint

STATE = "state"  # the array whose folder holds the state files: Zarr does not look in there
SHARES = "shares"  # the file that says in how many shares
DESCRIBED = "described"  # the file that says up to which record the attributes speak


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
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / "zarr.json").exists())):
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
    """Room for more draws."""
    import zarr

    root = zarr.open_group(path, mode="r+")
    for _, group in root.groups():
        if "draw" in group and not group.basename.startswith("warmup_"):
            for variable, array in group.arrays():
                array.resize(
                    tuple(draws if a == "draw" else n for a, n in zip(axes_of(array), array.shape, strict=True))
                )
                if variable == "draw":
                    array[:] = np.arange(draws)


def described(path: pathlib.Path) -> int:
    """Records of which the attributes speak."""
    return checkpoint.read_note(path / STATE / DESCRIBED)


def opened(path: Any, done: int, warmup: int) -> Any:
    """The tree of a store, its arrays read from the disk when used; without the draws that were not made."""
    from xarray import DataTree, open_datatree

    with quiet():
        tree = open_datatree(path, engine="zarr", consolidated=False, chunks=None)
    children = {}
    for name, node in tree.children.items():
        data = node.to_dataset(inherit=False)
        if "draw" in data.dims:
            there = min(done, warmup) if name.startswith("warmup_") else max(0, done - warmup)
            data = data.isel(draw=slice(0, there))
        children[f"/{name}"] = data
    return DataTree.from_dict({"/": tree.to_dataset().drop_vars(STATE), **children})


def axes_of(array: Any) -> tuple[str, ...]:
    """Names of the axes of a Zarr array."""
    return tuple(array.metadata.dimension_names or ("",) * array.ndim)


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Without what Zarr says of metadata in one place and of types that its format has not settled."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated.*|.*Zarr V3.*|.*zarr v3.*")
        yield
