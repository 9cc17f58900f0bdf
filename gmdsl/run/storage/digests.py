"""Checksums of the draws of a share that were committed: one for each array, over the draws in their order.

They are of the values and not of the files: a chunk that is not full is written again by the next commit, and a kill
may leave the newer one beside the older state.
"""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gmdsl.core.errors import StoreError
from gmdsl.run.storage.layout import records
from gmdsl.run.storage.manifest import AGAIN

if TYPE_CHECKING:
    from gmdsl.run.storage.checked_store import CheckedStore

type Hashes = dict[str, Any]


def add_draws(digest: Any, values: np.ndarray) -> None:
    """Goes on with values of shape (chain, draw, ...); each NaN counts as the one that a store gives back.

    >>> one, parts = hashlib.sha256(), hashlib.sha256()
    >>> values = np.arange(12.0).reshape(2, 3, 2)
    >>> add_draws(one, values), add_draws(parts, values[:, :1]), add_draws(parts, values[:, 1:])
    (None, None, None)
    >>> one.digest() == parts.digest()
    True
    """
    if values.dtype.kind in "fc" and np.isnan(values).any():
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
    digest.update(np.ascontiguousarray(np.swapaxes(values, 0, 1)).data.cast("B") if values.size else b"")


def arrays_of(store: "CheckedStore") -> dict[str, Any]:
    """The arrays of draws of a store, by group and name."""
    import zarr

    root: Any = zarr.open_group(store, mode="r" if store.read_only else "r+")
    groups = {name: root[name] for name in store.manifest.groups}
    return {name: groups[name.split("/")[0]][name.split("/")[1]] for name in store.manifest.draws}


def read_digests(arrays: Mapping[str, Any], chains: slice, done: int, warmup: int) -> Hashes:
    """The running checksums of the first `done` records, from what the arrays of a store hold.

    Raises:
        StoreError: something cannot be read.
    """
    found = {}
    for name, array in arrays.items():
        found[name] = digest = hashlib.sha256()
        for low in range(0, records(name, done, warmup), array.chunks[1]):
            high = min(low + array.chunks[1], records(name, done, warmup))
            try:
                values = array[chains, low:high]
            except StoreError:
                raise
            except Exception as error:  # whatever codecs say of a chunk that is another's
                raise StoreError(
                    f"resume({_root(array)!r}): draws {low} to {high - 1} of {name} cannot be read ({error}). {AGAIN}"
                ) from error
            add_draws(digest, np.asarray(values))
    return found


def check_digests(arrays: Mapping[str, Any], found: Hashes, committed: Mapping[str, str]) -> None:
    """Compares with what a state says.

    Raises:
        StoreError: the draws of an array are not those that were committed.
    """
    for name, digest in found.items():
        if committed.get(name) != digest.hexdigest():
            place = f"{_root(arrays[name])}/{name}/c"
            raise StoreError(
                f"resume({_root(arrays[name])!r}): the draws in {place} are not those that were committed: a file there"
                f" is missing, is another's, or was changed. {AGAIN}"
            )


def _root(array: Any) -> str:
    return str(array.store.root)
