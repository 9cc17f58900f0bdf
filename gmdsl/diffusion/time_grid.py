r"""The times of a way back: a grid from `t_max` to 0.

With $\rho = \sigma / \alpha$, the scale of the noise in units of the data, N steps are

* `"time"`: $t_k = t_{max} (k / N)^p$, even in time for p = 1;
* `"karras"`: $\rho_k^{1/p}$ even between the largest and the least noise;
* `"log-snr"`: $\log(\rho_k^2 + w^2)$ even, where w is the width of the finest structure. It is even in the logarithm of
  the signal-to-noise ratio where there is more noise than structure, and comes to an end below.

Where a family has a finite score without noise, or keeps some (`gm.VE`), `"log-snr"` goes evenly to the end. Elsewhere
the last step goes from the least noise that is learned, `t_min`, to none, in one stroke.

Reference:
    Karras et al., *Elucidating the design space of diffusion-based generative models*, 2022, arXiv:2206.00364
    (equation 5); Lu et al., *DPM-Solver++*, 2022, arXiv:2211.01095 (even steps in log-SNR).
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import setting
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.process import Process, Scalar

GRIDS = ("time", "karras", "log-snr")
POWERS = {"time": 1.0, "karras": 7.0, "log-snr": 1.0}  # where none is given

type Grid = str | tuple[float, ...] | None


def as_grid(grid: Any) -> Any:
    """A grid as it is kept in a setting: a name, None, or the times as plain numbers."""
    if grid is None or isinstance(grid, str | int | float | bool):
        return grid
    return tuple(float(t) for t in np.ravel(np.asarray(grid)))


def reverse_times(
    family: FlatFamily, steps: int, grid: Grid, power: Any = None, width: Any = 0.0
) -> Float[Array, " steps+1"]:
    """The times of a way back, from `t_max` to 0.

    Args:
        family: what is run backwards.
        steps: how many steps.
        grid: a name, or the times themselves; None for `"time"`.
        power: the exponent of `"time"` and `"karras"`; None for 1 and 7.
        width: standard deviation of the finest structure of the data, for `"log-snr"`; where it is 0, the noise at
            `t_min`.

    Raises:
        SpecError: times that do not begin at `t_max`.
    """
    t_max = setting(family.process, "t_max")
    if isinstance(grid, tuple):
        if isinstance(t_max, int | float) and abs(grid[0] - t_max) > 1e-5 * t_max:
            raise SpecError(
                f"grid=({grid[0]:.4g}, ...): the way back starts at t_max = {t_max:.4g}. Give times from there to 0."
            )
        return jnp.asarray(grid, float)
    name = "time" if grid is None else grid
    power = POWERS[name] if power is None else power
    if name == "time" or steps == 1:
        return reverse_grid(t_max, steps, power)
    return _even_in_noise(family, steps, name == "karras", power, width)


def reverse_grid(t_max: float, steps: int, power: float) -> Float[Array, " steps+1"]:
    r"""Times $t_k = t_{max} (k / N)^{power}$ for k = N, ..., 0; none but the last below a millionth of $t_{max}$.

    >>> reverse_grid(4.0, 2, 1.0).tolist()
    [4.0, 2.0, 0.0]
    """
    times = t_max * jnp.maximum(jnp.linspace(1.0, 0.0, steps + 1) ** power, 1e-6)
    return times.at[steps].set(0.0)


def check_grid(name: str, steps: int, power: Any, grid: Any = None) -> None:
    """Refuses a number of steps below one, a power that is not above zero, and what is no grid."""
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise SpecError(f"{name}(steps={steps!r}): a whole number of at least 1 is needed.")
    if power is not None and not isinstance(power, jax.Array) and not (isinstance(power, int | float) and power > 0):
        raise SpecError(f"{name}(power={power}): a number above 0 is needed; 1 makes equal steps.")
    if isinstance(grid, tuple):
        _check_times(name, steps, grid)
    elif grid is not None and grid not in GRIDS:
        raise SpecError(
            f"{name}(grid={grid!r}): there is no such grid. Take 'time', 'karras', 'log-snr', or the times."
        )


def _check_times(name: str, steps: int, times: tuple[float, ...]) -> None:
    if len(times) != steps + 1:
        raise SpecError(f"{name}(grid=...): {len(times)} times make {len(times) - 1} steps, not {steps}. Set steps=.")
    if not all(later < earlier for earlier, later in itertools.pairwise(times)) or times[-1] != 0.0:
        raise SpecError(
            f"{name}(grid=...): times fall from t_max to 0; these do not. Sort them, largest first, 0 last."
        )


def noise_ratio(process: Process, t: Scalar) -> Scalar:
    r"""$\rho = \sigma / \alpha$, the noise in units of the data."""
    return process.sigma(t) / jnp.asarray(process.alpha(t), float)


def _even_in_noise(family: FlatFamily, steps: int, karras: bool, power: Any, width: Any) -> Array:
    """Steps that are even in a function of the noise."""
    process, zero = family.process, jnp.zeros(())
    t_max = setting(process, "t_max")
    most = noise_ratio(process, t_max)
    most = jnp.where(jnp.isfinite(most), most, noise_ratio(process, 0.999 * t_max))  # no signal is left at some ends
    least, rest = noise_ratio(process, setting(process, "t_min")), noise_ratio(process, zero)
    floor = jnp.where(jnp.asarray(width) > 0, width, least)
    forth = (lambda r: r ** (1.0 / power)) if karras else (lambda r: 0.5 * jnp.log(r**2 + floor**2))
    back = (lambda u: u**power) if karras else (lambda u: jnp.sqrt(jnp.maximum(jnp.exp(2.0 * u) - floor**2, 0.0)))
    smooth = (not karras) and family.first == 0.0
    even = jnp.where((rest > 0) | smooth, steps, steps - 1)  # steps that are even; one more leads to no noise
    low = jnp.where((rest > 0) | smooth, rest, least)
    share = jnp.minimum(jnp.arange(steps + 1) / even, 1.0)
    ratios = back(forth(most) + share * (forth(low) - forth(most)))
    times = jax.vmap(lambda r: time_of_ratio(process, r))(ratios)
    return times.at[0].set(t_max).at[steps].set(0.0)


def time_of_ratio(process: Process, ratio: Scalar) -> Scalar:
    """The time at which the noise has a ratio, by bisection in the logarithm of time."""
    t_max = setting(process, "t_max")
    ends = jnp.log(1e-9 * jnp.asarray(t_max, float)), jnp.log(jnp.asarray(t_max, float))

    def halve(_: Any, ends: Any) -> Any:
        middle = 0.5 * (ends[0] + ends[1])
        above = noise_ratio(process, jnp.exp(middle)) > ratio
        return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

    return jnp.exp(jax.lax.fori_loop(0, 50, halve, ends)[1])
