import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln

import gmdsl as gm
from gmdsl.compiler.integrals.quadrature import Quadrature, integrals
from gmdsl.core.pytrees.function import Function

MATRIX = np.array([[2.0, 1.9, 0.3], [1.9, 2.0, 0.1], [0.3, 0.1, 0.4]])


def total(model, **settings):
    return integrals(model, None, Quadrature(**settings))


def test_a_correlated_gaussian_in_three_dimensions_has_its_determinant():
    model = gm.energy(lambda x, m: 0.5 * x @ m @ x + 3.0 * x[0], x=gm.Real(3), m=gm.data(MATRIX))
    shift = np.linalg.solve(MATRIX, [3.0, 0.0, 0.0])
    exact = 1.5 * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(MATRIX)[1] + 0.5 * shift @ MATRIX @ shift
    found = total(model)
    np.testing.assert_allclose(found.log_total, exact, rtol=1e-12)
    assert found.log_total_error < 1e-9


@pytest.mark.parametrize("shape", [0.6, 2.5, 40.0])
def test_the_jacobian_of_a_positive_variable_enters_once(shape):
    model = gm.energy(lambda x, a: x - (a - 1.0) * jnp.log(x), x=gm.Positive(), a=shape)
    np.testing.assert_allclose(total(model).log_total, gammaln(shape), rtol=1e-9)


def test_a_heavy_tail_is_integrated_to_its_end():
    found = total(gm.energy(lambda x: jnp.log1p((x - 3.0) ** 2), x=gm.Real()))
    np.testing.assert_allclose(found.log_total, np.log(np.pi), rtol=1e-10)


def test_two_narrow_modes_far_apart_are_both_counted():
    def energy(x):
        return -jnp.logaddexp(-0.5 * ((x - 20.0) / 0.1) ** 2, -0.5 * ((x + 30.0) / 0.3) ** 2)

    np.testing.assert_allclose(
        total(gm.energy(energy, x=gm.Real())).log_total, np.log(0.4 * np.sqrt(2 * np.pi)), rtol=1e-9
    )


def test_the_error_covers_a_rough_density():
    box = gm.energy(lambda x: jnp.where(jnp.abs(x[0] - 0.1) + jnp.abs(x[1]) < 0.7, 0.0, 2.0) + x @ x, x=gm.Real(2))
    grid = np.linspace(-7, 7, 6001)
    values = np.exp(-np.where(np.abs(grid[:, None] - 0.1) + np.abs(grid) < 0.7, 0, 2.0) - grid[:, None] ** 2 - grid**2)
    exact = np.log(values.sum()) + 2 * np.log(grid[1] - grid[0])  # itself to about 1e-4
    found = total(box)
    assert abs(found.log_total - exact) < found.log_total_error + 2e-4
    assert 1e-7 < found.log_total_error < 0.01


def test_means_are_those_of_the_density():
    def both(values):
        return jnp.stack([values["x"], values["x"] ** 3])

    model = gm.energy(lambda x: 0.5 * (x - 2.0) ** 2 / 9.0, x=gm.Real())
    found = integrals(model, Function(both), Quadrature())
    np.testing.assert_allclose(found.mean, [2.0, 8.0 + 3 * 2.0 * 9.0], rtol=1e-10)
    assert (found.mean_error < 1e-7).all()


def test_an_improper_density_is_refused():
    for energy in (lambda x: 0.0 * x[0], lambda x: (x[0] - x[1]) ** 2, lambda x: jnp.log1p(x @ x)):
        with pytest.raises(gm.SpecError, match="improper"):
            total(gm.energy(energy, x=gm.Real(2)))


def test_more_dimensions_and_nowhere_finite_are_refused():
    with pytest.raises(gm.SpecError, match="4 dimensions, more than 3"):
        total(gm.energy(lambda x: x @ x, x=gm.Real(4)))
    with pytest.raises(gm.SpecError, match="not finite at any"):
        total(gm.energy(lambda x: jnp.inf * (1.0 + x**2), x=gm.Real()))
    with pytest.raises(gm.SpecError, match="rtol"):
        gm.Quadrature(rtol=0.0)


def test_a_bounded_density_with_a_kink_reaches_its_tolerance():
    model = gm.energy(lambda x: 3.0 * jnp.abs(x - 0.3), x=gm.Interval(-1.0, 2.0))
    exact = np.log((2 - np.exp(-3 * 1.3) - np.exp(-3 * 1.7)) / 3.0)
    found = total(model)
    assert abs(found.log_total - exact) < max(2 * found.log_total_error, 1e-9)
    assert found.log_total_error < 1e-5


@pytest.mark.parametrize("place", [2000.0, 5000.0, 1e5])
@pytest.mark.parametrize("sd", [1.0, 1e-3])
def test_a_second_mode_far_out_is_counted(place, sd):
    def energy(x):
        return -jnp.logaddexp(-0.5 * x**2, -0.5 * ((x - place) / sd) ** 2 - jnp.log(sd))

    np.testing.assert_allclose(
        total(gm.energy(energy, x=gm.Real())).log_total, np.log(2 * np.sqrt(2 * np.pi)), rtol=1e-8
    )


@pytest.mark.parametrize(("place", "sd"), [((1.2, 0.7), 1e-3), ((20.0, 20.0), 1e-2)])
def test_a_narrow_mode_of_half_of_the_mass_in_the_plane_is_counted(place, sd):
    def energy(x, at):
        return -jnp.logaddexp(-0.5 * x @ x, -0.5 * (x - at) @ (x - at) / sd**2 - 2 * jnp.log(sd))

    found = total(gm.energy(energy, x=gm.Real(2), at=gm.data(np.array(place))))
    assert abs(found.log_total - np.log(4 * np.pi)) < found.log_total_error < 1e-5
