import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.inference.kernels.metric import LowRank, kinetic, root, scaled, scaled_score, unscaled

VECTORS = np.linalg.qr(np.array([[1.0, 0.2], [0.5, -1.0], [-0.3, 0.4]]))[0]
DENSE = np.array([[2.0, 0.6, 0.1], [0.6, 0.5, 0.0], [0.1, 0.0, 1.5]])
DIAGONAL = np.array([4.0, 0.25, 1.0])


def low_rank():
    return LowRank(jnp.array([2.0, 0.5, 1.0]), jnp.asarray(VECTORS), jnp.array([9.0, 0.1]))


def matrix(inverse_mass):
    if isinstance(inverse_mass, LowRank):
        inner = np.eye(3) + VECTORS @ np.diag(np.asarray(inverse_mass.values) - 1.0) @ VECTORS.T
        return np.diag(inverse_mass.scales) @ inner @ np.diag(inverse_mass.scales)
    return np.diag(inverse_mass) if inverse_mass.ndim == 1 else inverse_mass


@pytest.mark.parametrize("kind", ["diagonal", "dense", "low rank"])
def test_the_root_times_its_transpose_is_the_inverse_mass(kind, x64):
    inverse_mass = {"diagonal": jnp.asarray(DIAGONAL), "dense": jnp.asarray(DENSE), "low rank": low_rank()}[kind]
    scales, each = root(inverse_mass), jnp.eye(3)
    L = np.asarray(jax.vmap(lambda z: scaled(scales, z))(each)).T
    np.testing.assert_allclose(L @ L.T, matrix(inverse_mass), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(jax.vmap(lambda z: scaled_score(scales, z))(each), L, atol=1e-14)
    np.testing.assert_allclose(
        jax.vmap(lambda z: unscaled(scales, z))(each), np.linalg.inv(L).T, rtol=1e-10, atol=1e-12
    )


def test_kinetic_energy_overflows_to_infinity_and_is_never_negative():
    assert kinetic(jnp.array([3.0, 4.0])) == 12.5
    assert kinetic(jnp.array([-1e20, -1e22])) == jnp.inf
