import jax
import jax.numpy as jnp
import pytest

from gmdsl.core.jaxprs.affine import AFFINE, CONSTANT, affinity
from gmdsl.core.jaxprs.dataflow import UNKNOWN

W = jnp.ones((4, 3))


@pytest.mark.parametrize(
    "function",
    [
        lambda z: W @ z + jnp.sin(jnp.ones(4)),
        lambda z: z[::-1] / 3.0 - 2.0 * z,
        lambda z: jnp.concatenate([z, jnp.ones(2), z[:1]]),
        lambda z: z[jnp.array([0, 0, 2])],
        lambda z: jnp.where(jnp.arange(3) > 1, z, 1.0),
        lambda z: jnp.pad(z, 1).reshape(5, 1).T,
        lambda z: jnp.cumsum(z) + z.mean(),
        lambda z: jax.jit(lambda a: a * 2.0)(z),
        lambda z: jnp.einsum("ij,j->i", W, z),
        lambda z: jax.scipy.linalg.solve_triangular(jnp.eye(3), z),
        lambda z: jax.lax.dynamic_slice(z, (1,), (2,)),
        lambda z: jnp.diag(z),
        lambda z: jnp.stack([z, 2.0 * z]),
        lambda z: jnp.tile(z, 2).at[0].set(1.0).at[1].add(z[0]),
    ],
)
def test_affine_functions_are_proved_affine(function):
    assert affinity(function, jnp.zeros(3)) == AFFINE


@pytest.mark.parametrize(
    "function",
    [
        lambda z: z * z,
        lambda z: z @ z,
        lambda z: 1.0 / z,
        jnp.sign,
        jnp.round,
        jnp.abs,
        jax.nn.relu,
        lambda z: jnp.where(z > 0.0, 1.0, 2.0),
        lambda z: jnp.where(z > 0.0, z, 0.0),
        lambda z: jax.lax.stop_gradient(z) ** 2,
        lambda z: z.astype(int).astype(float),
        lambda z: W[:, 0][jnp.argmax(z)],
        lambda z: jax.lax.cond(z[0] > 0.0, lambda: 1.0, lambda: 2.0),
        lambda z: jnp.linalg.norm(z),
        lambda z: jnp.ones(3).at[z.astype(int)].set(1.0),
        lambda z: jnp.exp(jnp.zeros(3)) * z * z,
        lambda z: jax.scipy.linalg.solve_triangular(jnp.diag(z), jnp.ones(3)),
    ],
)
def test_other_functions_are_not_even_where_their_derivatives_are_constant(function):
    assert affinity(function, jnp.zeros(3)) == UNKNOWN


def test_what_does_not_read_is_constant():
    assert affinity(lambda z: jnp.ones_like(z), jnp.zeros(3)) == CONSTANT
