r"""Gibbs sampling of discrete variables: each in turn is drawn from its law given all others.

$p(x_i = k \mid x_{-i}) \propto p(x_{-i}, x_i = k)$ depends on the neighbours of $x_i$ alone, which are read off the
traced density (`gmdsl.exact.conditionals`). Variables that are no neighbours of each other have one colour and are
drawn at once, each from its own law: a checkerboard of an Ising model, one layer of a restricted Boltzmann machine. For
finite discrete variables; in a model with continuous ones too, as one of several blocks (`gm.blocks`).

Reference:
    Geman and Geman, *Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images*, 1984;
    Gonzalez et al., *Parallel Gibbs sampling: from colored fields to thin junction trees*, AISTATS 2011.
"""

from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.known_integers import KnownIntegers, known_integers
from gmdsl.core.errors import SpecError
from gmdsl.exact.conditionals.sweeps import swept
from gmdsl.inference.sampler import Sampler, refuse_endless
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class Gibbs(Sampler):
    """Draws every element of discrete variables from its full conditional, a colour at a time.

    Energies that are quadratic in variables of two values (Ising models, spin glasses, Boltzmann machines) are moved by
    their couplings, read off the program; where these are of one strength, 32 variables are drawn at once, as the bits
    of a word. Any other density is evaluated once for each colour and value. Probabilities are exact up to the
    resolution of the random numbers, $2^{-32}$ for two values and $2^{-24}$ for more.

    Attributes:
        sweeps: how often each element is drawn in one step; draws that are kept cost time and memory, sweeps do not.
        integers: whole numbers among the data, such as edges of a graph; set when a model is sampled.

    >>> import gmdsl as gm, jax.numpy as jnp
    >>> ring = gm.energy(lambda s: -0.4 * jnp.sum(s * jnp.roll(s, 1)), s=gm.Spin(12))
    >>> tree = gm.sample(ring, gm.Gibbs(sweeps=5), chains=2, draws=50, warmup=5, progress=False)
    >>> tree["posterior"]["s"].shape
    (2, 50, 12)
    """

    sweeps: int = eqx.field(static=True, default=1)
    integers: KnownIntegers | None = eqx.field(static=True, default=None, repr=False)

    divides: ClassVar[bool] = True

    def __check_init__(self) -> None:
        if not isinstance(self.sweeps, Integral) or isinstance(self.sweeps, bool) or self.sweeps < 1:
            raise SpecError(f"Gibbs(sweeps={self.sweeps!r}): a whole number of at least 1 is needed.")

    def bound(self, density: Any) -> Self:
        refuse_endless(self, density)
        return replace(self, integers=known_integers(density.target)) if _is_moved_itself(density) else self

    def step(self, key: Array, target: Target, state: Float[Array, " dim"]) -> tuple[Float[Array, " dim"], Stats]:
        states = target.states
        if any(one is None for one in states):
            raise SpecError("Gibbs(): a variable is continuous. Give it to a block of its own: gm.blocks({...}).")
        values = tuple(one for one in states if one)
        seen = target if self.integers is None else self.integers.within(target)
        x = state.astype(jnp.result_type(state.dtype, 1.0))  # positions of discrete variables may be integers
        found = swept(key, seen.log_density, values, x, self.sweeps)
        changed = found.changed / jnp.asarray(target.dim * self.sweeps, x.dtype)
        return found.x.astype(state.dtype), {"changed": changed, "nan_evaluations": found.broken}


def _is_moved_itself(density: Any) -> bool:
    """Whether chains move on the density of the model or of a block of it, and not on one made of it, as on a path."""
    whole = getattr(density, "density", density)
    return getattr(whole, "moved", None) is whole.target
