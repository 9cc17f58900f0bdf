"""The store of a fit: where training stands, so that a kill at any moment loses a few seconds of it.

A state file (`gmdsl.run.storage.checkpoint`) holds what is carried from step to step (parameters, state of the
optimizer, state of the objective, moving average), the losses so far, and digests of all that must be the same when
training goes on. Steps draw their batches and their noise by the number of the step, so that a fit which was stopped
and went on equals, on the same machine, the one that was not stopped, to the bit.
"""

import contextlib
import hashlib
import pathlib
import time
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gmdsl.core.errors import SpecError, StoreError
from gmdsl.run.storage import checkpoint
from gmdsl.run.storage.layout import local_path
from gmdsl.run.storage.leaves import leaf_of, numbers_of
from gmdsl.run.storage.lock import locked

FOLDER = "training"  # the folder of the states, which no store of draws has
SECONDS = 2.0  # between two states
PATIENCE = 20.0  # times as long as a state takes to be written is training done before the next
AGAIN = "Start the fit again with another store."


class Standing(NamedTuple):
    """Where a fit stands.

    Attributes:
        done: optimizer steps.
        carry: what goes from step to step, any pytree.
        history: what was recorded on the way, arrays by name.
    """

    done: int
    carry: Any
    history: Mapping[str, np.ndarray]


class TrainingStore:
    """The states of one fit in a folder.

    Args:
        path: the folder of the store.
        facts: what must be the same when the fit goes on, by name.
    """

    def __init__(self, path: pathlib.Path, facts: Mapping[str, str]):
        self.path, self.folder, self.facts = path, path / FOLDER, dict(facts)
        self.due, self.written = time.perf_counter() + SECONDS, -1

    def last(self, like: Any) -> Standing | None:
        """The newest state; None where the fit has not begun. `like` has the structure of what is carried.

        Raises:
            SpecError: it is of another fit.
            StoreError: no state is whole.
        """
        if not checkpoint.files(self.folder):
            return None
        call = f"fit(store={str(self.path)!r})"
        state = checkpoint.newest(self.folder, call, damaged=AGAIN)
        old = state.facts["fit"]
        for what, value in self.facts.items():
            if old.get(what) != value:
                raise SpecError(
                    f"{call}: the {what} differs: {old.get(what)} in the store, {value} now. Repeat the call that began"
                    " it to go on; for another fit give another store."
                )
        shapes, treedef = jax.tree.flatten(jax.eval_shape(lambda: like))
        names = state.facts["history"]
        leaves = state.arrays[: len(state.arrays) - len(names)]
        if [jax.eval_shape(numbers_of, leaf).shape for leaf in shapes] != [leaf.shape for leaf in leaves]:
            raise StoreError(f"{call}: the state has arrays of other shapes, it is of another version. {AGAIN}")
        carry = jax.tree.unflatten(treedef, [leaf_of(a, leaf) for a, leaf in zip(leaves, shapes, strict=True)])
        self.written = state.done
        return Standing(state.done, carry, dict(zip(names, state.arrays[len(leaves) :], strict=True)))

    def keep(self, standing: Standing, *, last: bool = False) -> None:
        """Writes a state where one is due, or in any case at the end."""
        if standing.done == self.written or not (last or time.perf_counter() >= self.due):
            return
        began = time.perf_counter()
        leaves = [np.asarray(numbers_of(leaf)) for leaf in jax.tree.leaves(standing.carry)]
        history = [np.asarray(values) for values in standing.history.values()]
        facts = {"fit": self.facts, "history": list(standing.history)}
        checkpoint.write(self.folder, checkpoint.Commit(standing.done, facts, (*leaves, *history)))
        now = time.perf_counter()
        self.due, self.written = now + max(SECONDS, PATIENCE * (now - began)), standing.done


@contextlib.contextmanager
def training_store(store: Any, facts: Mapping[str, str]) -> Generator[TrainingStore | None]:
    """The store of a fit, held against other processes; None where none was asked for.

    Raises:
        SpecError: the path holds something else, or another process trains there.
    """
    if store is None:
        yield None
        return
    path = local_path("fit", store)
    if not is_training(path) and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SpecError(f"fit(store={str(path)!r}): there is something else at that path. Give a path of its own.")
    try:
        (path / FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"fit(store={str(path)!r}): it cannot be made ({error.strerror or error}).") from error
    with locked(path / FOLDER, "fit", "this fit"):
        yield TrainingStore(path, facts)


def is_training(path: pathlib.Path) -> bool:
    """Whether a folder is the store of a fit."""
    return (path / FOLDER).is_dir()


def digest_of(arrays: Mapping[str, Any]) -> str:
    """A digest of named arrays.

    >>> digest_of({"x": np.arange(3)}) == digest_of({"x": np.array([0, 1, 2])}), len(digest_of({}))
    (True, 16)
    """
    found = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        values = np.ascontiguousarray(values)
        found.update(f"{name} {values.dtype} {values.shape}".encode())
        found.update(values.data.cast("B") if values.size else b"")
    return found.hexdigest()[:16]
