import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.distributions.drawn import as_drawn, whole


@pytest.mark.parametrize("law", [dist.Geometric(0.3), dist.Poisson(2.0), dist.Binomial(5, 0.3), dist.Bernoulli(0.2)])
def test_draws_of_whole_numbers_are_integers(law):
    drawn = as_drawn(law, jax.random.key(0), (500,))
    assert jnp.issubdtype(drawn.dtype, jnp.integer)
    assert float(jnp.mean(drawn)) == pytest.approx(float(law.mean), abs=5.0 * float(jnp.sqrt(law.variance / 500)))


def test_real_draws_are_left_alone():
    assert whole(dist.Normal(0.0, 1.0), 0.5) == 0.5


def test_a_draw_is_a_point_of_its_density():
    def by_numpyro():
        numpyro.sample("k", dist.Geometric(0.3))

    for model in (gm.joint(k=dist.Geometric(0.3)), gm.from_numpyro_model(by_numpyro)):
        drawn = model.sample(jax.random.key(1))
        exact = dist.Geometric(0.3).log_prob(int(drawn["k"]))
        np.testing.assert_allclose(gm.compile(model).log_density(drawn), exact, rtol=1e-5)
    assert np.isfinite(gm.compile(model).log_density({"k": 3.0}))
    with pytest.raises(gm.SpecError, match="its values are whole numbers"):
        gm.compile(model).log_density({"k": 3.5})


def test_draws_of_a_binomial_law_end_at_probabilities_beyond_one():
    laws = dist.Binomial(10, probs=jnp.array([1.5, 0.0, -0.5]), validate_args=False)
    np.testing.assert_array_equal(as_drawn(laws, jax.random.key(0)), [10, 0, 0])
    inside = dist.Binomial(10, probs=jnp.full(4000, 0.3)).to_event(1)
    drawn = np.asarray(as_drawn(inside, jax.random.key(1)), float)
    assert abs(drawn.mean() - 3.0) < 4.0 * np.sqrt(2.1 / 4000)
