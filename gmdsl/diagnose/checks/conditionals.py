r"""Labels against their full conditionals: do discrete draws and the density belong together?

For every element and value, $E[1\{z_i = k\} - p(z_i = k \mid z_{-i}, \ldots)] = 0$ under the model. So the draws that
have a value are compared with what the full conditionals at the draws give it. Where both numbers are small they are
Poisson's; else the difference is divided by its standard error, with the effective size of the difference.

It also tells of an element that never moves. If its full conditionals leave the other values next to nothing in all
draws together, it may stand still; if not, it is stuck. Like Stein's identity this is local: another mode that no chain
has seen leaves it intact.

Reference:
    Gelfand and Smith, *Sampling-based approaches to calculating marginal densities*, 1990.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.diagnose.positions import Positions, coordinates
from gmdsl.diagnose.report import Finding
from gmdsl.results.points import in_batches

NAME = "full conditionals"
LEVEL = 0.002  # chance that correct draws are called suspect
POINTS = 400  # draws at which they are evaluated at most
EVALUATIONS = 200_000  # of the log-density at most
FEW = 10.0  # expected draws of a value below which their number is taken as Poisson's
MANY = 100  # values of one element that are tried at most


@dataclass(frozen=True)
class Conditionals:
    """The full conditionals of some elements at some draws.

    Attributes:
        entries: places in the flat vector, (element,).
        numbers: which value each draw has, (chain, draw, element).
        shares: its full conditionals, (chain, draw, element, value).
        draws: how many draws a chain has in all.
    """

    entries: np.ndarray
    numbers: np.ndarray
    shares: Float[np.ndarray, "chain draw element value"]
    draws: int


def conditionals(density: Density, at: Positions) -> Conditionals | None:
    """The full conditionals of the discrete elements: of those that stand still in a chain, then of some of the rest.

    None where no element has finitely many values, or the log-density is not a number.
    """
    states = density.target.states
    known = {i: one for i, one in enumerate(states) if one is not None and one[0] <= MANY}
    if not known or not np.isfinite(at.x).all():
        return None
    most = max(int(one[0]) for one in known.values())
    x = at.thinned(POINTS).x
    room = max(1, EVALUATIONS // (most * x.shape[0] * x.shape[1]))
    still = (at.x == at.x[:, :1]).all(axis=1).any(axis=0)
    order = np.random.default_rng(0).permutation(list(known))
    entries = np.sort(sorted(order, key=lambda i: not still[i])[:room])
    table = np.array([known[i] for i in entries], float)
    log_shares = in_batches(_Each(tuple(int(i) for i in entries), tuple(map(tuple, table)), most), density.target, x)
    log_shares = np.asarray(log_shares, float)
    if np.isnan(log_shares).any():
        return None
    numbers = np.rint((x[..., entries] - table[:, 1]) / table[:, 2]).astype(int)
    return Conditionals(entries, numbers, np.exp(log_shares), at.x.shape[1])


def judged(found: Conditionals, density: Density) -> Finding:
    """The finding "full conditionals"."""
    names = coordinates(density)
    chance, count, worst, told = 1.0, 0, "", ""
    for j, entry in enumerate(found.entries):
        for value in range(found.shares.shape[-1]):
            have, share = (found.numbers[..., j] == value).astype(float), found.shares[..., j, value]
            if not have.any() and share.max() < 1e-12:
                continue
            count += 1
            for new, what in (
                (_chance(have, share), "one value"),
                (_slope_chance(have, share), "it where it is likely"),
            ):
                if new < chance:
                    chance, worst = new, names[entry]
                    likely = np.ones_like(have) if what == "one value" else np.clip(share - share.mean(), 0.0, None)
                    seen, given = ((part * likely).sum() / likely.sum() for part in (have, share))
                    told = f"{100 * seen:.3g} % of draws have {what}, {100 * given:.3g} % by the model"
    evidence = f"{count} probabilities of {len(found.entries)} elements agree with the draws"
    if chance >= LEVEL / max(2 * count, 1):
        return Finding(NAME, "ok", evidence)
    advice = "The labels do not follow the model given the rest: they mix too slowly, or the sampler is wrong."
    return Finding(NAME, "suspect", f"{worst}: {told}", advice)


def certain(found: Conditionals) -> Bool[np.ndarray, "chain element"]:
    """Whether the full conditionals let an element keep one value in all draws of a chain."""
    held = np.take_along_axis(found.shares, found.numbers[..., None], axis=-1)[..., 0]
    moves = (1.0 - held).mean(axis=1) * found.draws
    return np.exp(-moves) > LEVEL / held[:, 0].size


def _chance(have: np.ndarray, share: np.ndarray) -> float:
    """The chance of a difference at least as large between draws of a value and its full conditionals."""
    from scipy.stats import poisson

    if share.mean() > 0.5:  # the rarer side
        have, share = 1.0 - have, 1.0 - share
    gap = have - share
    size = _size(gap) if have.any() else float(gap.size)
    seen, expected = have.mean() * size, share.mean() * size
    if expected < FEW:
        below, above = poisson.cdf(np.floor(seen), expected), poisson.sf(np.ceil(seen) - 1, expected)
        return float(min(1.0, 2.0 * min(below, above)))
    return _normal_chance(gap, share * (1.0 - share), size)


def _slope_chance(have: np.ndarray, share: np.ndarray) -> float:
    """The same for draws weighted by how likely the value is; a coupling that is wrong changes no frequency."""
    tilt = share - share.mean()
    known = share * (1.0 - share) * tilt**2
    if known.sum() < FEW * (tilt**2).max():  # too few draws carry it
        return 1.0
    gap = (have - share) * tilt
    return _normal_chance(gap, known, _size(gap))


def _size(gap: np.ndarray) -> float:
    """Effective draws of a quantity; all draws where that cannot be told."""
    from arviz_stats.base import array_stats

    if not gap.std() > 0 or gap.shape[1] < 4:
        return float(gap.size)
    return min(np.nan_to_num(float(array_stats.ess(gap, method="mean")), nan=gap.size), float(gap.size))


def _normal_chance(gap: np.ndarray, known: np.ndarray, size: float) -> float:
    """The chance of a mean at least as large, by the larger of the variance by the model and that of the draws."""
    from scipy.stats import t

    z = abs(gap.mean()) * np.sqrt(size / max(known.mean(), gap.var(), 1e-300))
    return float(2.0 * t.sf(z, max(size / 10.0, 5.0)))


class _Each:
    """A function of the flat target: the logarithms of the full conditionals of some entries; compares by content."""

    def __init__(self, entries: tuple[int, ...], table: tuple[tuple[float, ...], ...], most: int):
        self.key = (entries, table, most)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Each) and self.key == other.key

    def __call__(self, target: FlatTarget, x: Any) -> Any:
        entries, table, most = self.key
        places, (counts, first, gap) = jnp.asarray(entries), jnp.asarray(table).T
        number = jnp.arange(most)

        def one(place: Any, count: Any, low: Any, step: Any) -> Any:
            values = low + step * jnp.minimum(number, count - 1)
            heights = jax.lax.map(lambda value: target.flat_log_density(x.at[place].set(value.astype(x.dtype))), values)
            return jax.nn.log_softmax(jnp.where(number >= count, -jnp.inf, heights))

        return jax.lax.map(lambda at: one(*at), (places, counts, first, gap))
