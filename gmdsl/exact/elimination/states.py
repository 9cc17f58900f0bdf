r"""The states behind a sum over states: probabilities of each element, a draw, and the most probable joint state.

After all variables were summed out, each is chosen given its neighbours, the last one first. That draws from the joint
distribution exactly; with the largest entry in place of the sum it finds the most probable state. On a path these are
forward filtering with backward sampling, and the algorithm of Viterbi. The probability of a value is the derivative of
the log-sum with respect to a weight on it.

Reference:
    Koller and Friedman, *Probabilistic Graphical Models*, 2009, sections 10.3 and 13.2; Rabiner, *A tutorial on hidden
    Markov models*, Proceedings of the IEEE, 1989.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.exact.elimination.blocks import in_blocks, out_of_blocks
from gmdsl.exact.elimination.eliminate import Joint, eliminated, planned
from gmdsl.exact.elimination.tables import Tables, cards_of, tables
from gmdsl.exact.elimination.tabulation import Cards
from gmdsl.spaces.space import Space
from gmdsl.spaces.states import joint_states, labelled

MOST_STATES = 4096  # that are listed where variables cannot be taken one after the other


class States(NamedTuple):
    """What is known of some discrete variables.

    Attributes:
        draw: one joint state, by name.
        probabilities: of the values of each element, on a last axis.
        most_probable: the joint state of the largest probability.
    """

    draw: dict[str, Array]
    probabilities: dict[str, Array]
    most_probable: dict[str, Array]


def states(
    key: Array, function: Callable[[dict[str, Array]], Float[Array, ""]], spaces: Mapping[str, Space]
) -> States | str:
    r"""A draw, the probabilities and the most probable state under $p(s) \propto \exp f(s)$; or why it is too much.

    Args:
        key: of the draw.
        function: from a dict of values to one float; arrays that it closes over may be traced.
        spaces: the variables, finite and discrete.

    >>> from gmdsl.spaces.discrete import Binary
    >>> found = states(jax.random.key(0), lambda v: jnp.log(3.0) * jnp.sum(v["s"]), {"s": Binary(2)})
    >>> found.probabilities["s"].round(4).tolist(), found.most_probable["s"].tolist()
    ([[0.25, 0.75], [0.25, 0.75]], [1, 1])
    """
    other, blocks = in_blocks(function, spaces)
    found = planned(other, blocks)
    if isinstance(found, str):
        listed = joint_states(spaces, MOST_STATES)
        return found if listed is None else _of_list(key, function, spaces, listed)
    sketch, plan = found
    cards = cards_of(blocks)
    parts = tables(sketch)[1]

    def log_sum(tilts: dict[int, Array]) -> Array:
        more = [Tables([(v,) for v in _of_card(cards, card)], tilt) for card, tilt in tilts.items()]
        return eliminated([*parts, *more], plan, cards)

    zero = {card: jnp.zeros((len(_of_card(cards, card)), card)) for card in sorted(set(cards))}
    chances = jax.grad(log_sum)(zero)
    sums: list[Joint] = []
    eliminated(parts, plan, cards, kept=sums)
    largest: list[Joint] = []
    eliminated(parts, plan, cards, lambda joint: jnp.max(joint, -1), largest)
    keys = iter(jax.random.split(key, max(len(sums), 1)))
    drawn = _chosen(sums, len(cards), lambda rows: jax.random.categorical(next(keys), rows))
    best = _chosen(largest, len(cards), lambda rows: jnp.argmax(rows, -1))
    parts_found = _named(blocks, drawn), _probabilities(blocks, chances), _named(blocks, best)
    return States(*(out_of_blocks(part, spaces) for part in parts_found))


def _chosen(kept: list[Joint], count: int, choose: Callable[[Array], Array]) -> Array:
    """The numbers of the values of all elements, each chosen given its neighbours."""
    state = jnp.zeros(count, int)
    for members, array in reversed(kept):
        around = np.array([near for _, near in members], int).reshape(len(members), -1)
        rows = array[(np.arange(len(members)), *(state[near] for near in around.T))]
        state = state.at[np.array([v for v, _ in members])].set(choose(rows))
    return state


def _of_card(cards: Cards, card: int) -> list[int]:
    return [v for v, own in enumerate(cards) if own == card]


def _named(spaces: Mapping[str, Space], numbers: Array) -> dict[str, Array]:
    """Values by name from the numbers of all elements."""
    found, start = {}, 0
    for name, space in spaces.items():
        stop = start + int(np.prod(space.shape))
        values = space.first + space.gap * numbers[start:stop]
        found[name] = values.reshape(space.shape)
        start = stop
    return found


def _probabilities(spaces: Mapping[str, Space], chances: Mapping[int, Array]) -> dict[str, Array]:
    """Probabilities by name from those of all elements with as many values, row by row."""
    found, starts = {}, dict.fromkeys(chances, 0)
    for name, space in spaces.items():
        card = space.cardinality or 1
        start, starts[card] = starts[card], starts[card] + int(np.prod(space.shape))
        found[name] = chances[card][start : starts[card]].reshape(*space.shape, card)
    return found


def _of_list(key: Array, function: Callable, spaces: Mapping[str, Space], listed: dict[str, Array]) -> States:
    """The same where all joint states are listed."""
    terms = jax.vmap(function)(listed)
    weights = jax.nn.softmax(terms)

    def probability(name: str, space: Space) -> Array:
        values = labelled(space, np.arange(space.cardinality or 1))
        return jnp.tensordot(weights, jnp.asarray(listed[name][..., None] == values, weights.dtype), 1)

    drawn, best = jax.random.categorical(key, terms), jnp.argmax(terms)
    chances = {name: probability(name, space) for name, space in spaces.items()}
    return States({n: v[drawn] for n, v in listed.items()}, chances, {n: v[best] for n, v in listed.items()})
