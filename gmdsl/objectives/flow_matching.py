r"""Flow matching: learn the velocity that carries noise to data, by regression on the velocity of single pairs.

A datum and its noise move along $x_t = \alpha x_0 + \sigma \epsilon$ with the velocity $\dot\alpha x_0 + \dot\sigma
\epsilon$, for
`gm.Rectified` $\epsilon - x_0$. The minimiser of

$$E\, \| v(x_t, t) - (\dot\alpha x_0 + \dot\sigma \epsilon) \|^2$$

over t even in time is its expectation given $x_t$, the velocity of the probability flow: the same family that
denoising score matching learns, with other weights. With `transport` the noise of a batch is paired with its data so
that the sum of squared distances is least. Paths then cross less, the flow is straighter and needs fewer steps.

Reference:
    Lipman et al., *Flow matching for generative modeling*, 2022, arXiv:2210.02747; Liu, Gong, Liu, 2022,
    arXiv:2209.03003; Tong et al., *Improving and generalizing flow-based generative models with minibatch optimal
    transport*, 2023, arXiv:2302.00482; Cheng, Schwing, *The curse of conditions: analyzing and improving optimal
    transport for conditional flow-based generation*, 2025, arXiv:2503.10636 (why not with inputs).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.runtime.precision import full_precision
from gmdsl.diffusion.learned_family import check_learned_family, clean_and_given, even_shares, with_pairs
from gmdsl.diffusion.noised import Noised
from gmdsl.learning.objective import Batch, Data, Metrics, Objective, rows

MOST = 1024  # data whose exact pairing is a matter of a second


class FlowMatching(Objective):
    """Mean squared error of the velocity per coordinate, over data, noise and times.

    Works for any process and whatever the network predicts; made for `gm.Rectified()` and `gm.PredictVelocity()`.
    Inputs of the family take their values from the data, each datum its own.

    Attributes:
        transport: whether noise and data of a batch are paired by optimal transport, exactly, in a time that grows
            faster than the square of the batch: some 5 ms for 128 data, 10 to 80 for 256, 100 to 500 for 512, most in
            few dimensions. What is learned is then a velocity, and no longer the score of noised data: go back by
            `gm.ReverseODE`; what needs a score is refused.
    """

    transport: bool = eqx.field(static=True, default=False)

    @property
    def bias(self) -> str | None:
        if not self.transport:
            return None
        return "noise was paired with data: the velocity is that of a flow, not the score of noised data"

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        check_learned_family("FlowMatching", model, data)
        if self.transport and model.inputs:
            raise SpecError(
                f"fit(..., FlowMatching(transport=True)): the family has the input {model.inputs[0][0]}. Pairs across"
                " its values would give each value other noise than the way back starts from. Leave transport out."
            )

    def prepare(self, model: Any) -> Any:
        return with_pairs(model, self.transport)

    def loss(self, key: Array, model: Noised, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        key_time, key_noise = jax.random.split(key)
        clean, given = clean_and_given(model, batch)
        learned: Any = model.denoiser
        process = model.process
        times = process.t_min + (process.t_max - process.t_min) * even_shares(key_time, rows(batch))
        noise = jax.random.normal(key_noise, clean.shape, clean.dtype)
        if self.transport:
            noise = paired(clean, noise)

        def error(x_0: Array, noise: Array, t: Array, given: Any) -> Array:
            x, wanted = jax.jvp(lambda t: process.noisy(x_0, noise, t), (t,), (jnp.ones_like(t),))
            return jnp.mean((learned.at(given).velocity(process, x, t) - wanted) ** 2)

        return jnp.mean(jax.vmap(error)(clean, noise, times, given)), (state, {})


@full_precision
def paired(clean: Float[Array, "n dim"], noise: Float[Array, "n dim"]) -> Float[Array, "n dim"]:
    """The noise in the order in which the sum of squared distances to the data is least.

    Raises:
        SpecError: more data than can be paired in a step.
    """
    import optax

    if len(clean) > MOST:
        raise SpecError(
            f"FlowMatching(transport=True): {len(clean)} data per step are too many to be paired, at most {MOST} are."
            " Give gm.fit a batch_size, such as 256."
        )
    cost = -clean @ noise.T  # squares of data and of noise are in every sum
    row, column = optax.assignment.hungarian_algorithm(cost)
    return noise[jnp.zeros_like(row).at[row].set(column)]
