r"""The restricted Boltzmann machine: two layers of bits, with couplings between the layers only.

$$E(v, h) = -v^\top W h - b^\top v - c^\top h, \qquad
    -\log \sum_h e^{-E(v, h)} = -b^\top v - \sum_j \log\!\left( 1 + e^{c_j + (v^\top W)_j} \right).$$

Given one layer the bits of the other are independent, so that blocks of Gibbs sampling are whole layers, and log Z is a
sum over the states of the smaller layer.

Reference:
    Smolensky, *Information processing in dynamical systems*, 1986; Salakhutdinov and Murray, *On the quantitative
    analysis of deep belief networks*, ICML 2008 (the path from W = 0).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.energies.truths.arguments import check_table
from gmdsl.energies.truths.enumeration import MOST, Enumerated, enumerate_states
from gmdsl.energies.truths.known_target import KnownTarget
from gmdsl.energies.truths.randomness import generator_of
from gmdsl.graph.nodes import data
from gmdsl.models.declare.energy import energy
from gmdsl.models.declare.joint import joint
from gmdsl.spaces.discrete import Binary


def rbm(weights: Any, visible_bias: Any = None, hidden_bias: Any = None, *, marginal: bool = False) -> KnownTarget:
    """Bits `v` and `h` of two layers.

    Args:
        weights: W, (visible, hidden).
        visible_bias: b, (visible,); zero when None.
        hidden_bias: c, (hidden,); zero when None.
        marginal: whether the model is of `v` alone, with `h` summed out in closed form.

    Returns:
        The target; log Z, moments and draws where the smaller layer has at most 20 bits. The reference is the model
        with W = 0, independent bits.

    Raises:
        SpecError: biases of another length than the sides of the weights.

    >>> import gmdsl as gm
    >>> target = gm.energies.rbm([[1.0, -0.5], [0.5, 2.0]], hidden_bias=[0.1, -0.2])
    >>> round(target.log_z, 6), target.model.free
    (4.052006, ('v', 'h'))
    """
    W = check_table("rbm", "weights", weights, 2)
    b, c = _bias("visible_bias", visible_bias, len(W)), _bias("hidden_bias", hidden_bias, W.shape[1])

    def of_both(v: Array, h: Array, W: Array, b: Array, c: Array) -> Array:
        return -(v @ W @ h + v @ b + h @ c)

    def of_visible(v: Array, W: Array, b: Array, c: Array) -> Array:
        return -(v @ b + jnp.sum(jax.nn.softplus(v @ W + c)))

    spaces = {"v": Binary(len(b))} if marginal else {"v": Binary(len(b)), "h": Binary(len(c))}
    numbers = {"W": data(W), "b": data(b), "c": data(c)}
    model = energy(of_visible if marginal else of_both, name="rbm", **spaces, **numbers)
    free = {name: dist.Bernoulli(logits=bias) for name, bias in (("v", b), ("h", c)) if name in spaces}
    reference = joint(**free)
    if min(W.shape) > MOST:
        return KnownTarget(model, reference=reference)
    layers = _Layers(W, b, c)
    means = {name: layers.means()[name] for name in spaces}

    def draw(key: Array, count: int) -> dict[str, Any]:
        drawn = layers.draw(generator_of(key), count)
        return {name: drawn[name] for name in spaces}

    variances = {name: mean * (1.0 - mean) for name, mean in means.items()}
    return KnownTarget(model, layers.small.log_z, means, variances, draw, reference)


def _bias(name: str, value: Any, size: int) -> np.ndarray:
    bias = np.zeros(size) if value is None else check_table("rbm", name, value, 1)
    if bias.shape != (size,):
        raise SpecError(
            f"rbm({name}=...): shape {bias.shape}, but this layer has {size} bits. Pass one number for each."
        )
    return bias


class _Layers:
    """The machine with the states of its smaller layer listed."""

    small: Enumerated

    def __init__(self, W: np.ndarray, b: np.ndarray, c: np.ndarray):
        self.names = ("v", "h") if len(b) <= len(c) else ("h", "v")
        self.table, self.own, self.other = (W, b, c) if self.names[0] == "v" else (W.T, c, b)
        self.small = enumerate_states(self._log_weight, len(self.own), (0, 1))

    def _log_weight(self, states: np.ndarray) -> np.ndarray:
        return states @ self.own + np.logaddexp(0.0, states @ self.table + self.other).sum(axis=1)

    def _given(self, states: np.ndarray) -> np.ndarray:
        """The probabilities of the bits of the larger layer."""
        return np.exp(-np.logaddexp(0.0, -(states @ self.table + self.other)))

    def means(self) -> dict[str, np.ndarray]:
        return {self.names[0]: self.small.mean_of(lambda s: s), self.names[1]: self.small.mean_of(self._given)}

    def draw(self, random: np.random.Generator, count: int) -> dict[str, np.ndarray]:
        states = self.small.draw(random, count)
        chances = self._given(states)
        return {self.names[0]: states, self.names[1]: (random.random(chances.shape) < chances).astype(int)}
