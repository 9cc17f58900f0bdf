"""A Gaussian mixture over named variables as a factor: what a noised mixture is at one time."""

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.numerics import safe_logsumexp
from gmdsl.graph.factor import Values
from gmdsl.graph.factors.declared import Declared
from gmdsl.spaces.layout import Layout, flatten, unflatten


class GaussianMixtureFactor(Declared):
    """A mixture of Gaussians over the flat vector of its children.

    Attributes:
        made: the children and their (real) spaces.
        log_weights: logarithms of the weights.
        means: one row per component.
        spectrum: eigenvalues of the covariances.
        basis: eigenvectors in columns; None for the coordinate axes.
    """

    made: Layout = eqx.field(static=True)
    log_weights: Float[Array, " k"]
    means: Float[Array, "k dim"]
    spectrum: Float[Array, "k dim"]
    basis: Float[Array, "k dim dim"] | None

    @property
    def layout(self) -> Layout:
        return self.made

    @property
    def parents(self) -> tuple[str, ...]:
        return ()

    def log_density(self, values: Values) -> Float[Array, ""]:
        gap = flatten(self.layout, values) - self.means
        along = gap if self.basis is None else jnp.einsum("kij,ki->kj", self.basis, gap)
        quadratic = jnp.sum(along**2 / self.spectrum + jnp.log(2.0 * math.pi * self.spectrum), axis=-1)
        return safe_logsumexp(self.log_weights - 0.5 * quadratic)

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        key_label, key_noise = jax.random.split(key)
        label = jax.random.categorical(key_label, self.log_weights, shape=shape)
        noise = jax.random.normal(key_noise, (*shape, self.means.shape[1]), self.means.dtype)
        noise = noise * jnp.sqrt(self.spectrum)[label]
        turned = noise if self.basis is None else jnp.einsum("...ij,...j->...i", self.basis[label], noise)
        return unflatten(self.layout, self.means[label] + turned)

    def rename(self, names: Mapping[str, str]) -> "GaussianMixtureFactor":
        layout = tuple((names.get(name, name), space) for name, space in self.made)
        return GaussianMixtureFactor(layout, self.log_weights, self.means, self.spectrum, self.basis)
