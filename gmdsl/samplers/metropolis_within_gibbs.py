r"""Metropolis within Gibbs: each coordinate is proposed, and accepted or refused, on its own.

The traced density is a sum of terms, $\log p(x) = \sum_m t_m(x_{c_m})$. A proposal for $x_i$ alone is decided by the
terms that contain it,

$$\log r_i = \sum_{m \ni i} \left( t_m(x') - t_m(x) \right) + \log q_i(x_i) - \log q_i(x'_i).$$

Coordinates of which no two share a term have one colour; they are proposed at once and decided one by one, with one
evaluation of the density. A chain or a lattice has two colours, independent coordinates have one, and a density whose
terms read everything has as many as there are coordinates.

A sweep proposes each coordinate twice: a step of a random walk, and a draw of the marginal law that the adapter
`gm.adapt.Marginals` has estimated, which goes from one mode of a coordinate to another.

References:
    Metropolis et al., 1953 (particles one at a time); Tierney, *Markov chains for exploring posterior distributions*,
    Annals of Statistics 22, 1994; Gelman, Roberts, Gilks, 1996 (acceptance 0.44 in one dimension).
"""

from numbers import Integral
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.adapt.marginals import Marginals, drawn, log_marginal
from gmdsl.adapt.metric import DiagonalMetric
from gmdsl.adapt.step_size import StepSize
from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.tape import is_known, traced
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import random_words, unit
from gmdsl.exact.conditionals.interactions import interactions, without_constants
from gmdsl.exact.conditionals.local_terms import LocalTerms, local_terms
from gmdsl.inference.sampler import Sampler, check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class MetropolisWithinGibbs(Sampler):
    """Moves one coordinate at a time, all of one colour at once; needs no gradient.

    For energies that are sums of small terms (lattices, time series, independent wells), where a sweep costs as many
    evaluations as there are colours, twice. It takes coordinates from mode to mode: as the move of a population
    (`gm.SMC`, `gm.AIS`) to all modes of the reference, as plain chains to those that any of them saw in warm-up.

    Attributes:
        sweeps: in one step; each proposes every coordinate twice.
        step_size: standard deviation of the random walk, in units of the (estimated) standard deviations.
        target_accept: acceptance rate of the random walk that warm-up aims at.
        inverse_mass: variances of the coordinates (of a covariance the diagonal counts); estimated when None.
        marginals: quantiles of the coordinates, (dim, 33); estimated when None.
        pooled: whether these are of the draws of all chains, which then run side by side; otherwise each chain keeps to
            the modes that it saw itself.

    >>> import gmdsl as gm, jax.numpy as jnp
    >>> wells = gm.energy(lambda x: jnp.sum(x**4 - 4 * x**2), x=gm.Real(20))
    >>> tree = gm.sample(wells, gm.MetropolisWithinGibbs(), chains=2, draws=50, warmup=100, progress=False)
    >>> tree["posterior"]["x"].shape
    (2, 50, 20)
    """

    sweeps: int = eqx.field(static=True, default=1)
    step_size: float = 1.0
    target_accept: float = 0.44
    inverse_mass: Any = None
    marginals: Any = None
    pooled: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        check_step(self)
        if not isinstance(self.sweeps, Integral) or isinstance(self.sweeps, bool) or self.sweeps < 1:
            raise SpecError(f"MetropolisWithinGibbs(sweeps={self.sweeps!r}): a whole number of at least 1 is needed.")
        if not isinstance(self.pooled, bool):
            raise SpecError(f"MetropolisWithinGibbs(pooled={self.pooled!r}): True or False is needed.")
        if is_known(self.marginals) and (np.diff(np.asarray(self.marginals, float)) <= 0).any():
            raise SpecError("MetropolisWithinGibbs(marginals=...): quantiles must increase in each row.")

    @property
    def adapts(self) -> Any:
        return (DiagonalMetric(), Marginals(self.pooled), StepSize(self.target_accept))

    def step(self, key: Array, target: Target, state: Float[Array, " dim"]) -> tuple[Float[Array, " dim"], Stats]:
        terms = separate_terms(target, state)
        table, weights = _Table.of(terms, target.dim), terms.weights(state.dtype)
        mass = jnp.asarray(self.inverse_mass, state.dtype)
        scale = self.step_size * jnp.sqrt(jnp.diagonal(mass) if mass.ndim == 2 else mass)
        sweep = _Sweep(terms, table, weights, scale, jnp.asarray(self.marginals, state.dtype))
        zero = jnp.zeros((), state.dtype)
        start = _At(state, terms.terms(state, weights), zero, zero, jnp.zeros_like(state), jnp.zeros((), bool))
        proposals = 2 * self.sweeps * len(table.group)
        end = jax.lax.fori_loop(0, proposals, lambda i, at: sweep(jax.random.fold_in(key, i), i, at), start)
        rate = end.accepted / jnp.maximum(end.proposed, 1.0)
        each = end.rates / (2 * self.sweeps)
        return end.x, {"acceptance_rate": rate, "nan_evaluations": end.broken, "_coordinate_rates": each}


class _At(NamedTuple):
    """Where a chain is: its terms, sums of acceptance rates of the random walk and of each coordinate, NaN if seen."""

    x: Float[Array, " dim"]
    terms: Float[Array, " terms"]
    accepted: Float[Array, ""]
    proposed: Float[Array, ""]
    rates: Float[Array, " dim"]
    broken: Array


class _Table(NamedTuple):
    """Colours side by side, filled up to one size.

    Attributes:
        group: the coordinates of each colour; `dim` stands for none.
        places: of each coordinate the terms that contain it; one past the last stands for none.
        owner: of each term the place in the group of the coordinate that it contains; the size stands for none.
        member: of each coordinate its place in the group; the size stands for none.
    """

    group: np.ndarray
    places: np.ndarray
    owner: np.ndarray
    member: np.ndarray

    @classmethod
    def of(cls, terms: LocalTerms, dim: int) -> "_Table":
        """The table of the colours of a program."""
        colours, width = len(terms.colours), max(map(len, terms.colours))
        depth = max(place.shape[1] for place in terms.places)
        group = np.full((colours, width), dim)
        places = np.full((colours, width, depth), terms.size)
        owner, member = np.full((colours, terms.size + 1), width), np.full((colours, dim + 1), width)
        for c, (members, place) in enumerate(zip(terms.colours, terms.places, strict=True)):
            group[c, : len(members)] = members
            places[c, : len(members), : place.shape[1]] = place
            rows = np.arange(len(members))
            owner[c, place] = rows[:, None]
            owner[c, terms.size] = width
            member[c, members] = rows
        return cls(group, places, owner[:, :-1], member[:, :-1])


class _Sweep(NamedTuple):
    """What one colour needs."""

    of: LocalTerms
    table: _Table
    weights: Float[Array, " terms"]
    scale: Float[Array, " dim"]
    marginals: Float[Array, "dim cells_and_one"]

    def __call__(self, key: Array, number: Array, at: _At) -> _At:
        """All coordinates of one colour proposed, by a step of the walk or by a jump, and each accepted or refused."""
        colour = number // 2 % len(self.table.group)
        group, places, owner, member = (jnp.asarray(part)[colour] for part in self.table)
        old, there = at.x.at[group].get(mode="clip"), group < at.x.shape[0]
        marginals = self.marginals.at[group].get(mode="clip")
        walk = lambda: self._walk(key, group, old)  # noqa: E731
        jump = lambda: jax.lax.cond(jnp.isnan(marginals[0, 0]), walk, lambda: _jump(key, marginals, old))  # noqa: E731
        new, among = jax.lax.cond(number % 2 == 0, walk, jump)
        proposal = _of(new, member, at.x)
        after = self.of.terms(proposal, self.weights)
        change = jnp.concatenate([after - at.terms, jnp.zeros(1, after.dtype)])[places].sum(-1)
        ratio = change + among
        rate = jnp.where(jnp.isnan(ratio) | ~there, 0.0, jnp.exp(jnp.minimum(ratio, 0.0)))
        taken = _unit(jax.random.fold_in(key, 1), old) < rate
        walks = there & (number % 2 == 0)
        return _At(
            jnp.where(_of(taken, member, False), proposal, at.x), jnp.where(_of(taken, owner, False), after, at.terms),
            at.accepted + jnp.sum(jnp.where(walks, rate, 0.0)), at.proposed + jnp.sum(walks),
            at.rates + _of(rate, member, 0.0), at.broken | jnp.any(jnp.isnan(after) & jnp.isfinite(at.terms)),
        )  # fmt: skip

    def _walk(self, key: Array, group: Array, old: Array) -> tuple[Array, Array]:
        noise = standard_normal(key, old.shape, old.dtype)
        return old + self.scale.at[group].get(mode="clip") * noise, jnp.zeros_like(old)


def _jump(key: Array, marginals: Array, old: Array) -> tuple[Array, Array]:
    """Draws of the estimated marginal laws, and the log-densities of the old points less those of the new."""
    new, there = drawn(marginals, _unit(key, old))
    return new, log_marginal(marginals, old) - there


def _unit(key: Array, like: Array) -> Array:
    """Numbers in (0, 1), one for each coordinate."""
    if like.dtype != jnp.float32:
        return jax.random.uniform(key, like.shape, like.dtype)
    return unit(random_words(key, 0, like.shape[0]))


def _of(values: Array, place: Array, other: Any) -> Array:
    """Values of a colour where they belong, and something else at all other places."""
    count = values.shape[0]
    return jnp.where(place < count, values[jnp.minimum(place, count - 1)], other)


def separate_terms(target: Target, x: Float[Array, " dim"]) -> LocalTerms:
    """The terms that the traced log-density adds up."""
    program = traced(lambda v: target.log_density(v["x"]), {"x": x}, opaque=False)
    found = interactions(program, whole=False)
    return local_terms(program if found is None else without_constants(program, found, x), found)
