r"""BlackJAX's kernels as samplers: `gm.from_blackjax(blackjax.nuts, step_size=0.1, ...)`.

A maker is called as `maker(log_density, **settings)` and gives an algorithm with `init(position, key)` and
`step(key, state)`; chains, warm-up, stores and export are the driver's. BlackJAX itself is imported by the user alone.

What the adapters of gmdsl tune goes by BlackJAX's names: `step_size`, `inverse_mass` as `inverse_mass_matrix`, and
`length` as `L`.

Reference:
    Cabezas et al., *BlackJAX: Composable Bayesian inference in JAX*, 2024, arXiv:2402.10797.
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target
from gmdsl.interop.foreign import ForeignKernel, freed, held, reached_depth, stats_of

THEIRS = {"step_size": "step_size", "inverse_mass": "inverse_mass_matrix", "length": "L"}

DEPTH = 10  # doublings of a tree at most, by BlackJAX's default


class BlackJAXKernel(ForeignKernel):
    """An algorithm of BlackJAX. Made by `gm.from_blackjax`.

    Attributes:
        length: a setting that adapters tune, too; None when the kernel does not have it.
    """

    length: Any = None

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> Any:
        algorithm = self._algorithm(target.log_density)
        with_key = len(inspect.signature(algorithm.init).parameters) > 1
        state = algorithm.init(x, key) if with_key else algorithm.init(x)
        if not hasattr(state, "position"):
            fields = ", ".join(getattr(state, "_fields", ())) or type(state).__name__
            raise SpecError(
                f"from_blackjax({self.label}): its state has no position; it has {fields}."
                " Kernels of a single chain can be used."
            )
        return state

    def position(self, state: Any) -> Float[Array, " dim"]:
        return state.position

    def step(self, key: Array, target: Target, state: Any) -> tuple[Any, Stats]:
        new, info = self._algorithm(target.log_density).step(key, state)
        lp = {"lp": new.logdensity} if hasattr(new, "logdensity") else {}
        told = stats_of(info, leave=("logdensity",))
        turning = jnp.asarray(told.get("is_turning", False), bool)
        told = reached_depth(told, freed(self.others).get("max_num_doublings", DEPTH) if "tree_depth" in told else None)
        if "reached_max_treedepth" in told:
            told["reached_max_treedepth"] &= ~turning
        return new, {**told, **lp}

    def _algorithm(self, log_density: Callable[..., Any]) -> Any:
        tuned = {theirs: getattr(self, ours) for ours, theirs in THEIRS.items()}
        given = {name: value for name, value in tuned.items() if value is not None}
        return self.maker.value(log_density, **given, **freed(self.others))


def from_blackjax(
    maker: Callable[..., Any], *, adapts: Any = (), bias: str | None = None, lockstep: bool = True, **settings: Any
) -> BlackJAXKernel:
    """A kernel of BlackJAX as a sampler.

    Args:
        maker: such as `blackjax.nuts`; anything that is called as `maker(log_density, **settings)` and gives an
            algorithm with `init` and `step`, whose state has a `position`.
        adapts: adapters that tune `step_size`, `inverse_mass` (BlackJAX's `inverse_mass_matrix`) or `length` (its `L`)
            in warm-up, such as `(gm.adapt.DiagonalMetric(), gm.adapt.StepSize(0.8))`.
        bias: for a kernel whose law is not the target's, how it differs.
        lockstep: False for a kernel whose work per step differs much between chains, such as `blackjax.nuts`; chains
            are then run one after the other.
        settings: of the maker, by its names. An `inverse_mass_matrix` that an adapter estimates may be left out.

    Raises:
        SpecError: the maker refuses the settings, or what it makes is no sampling algorithm.

    >>> import jax, collections, gmdsl as gm
    >>> State, Info = collections.namedtuple("State", "position"), collections.namedtuple("Info", "size")
    >>> def gaussian_moves(log_density, step_size):  # stands for a maker of BlackJAX; it keeps the uniform law
    ...     step = lambda key, s: (State(s.position + step_size * jax.random.normal(key, s.position.shape)), Info(1.0))
    ...     return collections.namedtuple("Algorithm", "init step")(State, step)
    >>> flat = gm.energy(lambda x: 0.0 * x @ x, x=gm.Real(2))
    >>> tree = gm.sample(flat, gm.from_blackjax(gaussian_moves, step_size=0.1), draws=5, warmup=0, progress=False)
    >>> tree["sample_stats"]["step_size"].values[0]
    array([0.1, 0.1, 0.1, 0.1, 0.1], dtype=float32)
    """
    label, rules = _label(maker), tuple(adapts) if isinstance(adapts, tuple | list) else (adapts,)
    _check_makes(maker, settings, label, rules)
    tuned = {ours: settings.pop(theirs) for ours, theirs in THEIRS.items() if theirs in settings}
    mass = tuned.get("inverse_mass")
    estimated = any("inverse_mass" in rule.tunes for rule in rules)
    if mass is not None:
        unit = estimated and np.ndim(mass) == 0 and mass == 1
        tuned["inverse_mass"] = None if unit else jnp.asarray(mass, jnp.result_type(float))
    return BlackJAXKernel(
        Constant(maker), label, **tuned, others=held(settings), rules=rules, declared=bias, side_by_side=lockstep
    )


def _label(maker: Any) -> str:
    """Where a maker comes from, such as "blackjax.mcmc.nuts"; the same in every process."""
    source = getattr(maker, "build_kernel", maker)
    name = getattr(maker, "__qualname__", "")
    return ".".join(part for part in (getattr(source, "__module__", type(maker).__module__), name) if part)


def _check_makes(maker: Any, settings: dict[str, Any], label: str, rules: tuple[Adapter, ...]) -> None:
    """Makes the algorithm of some density, so that what is wrong is said before a run."""
    if not callable(maker):
        raise SpecError(f"from_blackjax({maker!r}): a maker is needed, such as blackjax.nuts.")
    tuned = {name for rule in rules for name in rule.tunes}
    first = {"inverse_mass": np.ones(2), "length": 1.0}
    guessed = {THEIRS[name]: value for name, value in first.items() if name in tuned}
    try:
        made = maker(lambda x: -0.5 * jnp.sum(x**2), **{**guessed, **settings})
    except (TypeError, ValueError) as error:
        raise SpecError(f"from_blackjax({label}): the maker says: {error}. Give its settings by name.") from None
    if not (callable(getattr(made, "init", None)) and callable(getattr(made, "step", None))):
        raise SpecError(
            f"from_blackjax({label}): an algorithm with init and step is needed, it made {type(made).__name__}."
            " Give blackjax.nuts, not blackjax.nuts(...)."
        )
