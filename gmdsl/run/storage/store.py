"""A run on disk: draws stream into a Zarr store, and commits say how far they are safe.

The store is a Zarr group in ArviZ's schema that `xarray.open_datatree` reads at any time; draws that are not there yet
are NaN. Blocks are gathered and written together: first the draws, then a state file (`gmdsl.run.storage.checkpoint`)
that says so. After a kill the run goes on from the newest state, and what was written after it is written again, to the
same bits.

A run of several processes has a folder of state files for each share of the chains, and files of draws that hold chains
of one share only, so that nobody waits for another. The first process makes the store, with a first state of every
share, beside its final name, and renames it when it is whole; a small file says at the end that its attributes are
written.
"""

import contextlib
import pathlib
import shutil
import time
from collections.abc import Generator
from typing import Any, Self

import jax
import numpy as np

from gmdsl.core.errors import StoreError
from gmdsl.results.run_tree import run_groups
from gmdsl.results.tree import as_tree, attributes
from gmdsl.run.chains.kernel import Carry, Record
from gmdsl.run.chains.setup import Setup
from gmdsl.run.parallel.placement import Share
from gmdsl.run.storage import checkpoint
from gmdsl.run.storage.create import HELD, create_arrays
from gmdsl.run.storage.layout import DESCRIBED, SHARES, STATE, axes_of, folder, quiet, unoccupied

SECONDS = 2.0  # between commits, where no number of draws is asked for
PATIENCE = 50  # times the duration of the last commit before the next one


class Store:
    """An open store: what was given since the last commit is in memory, what came before is on disk."""

    def __init__(self, path: pathlib.Path, setup: Setup, facts: dict[str, Any], every: int | None):
        self.path, self.setup, self.facts, self.every = path, setup, facts, every
        self.safe, self.done = 0, 0
        self.waiting: list[Record] = []
        self.carries: list[np.ndarray] = []
        self.arrays: dict[str, Any] = {}
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
        """
        path = pathlib.Path(path)
        unoccupied(path)
        store = cls(path, setup, facts, every)
        store.carries = _copy_leaves([carries])
        partial = path.with_name(f"{path.name}.partial")
        with _report_failures(store):
            shutil.rmtree(partial, ignore_errors=True)
            create_arrays(partial, setup, carries, shares)
            for share in (Share(index, shares) for index in range(shares)):
                chains = share.of(setup.plan.chains)
                part = tuple(leaf[chains.start : chains.stop] for leaf in store.carries)
                folder(partial, share).mkdir(exist_ok=True)
                checkpoint.write(folder(partial, share), checkpoint.Commit(0, facts, part))
            checkpoint.write_note(partial / STATE / SHARES, shares)
            if path.exists():
                path.rmdir()
            partial.rename(path)
        return store

    @property
    def folder(self) -> pathlib.Path:
        """Where the state files are."""
        return folder(self.path, self.setup.share)

    def keep(self, record: Record, done: int, carries: list[Carry]) -> None:
        """Takes a block, and commits where it is time to."""
        self.waiting.append(record)
        self.carries, self.done = _copy_leaves(carries), done
        held = sum(block.position.shape[1] for block in self.waiting)
        due = held >= self.every if self.every else time.perf_counter() > self.due
        if due or held * len(self.setup.chains) * self.setup.density.dim > HELD or done == self.setup.total:
            with _report_failures(self):
                self.commit()

    def commit(self) -> None:
        """Writes the draws that wait, then the state that says that they are there."""
        began = time.perf_counter()
        if self.waiting:
            record = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *self.waiting)
            self._write(record, self.safe)
        checkpoint.write(self.folder, checkpoint.Commit(self.done, self.facts, tuple(self.carries)))
        self.waiting, self.safe, ended = [], self.done, time.perf_counter()
        self.due = ended + max(SECONDS, PATIENCE * (ended - began))

    def _write(self, record: Record, first: int) -> None:
        warmup, chains = self.setup.plan.warmup, self._chains
        last = first + record.position.shape[1]
        position, stats = np.asarray(record.position), {k: np.asarray(v) for k, v in record.stats.items()}
        for name, arrays in run_groups(self.setup.density, position, stats).items():
            parts = (("warmup_", first, min(last, warmup), 0), ("", max(first, warmup), last, warmup))
            for prefix, low, high, start in parts:
                for variable, values in arrays.items() if low < high else ():
                    array = self._array(f"{prefix}{name}/{variable}")
                    array[chains, low - start : high - start] = values[:, low - first : high - first]

    def _array(self, name: str) -> Any:
        """An array of the store; all are opened at once."""
        if name not in self.arrays:
            import zarr

            root = zarr.open_group(self.path, mode="r+")
            self.arrays.update({f"{group}/{key}": a for group, node in root.groups() for key, a in node.arrays()})
        return self.arrays[name]

    def truncate(self) -> None:
        """Takes back what was written after the last commit."""
        import zarr

        warmup = self.setup.plan.warmup
        for name, group in zarr.open_group(self.path, mode="r+").groups():
            first = min(self.safe, warmup) if name.startswith("warmup_") else max(0, self.safe - warmup)
            for variable, array in group.arrays():
                if "draw" in axes_of(array) and variable != "draw":
                    array[self._chains, first:] = array.fill_value

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
        import zarr

        with _report_failures(self):
            root = zarr.open_group(self.path, mode="r+")
            for name, group in root.groups():
                speaks = name.removeprefix("warmup_") in ("posterior", "sample_stats")
                group.update_attributes(attrs if speaks else attributes())
            root.update_attributes(attrs)
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
