"""A Gaussian mixture over named variables as a factor: what a noised mixture is at one time."""

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.numerics import safe_logsumexp
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Values
from gmdsl.spaces.layout import Layout, flatten, unflatten


class GaussianMixtureFactor(Conditional):
    """A mixture of Gaussians over the flat vector of its children.

    Attributes:
        layout: the children and their (real) spaces.
        log_weights: logarithms of the weights.
        means: one row per component.
        spectrum: eigenvalues of the covariances.
        basis: eigenvectors in columns; None for the coordinate axes.
    """

    layout: Layout = eqx.field(static=True)
    log_weights: Float[Array, " k"]
    means: Float[Array, "k dim"]
    spectrum: Float[Array, "k dim"]
    basis: Float[Array, "k dim dim"] | None

    @property
    def name(self) -> str:
        return f"p({', '.join(self.children)})"

    @property
    def parents(self) -> tuple[str, ...]:
        return ()

    @property
    def children(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.layout)

    @property
    def normalized(self) -> bool:
        return True

    @property
    def drawable(self) -> bool:
        return True

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

    def pointwise(self, values: Values) -> dict[str, Array]:
        return {self.children[0]: self.log_density(values)}

    def decode(self, values: Values, free: Values) -> tuple[dict[str, Any], Float[Array, ""]]:
        found = {name: free[name] for name in self.children if name in free}
        return found, self.log_density({**values, **found})

    def encode(self, values: Values, children: tuple[str, ...]) -> dict[str, Any]:
        return {name: values[name] for name in self.children if name in children}

    def rename(self, names: Mapping[str, str]) -> "GaussianMixtureFactor":
        layout = tuple((names.get(name, name), space) for name, space in self.layout)
        return GaussianMixtureFactor(layout, self.log_weights, self.means, self.spectrum, self.basis)
