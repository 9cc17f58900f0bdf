r"""The Ising model on a rectangle: spins that like to be as their neighbours are.

$$E(s) = -J \sum_{(ij)} s_i s_j - h \sum_i s_i, \qquad s_i \in \{-1, +1\},$$

over neighbours in rows and columns, with the temperature in J and h. On a torus without a field log Z is Kaufman's
closed form at any size; with a field, or with free edges, a transfer matrix has it for up to ten spins across. Below
the critical temperature, at $J > \frac12 \log(1 + \sqrt 2) = 0.4407$, single flips do not get from one magnetisation
to the other.

Reference:
    Onsager, *Crystal statistics I*, Physical Review 65, 1944; Kaufman, *Crystal statistics II*, Physical Review 76,
    1949.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.energies.truths.arguments import check_number, check_whole
from gmdsl.energies.truths.kaufman import log_z_of_torus
from gmdsl.energies.truths.known_target import KnownTarget
from gmdsl.energies.truths.randomness import generator_of
from gmdsl.energies.truths.transfer_matrix import MOST_ROWS, Strip, rows_of
from gmdsl.models.declare.energy import energy
from gmdsl.models.declare.uniform import uniform
from gmdsl.spaces.discrete import Spin

SPINS = np.array([-1, 1])


def ising(rows: int, columns: int, coupling: float = 0.4, field: float = 0.0, *, periodic: bool = True) -> KnownTarget:
    """Spins `s` on a rectangle.

    Args:
        rows: how many there are.
        columns: how many there are.
        coupling: J, in units of the temperature; below zero neighbours like to differ.
        field: h, in units of the temperature.
        periodic: whether the rectangle is a torus; otherwise its edges are free. Two rows of a torus touch twice.

    Returns:
        The target. log Z: on a torus with J > 0 (or sides of even length) and h = 0 always, otherwise up to 10 spins
        across. Moments: wherever h = 0, and up to 10 spins across. Draws: up to 10 spins across, on a torus 8. In the
        reference all states are equally likely.

    Raises:
        SpecError: sizes that are no whole numbers, numbers that are not finite.

    >>> import gmdsl as gm
    >>> round(gm.energies.ising(16, 16, 0.5).log_z, 5), round(gm.energies.ising(8, 8, 0.2, periodic=False).log_z, 5)
    (263.29621, 46.66632)
    """
    rows = check_whole("ising", "rows", rows, 1)
    columns = check_whole("ising", "columns", columns, 1)
    coupling, field = check_number("ising", "coupling", coupling), check_number("ising", "field", field)

    def on_torus(s: Array) -> Array:
        return -coupling * (s * jnp.roll(s, 1, 0) + s * jnp.roll(s, 1, 1)).sum() - field * s.sum()

    def on_rectangle(s: Array) -> Array:
        bonds = (s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum()
        return -coupling * bonds - field * s.sum()

    model = energy(on_torus if periodic else on_rectangle, name="ising", s=Spin(rows, columns))
    across, along = min(rows, columns), max(rows, columns)
    log_z = _closed_form(rows, columns, coupling, field, periodic)
    mean, draw = np.zeros((rows, columns)) if field == 0.0 else None, None
    if 2**across <= MOST_ROWS:
        strip = _strip(across, along, coupling, field, periodic)
        turned = rows < columns  # the strip runs along the columns
        log_z = strip.log_z() if log_z is None else log_z
        mean = _mean(strip, across, turned) if mean is None else mean
        draw = _drawing(strip, across, turned) if strip.drawable else None
    return KnownTarget(
        model=model,
        log_z=log_z,
        mean=None if mean is None else {"s": mean},
        variance=None if mean is None else {"s": 1.0 - mean**2},
        draw=draw,
        reference=uniform(s=Spin(rows, columns)),
    )


def _closed_form(rows: int, columns: int, coupling: float, field: float, periodic: bool) -> float | None:
    """Log Z of independent spins, and of a torus; one of even sides does not feel the sign of J."""
    if coupling == 0.0:
        return float(rows * columns * np.logaddexp(field, -field))
    even = rows % 2 == 0 and columns % 2 == 0
    if periodic and field == 0.0 and (coupling > 0.0 or even):
        return log_z_of_torus(rows, columns, abs(coupling))
    return None


def _strip(across: int, along: int, coupling: float, field: float, periodic: bool) -> Strip:
    states = rows_of(across, SPINS)
    bonds = np.sum(states[:, 1:] * states[:, :-1], axis=1)
    if periodic:
        bonds = bonds + states[:, 0] * states[:, -1]
    within = coupling * bonds + field * states.sum(axis=1)
    return Strip(within, coupling * (states @ states.T), along, periodic)


def _mean(strip: Strip, across: int, turned: bool) -> np.ndarray:
    mean = strip.law_of_rows() @ rows_of(across, SPINS)
    return mean.T if turned else mean


def _drawing(strip: Strip, across: int, turned: bool) -> Any:
    def draw(key: Array, count: int) -> dict[str, Any]:
        spins = rows_of(across, SPINS)[strip.draw(generator_of(key), count)]
        return {"s": spins.swapaxes(1, 2) if turned else spins}

    return draw
