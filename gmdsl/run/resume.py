"""`gm.resume`: a run goes on from its store, to the bits of the run that was never stopped.

The key of step i is `fold_in(chain_key, i)`, and everything else that a chain carries is in the state file, so a run
does not depend on how often it was stopped, on one machine and with one version of JAX.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.core.model import Model
from gmdsl.core.sampler import Sampler
from gmdsl.diagnose.arviz_tree import model_digest, run_attributes, settings_text
from gmdsl.run import commit
from gmdsl.run.chains import Outcome, Run, RunPlan, Setup, advance, prepared, started
from gmdsl.run.kernel import Carry, start_chains
from gmdsl.run.mesh import check_mesh, spread
from gmdsl.run.store import STATE, Store


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
) -> Any:
    """Runs chains into a new store and opens it as a tree."""
    began = time.perf_counter()
    setup = prepared(density, sampler, plan, mesh)
    carries = started(setup, init)
    store = Store.create(path, setup, facts(setup, sampler), carries, every)
    return _finished(store, sampler, advance(setup, carries, 0, store.keep, progress, began))


def resume(
    store: Any,
    model: Model,
    sampler: Sampler,
    *,
    draws: int | None = None,
    checkpoint_every: int | None = None,
    progress: bool = True,
    mesh: Any = None,
) -> Any:
    """Continues a run that was stopped, or lengthens one that was finished.

    Args:
        store: the path that was given to `gm.sample(store=...)`.
        model: the same model, with the same data.
        sampler: the same sampler, with the same settings.
        draws: draws per chain in the end; as many as were asked for by default, more to lengthen the run.
        checkpoint_every: draws between commits; by default every two seconds.
        progress: whether to show a progress bar.
        mesh: devices that share the chains, as many as before.

    Returns:
        The tree of the whole run, its arrays read from the store when used. On the same machine with the same versions
        it equals that of the undisturbed run to the bit, also when the run was stopped during warm-up.

    Raises:
        SpecError: there is no run at that path, or one of another model, sampler or version, or all its states are
            damaged.
        StoreError: the store cannot be written.

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
    began = time.perf_counter()
    path = pathlib.Path(store)
    if not (path / STATE).is_dir():
        raise SpecError(f"resume({str(path)!r}): there is no run at that path. Start one by gm.sample(store=...).")
    state = commit.newest(path / STATE)
    plan = RunPlan(**state.facts["plan"])
    asked = plan.draws if draws is None else draws
    if not isinstance(asked, int) or asked < plan.draws:
        raise SpecError(f"resume(draws={draws!r}): the run has {plan.draws} draws; as many or more are possible.")
    check_mesh(mesh, plan.chains)
    _same(path, state.facts, digests(model, sampler, mesh))
    setup = prepared(Density(model), sampler, dataclasses.replace(plan, draws=asked), mesh)
    opened = Store(path, setup, facts(setup, sampler), checkpoint_every)
    opened.safe = opened.done = state.done
    opened.carries = list(state.arrays)
    opened.truncate()
    if asked > plan.draws:
        opened.lengthen(asked)
    carries = spread(mesh, _restored(setup, state.arrays))
    return _finished(opened, sampler, advance(setup, carries, state.done, opened.keep, progress, began))


def _finished(store: Store, sampler: Sampler, outcome: Outcome) -> Any:
    setup = store.setup
    empty = np.zeros(0)
    warmup = min(setup.plan.warmup, outcome.done)
    run = Run(empty, {}, warmup, outcome.done, outcome.interrupted, setup.kernel, outcome.carries, outcome.times)
    plan = setup.plan
    attrs = run_attributes(setup.density, sampler, run, seed=plan.seed, thin=plan.thin, draws=plan.draws)
    return store.finish(outcome, attrs)


def facts(setup: Setup, sampler: Sampler) -> dict[str, Any]:
    """What a state file says of its run."""
    return {"plan": dataclasses.asdict(setup.plan), **digests(setup.density.model, sampler, setup.kernel.mesh)}


def digests(model: Model, sampler: Sampler, mesh: Any = None) -> dict[str, str]:
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


def _same(path: pathlib.Path, old: dict[str, Any], new: dict[str, str]) -> None:
    for what, value in new.items():
        if old.get(what) != value:
            raise SpecError(
                f"resume({str(path)!r}): the {what} differs: {old.get(what)} in the store, {value} now."
                " Use what the run was started with, or start a new one, gm.sample(..., init=tree, store=another path)."
            )


def _restored(setup: Setup, arrays: tuple[np.ndarray, ...]) -> Carry:
    """The carries from their leaves, in the structure that the kernel starts with."""
    target, plan = setup.density.target, setup.plan
    x = np.zeros((plan.chains, setup.density.dim), jnp.zeros(0).dtype)
    shape = jax.eval_shape(
        lambda *given: start_chains(setup.kernel, *given), target.leaves, target.hoisted, setup.arrays, setup.keys, x
    )[0]
    leaves, treedef = jax.tree.flatten(shape)
    if len(leaves) != len(arrays):
        raise SpecError(f"resume(...): the state has {len(arrays)} arrays, the sampler {len(leaves)}. Is it the same?")
    return jax.tree.unflatten(treedef, [_wrapped(a, leaf) for a, leaf in zip(arrays, leaves, strict=True)])


def _wrapped(array: np.ndarray, like: Any) -> jax.Array:
    if jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(jnp.empty((), like.dtype)))
    return jnp.asarray(array)
