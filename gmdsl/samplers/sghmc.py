r"""Stochastic gradient Hamiltonian dynamics: momenta smooth the noise of the batches, friction takes it out.

$$x' = x + \epsilon r, \qquad
r' = (1 - \epsilon C)\, r + \epsilon\, \hat g(x') + \sqrt{2 (C - \hat B)\, \epsilon}\; e,$$

with the score $\hat g$ estimated from a batch of rows that is drawn anew at each step without replacement. The noise
of the estimate, of variance V per coordinate, acts like $B = \epsilon V / 2$ of the friction; what is known of it,
$\hat B$, is left out of the noise that is added. With $\epsilon C$ near one this is `gm.SGLD` with
$\Delta t = 2 \epsilon^2$.

Reference:
    Chen, Fox and Guestrin, *Stochastic gradient Hamiltonian Monte Carlo*, 2014.
"""

from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmdsl.compiler.minibatch.batches import Minibatches, as_names, bound, check_batch, seen
from gmdsl.core.errors import SpecError, check_positive
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import split
from gmdsl.inference.sampler import Sampler, check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class Moving(NamedTuple):
    """A position with its momentum."""

    position: Float[Array, " dim"]
    momentum: Float[Array, " dim"]


class SGHMC(Sampler):
    r"""Hamiltonian dynamics with friction, noise, and the score of a random batch of rows.

    Without `batch_size` all rows are used. Momenta have unit mass and live on from draw to draw. A step to a point
    without a score is not made, and the momentum is turned round.

    Attributes:
        step_size: the $\epsilon$ of the equation, in units of x; well below the smallest scale of the target. It is
            not adapted.
        friction: C, the rate at which momenta are forgotten; its product with the step is at most one.
        noise: $\hat B$, the part of the friction that balances the noise of the batches; at most the friction.
        steps: steps per draw, each with a batch of its own.
        batch_size: rows per step; all of them when None.
        rows: what holds the rows along its first axis: a dimension of the model's `dims`, or the names of data and
            observed values. When None, the only first dimension of what is observed.
        batches: set when a model is sampled.

    >>> import gmdsl as gm, numpy as np, numpyro.distributions as dist
    >>> model = gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(mu, 1.0).expand([1000]))
    >>> posterior = model.condition(y=np.full(1000, 0.5))
    >>> sampler = gm.SGHMC(0.005, friction=30.0, batch_size=50, rows="y")
    >>> tree = gm.sample(posterior, sampler, draws=500, warmup=100, progress=False)
    >>> round(float(tree["posterior"]["mu"].mean()), 1)
    0.5
    """

    step_size: float = 0.05
    friction: float = 1.0
    noise: float = 0.0
    steps: int = 10
    batch_size: int | None = None
    rows: str | tuple[str, ...] | None = eqx.field(static=True, default=None, converter=as_names)
    batches: Minibatches | None = eqx.field(static=True, default=None)
    bias: ClassVar[str | None] = (
        "unadjusted: the stationary law differs from the target by O(step_size), more so the smaller the batches"
    )

    def __check_init__(self) -> None:
        check_step(self)
        check_positive(self, "friction")
        check_batch(self)
        if not isinstance(self.steps, Integral) or isinstance(self.steps, bool) or self.steps < 1:
            raise SpecError(f"SGHMC(steps={self.steps!r}): a whole number of at least 1 is needed.")
        numbers = (self.step_size, self.friction, self.noise)
        if not all(isinstance(number, int | float) for number in numbers):
            return
        if not 0.0 <= self.noise <= self.friction:
            raise SpecError(
                f"SGHMC(noise={self.noise}): from 0 to the friction, {self.friction}, is possible. Raise the friction."
            )
        if self.step_size * self.friction > 1.0:
            raise SpecError(
                f"SGHMC(step_size={self.step_size}, friction={self.friction}): their product is above one, and momenta"
                " would change sign at each step. Lower one of them."
            )

    def bound(self, density: Any) -> "SGHMC":
        return bound(self, density)

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> Moving:
        return Moving(x, standard_normal(key, x.shape, x.dtype))

    def position(self, state: Moving) -> Float[Array, " dim"]:
        return state.position

    def refresh(self, key: Array, target: Target, state: Moving) -> Moving:
        """The state as it is: nothing of the target is kept in it."""
        return state

    def step(self, key: Array, target: Target, state: Moving) -> tuple[Moving, Stats]:
        none = jnp.zeros((), bool)

        def once(number: Array, at: Any) -> Any:
            state, nan, diverging = at
            state, now_nan, now_diverging = self._once(jax.random.fold_in(key, number), target, state)
            return state, nan | now_nan, diverging | now_diverging

        state, nan, diverging = jax.lax.fori_loop(0, self.steps, once, (state, none, none))
        return state, {"diverging": diverging, "nan_evaluations": nan, "n_steps": jnp.int32(self.steps)}

    def _once(self, key: Array, target: Target, state: Moving) -> tuple[Moving, Bool[Array, ""], Bool[Array, ""]]:
        """One step; whether it met NaN at a finite position, and whether it diverged."""
        key_batch, key_noise = split(key)
        x = state.position + self.step_size * state.momentum
        lp, score = seen(self, key_batch, target).log_density_and_score(x)
        spread = jnp.sqrt(2.0 * jnp.maximum(self.friction - self.noise, 0.0) * self.step_size)
        noise = spread * standard_normal(key_noise, x.shape, x.dtype)
        r = (1.0 - self.step_size * self.friction) * state.momentum + self.step_size * score + noise
        lost = jnp.isnan(lp) | jnp.isnan(score).any()
        back = Moving(state.position, -state.momentum)
        state = jax.tree.map(lambda a, b: jnp.where(lost, a, b), back, Moving(x, r))
        return state, lost & jnp.isfinite(x).all(), lost | ~jnp.isfinite(lp)
