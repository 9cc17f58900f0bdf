import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, interpolate

from gmdsl.diffusion.multistep import Past, adams_weights, exponential_weights

NODES = np.array([0.7, 0.4, -0.3, -0.5])


def seen(count, room=4):
    return Past(jnp.zeros((room, 1)), jnp.asarray(np.resize(NODES, room)), jnp.asarray(count))


def by_quadrature(density, nodes, start, end):
    """Integrals of the Lagrange polynomials, which SciPy builds and integrates by itself."""
    if len(nodes) == 1:
        return [integrate.quad(density, start, end, epsabs=1e-13)[0]]
    unit = np.eye(len(nodes))
    return [
        integrate.quad(
            lambda u, e=e: density(u) * interpolate.BarycentricInterpolator(nodes, e)(u), start, end, epsabs=1e-13
        )[0]
        for e in unit
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("end", [0.75, 1.0, 3.0])
def test_exponential_weights_are_integrals_of_the_interpolating_polynomial(count, end, x64):
    found = exponential_weights(seen(count), 0.7, end)
    wanted = by_quadrature(lambda u: np.exp(u - end), NODES[:count], 0.7, end)
    np.testing.assert_allclose(found[:count], wanted, rtol=1e-10)
    assert (np.asarray(found[count:]) == 0).all()


def test_a_corrector_integrates_the_polynomial_through_the_end(x64):
    both = Past(jnp.zeros((3, 1)), jnp.asarray(NODES[1:]), jnp.asarray(2)).with_end(jnp.zeros(1), 0.7)
    found = exponential_weights(both, NODES[1], 0.7)
    wanted = by_quadrature(lambda u: np.exp(u - 0.7), NODES[:3], NODES[1], 0.7)
    np.testing.assert_allclose(found[:3], wanted, rtol=1e-10)


@pytest.mark.parametrize(
    ("count", "wanted"),
    [(1, [1]), (2, [3 / 2, -1 / 2]), (3, [23 / 12, -16 / 12, 5 / 12]), (4, [55 / 24, -59 / 24, 37 / 24, -9 / 24])],
)
def test_equal_steps_have_the_coefficients_of_adams_and_bashforth(count, wanted, x64):
    history = Past(jnp.zeros((4, 1)), jnp.asarray([3.0, 2.0, 1.0, 0.0]), jnp.asarray(count))
    found = adams_weights(jnp.ones_like, history, 3.0, 4.0)
    np.testing.assert_allclose(found[:count], wanted, rtol=1e-12)


def test_the_polynomials_may_be_of_a_function_of_the_variable(x64):
    """An integral in v with polynomials of v^2."""
    found = adams_weights(lambda v: jnp.cos(v), seen(3), 2.0, 0.1, lambda v: v**2)
    unit = np.eye(3)
    wanted = [
        integrate.quad(lambda v, e=e: np.cos(v) * interpolate.BarycentricInterpolator(NODES[:3], e)(v**2), 2.0, 0.1)[0]
        for e in unit
    ]
    np.testing.assert_allclose(found[:3], wanted, rtol=1e-10)


def test_an_endless_step_and_one_from_pure_noise_take_the_newest_value():
    assert exponential_weights(seen(3), 0.7, jnp.inf).tolist() == [1.0, 0.0, 0.0, 0.0]
    pure = Past(jnp.zeros((2, 1)), jnp.array([-jnp.inf, 0.0]), jnp.asarray(1))
    assert exponential_weights(pure, -jnp.inf, 0.5).tolist() == [1.0, 0.0]
    after = Past(jnp.zeros((2, 1)), jnp.array([0.5, -jnp.inf]), jnp.asarray(2))
    np.testing.assert_allclose(exponential_weights(after, 0.5, 0.9), [1 - np.exp(-0.4), 0.0], rtol=1e-5)


def test_a_history_forgets_the_oldest():
    history = Past.empty(2, jnp.zeros(3))
    for k in range(3):
        history = history.remember(jnp.full(3, float(k)), 10.0 * k)
    assert history.nodes.tolist() == [20.0, 10.0]
    assert history.values[:, 0].tolist() == [2.0, 1.0]
    assert int(history.known) == 2


def test_nodes_that_coincide_are_left_out():
    twice = Past(jnp.zeros((3, 1)), jnp.array([0.7, 0.7, 0.1]), jnp.asarray(3))
    np.testing.assert_allclose(exponential_weights(twice, 0.7, 0.9), [1 - np.exp(-0.2), 0.0, 0.0], rtol=1e-5)
    none = Past(jnp.zeros((3, 1)), jnp.array([0.7, 0.7, 0.1]), jnp.asarray(3))
    np.testing.assert_allclose(exponential_weights(none, 0.7, 0.7), 0.0, atol=1e-7)
