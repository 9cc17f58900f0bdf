"""A run on disk: draws stream into a Zarr store, and commits say how far they are safe.

The store is a Zarr group in ArviZ's schema that `xarray.open_datatree` reads at any time; draws that are not there yet
are NaN. Blocks are gathered and written together: first the draws, which are flushed to the disk, then a state file
(`gmdsl.run.storage.checkpoint`) that says so and holds checksums of the draws. After a kill the run goes on from the
newest state, and what was written after it is written again, to the same bits.

A run of several processes has a folder of state files for each share of the chains, and files of draws that hold chains
of one share only, so that nobody waits for another. The first process makes the store, with a first state of every
share, beside its final name, and renames it when it is whole; a small file says at the end that its attributes are
written.
"""

import contextlib
import functools
import hashlib
import pathlib
import shutil
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import jax
import numpy as np

from gmdsl.core.errors import StoreError
from gmdsl.results.run_tree import run_groups
from gmdsl.results.tree import as_tree, attributes
from gmdsl.run.chains.kernel import Carry, Record
from gmdsl.run.chains.setup import Setup
from gmdsl.run.parallel.placement import Share
from gmdsl.run.storage import checkpoint, manifest
from gmdsl.run.storage.create import HELD, create_arrays
from gmdsl.run.storage.digests import Hashes, add_draws, arrays_of, check_digests, read_digests
from gmdsl.run.storage.durable import flush_folder, write_file
from gmdsl.run.storage.layout import DESCRIBED, SHARES, STATE, folder, quiet, records, unoccupied
from gmdsl.run.storage.manifest import METADATA, WARMUP, identify

if TYPE_CHECKING:
    from gmdsl.run.storage.checked_store import CheckedStore

SECONDS = 2.0  # between commits, where no number of draws is asked for
PATIENCE = 50  # times the duration of the last commit before the next one


@dataclass(frozen=True)
class Pending:
    """What was given to a store and is not committed yet; replaced as one, so that Ctrl-C cannot part it.

    Attributes:
        blocks: draws since the last commit.
        done: records of each chain, with those.
        carries: leaves of the carries after them.
    """

    blocks: tuple[Record, ...] = ()
    done: int = 0
    carries: tuple[np.ndarray, ...] = ()


class Store:
    """An open store: what was given since the last commit is in memory, what came before is on disk."""

    def __init__(self, path: pathlib.Path, setup: Setup, facts: dict[str, Any], every: int | None):
        self.path, self.setup, self.facts, self.every = path, setup, facts, every
        self.safe = 0
        self.pending = Pending()
        self.hashes: Hashes = {}
        self.due = time.perf_counter() + SECONDS

    @classmethod
    def create(
        cls, path: Any, setup: Setup, facts: dict[str, Any], carries: Carry, every: int | None, shares: int = 1
    ) -> Self:
        """A new store with empty arrays, and first states from which every share of the run can begin.

        Args:
            path: where.
            setup: the whole run.
            facts: what the state files say of it.
            carries: those of all chains.
            every: draws between commits.
            shares: parts of the chains that are written apart.

        Raises:
            SpecError: there is something at that path already.
            StoreError: it cannot be written; nothing is left.
        """
        path = pathlib.Path(path)
        unoccupied(path)
        store, leaves = cls(path, setup, facts, every), _copy_leaves([carries])
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.mkdir()
            held = create_arrays(partial, setup, carries, shares)
            store.hashes = {name: hashlib.sha256() for name in held.draws}
            empty = {name: digest.hexdigest() for name, digest in store.hashes.items()}
            for share in (Share(index, shares) for index in range(shares)):
                chains = share.of(setup.plan.chains)
                part = tuple(leaf[chains.start : chains.stop] for leaf in leaves)
                folder(partial, share).mkdir(exist_ok=True)
                own = {**facts, **identify(held, share), "draws": empty}
                checkpoint.write(folder(partial, share), checkpoint.Commit(0, own, part))
            checkpoint.write_note(partial / STATE / SHARES, shares)
            if path.exists():
                path.rmdir()
            partial.rename(path)
            flush_folder(path.parent)
        except OSError as error:
            raise StoreError(
                f"sample(store={str(path)!r}): the store cannot be made ({error.strerror or error}). There is nothing"
                " at that path to go on from. Make room, or give another path, and call gm.sample again."
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # it is this call's own: nobody else knows its name
        return store

    @property
    def folder(self) -> pathlib.Path:
        """Where the state files are."""
        return folder(self.path, self.setup.share)

    def keep(self, record: Record, done: int, carries: list[Carry]) -> None:
        """Takes a block, and commits where it is time to."""
        self.pending = Pending((*self.pending.blocks, record), done, tuple(_copy_leaves(carries)))
        held = sum(block.position.shape[1] for block in self.pending.blocks)
        due = held >= self.every if self.every else time.perf_counter() > self.due
        if due or held * len(self.setup.chains) * self.setup.density.dim > HELD or done == self.setup.total:
            with _report_failures(self):
                self.commit()

    def commit(self) -> None:
        """Writes the draws that wait, then the state that says that they are there."""
        began, pending, hashes = time.perf_counter(), self.pending, self.hashes
        if pending.blocks:
            record = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *pending.blocks)
            hashes = self._write(record, self.safe)
            self._files.flush()
        digests = {name: digest.hexdigest() for name, digest in hashes.items()}
        facts = {**self.facts, **identify(self._files.manifest, self.setup.share), "draws": digests}
        checkpoint.write(self.folder, checkpoint.Commit(pending.done, facts, pending.carries))
        self.hashes, self.safe = hashes, pending.done
        self.pending, ended = Pending((), pending.done, pending.carries), time.perf_counter()
        self.due = ended + max(SECONDS, PATIENCE * (ended - began))

    def _write(self, record: Record, first: int) -> Hashes:
        """Writes draws, which wait to be flushed; the checksums with them."""
        warmup, chains, hashes = self.setup.plan.warmup, self._chains, self.hashes.copy()
        last = first + record.position.shape[1]
        position, stats = np.asarray(record.position), {k: np.asarray(v) for k, v in record.stats.items()}
        for name, arrays in run_groups(self.setup.density, position, stats).items():
            parts = ((WARMUP, first, min(last, warmup), 0), ("", max(first, warmup), last, warmup))
            for prefix, low, high, start in parts:
                for variable, values in arrays.items() if low < high else ():
                    full = f"{prefix}{name}/{variable}"
                    new = np.asarray(values[:, low - first : high - first], self._arrays[full].dtype)
                    self._arrays[full][chains, low - start : high - start] = new
                    hashes[full] = hashes[full].copy()
                    add_draws(hashes[full], new)
        return hashes

    @functools.cached_property
    def _files(self) -> "CheckedStore":
        from gmdsl.run.storage.checked_store import CheckedStore

        return CheckedStore(self.path, manifest.read(self.path / STATE), self.folder)

    @functools.cached_property
    def _arrays(self) -> dict[str, Any]:
        """The arrays of draws; all are opened at once."""
        return arrays_of(self._files)

    def go_on(self, state: checkpoint.Commit, fresh: bool = False) -> None:
        """Goes on from a state: looks whether the draws are those it vouches for, and takes back what came after it.

        Args:
            state: the newest of the share.
            fresh: whether the store was made by this call, so that nothing came after it.

        Raises:
            StoreError: they are not.
        """
        self.safe, self.pending = state.done, Pending((), state.done, state.arrays)
        with _report_failures(self):
            self.hashes = read_digests(self._arrays, self._chains, self.safe, self.setup.plan.warmup)
            check_digests(self._arrays, self.hashes, state.facts["draws"])
            if not fresh:
                self._truncate()

    def _truncate(self) -> None:
        """Takes back what was written after the last commit."""
        for name, array in self._arrays.items():
            array[self._chains, records(name, self.safe, self.setup.plan.warmup) :] = array.fill_value
        self._files.flush()

    @property
    def written(self) -> frozenset[str]:
        """Chunks that were checked or written here, and must be there."""
        return frozenset(self._files.seen)

    @property
    def _chains(self) -> slice:
        """Rows of the arrays that are written here."""
        return slice(self.setup.chains.start, self.setup.chains.stop)

    def close(self) -> None:
        """Commits what is left."""
        with _report_failures(self):
            self.commit()

    def put(self, name: str, arrays: dict[str, Any]) -> None:
        """Writes a group of small arrays that speak of the whole run."""
        if arrays:
            data = as_tree(self.setup.density.model, {name: arrays}, attributes())[name].to_dataset(inherit=False)
            with _report_failures(self), quiet():
                data.to_zarr(self.path, group=name, mode="w", consolidated=False)

    def describe(self, attrs: dict[str, Any], done: int) -> None:
        """Writes the attributes of the whole run, which speak of so many records."""
        with _report_failures(self):
            for name in ("", *self._files.manifest.groups):
                speaks = name.removeprefix(WARMUP) in ("", "posterior", "sample_stats")
                key = f"{name}/{METADATA}".lstrip("/")
                held = self._files.get_sync(key).to_bytes()
                write_file(self.path / key, manifest.describe(held, attrs if speaks else attributes()))
            checkpoint.write_note(self.path / STATE / DESCRIBED, done)


def _copy_leaves(parts: list[Carry]) -> list[np.ndarray]:
    """The leaves of the carries of all chains on the host, from those of each part; keys as their data."""
    leaves = zip(*map(jax.tree.leaves, parts), strict=True)
    return [np.concatenate([np.asarray(_numbers(part)) for part in leaf]) for leaf in leaves]


def _numbers(leaf: Any) -> Any:
    return leaf if isinstance(leaf.dtype, np.dtype) else jax.random.key_data(leaf)


@contextlib.contextmanager
def _report_failures(store: Store) -> Generator[None]:
    """Turns a failure to write into an error that says what is safe."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"sample(store={str(store.path)!r}): cannot write ({error.strerror or error}). The first {store.safe}"
            f" records of each chain (warm-up included) are safe there. Make room, then gm.resume({str(store.path)!r},"
            " model, sampler): it makes the rest again, to the same bits."
        ) from error
