r"""Replicas of a path: K copies of its variables, one at each inverse temperature, as one flat vector.

$$\log\pi(x_1, \ldots, x_K) = \sum_k \log\pi_{\beta_k}(x_k), \qquad 0 \le \beta_1 < \ldots < \beta_K = 1,$$

so whatever runs chains (starts, warm-up, blocks, stores, `gm.resume`) also runs a sampler that swaps between
temperatures. A draw of the model is the copy at $\beta = 1$.

Reference:
    Geyer, *Markov chain Monte Carlo maximum likelihood*, 1991.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_path import FlatPath, compile_path
from gmdsl.inference.interpolation import Interpolation
from gmdsl.inference.path import Path, ReplicaTarget
from gmdsl.inference.target import States, Target


class Replicas(ReplicaTarget):
    """The flat target of all copies.

    Attributes:
        path: the compiled path, in the unconstrained coordinates of its reference.
        ladder: the inverse temperatures.
    """

    path: FlatPath
    ladder: Float[Array, " rungs"]

    @property
    def betas(self) -> Float[Array, " rungs"]:
        return self.ladder

    @property
    def dim(self) -> int:
        return self.betas.shape[0] * self.path.dim

    @property
    def states(self) -> States:
        return self.path.reference.states * self.betas.shape[0]

    @property
    def copies_at_start(self) -> int:
        return self.betas.shape[0]

    def rung(self, number: int | Array) -> Target:
        return self.path.at(self.betas[number])

    def at(self, beta: Float[Array, ""]) -> Target:
        return self.path.at(beta)

    def draw(self, key: Array) -> Float[Array, " part"]:
        return self.path.draw(key)

    @property
    def interpolation(self) -> Interpolation:
        return self.path.between

    def copies(self, x: Float[Array, " dim"]) -> Float[Array, "rungs part"]:
        return x.reshape(self.betas.shape[0], self.path.dim)

    def log_ratio(self, x: Float[Array, " part"]) -> Float[Array, ""]:
        return self.path.log_ratio(x)

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        one = lambda beta, part: self.path.at(beta).log_density(part)  # noqa: E731
        return jnp.sum(jax.vmap(one)(self.betas, self.copies(x)))

    def drawn(self, x: Float[Array, " dim"]) -> Float[Array, " model_dim"]:
        return self.path.target.unconstrain(self.path.reference.free_values(self.copies(x)[-1]))

    def started(self, x: Float[Array, " model_dim"]) -> Float[Array, " dim"]:
        part = self.path.reference.unconstrain(self.path.target.free_values(x))
        return jnp.tile(part, self.betas.shape[0])


def on_rungs(path: Path, betas: tuple[float, ...]) -> Density:
    """The model at the end of a path, with chains that move on several rungs of it.

    Args:
        path: made by `gm.temper`.
        betas: inverse temperatures.
    """
    return Density(path.target, Replicas(compile_path(path), jnp.asarray(betas, float)), path)
