r"""The times of a way back: a grid from `t_max` to 0.

With $\rho = \sigma / \alpha$, the scale of the noise in units of the data, N steps are

* `gm.PowerGrid(p)`: $t_k = t_{max} (k / N)^p$, even in time for p = 1;
* `gm.KarrasGrid(p)`: $\rho_k^{1/p}$ even between the largest and the least noise;
* `gm.LogSNRGrid()`: $\log(\rho_k^2 + w^2)$ even, where w is the width of the finest structure. It is even in the
  logarithm of the signal-to-noise ratio where there is more noise than structure, and comes to an end below.

Where a family has a finite score without noise, or keeps some (`gm.VE`), `gm.LogSNRGrid` goes evenly to the end.
Elsewhere the last step goes from the least noise that is learned, `t_min`, to none, in one stroke.

Reference:
    Karras et al., *Elucidating the design space of diffusion-based generative models*, 2022, arXiv:2206.00364
    (equation 5); Lu et al., *DPM-Solver++*, 2022, arXiv:2211.01095 (even steps in log-SNR).
"""

import abc
import itertools
import numbers
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError, check_positive
from gmdsl.core.pytrees.fields import setting
from gmdsl.core.settings import Checked
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.process import Process, Scalar


class TimeGrid(Checked, eqx.Module):
    """Where the steps of a way back lie. Subclasses give `nodes`."""

    @abc.abstractmethod
    def nodes(self, family: FlatFamily, steps: int, floor: Any = 0.0) -> Float[Array, " steps+1"]:
        """The times from `t_max` to 0.

        Args:
            family: what is run backwards.
            steps: how many steps.
            floor: the noise below which a grid may come to its end, in units of the data; 0 where none is known.
        """


class PowerGrid(TimeGrid):
    """Times `t_max (k / steps) ** power`; even for 1, and with more steps near the data above.

    Attributes:
        power: the exponent.
    """

    power: float = 1.0

    def __check_init__(self) -> None:
        check_positive(self, "power")

    def nodes(self, family: FlatFamily, steps: int, floor: Any = 0.0) -> Array:
        del floor
        return reverse_grid(setting(family.process, "t_max"), steps, self.power)


class KarrasGrid(TimeGrid):
    """Even in a root of the noise, in units of the data: the root of the power.

    Attributes:
        power: which root; 7 by Karras et al.
    """

    power: float = 7.0

    def __check_init__(self) -> None:
        check_positive(self, "power")

    def nodes(self, family: FlatFamily, steps: int, floor: Any = 0.0) -> Array:
        del floor
        return _even(family, steps, lambda r: r ** (1.0 / self.power), lambda u: u**self.power, to_zero=False)


class LogSNRGrid(TimeGrid):
    """Even in the logarithm of the signal-to-noise ratio, down to where noise is as small as the finest structure."""

    def nodes(self, family: FlatFamily, steps: int, floor: Any = 0.0) -> Array:
        process = family.process
        low = jnp.where(jnp.asarray(floor) > 0, floor, noise_ratio(process, setting(process, "t_min")))

        def back(u: Array) -> Array:
            return jnp.sqrt(jnp.maximum(jnp.exp(2.0 * u) - low**2, 0.0))

        return _even(family, steps, lambda r: 0.5 * jnp.log(r**2 + low**2), back, to_zero=family.first == 0.0)


class FixedGrid(TimeGrid):
    """Times of one's own.

    Attributes:
        times: from `t_max` to 0, falling.
    """

    times: tuple[float, ...] = eqx.field(static=True, converter=lambda times: tuple(float(t) for t in np.ravel(times)))

    def __check_init__(self) -> None:
        falls = all(later < earlier for earlier, later in itertools.pairwise(self.times))
        if len(self.times) < 2 or not falls or self.times[-1] != 0.0:
            raise SpecError("FixedGrid(...): times fall from t_max to 0; these do not. Sort them, largest first.")

    def nodes(self, family: FlatFamily, steps: int, floor: Any = 0.0) -> Array:
        del steps, floor
        t_max = setting(family.process, "t_max")
        if isinstance(t_max, int | float) and abs(self.times[0] - t_max) > 1e-5 * t_max:
            raise SpecError(
                f"FixedGrid({self.times[0]:.4g}, ...): the way back starts at t_max = {t_max:.4g}. Give times from"
                " there to 0."
            )
        return jnp.asarray(self.times, float)


def as_grid(grid: Any) -> Any:
    """A grid as it is kept in a setting: times become `FixedGrid`; anything else is as it was."""
    if isinstance(grid, list | tuple | np.ndarray | jax.Array) and np.asarray(grid).dtype.kind in "iuf":
        return FixedGrid(grid)
    return grid


def reverse_grid(t_max: float, steps: int, power: float) -> Float[Array, " steps+1"]:
    r"""Times $t_k = t_{max} (k / N)^{power}$ for k = N, ..., 0; none but the last below a millionth of $t_{max}$.

    >>> reverse_grid(4.0, 2, 1.0).tolist()
    [4.0, 2.0, 0.0]
    """
    times = t_max * jnp.maximum(jnp.linspace(1.0, 0.0, steps + 1) ** power, 1e-6)
    return times.at[steps].set(0.0)


def check_grid(name: str, steps: int, grid: Any = None, power: Any = None) -> None:
    """Refuses a number of steps below one, what is no grid, and a grid beside a power."""
    if not isinstance(steps, numbers.Integral) or isinstance(steps, bool) or steps < 1:
        raise SpecError(f"{name}(steps={steps!r}): a whole number of at least 1 is needed.")
    if grid is not None and not isinstance(grid, TimeGrid):
        raise SpecError(
            f"{name}(grid={grid!r}): a grid is needed, such as gm.PowerGrid(2.0), gm.KarrasGrid() or gm.LogSNRGrid(),"
            " or the times from t_max to 0."
        )
    if isinstance(grid, FixedGrid) and len(grid.times) != steps + 1:
        count = len(grid.times)
        raise SpecError(f"{name}(grid=...): {count} times make {count - 1} steps, not {steps}. Set steps=.")
    if power is not None and grid is not None:
        raise SpecError(f"{name}(power={power}, grid=...): both say where the steps lie. Give one of them.")
    known = not isinstance(power, jax.Array)
    if power is not None and known and not (isinstance(power, numbers.Real) and 0 < power < float("inf")):
        raise SpecError(f"{name}(power={power}): a number above 0 is needed; 1 makes equal steps.")


def grid_of(grid: TimeGrid | None, power: Any, usual: TimeGrid) -> TimeGrid:
    """The grid of two settings of which one is given at most, else the usual one."""
    return usual if grid is None and power is None else PowerGrid(power) if grid is None else grid


def noise_ratio(process: Process, t: Scalar) -> Scalar:
    r"""$\rho = \sigma / \alpha$, the noise in units of the data."""
    return process.sigma(t) / jnp.asarray(process.alpha(t), float)


def _even(family: FlatFamily, steps: int, forth: Any, back: Any, *, to_zero: bool) -> Array:
    """Steps that are even in a function of the noise; the last leads from the least noise to none, unless `to_zero`."""
    process, zero = family.process, jnp.zeros(())
    t_max = setting(process, "t_max")
    if steps == 1:
        return jnp.asarray([t_max, 0.0], float)
    most = noise_ratio(process, setting(process, "t_signal"))
    most = jnp.where(jnp.isfinite(most), most, noise_ratio(process, 0.999 * t_max))  # no signal is left at some ends
    least, rest = noise_ratio(process, setting(process, "t_min")), noise_ratio(process, zero)
    even = jnp.where((rest > 0) | to_zero, steps, steps - 1)  # steps that are even; one more leads to no noise
    low = jnp.where((rest > 0) | to_zero, rest, least)
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
