"""`gm.sample`: from a model and a sampler to a tree of draws that ArviZ understands."""

import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.many_models import give_back
from gmdsl.core.errors import NaNWarning, SpecError
from gmdsl.core.random.keys import checked_seed
from gmdsl.core.runtime.garbage import uncollected
from gmdsl.core.runtime.interrupts import keeping
from gmdsl.core.settings import checked_settings
from gmdsl.inference.generator import Generator
from gmdsl.inference.path import Path, PathSampler
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import RARE
from gmdsl.models.model import Model
from gmdsl.results.run_tree import build_tree
from gmdsl.run.chains.batching import choose_mode
from gmdsl.run.chains.cores import check_cores
from gmdsl.run.chains.setup import RunPlan
from gmdsl.run.in_memory import alone, run_together
from gmdsl.run.parallel.mesh import check_mesh, spans
from gmdsl.run.parallel.placement import Place, place
from gmdsl.run.populations.replicas import with_exchange
from gmdsl.run.targets import as_path, chain_density

if TYPE_CHECKING:
    from gmdsl.diffusion.noised import Noised


@checked_settings
def sample(
    model: "Model | Path | Noised",
    sampler: "Sampler | PathSampler | Generator | None" = None,
    *,
    chains: int = 4,
    draws: int = 1000,
    warmup: int = 1000,
    seed: int = 0,
    init: Any = None,
    thin: int = 1,
    progress: bool = True,
    chain_mode: str | None = None,
    cores: int | None = None,
    log_likelihood: bool = False,
    store: Any = None,
    checkpoint_every: int | None = None,
    mesh: Any = None,
) -> Any:
    """Draws from a model by a sampler.

    Args:
        model: what to sample, conditioned on what is observed; a path, or a noised family.
        sampler: how, such as `gm.NUTS()`; chosen by the model when None, `attrs["sampler_reason"]` says why.
        chains: independent chains.
        draws: draws kept per chain.
        warmup: draws before them, in which the sampler adapts; kept in `warmup_*` groups.
        seed: the same seed gives the same draws (same machine, same versions).
        init: a dict of values (one start, or one per chain along the first axis), a tree of draws, a model to draw
            from (of the noisy end of a noised family), a generator such as `gm.Pathfinder()` (one of its draws per
            chain), or None: uniform on (-2, 2) unconstrained, up to 100 tries.
        thin: steps per draw that is kept.
        progress: whether to show a progress bar.
        chain_mode: "vmap" (side by side), "map" (one after the other), "tile"; chosen when None, for chains that are
            tuned together anew after warm-up. `attrs["chain_mode"]` says what was done.
        cores: cores of the processor that share chains which are not run side by side, in parts of one size; all when
            None. The draws do not depend on it.
        log_likelihood: whether to add the pointwise log-likelihood, for `az.loo`.
        store: a path to which draws are streamed, such as "run.zarr"; after a stop, `gm.resume` goes on from there.
        checkpoint_every: draws between two commits to the store; by default every two seconds.
        mesh: devices that share the chains, `gm.mesh()`; those of all processes after `jax.distributed.initialize`.

    Returns:
        An `xarray.DataTree` in ArviZ's schema (`posterior`, `sample_stats`, `warmup_*`,
        `unconstrained_posterior`, `observed_data`...). Ctrl-C returns what was drawn so far, `attrs["interrupted"]`
        is 1 then; while the tree is made, the first Ctrl-C waits until it is there.

    Raises:
        SpecError: discrete variables, settings out of range, a sampler that breaks the contract.
        StartError: the log-density or its gradient is not finite at the starts.
        StoreError: the store cannot be written, or a file of it was damaged meanwhile.

    Warns:
        NaNWarning: once, where the log-density was NaN at proposals; they were rejected.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    >>> gm.sample(bowl, gm.NUTS(), chains=2, draws=50, warmup=50, progress=False)["posterior"]["x"].shape
    (2, 50, 2)
    """
    asked = Asked(chains, draws, warmup, seed, init, thin, progress, chain_mode, cores, store, checkpoint_every, mesh)
    return _to_the_end(model, sampler, asked, log_likelihood)


@dataclass(frozen=True)
class Asked:
    """The settings of `gm.sample`, by the same names."""

    chains: int
    draws: int
    warmup: int
    seed: int
    init: Any
    thin: int
    progress: bool
    chain_mode: str | None
    cores: int | None
    store: Any
    checkpoint_every: int | None
    mesh: Any

    def __post_init__(self) -> None:
        """Whole numbers of NumPy become Python's."""
        for name in ("chains", "draws", "warmup", "seed", "thin"):
            if isinstance(value := getattr(self, name), np.integer):
                object.__setattr__(self, name, int(value))


def _to_the_end(model: Any, sampler: Any, asked: Asked, log_likelihood: bool) -> Any:
    """The tree; from the last draw on, Ctrl-C waits until it is made."""
    if asked.store is not None:
        from gmdsl.run.storage.layout import local_path

        local_path("sample", asked.store)
    with keeping() as held:
        tree = _sampled(model, sampler, asked)
        if log_likelihood and isinstance(model, Model):
            tree = _add_log_likelihood(model, tree)
    return _note(tree, "interrupted", 1) if held.noted else tree


def _sampled(model: Any, sampler: Any, asked: Asked) -> Any:
    give_back()
    if sampler is None:
        sampler, reason = _choose(model, asked)
        return _note(_sampled(model, sampler, asked), "sampler_reason", reason)
    model = as_path(model, sampler)
    if not isinstance(sampler, Sampler):
        return _without_chains(model, sampler, asked)
    _check_settings(asked)
    here = place(asked.mesh) if asked.store is not None or spans(asked.mesh) else alone()
    check_mesh(asked.mesh, asked.chains, here)
    with uncollected():
        density = chain_density(model, sampler)
    if not density.free:
        raise SpecError("sample(...): every variable is observed; there is nothing to sample.")
    apart = here.count > 1 and not spans(asked.mesh)
    mode = choose_mode(sampler, asked.chains, asked.chain_mode, apart, density.target, asked.mesh)
    plan = RunPlan(asked.chains, asked.draws, asked.warmup, asked.seed, asked.thin, mode)
    tree = _by_chains(density, sampler, plan, asked, here)
    if isinstance(density.source, Path):
        tree = with_exchange(density.source, sampler, tree)
    return _note(tree, "init", repr(asked.init)[:2000]) if isinstance(asked.init, Generator) else tree


def _by_chains(density: Density, sampler: Sampler, plan: RunPlan, asked: Asked, here: Place) -> Any:
    """The tree of chains, in memory or in a store."""
    how = {"init": asked.init, "progress": asked.progress, "mesh": asked.mesh, "place": here, "cores": asked.cores}
    if asked.store is not None:
        from gmdsl.run.resume import sample_stored

        tree = sample_stored(density, sampler, plan, asked.store, asked.checkpoint_every, **how)
    else:
        run = run_together(density, sampler, plan, **how)
        tree = build_tree(density, sampler, run, seed=plan.seed, thin=plan.thin, draws=plan.draws)
    _warn_of_nan(tree)
    return tree


def _add_log_likelihood(model: Model, tree: Any) -> Any:
    from gmdsl.run.predictive.log_likelihood import log_likelihood

    return log_likelihood(model, tree)


def _without_chains(model: Any, sampler: Any, asked: Asked) -> Any:
    """Draws of generators and of samplers of paths; anything else is refused."""
    _check_counts(("draws", asked.draws, 1), seed=asked.seed)
    known = isinstance(sampler, Generator | PathSampler)
    if asked.store is not None and known:
        name = type(sampler).__name__
        raise SpecError(
            f"sample(..., {name}(...), store=...): only chains are streamed to a store; {name} makes its draws in"
            " memory. Leave store= out, and write the tree, tree.to_zarr(path)."
        )
    if isinstance(sampler, Generator):
        from gmdsl.run.populations.generators import sample_generator

        settings = {"draws": asked.draws, "seed": asked.seed, "init": asked.init, "progress": asked.progress}
        return sample_generator(model, sampler, **settings)
    from gmdsl.run.populations.paths import sample_path

    return sample_path(model, sampler, seed=asked.seed)


def _choose(model: Any, asked: Asked) -> tuple[Any, str]:
    """A sampler that fits the model, and the reason, which is shown."""
    from gmdsl.run.choose import choose  # imports every sampler

    sampler, reason = choose(model, asked.chains)
    if asked.progress:
        print(f"gm.sample chose {reason}", file=sys.stderr)
    return sampler, reason


def _note(tree: Any, name: str, value: str | int) -> Any:
    """The tree with one more attribute, also of its draws."""
    for node in (tree, tree["posterior"]) if "posterior" in tree.children else (tree,):
        node.attrs[name] = value
    return tree


def _warn_of_nan(tree: Any) -> None:
    """One warning for a run whose log-density was NaN at more than one in a thousand proposals after warm-up."""
    stats = tree["sample_stats"] if "sample_stats" in tree.children else {}
    counted = stats["nan_evaluations"].values if "nan_evaluations" in stats else np.zeros(0)
    share = float(np.mean(counted)) if counted.size else 0.0
    if share > RARE:
        warnings.warn(
            f"sample(...): the log-density or its gradient was NaN at {100 * share:.3g} % of the proposals, all"
            " rejected: the target is cut there. Guard the term that gives NaN, or declare the support.",
            NaNWarning,
            stacklevel=6,
        )


def _check_settings(asked: Asked) -> None:
    counts = (
        ("chains", asked.chains, 1),
        ("draws", asked.draws, 1),
        ("warmup", asked.warmup, 0),
        ("thin", asked.thin, 1),
    )
    _check_counts(*counts, seed=asked.seed)
    every, mode = asked.checkpoint_every, asked.chain_mode
    if not (every is None or (isinstance(every, int) and every > 0)):
        raise SpecError(f"sample(checkpoint_every={every!r}): a whole number of draws above 0 is needed.")
    if mode not in (None, "vmap", "map", "tile"):
        raise SpecError(f"sample(chain_mode={mode!r}): the modes are 'vmap', 'map', 'tile' and None (chosen).")
    check_cores(asked.cores)


def _check_counts(*counts: tuple[str, Any, int], seed: Any) -> None:
    for name, value, least in counts:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise SpecError(f"sample({name}={value!r}): a whole number of at least {least} is needed.")
    checked_seed("sample", seed)
