r"""NumPyro's kernels as samplers: `gm.from_numpyro(numpyro.infer.NUTS, max_tree_depth=8)`.

A kernel gets the target as its `potential_fn`, in flat unconstrained coordinates; chains, warm-up, stores and export
are the driver's.

NumPyro's kernels tune themselves, inside their state, over the first `num_warmup` steps after `init`. Here what is
tuned belongs to the sampler, not to the state: a state is made anew whenever the target changes (a temperature, a
block, a swap), and a kernel that is frozen must stay so. Therefore kernels are started with `num_warmup=0`, which turns
their own adaptation off, and the adapters of gmdsl (the same dual averaging and windows) set `step_size` and
`inverse_mass_matrix` from outside. The length of the warm-up is that of the run and is given once, to `gm.sample`.
`SA` has nothing to tune: the points that it proposes from are its state.

Reference:
    Phan, Pradhan and Jankowiak, *Composable effects for flexible and accelerated probabilistic programming in NumPyro*,
    2019, arXiv:1912.11554.
"""

import inspect
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.metric import DenseMetric, DiagonalMetric
from gmdsl.adapt.step_size import StepSize
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target
from gmdsl.interop.foreign import ForeignKernel, freed, held, reached_depth, stats_of

INNER = ("i", "potential_energy", "mean_accept_prob", "trajectory_length")  # fields of a state that are no statistics
OWN = ("adapt_step_size", "adapt_mass_matrix")  # switches of NumPyro's own adaptation
DEPTH = 10  # doublings of a tree at most, by NumPyro's default


class NumPyroKernel(ForeignKernel):
    """A kernel of NumPyro. Made by `gm.from_numpyro`.

    Attributes:
        names: the arguments that it takes.
    """

    names: tuple[str, ...] = eqx.field(static=True, default=())

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> Any:
        return self._start(key, target, x)[1]

    def position(self, state: Any) -> Float[Array, " dim"]:
        return state.z

    def step(self, key: Array, target: Target, state: Any) -> tuple[Any, Stats]:
        # Starting the kernel builds its functions; of the fresh state only the present settings are used, and what
        # else it computes is dropped by the compiler.
        kernel, fresh = self._start(key, target, state.z)
        if "step_size" in self.names:
            state = state._replace(adapt_state=fresh.adapt_state)
        new = kernel.sample(state._replace(rng_key=key), (), {})
        limit = freed(self.others).get("max_tree_depth", DEPTH) if "max_tree_depth" in self.names else None
        return new, {**reached_depth(stats_of(new, leave=INNER), limit), "lp": -new.potential_energy}

    def _start(self, key: Array, target: Target, x: Float[Array, " dim"]) -> tuple[Any, Any]:
        """The kernel with its present settings, and its state at a position."""
        tuned = {"step_size": self.step_size, "inverse_mass_matrix": self.inverse_mass}
        given = {name: value for name, value in tuned.items() if value is not None}
        if self.inverse_mass is not None:
            given["dense_mass"] = jnp.ndim(self.inverse_mass) == 2
        off = {name: False for name in OWN if name in self.names}
        kernel = self.maker.value(potential_fn=lambda x: -target.log_density(x), **freed(self.others), **given, **off)
        return kernel, kernel.init(key, 0, init_params=x, model_args=(), model_kwargs={})


def from_numpyro(
    kernel: Any, *, adapts: Any = None, bias: str | None = None, lockstep: bool | None = None, **settings: Any
) -> NumPyroKernel:
    """A kernel of NumPyro as a sampler.

    Args:
        kernel: a class that takes a `potential_fn`, such as `numpyro.infer.HMC`, `NUTS`, `BarkerMH` or `SA`.
        adapts: adapters that tune `step_size` and `inverse_mass` (NumPyro's `inverse_mass_matrix`) in warm-up; when
            None, those that NumPyro would use: `gm.adapt.StepSize(target_accept_prob)` and `gm.adapt.DiagonalMetric()`
            (`DenseMetric` for `dense_mass=True`), where the kernel has these settings and `adapt_step_size` and
            `adapt_mass_matrix` are not False.
        bias: for a kernel whose law is not the target's, how it differs.
        lockstep: whether chains run side by side; when None, all kernels but trees do.
        settings: of the kernel, by its names.

    Raises:
        SpecError: not a class of kernels with a `potential_fn`, or a setting that it does not have.

    >>> import gmdsl as gm
    >>> from numpyro.infer import HMC
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    >>> tree = gm.sample(bowl, gm.from_numpyro(HMC, num_steps=5), draws=50, warmup=50, progress=False)
    >>> int(tree["sample_stats"]["n_steps"].max())
    5
    """
    parameters = _parameters(kernel, settings)
    label, names = kernel.__name__, tuple(parameters)
    default = parameters["target_accept_prob"].default if "target_accept_prob" in parameters else 0.8
    accept = settings.pop("target_accept_prob", default)
    tune_step = settings.pop("adapt_step_size", True) and "step_size" in parameters
    tune_mass = settings.pop("adapt_mass_matrix", True) and "inverse_mass_matrix" in parameters
    dense = settings.pop("dense_mass", False) if "inverse_mass_matrix" in parameters else False
    if adapts is None:
        metric = DenseMetric() if dense else DiagonalMetric()
        adapts = (*((metric,) if tune_mass else ()), *((StepSize(accept),) if tune_step else ()))
    rules = tuple(adapts) if isinstance(adapts, tuple | list) else (adapts,)
    step = settings.pop("step_size", parameters["step_size"].default if "step_size" in parameters else None)
    mass = settings.pop("inverse_mass_matrix", None)
    mass = None if mass is None else jnp.asarray(mass, jnp.result_type(float))
    if lockstep is None:
        lockstep = "max_tree_depth" not in parameters
    return NumPyroKernel(Constant(kernel), label, step, mass, held(settings), rules, bias, lockstep, names)


def _parameters(kernel: Any, settings: dict[str, Any]) -> Any:
    """The arguments of a class of kernels, checked against the settings."""
    from numpyro.infer.ensemble import EnsembleSampler

    if not isinstance(kernel, type):
        name = getattr(kernel, "__name__", type(kernel).__name__)
        raise SpecError(f"from_numpyro({name}): a class is needed, such as numpyro.infer.NUTS, with settings by name.")
    parameters = inspect.signature(kernel).parameters
    if "potential_fn" not in parameters or issubclass(kernel, EnsembleSampler):
        why = "moves many chains at once" if "potential_fn" in parameters else "takes no potential_fn"
        raise SpecError(f"from_numpyro({kernel.__name__}): it {why}. HMC, NUTS, BarkerMH and SA can be used.")
    if "model" in settings or "potential_fn" in settings:
        raise SpecError(
            f"from_numpyro({kernel.__name__}): the density is that of the model in gm.sample(model, ...)."
            " Make a model of a NumPyro function by gm.from_numpyro_model(...)."
        )
    unknown = [name for name in settings if name not in parameters]
    if unknown:
        listed = ", ".join(name for name in parameters if name not in ("model", "potential_fn", *OWN))
        raise SpecError(f"from_numpyro({kernel.__name__}, {unknown[0]}=...): its settings are {listed}.")
    return parameters
