r"""Annealed importance sampling: particles carried from the reference to the target, with weights.

A particle starts from an exact draw of q. At each $\beta_k$ its log-weight grows by
$(\beta_k - \beta_{k-1}) \log (p/q)(x)$, then a Markov kernel that leaves $\pi_{\beta_k}$ invariant moves it. The mean
weight is unbiased for $Z_p / Z_q$ whatever the kernel; its variance is small when neighbours overlap.

A small population of its own goes first and tunes the step of the kernel at every beta; the weighted
particles then run with these frozen steps, so that tuning does not bias them.

Reference:
    Neal, *Annealed importance sampling*, Statistics and Computing 11, 2001.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.inner_step import InnerStep
from gmdsl.core.errors import SpecError
from gmdsl.inference.kernels.transitions import transitions
from gmdsl.inference.path import PathSampler, PathTarget, Population
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.target import Target
from gmdsl.inference.weights import log_mean_exp


class AIS(PathSampler):
    r"""Annealed importance sampling.

    Attributes:
        move: the kernel; its law must be exact (not `Langevin`).
        particles: how many.
        temperatures: steps from reference to target.
        steps: transitions at each temperature.
        power: $\beta_k = (k / K)^{power}$; above 1 puts more temperatures near the reference.
        pilot: particles of the tuning run; 0 leaves the step of `move` as it is.
    """

    move: Sampler
    particles: int = 1000
    temperatures: int = 100
    steps: int = 1
    power: float = 3.0
    pilot: int = 100

    def __check_init__(self) -> None:
        for name, least in (("particles", 2), ("temperatures", 1), ("steps", 1), ("pilot", 0)):
            if getattr(self, name) < least:
                raise SpecError(f"AIS({name}={getattr(self, name)}): at least {least} is needed.")
        if isinstance(self.move, type):
            raise SpecError(f"AIS(move={self.move.__name__}): a class. Pass an instance, gm.{self.move.__name__}().")
        if self.move.bias:
            raise SpecError(
                f"AIS(move={type(self.move).__name__}()): {self.move.bias}. Take an exact kernel, gm.MALA()."
            )

    def run(self, key: Array, path: PathTarget) -> Population:
        key_pilot, key_main = jax.random.split(key)
        betas = jnp.linspace(0.0, 1.0, self.temperatures + 1) ** self.power
        inner = InnerStep(self.move)
        tuned = inner.rule is not None and self.pilot > 0
        log_steps = self._tune_steps(key_pilot, path, betas) if tuned else jnp.full(self.temperatures, inner.first())

        def anneal(at: Any, now: Any) -> Any:
            x, log_weight = at
            index, before, beta, log_step = now
            log_weight = log_weight + (beta - before) * jax.vmap(path.log_ratio)(x)
            x, acceptance = self._move(jax.random.fold_in(key_main, index), path.at(beta), log_step, x)
            return (x, log_weight), (log_mean_exp(log_weight), acceptance)

        x = jax.vmap(path.draw)(jax.random.split(jax.random.fold_in(key_main, self.temperatures), self.particles))
        index = jnp.arange(self.temperatures)
        start = (x, jnp.zeros(self.particles))
        (x, log_weight), (curve, acceptance) = jax.lax.scan(anneal, start, (index, betas[:-1], betas[1:], log_steps))
        return Population(x, log_weight, betas, jnp.append(jnp.zeros(1), curve), acceptance)

    def _tune_steps(self, key: Array, path: PathTarget, betas: Array) -> Float[Array, " temperatures"]:
        """Logarithms of steps at each beta whose acceptance over a pilot population is near what the rule aims at."""
        inner = InnerStep(self.move)

        def anneal(at: Any, now: Any) -> Any:
            x, log_step = at
            index, beta = now
            for repeat in range(4):  # the pilot stays at each beta until its step has settled
                key_move = jax.random.fold_in(key, 4 * index + repeat)
                x, acceptance = self._move(key_move, path.at(beta), log_step, x)
                log_step = inner.tuned(log_step, acceptance).astype(x.dtype)
            return (x, log_step), log_step

        x = jax.vmap(path.draw)(jax.random.split(jax.random.fold_in(key, 4 * len(betas)), self.pilot))
        start = (x, inner.first().astype(x.dtype))
        return jax.lax.scan(anneal, start, (jnp.arange(len(betas) - 1), betas[1:]))[1]

    def _move(self, key: Array, target: Target, log_step: Array, x: Array) -> tuple[Array, Array]:
        """Every particle moved at one beta, and the mean acceptance rate."""
        move = InnerStep(self.move).at(log_step)
        one = lambda key, x: transitions(move, key, target, x, self.steps)  # noqa: E731
        x, acceptance = jax.vmap(one)(jax.random.split(key, x.shape[0]), x)
        return x, jnp.mean(acceptance)
