r"""Score matching: fit an energy without its $\log Z$, by its slope and curvature at the data.

The squared distance between the scores of model and data is, up to a constant and by integration by parts,

$$J(\theta) = E_{data}\Big[ \tfrac12 \|\nabla f_\theta(x)\|^2 + \operatorname{tr} \nabla^2 f_\theta(x) \Big].$$

The trace costs as many gradients as there are coordinates. With $v$ of independent signs, $E\, v^T \nabla^2 f\, v$ is
that trace: *sliced* score matching takes a few such directions, each the price of one more gradient. With *finite
differences* along v both terms come from three values of f,

$$\tfrac12 (v^T \nabla f)^2 + v^T \nabla^2 f\, v \approx
  \tfrac12 \Big( \frac{f_+ - f_-}{2 \epsilon} \Big)^2 + \frac{f_+ - 2 f + f_-}{\epsilon^2}, \qquad
  f_\pm = f(x \pm \epsilon v),$$

which needs no second derivative; its error is of order $\epsilon^2$.

References:
    Hyvarinen, *Estimation of non-normalized statistical models by score matching*, JMLR 6, 2005 (equation 4);
    Song, Garg, Shi, Ermon, *Sliced score matching*, 2019, arXiv:1905.07088 (with variance reduction);
    Pang et al., *Efficient learning of generative models via finite-difference score matching*, 2020, arXiv:2007.03317.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError, check_positive
from gmdsl.inference.target import Target
from gmdsl.learning.inputs import conditional, variables_of
from gmdsl.learning.objective import Batch, Data, Metrics, Objective, check_model, check_observed, rows
from gmdsl.models.model import Model

CURVED = 64  # data at which curvature is looked for


class ScoreMatching(Objective):
    """Mean squared difference of scores, up to a constant; for continuous variables with data for all of them.

    The slope is taken in the coordinates in which samplers move, which for `gm.Real` are those of the data; a positive
    variable is matched by its logarithm. A density that ends at a wall where it is not small is matched wrongly, and so
    is one with kinks, such as that of a network of ReLUs: the integration by parts leaves out what lies there. Slopes
    without any curvature are refused.

    Attributes:
        projections: random directions per datum, sliced score matching; None for the exact trace, as many gradients
            as there are coordinates.
        step: length of finite differences along the directions, in units of the data; None for derivatives.

    >>> import numpy as np, optax, gmdsl as gm
    >>> bowl = gm.energy(lambda x, a, b: a * x**2 - b * x, x=gm.Real(), a=gm.param(1.0), b=gm.param(0.0))
    >>> data = {"x": np.array([1.0, 2.0, 3.0, 6.0])}
    >>> fit = gm.fit(bowl, data, gm.ScoreMatching(), optimizer=optax.adam(0.02), steps=3000, progress=False)
    >>> a, b = (float(fit.model.params[name].value) for name in "ab")
    >>> round(b / (2 * a), 2), round(1 / (2 * a), 2)  # the mean and the variance of the data
    (3.0, 3.5)
    """

    projections: int | None = eqx.field(static=True, default=None)
    step: float | None = None

    def __check_init__(self) -> None:
        count = self.projections
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            raise SpecError(f"ScoreMatching(projections={count!r}): a whole number of at least 1 is needed, or None.")
        if self.step is not None:
            check_positive(self, "step")
            if count is None:
                raise SpecError(f"ScoreMatching(step={self.step}): differences need directions. Give projections=1.")

    @property
    def bias(self) -> str:
        more = "" if self.step is None else ", with differences of finite length"
        return f"scores were matched{more}: the estimate is consistent, and not that of maximum likelihood"

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        check_model(self, model)
        check_observed(self, model, data)
        discrete = [name for name in model.free if model.spaces[name].discrete]
        if discrete:
            raise SpecError(
                f"fit(..., ScoreMatching()): {discrete[0]} lives in {model.spaces[discrete[0]].title}, which has no"
                " slope. Use gm.PseudoLikelihood() for discrete variables."
            )

        if self.step is None:
            self._check_curved(model, data)

    def _check_curved(self, model: Model, data: Data) -> None:
        """Refuses a density whose slope is the same around each datum, and not zero: it is made of kinks."""
        few = {name: jnp.asarray(values)[:CURVED] for name, values in data.items()}
        density = conditional(model)

        def look(row: Any) -> tuple[Array, Array]:
            target = density(row)
            score, x = jax.grad(target.log_density), target.unconstrain(variables_of(model, row))
            return score(x), jax.jvp(score, (x,), (jnp.arange(1.0, x.size + 1.0, dtype=x.dtype),))[1]

        slopes, bends = jax.jit(jax.vmap(look))(few)
        if bool((slopes != 0).any()) and not bool((bends != 0).any()):
            raise SpecError(
                "fit(..., ScoreMatching()): the log-density is made of straight pieces around the data (abs, relu), and"
                " what lies in their kinks is not seen. Take smooth functions, such as jax.nn.softplus, or differences"
                " across kinks, gm.ScoreMatching(projections=1, step=0.1)."
            )

    def loss(self, key: Array, model: Model, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        density = conditional(model)

        def one(key: Array, row: Any) -> Array:
            target = density(row)
            return self._at(key, target, target.unconstrain(variables_of(model, row)))

        return jnp.mean(jax.vmap(one)(jax.random.split(key, rows(batch)), dict(batch))), (state, {})

    def _at(self, key: Array, target: Target, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """What one datum adds to the loss."""
        score = jax.grad(target.log_density)
        if self.projections is None:
            return 0.5 * jnp.sum(score(x) ** 2) + jnp.trace(jax.jacfwd(score)(x))
        signs = jax.random.rademacher(key, (self.projections, *x.shape), x.dtype)
        if self.step is None:
            return 0.5 * jnp.sum(score(x) ** 2) + jnp.mean(jax.vmap(lambda v: _curvature(score, x, v))(signs))
        step = self.step
        return jnp.mean(jax.vmap(lambda v: _differences(target, x, v, step))(signs))


def _differences(target: Target, x: Float[Array, " dim"], v: Float[Array, " dim"], step: Any) -> Float[Array, ""]:
    ahead, here, behind = (target.log_density(x + shift * step * v) for shift in (1.0, 0.0, -1.0))
    slope, curvature = (ahead - behind) / (2.0 * step), (ahead - 2.0 * here + behind) / step**2
    return 0.5 * slope**2 + curvature


def _curvature(score: Any, x: Float[Array, " dim"], v: Float[Array, " dim"]) -> Float[Array, ""]:
    return v @ jax.jvp(score, (x,), (v,))[1]
