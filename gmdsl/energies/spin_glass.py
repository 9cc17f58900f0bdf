r"""Spin glasses: spins in a field, with a coupling of its own for each pair.

$$E(s) = -\sum_{i<j} J_{ij} s_i s_j - \sum_i h_i s_i, \qquad s_i \in \{-1, +1\}.$$

Sherrington and Kirkpatrick's has $J_{ij} \sim N(0, \beta^2 / n)$ for all pairs; for $\beta > 1$ its landscape falls
apart into valleys. Up to 20 spins all states are listed.

Reference:
    Sherrington and Kirkpatrick, *Solvable model of a spin-glass*, Physical Review Letters 35, 1975.
"""

from typing import Any

import numpy as np
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.energies.truths.arguments import check_number, check_table, check_whole
from gmdsl.energies.truths.enumeration import MOST, enumerate_states
from gmdsl.energies.truths.known_target import KnownTarget
from gmdsl.energies.truths.randomness import generator_of
from gmdsl.graph.nodes import data
from gmdsl.models.declare.energy import energy
from gmdsl.models.declare.uniform import uniform
from gmdsl.spaces.discrete import Spin


def spin_glass(couplings: Any, field: Any = None) -> KnownTarget:
    """Spins `s` with any couplings.

    Args:
        couplings: J, (n, n): symmetric, with zeros on the diagonal, in units of the temperature.
        field: h, (n,), in units of the temperature; zero when None.

    Returns:
        The target; log Z, moments and draws up to 20 spins. In the reference all states are equally likely.

    Raises:
        SpecError: a matrix that is not symmetric, or has numbers on the diagonal; a field of another length.

    >>> import gmdsl as gm
    >>> pair = gm.energies.spin_glass([[0.0, 0.5], [0.5, 0.0]], field=[0.3, -0.1])
    >>> round(pair.log_z, 6), pair.mean["s"].round(4).tolist()
    (1.542233, [0.2486, 0.0354])
    """
    table = check_table("spin_glass", "couplings", couplings, 2)
    size = len(table)
    if table.shape != (size, size) or not np.array_equal(table, table.T) or np.diag(table).any():
        raise SpecError(
            f"spin_glass(couplings=...): a table of shape {table.shape} that is not symmetric with zeros on its"
            " diagonal. Pass J + J.T of an upper triangle J."
        )
    h = np.zeros(size) if field is None else check_table("spin_glass", "field", field, 1)
    if h.shape != (size,):
        raise SpecError(
            f"spin_glass(field=...): shape {h.shape}, but there are {size} spins. Pass one number for each."
        )

    def glass(s: Array, J: Array, h: Array) -> Array:
        return -0.5 * (s @ J @ s) - h @ s

    model = energy(glass, s=Spin(size), J=data(table), h=data(h))
    if size > MOST:
        return _of_many(model, size, bool(h.any()))
    known = enumerate_states(lambda s: 0.5 * np.sum((s @ table) * s, axis=1) + s @ h, size, (-1, 1))
    mean = known.mean_of(lambda s: s)

    def draw(key: Array, count: int) -> dict[str, Any]:
        return {"s": known.draw(generator_of(key), count)}

    equal = uniform(s=Spin(size))
    return KnownTarget(model, known.log_z, {"s": mean}, {"s": 1.0 - mean**2}, draw, equal)


def sherrington_kirkpatrick(size: int, inverse_temperature: float = 1.0, *, seed: int = 0) -> KnownTarget:
    r"""The spin glass with Gaussian couplings between all pairs.

    Args:
        size: n, how many spins.
        inverse_temperature: $\beta$; above 1 the model is a glass.
        seed: of the couplings.

    Raises:
        SpecError: fewer than 2 spins, an inverse temperature not above zero.

    >>> import gmdsl as gm
    >>> gm.energies.sherrington_kirkpatrick(12, 2.0).model.spaces["s"]
    Spin(shape=(12,))
    """
    size = check_whole("sherrington_kirkpatrick", "size", size, 2)
    beta = check_number("sherrington_kirkpatrick", "inverse_temperature", inverse_temperature, above=0.0)
    seed = check_whole("sherrington_kirkpatrick", "seed", seed, 0)
    upper = np.triu(np.random.default_rng(seed).standard_normal((size, size)), 1) * beta / np.sqrt(size)
    return spin_glass(upper + upper.T)


def _of_many(model: Any, size: int, in_field: bool) -> KnownTarget:
    """What is known without listing the states: without a field, that a spin is as often up as down."""
    equal = uniform(s=Spin(size))
    if in_field:
        return KnownTarget(model, reference=equal)
    return KnownTarget(model, mean={"s": np.zeros(size)}, variance={"s": np.ones(size)}, reference=equal)
