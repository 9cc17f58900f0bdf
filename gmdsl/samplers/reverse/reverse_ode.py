r"""The probability flow: an ordinary differential equation whose points have the law $p_t$ at every time.

$dx/dt = f x - \tfrac12 g^2 \nabla \log p_t(x)$: half of the score's drift of the reverse stochastic equation,
and no noise. It is a map from the noise to the data that can be run both ways.

Reference:
    Song et al., *Score-based generative modeling through SDEs*, 2021, arXiv:2011.13456 (section 4.3).
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.solver import Solver
from gmdsl.diffusion.time_grid import as_grid, check_grid, grid_of
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats
from gmdsl.samplers.reverse.solvers.heun import Heun


class ReverseODE(Generator):
    """Independent draws by the probability flow.

    Attributes:
        solver: how a step is made: `gm.UniPC()`, `gm.DPMSolver()`, `gm.Heun()`, or another `gm.Solver`.
        steps: steps from `t_max` to 0.
        power: the same as `grid=gm.PowerGrid(power)`: times are `t_max (k / steps) ** power`.
        grid: where the steps lie: `gm.PowerGrid(p)`, `gm.KarrasGrid()`, `gm.LogSNRGrid()`, or times from `t_max` to 0;
            what the solver prefers when None.
    """

    solver: Solver = Heun()
    steps: int = 100
    power: float | None = None
    grid: Any = eqx.field(default=None, converter=as_grid)

    takes: ClassVar[type] = FlatFamily
    bias: ClassVar[str | None] = "the steps have a finite size, and the way back starts from a Gaussian"

    def __check_init__(self) -> None:
        if not isinstance(self.solver, Solver):
            given = self.solver.__name__ if isinstance(self.solver, type) else type(self.solver).__name__
            raise SpecError(f"ReverseODE({given}): a solver is needed first, such as gm.Heun().")
        check_grid("ReverseODE", self.steps, self.grid, self.power)

    def times(self, family: FlatFamily) -> Float[Array, " steps+1"]:
        """The times of the steps, from `t_max` to 0."""
        grid = grid_of(self.grid, self.power, self.solver.prefers)
        return grid.nodes(family, self.steps, self.solver.floor(family))

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        times, x = self.times(target), target.start(key)

        def step(k: Array, at: Any) -> Any:
            return self.solver.step(target, at[0], times[k], times[k + 1], at[1])

        return jax.lax.fori_loop(0, self.steps, step, (x, self.solver.init(target, x)))[0], {}
