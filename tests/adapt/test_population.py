import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.adapt.population import PopulationKernel
from gmdsl.compiler.flat_target import FlatTarget

BOWL = gm.energy(lambda x: 0.5 * jnp.sum((x / jnp.array([0.1, 10.0])) ** 2), x=gm.Real(2))


@pytest.mark.parametrize(("metric", "ndim"), [(gm.adapt.DiagonalMetric(), 1), (gm.adapt.DenseMetric(), 2)])
def test_the_metric_is_the_covariance_of_the_weighted_particles(metric, ndim):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(50, 2)), rng.normal(size=50)
    kernel = PopulationKernel(gm.HMC(metric=metric))
    found = kernel.scaled(kernel.start(2, jnp.float32), jnp.asarray(x), jnp.asarray(weight)).inverse_mass
    exact = np.cov(x.T, aweights=np.exp(weight), ddof=0)
    np.testing.assert_allclose(found, exact if ndim == 2 else np.diag(exact), rtol=1e-4)
    broken = kernel.scaled(kernel.start(2, jnp.float32), jnp.full((50, 2), jnp.nan), jnp.zeros(50)).inverse_mass
    np.testing.assert_array_equal(broken, np.eye(2) if ndim == 2 else np.ones(2))


def test_the_step_comes_to_the_rate_of_the_sampler_and_stays_where_it_is_frozen():
    kernel, target = PopulationKernel(gm.MALA(step_size=50.0)), FlatTarget.of(BOWL)
    x = jax.random.normal(jax.random.key(1), (400, 2)) * jnp.array([0.1, 10.0])
    moved = kernel.moved(jax.random.key(0), target, kernel.start(2, x.dtype), x, 60)
    again = kernel.moved(jax.random.key(2), target, moved.tuning, moved.x, 5, frozen=True)
    assert abs(float(again.acceptance) - 0.574) < 0.1
    assert again.tuning.log_step == moved.tuning.log_step
    np.testing.assert_allclose(again.x.std(axis=0), [0.1, 10.0], rtol=0.2)
    np.testing.assert_array_equal(again.path[-1], again.x)


def test_a_sampler_with_nothing_to_tune_is_left_alone():
    kernel = PopulationKernel(gm.Gibbs())
    assert not kernel.tuned
    x = jnp.zeros((4, 2))
    assert kernel.scaled(kernel.start(2, x.dtype), x, jnp.zeros(4)).inverse_mass.shape == (0,)


def test_particles_that_a_step_does_not_fit_are_seen():
    """In the neck of a funnel the scale is 100 times smaller than elsewhere."""
    funnel = gm.energies.funnel(3)
    kernel, target = PopulationKernel(gm.MALA(step_size=0.5)), FlatTarget.of(funnel.model)
    x = jnp.array([[0.0, 0.1, -0.1], [-9.0, 0.01, 0.01]])
    rates = kernel.stuck(jax.random.key(0), target, kernel.start(3, x.dtype), jnp.repeat(x, 200, axis=0))
    assert rates[:200].mean() > 0.4
    assert rates[200:].max() < 0.05


def test_each_half_is_moved_by_the_quantiles_of_the_other():
    kernel = PopulationKernel(gm.MetropolisWithinGibbs())
    x = jnp.concatenate([jnp.linspace(0.0, 1.0, 500), jnp.linspace(10.0, 11.0, 500)])[:, None]
    tuning = kernel.scaled(kernel.start(1, x.dtype), x, jnp.zeros(1000))
    np.testing.assert_allclose(tuning.marginals[:, 0, [0, -1]], [[0.0, 1.0], [10.0, 11.0]], atol=0.01)
    first, second = (kernel._at(tuning, 1, half).marginals for half in (0, 1))
    np.testing.assert_array_equal(first, tuning.marginals[1])
    np.testing.assert_array_equal(second, tuning.marginals[0])
    broken = kernel.scaled(tuning, x * jnp.nan, jnp.zeros(1000)).marginals
    np.testing.assert_array_equal(broken, tuning.marginals)


def test_one_coordinate_that_cannot_move_is_enough():
    """A coordinate whose scale is a millionth of the step, beside one that is free."""
    pinched = gm.energy(lambda x: 0.5 * x[0] ** 2 + 0.5 * (x[1] / 1e-6) ** 2, x=gm.Real(2))
    kernel, target = PopulationKernel(gm.MetropolisWithinGibbs()), FlatTarget.of(pinched)
    rates = kernel.stuck(jax.random.key(0), target, kernel.start(2, jnp.float32), jnp.zeros((50, 2)))
    assert rates.max() < 3e-4
    free = FlatTarget.of(gm.energy(lambda x: 0.5 * jnp.sum(x**2), x=gm.Real(2)))
    assert kernel.stuck(jax.random.key(0), free, kernel.start(2, jnp.float32), jnp.zeros((50, 2))).min() > 0.02
