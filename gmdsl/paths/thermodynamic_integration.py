r"""Thermodynamic integration as a method of `gm.log_z`: chains on the rungs of a path, and an integral over them.

$\log Z_1 / Z_0 = \int_0^1 E_\beta[\log p - \log q]\, d\beta$ on the geometric path. Copies on neighbouring rungs trade
places while they run, so that each of them sees all modes. How the integral and its error are found says
`gmdsl.results.thermodynamic`.

References:
    Friel and Pettitt, *Marginal likelihood estimation via power posteriors*, JRSS B 70, 2008; Calderhead and Girolami,
    *Estimating Bayes factors via thermodynamic integration and population MCMC*, 2009.
"""

from numbers import Integral
from typing import Any

import equinox as eqx

from gmdsl.adapt.temperatures import as_schedule, kept_static
from gmdsl.core.errors import SpecError
from gmdsl.core.settings import Checked
from gmdsl.inference.path import check_move
from gmdsl.inference.sampler import Sampler


class ThermodynamicIntegration(Checked, eqx.Module):
    r"""Log Z by thermodynamic integration, `gm.log_z(path, gm.ThermodynamicIntegration(gm.MALA()))`.

    The result has the mean of $\log p - \log q$ at each temperature and its slope in `curve`. Its error holds that of
    correlated draws and what the correction of the trapezoid changes. The mean at the reference must be finite: a
    target that has no density at draws of the reference has status "failed".

    Attributes:
        move: the kernel; its law must be exact (not `Langevin`). Its own adapters tune it at each rung.
        temperatures: how many steps from rung to rung, or the betas, from 0 to 1.
        power: a number of steps is $\beta_k = (k / K)^{power}$; above 1 puts more rungs near the reference, where the
            curve is steep.
        steps: transitions of each copy between swaps.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> path = gm.temper(gm.energy(lambda x: 0.5 * x**2, x=gm.Real()), gm.joint(x=dist.Normal(0, 2)))
    >>> z = gm.log_z(path, gm.ThermodynamicIntegration(gm.MALA()), draws=500)
    >>> abs(z.log_z - 0.919) < 4 * z.standard_error < 0.4
    True
    """

    move: Sampler
    temperatures: Any = eqx.field(default=20, converter=kept_static)
    power: float = eqx.field(static=True, default=4.0)
    steps: int = 1

    def __check_init__(self) -> None:
        check_move("ThermodynamicIntegration", self.move)
        if not isinstance(self.steps, Integral) or self.steps < 1:
            raise SpecError(f"ThermodynamicIntegration(steps={self.steps!r}): at least one transition is needed.")
        if isinstance(self.power, bool) or not isinstance(self.power, int | float) or not self.power > 0:
            raise SpecError(f"ThermodynamicIntegration(power={self.power!r}): a number above 0 is needed. Try 4.")
        schedule = as_schedule("ThermodynamicIntegration", self.temperatures, self.power)
        if schedule.fixed is None:
            raise SpecError(
                f"ThermodynamicIntegration(temperatures={self.temperatures}): it integrates over rungs that stay. Give"
                " a number of steps or the betas."
            )

    @property
    def betas(self) -> tuple[float, ...]:
        """The inverse temperatures, from 0 to 1."""
        fixed = as_schedule("ThermodynamicIntegration", self.temperatures, self.power).fixed
        assert fixed is not None
        return fixed
