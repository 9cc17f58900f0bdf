"""`gm.resume`: a run goes on from its store, to the bits of the run that was never stopped.

The key of step i is `fold_in(chain_key, i)`, and everything else that a chain carries is in the state file, so a run
does not depend on how often it was stopped, on one machine and with one version of JAX.

Where several processes share the chains, each goes on from the newest state of its own share: chains need nothing of
each other. One process can finish what several began, one share after the other.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import pathlib
import time
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError, StoreError
from gmdsl.core.file_paths import is_path
from gmdsl.core.pytrees.fields import named_numbers
from gmdsl.inference.path import Path
from gmdsl.inference.sampler import Sampler
from gmdsl.models.model import Model
from gmdsl.results.digest import model_digest
from gmdsl.results.run_tree import run_attributes, settings_text
from gmdsl.run.chains.block import start_chains
from gmdsl.run.chains.cores import cores_here
from gmdsl.run.chains.kernel import Carry
from gmdsl.run.chains.loop import Outcome, Run, advance
from gmdsl.run.chains.setup import RunPlan, Setup, ahead, prepared
from gmdsl.run.chains.starts import starts
from gmdsl.run.parallel.mesh import check_mesh, local, spread
from gmdsl.run.parallel.placement import ALONE, WHOLE, Place, Share, place
from gmdsl.run.populations.replicas import with_exchange
from gmdsl.run.storage import checkpoint, manifest
from gmdsl.run.storage.digests import arrays_of, check_digests, read_digests
from gmdsl.run.storage.layout import (
    STATE,
    all_done,
    checked,
    described,
    folder,
    lengthen,
    local_path,
    shares,
    tree_of,
    unoccupied,
)
from gmdsl.run.storage.leaves import leaf_of, numbers_of
from gmdsl.run.storage.lock import locked
from gmdsl.run.storage.manifest import identify
from gmdsl.run.storage.store import Store
from gmdsl.run.storage.training_store import is_training
from gmdsl.run.targets import as_path, chain_density, mismatch
from gmdsl.spaces.space import Real, dtype_of

WAIT = 0.1  # seconds between two looks at what other processes have done


def sample_stored(
    density: Density,
    sampler: Sampler,
    plan: RunPlan,
    path: Any,
    every: int | None,
    *,
    init: Any,
    progress: bool,
    mesh: Any = None,
    place: Place = ALONE,
    cores: int | None = None,
) -> Any:
    """Runs chains into a new store and opens it as a tree; under `gmdsl launch` a run that is there goes on."""
    began, path = time.perf_counter(), local_path("sample", path)
    setup = prepared(density, sampler, plan, local(mesh), cores=_share_of_cores(cores, place))
    fresh = not (place.launched and shares(path))
    if fresh:
        if place.index == 0 or not place.launched:
            unoccupied(path)
        begun = ahead(setup)
        carries = starts(setup, init, begun)  # in every process, so that all of them refuse a start
        begun.wait()
        place.agree(repr((str(path.resolve()), facts(setup, sampler))))
        if place.index == 0:
            Store.create(path, setup, facts(setup, sampler), carries, every, place.count)
        while not shares(path):
            time.sleep(WAIT)
    else:
        state = _newest(path, Share(0, shares(path)))
        _same(path, _settings(state.facts["plan"]), _settings(dataclasses.asdict(plan)))
    return _run(path, setup, sampler, every, place, progress, began, fresh, cores)


def resume(
    store: Any,
    model: Model | Path | None = None,
    sampler: Sampler | None = None,
    *,
    draws: int | None = None,
    checkpoint_every: int | None = None,
    progress: bool = True,
    mesh: Any = None,
    cores: int | None = None,
) -> Any:
    """Continues a run that was stopped, or lengthens one that was finished.

    Args:
        store: the path that was given to `gm.sample(store=...)`.
        model: the same model, with the same data; the same path for a sampler on its rungs.
        sampler: the same sampler, with the same settings; a store does not hold it.
        draws: draws per chain in the end; as many as were asked for by default, more to lengthen the run.
        checkpoint_every: draws between commits; by default every two seconds.
        progress: whether to show a progress bar.
        mesh: devices that share the chains, as many in each process as before.
        cores: cores of the processor that share chains, as in `gm.sample`; they may be others than before.

    Returns:
        The tree of the whole run, its arrays read from the store when used. On the same machine with the same versions
        it equals that of the undisturbed run to the bit, also when the run was stopped during warm-up.

    Raises:
        SpecError: there is no run at that path, or one of another model, sampler or version; another process is
            running it; the path is a URL.
        StoreError: the store cannot be written; a file of it is missing or damaged, or its draws are not those that
            were committed: every file is compared with its checksum.

    Warns:
        UserWarning: the newest state is damaged, and the one before it is used.

    >>> import tempfile, gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    >>> path = tempfile.mkdtemp() + "/run.zarr"
    >>> short = gm.sample(bowl, gm.NUTS(), draws=50, warmup=50, store=path, progress=False)
    >>> longer = gm.resume(path, bowl, gm.NUTS(), draws=80, progress=False)
    >>> longer["posterior"]["x"].shape, bool((longer["posterior"]["x"][:, :50] == short["posterior"]["x"]).all())
    ((4, 80, 2), True)
    """
    store, model, sampler = _checked(store, model, sampler)
    began, path, here = time.perf_counter(), local_path("resume", store), place(mesh)
    if not path.is_dir() or not any(path.iterdir()):
        raise SpecError(f"resume({str(path)!r}): there is no run at that path. Start one by gm.sample(store=...).")
    state = _newest(path, Share(0, shares(path) or 1))
    plan = _plan(path, state.facts)
    plan = dataclasses.replace(plan, draws=_draws_in_the_end(plan, draws, here))
    check_mesh(mesh, plan.chains, here)
    setup = prepared(chain_density(model, sampler), sampler, plan, local(mesh), cores=cores)
    _same(path, state.facts, digests(model, sampler, setup.kernel.mesh))
    if here.count == 1:
        _lengthen_alone(path, plan.draws)
    tree = _run(path, setup, sampler, checkpoint_every, here, progress, began, False, cores)
    return with_exchange(model, sampler, tree) if isinstance(model, Path) else tree


def _checked(*given: Any) -> tuple[Any, Model | Path, Sampler]:
    """The store, the model or path, and the sampler, whichever way round they were given."""
    store, model, sampler = _in_order(*given)
    if is_path(store) and is_training(pathlib.Path(store)):
        raise SpecError(f"resume({str(store)!r}): the store of a fit. Repeat the call of gm.fit: it goes on there.")
    if sampler is None:
        raise SpecError("resume(store, model): the sampler is missing. Pass that of the run, with the same settings.")
    model = as_path(model, sampler)
    if not isinstance(sampler, Sampler):
        raise mismatch("resume", model, sampler)
    return store, model, sampler


def _in_order(*given: Any) -> list[Any]:
    """A path, a model and a sampler, whichever way round they were given; anything else is left as it is."""
    kinds = (is_path, lambda value: isinstance(value, Model | Path), lambda value: isinstance(value, Sampler))
    found = [[value for value in given if kind(value)] for kind in kinds]
    return [one[0] for one in found] if all(len(one) == 1 for one in found) else list(given)


def _draws_in_the_end(plan: RunPlan, draws: Any, here: Place) -> int:
    asked = plan.draws if draws is None else draws
    if not isinstance(asked, int) or asked < plan.draws:
        raise SpecError(f"resume(draws={draws!r}): the run has {plan.draws} draws; as many or more are possible.")
    if asked > plan.draws and here.count > 1:
        raise SpecError(f"resume(draws={draws!r}): {here.count} processes cannot lengthen a run. Do it in one process.")
    return asked


def _lengthen_alone(path: pathlib.Path, draws: int) -> None:
    """Room for so many draws, made while nobody else runs a share."""
    with contextlib.ExitStack() as locks:
        for share in (Share(index, shares(path)) for index in range(shares(path))):
            locks.enter_context(locked(folder(path, share)))
        lengthen(path, draws)


def _run(
    path: pathlib.Path, whole: Setup, sampler: Sampler, every: int | None, place: Place, progress: bool, began: float,
    fresh: bool, cores: int | None,
) -> Any:  # fmt: skip
    """Runs the shares of a store that fall to this process, one after the other, and opens the store as a tree."""
    cores = _share_of_cores(cores, place)
    if not fresh:
        checked(path, whole.plan.draws)  # before time is spent
    count, outcomes, known = shares(path), [], {}
    for share in (Share(index, count) for index in range(place.index, count, place.count)):
        with locked(folder(path, share)):
            outcome, known[share] = _run_share(path, whole, share, sampler, every, progress, began, fresh, cores)
            outcomes.append(outcome)
        if outcomes[-1].interrupted:
            break
    interrupted = any(outcome.interrupted for outcome in outcomes)
    try:
        while not interrupted and all_done(path, count) < whole.total:
            time.sleep(WAIT)
    except KeyboardInterrupt:
        interrupted = True
    done = all_done(path, count)
    if place.index == 0:
        times = {name: sum(outcome.times[name] for outcome in outcomes) for name in ("first_block", "total")}
        store = Store(path, whole, facts(whole, sampler), every)
        store.safe = done
        store.put("tuned", _read_tuned(path, whole, count))
        _describe(store, sampler, done, interrupted, times)
    with contextlib.suppress(KeyboardInterrupt):
        while done == whole.total > described(path):
            time.sleep(WAIT)
    return _open_checked(path, whole.plan, done, count, known)


def _open_checked(path: pathlib.Path, plan: RunPlan, done: int, count: int, known: dict[Share, frozenset[str]]) -> Any:
    """The tree of a store, after a look whether the draws are those that the states of the shares vouch for.

    `known` has, for shares that were checked and written in this call, the chunks that must be there: they are looked
    at when they are read.
    """
    files = checked(path, plan.draws)
    files.seen.update(*known.values())
    others = [share for share in (Share(index, count) for index in range(count)) if not known.get(share)]
    arrays = arrays_of(files) if others else {}
    for share in others:
        state, chains = _newest(path, share), share.of(plan.chains)
        found = read_digests(arrays, slice(chains.start, chains.stop), state.done, plan.warmup)
        check_digests(arrays, found, state.facts["draws"])
    return tree_of(files, done, plan.warmup)


def _newest(path: pathlib.Path, share: Share) -> checkpoint.Commit:
    """The newest state of a share, which must be of this run."""
    place = folder(path, share)
    state, wanted = checkpoint.newest(place), identify(manifest.read(path / STATE), share)
    for what, value in wanted.items():
        if state.facts.get(what) != value:
            raise StoreError(
                f"resume({str(path)!r}): the state files in {place} are of another {what}: {state.facts.get(what)}, and"
                f" not {value}. {manifest.AGAIN}"
            )
    return state


def _plan(path: pathlib.Path, facts: dict[str, Any]) -> RunPlan:
    """The plan of a run, from its state."""
    plan, names = facts.get("plan"), {field.name for field in dataclasses.fields(RunPlan)}
    if not isinstance(plan, dict) or set(plan) != names:
        raise StoreError(
            f"resume({str(path)!r}): the plan of the run is of gmdsl {facts.get('version of gmdsl')}, and cannot be"
            f" read by {importlib.metadata.version('gmdsl')}. Resume it with the version that began it."
        )
    return RunPlan(**plan)


def _run_share(
    path: pathlib.Path, whole: Setup, share: Share, sampler: Sampler, every: int | None, progress: bool, began: float,
    fresh: bool, cores: int,
) -> tuple[Outcome, frozenset[str]]:  # fmt: skip
    """Runs the chains of one share from their newest state to the end; the chunks that it checked and wrote."""
    mesh = whole.kernel.mesh
    setup = prepared(whole.density, sampler, whole.plan, mesh, share, cores)
    state = _newest(path, share)
    _same(path, state.facts, digests(setup.density.source, sampler, mesh))
    store = Store(path, setup, facts(setup, sampler), every)
    carries = spread(mesh, _restore(path, setup, state.arrays))
    if state.done == setup.total:  # then its draws are looked at when the tree is made
        return advance(setup, carries, state.done, store.keep, progress, began, every), frozenset()
    store.go_on(state, fresh)
    outcome = advance(setup, carries, state.done, store.keep, progress, began, every)
    store.close()
    return outcome, store.written


def _share_of_cores(asked: int | None, place: Place) -> int:
    return asked or cores_here(place.count if place.launched else 1)


def _describe(store: Store, sampler: Sampler, done: int, interrupted: bool, times: dict[str, float]) -> None:
    """Writes the attributes of a run."""
    setup, plan, empty, nothing = store.setup, store.setup.plan, np.zeros(0), Carry((), (), ())
    warmup = min(plan.warmup, done)
    run = Run(empty, {}, warmup, done, interrupted, setup.kernel, nothing, times, setup.cores, plan.mode)
    attrs = run_attributes(setup.density, sampler, run, seed=plan.seed, thin=plan.thin, draws=plan.draws)
    store.describe(attrs, done)


def _read_tuned(path: pathlib.Path, whole: Setup, count: int) -> dict[str, Any]:
    """The settings of all chains, from the newest states of the shares; nothing where nothing is tuned."""
    if not whole.kernel.adapters:
        return {}
    states = [_newest(path, Share(index, count)).arrays for index in range(count)]
    parts = [_restore(path, whole, state, Share(i, count)).sampler for i, state in enumerate(states)]
    arrays = jax.tree.map(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *parts)
    return named_numbers(whole.kernel.started.fill(arrays))


def facts(setup: Setup, sampler: Sampler) -> dict[str, Any]:
    """What a state file says of its run."""
    return {"plan": dataclasses.asdict(setup.plan), **digests(setup.density.source, sampler, setup.kernel.mesh)}


def digests(model: Model | Path, sampler: Sampler, mesh: Any = None) -> dict[str, str]:
    """What must be the same when a run goes on."""
    settings = {f"setting {name}": repr(value) for name, value in json.loads(settings_text(sampler)).items()}
    return {
        "model": model_digest(model),
        "sampler": type(sampler).__qualname__,
        **{name: v if len(v) < 100 else hashlib.sha256(v.encode()).hexdigest() for name, v in settings.items()},
        "version of gmdsl": importlib.metadata.version("gmdsl"),
        "version of jax": jax.__version__,
        "precision": "float64" if jax.config.jax_enable_x64 else "float32",
        "platform": jax.default_backend(),
        "number of devices": str(1 if mesh is None else mesh.size),
    }


def _settings(plan: dict[str, Any]) -> dict[str, Any]:
    return {f"setting {name}": value for name, value in plan.items()}


def _same(path: pathlib.Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    for what, value in new.items():
        if old.get(what) != value:
            raise SpecError(
                f"resume({str(path)!r}): the {what} differs: {old.get(what)} in the store, {value} now."
                " Use what the run was started with, or start a new one, gm.sample(..., init=tree, store=another path)."
            )


def _restore(path: pathlib.Path, setup: Setup, arrays: tuple[np.ndarray, ...], share: Share = WHOLE) -> Carry:
    """The carries from their leaves, in the structure that the kernel starts with.

    `share` is that of the arrays among the chains of the setup.
    """
    x = np.zeros((len(setup.chains), setup.density.moved.dim), dtype_of(Real()))
    given = (setup.density.moved, setup.arrays, setup.keys, x)
    shape = start_chains.eval_shape(setup.kernel, *given)[0]
    leaves, treedef = jax.tree.flatten(shape)
    chains = len(share.of(len(setup.chains)))
    wanted = [(chains, *leaf.shape[1:]) for leaf in map(jax.eval_shape, [numbers_of] * len(leaves), leaves)]
    if wanted != [array.shape for array in arrays]:
        raise StoreError(
            f"resume({str(path)!r}): the state has arrays of shapes {[array.shape for array in arrays]}, the sampler"
            f" {wanted}: it was written by another version. {manifest.AGAIN}"
        )
    return jax.tree.unflatten(treedef, [leaf_of(a, leaf) for a, leaf in zip(arrays, leaves, strict=True)])
