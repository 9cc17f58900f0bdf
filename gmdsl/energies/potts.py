r"""The Potts model on a rectangle: labels that like to be those of their neighbours.

$$E(s) = -J \sum_{(ij)} [s_i = s_j], \qquad s_i \in \{0, \ldots, q - 1\}.$$

With two labels it is the Ising model of coupling J / 2. On a torus that grows the transition is at
$J = \log(1 + \sqrt q)$; for more than four labels it is of first order, so that phases coexist and chains stay in one
of them. A transfer matrix has log Z where the states of the shorter side are at most 1,024.

Reference:
    Wu, *The Potts model*, Reviews of Modern Physics 54, 1982.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from gmdsl.energies.truths.arguments import check_number, check_whole
from gmdsl.energies.truths.known_target import KnownTarget
from gmdsl.energies.truths.randomness import generator_of
from gmdsl.energies.truths.transfer_matrix import MOST_ROWS, Strip, rows_of
from gmdsl.models.declare.energy import energy
from gmdsl.models.declare.joint import joint
from gmdsl.spaces.discrete import Categorical


def potts(rows: int, columns: int, labels: int = 3, coupling: float = 1.0, *, periodic: bool = True) -> KnownTarget:
    """Labels `s` on a rectangle.

    Args:
        rows: how many there are.
        columns: how many there are.
        labels: q, how many values a site may have, at least 2.
        coupling: J, in units of the temperature; below zero neighbours like to differ.
        periodic: whether the rectangle is a torus; otherwise its edges are free. Two rows of a torus touch twice.

    Returns:
        The target. Moments are those of one label, which has equal probabilities. log Z: where q to the power of the
        shorter side is at most 1,024; draws there too, on a torus up to 256. The reference has independent labels.

    Raises:
        SpecError: sizes that are no whole numbers, a coupling that is not finite.

    >>> import gmdsl as gm
    >>> round(gm.energies.potts(4, 4, 2, 0.8).log_z - 0.4 * 32, 6)  # two labels: Ising at 0.4
    14.561093
    """
    rows, columns = check_whole("potts", "rows", rows, 1), check_whole("potts", "columns", columns, 1)
    labels = check_whole("potts", "labels", labels, 2)
    coupling = check_number("potts", "coupling", coupling)

    def on_torus(s: Array) -> Array:
        return -coupling * ((s == jnp.roll(s, 1, 0)).sum() + (s == jnp.roll(s, 1, 1)).sum())

    def on_rectangle(s: Array) -> Array:
        return -coupling * ((s[1:] == s[:-1]).sum() + (s[:, 1:] == s[:, :-1]).sum())

    across, along = min(rows, columns), max(rows, columns)
    log_z, draw = None, None
    if labels**across <= MOST_ROWS:
        strip = _strip(across, along, labels, coupling, periodic)
        log_z = strip.log_z()
        draw = _drawing(strip, across, labels, turned=rows < columns) if strip.drawable else None
    equal = np.full(labels, 1.0 / labels)
    return KnownTarget(
        model=energy(on_torus if periodic else on_rectangle, name="potts", s=Categorical(labels, rows, columns)),
        log_z=log_z,
        mean={"s": np.full((rows, columns), 0.5 * (labels - 1))},
        variance={"s": np.full((rows, columns), (labels**2 - 1) / 12.0)},
        draw=draw,
        reference=joint(s=dist.Categorical(probs=equal).expand([rows, columns])),
    )


def _strip(across: int, along: int, labels: int, coupling: float, periodic: bool) -> Strip:
    states = rows_of(across, np.arange(labels))
    bonds = np.sum(states[:, 1:] == states[:, :-1], axis=1)
    if periodic:
        bonds = bonds + (states[:, 0] == states[:, -1])
    between = np.sum(states[:, None] == states, axis=-1)
    return Strip(coupling * bonds, coupling * between, along, periodic)


def _drawing(strip: Strip, across: int, labels: int, *, turned: bool) -> Any:
    def draw(key: Array, count: int) -> dict[str, Any]:
        found = rows_of(across, np.arange(labels))[strip.draw(generator_of(key), count)]
        return {"s": found.swapaxes(1, 2) if turned else found}

    return draw
