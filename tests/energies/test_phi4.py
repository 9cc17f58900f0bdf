import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from tests.energies.agreement import assert_draws_agree, log_densities


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_chain_has_the_constant_and_the_variance_of_a_grid(length):
    target = gm.energies.phi4(length, mass_squared=-2.0, coupling=1.0)
    places, weights = np.polynomial.legendre.leggauss(60)
    phi = 4.0 * np.stack(np.meshgrid(*[places] * length, indexing="ij"), -1).reshape(-1, length)
    weight = np.stack(np.meshgrid(*[4.0 * weights] * length, indexing="ij"), -1).reshape(-1, length).prod(-1)
    logs = log_densities(target.model, phi=phi) + np.log(weight)
    log_z = np.logaddexp.reduce(logs)
    np.testing.assert_allclose(target.log_z, log_z, atol=1e-9)
    np.testing.assert_allclose(target.variance["phi"], np.exp(logs - log_z) @ phi**2, atol=1e-9)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 2)])
def test_the_free_field_is_the_gaussian_of_its_hessian(shape):
    target = gm.energies.phi4(*shape, mass_squared=0.3, coupling=0.0)
    density, size = gm.compile(target.model), int(np.prod(shape))
    precision = -jax.hessian(lambda phi: density.log_density({"phi": phi.reshape(shape)}))(jnp.zeros(size))
    log_z = 0.5 * (size * np.log(2 * np.pi) - np.linalg.slogdet(precision)[1])
    np.testing.assert_allclose(target.log_z, log_z, rtol=1e-10)
    variance = np.diag(np.linalg.inv(precision)).reshape(shape)
    np.testing.assert_allclose(target.variance["phi"], variance, rtol=1e-10)


def test_draws_of_the_free_field_have_its_covariance():
    target = gm.energies.phi4(4, 5, mass_squared=0.3, coupling=0.0)
    assert_draws_agree(target)
    phi = target.draw(jax.random.key(1), 20_000)["phi"]
    bonds = ((phi - np.roll(phi, 1, 1)) ** 2 + (phi - np.roll(phi, 1, 2)) ** 2).sum((1, 2))
    energy = bonds + 0.3 * (phi**2).sum((1, 2))  # half a unit for each mode, by equipartition
    assert abs(energy.mean() - 10.0) < 4.5 * np.sqrt(10.0 / 20_000)


def test_a_long_chain_forgets_its_ends_and_a_weak_coupling_is_a_free_field():
    free, weak = (gm.energies.phi4(8, mass_squared=1.0, coupling=c) for c in (0.0, 1e-9))
    np.testing.assert_allclose(weak.log_z, free.log_z, atol=1e-7)
    longer, long = gm.energies.phi4(400).log_z, gm.energies.phi4(200).log_z
    np.testing.assert_allclose(longer, 2 * long, rtol=1e-10)


def test_in_two_dimensions_with_coupling_only_the_mean_is_known():
    target = gm.energies.phi4(4, 4)
    assert (target.log_z, target.variance, target.draw) == (None, None, None)
    assert gm.temper(target.model, target.reference).target.free == ("phi",)


def test_fields_without_an_integral_are_refused():
    with pytest.raises(gm.SpecError, match=r"phi4\(mass_squared=-1, coupling=0\): the density has no integral"):
        gm.energies.phi4(3, mass_squared=-1.0, coupling=0.0)
    with pytest.raises(gm.SpecError, match=r"phi4\(\): no size"):
        gm.energies.phi4()
