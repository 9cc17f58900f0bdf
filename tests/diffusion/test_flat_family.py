import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diffusion.flat_family import FlatFamily


@pytest.fixture
def pair():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(jnp.stack([a, -a]), 0.5).to_event(1))
    return gm.noise(model, gm.EDM(5.0))


def test_the_flat_family_reads_one_vector(x64, pair):
    flat, x = pair.flat, jnp.array([0.3, 0.5, -1.0])
    named = pair.score({"a": x[0], "b": x[1:]}, 0.7)
    np.testing.assert_allclose(flat.score(x, 0.7), [named["a"], *named["b"]], rtol=1e-12)
    assert (flat.dim, flat.first) == (3, 0.0)
    start = jax.vmap(flat.start)(jax.random.split(jax.random.key(0), 4000))
    assert start.shape == (4000, 3)
    assert (np.abs(np.square(start).mean(0) / 25.0 - 1.0) < 4.5 * np.sqrt(2 / 4000)).all()


def test_denoiser_and_velocity_follow_from_the_score(x64, pair):
    """EDM has alpha = 1, sigma = t and no drift: E[x_0 | x_t] = x + t^2 score, and dx/dt = -t score."""
    flat, x, t = pair.flat, jnp.array([0.3, 0.5, -1.0]), 0.7
    cov = np.array([[1, 1, -1], [1, 1.25, -1], [-1, -1, 1.25]]) + t**2 * np.eye(3)
    score = -np.linalg.solve(cov, np.asarray(x))
    np.testing.assert_allclose(flat.score(x, t), score, rtol=1e-9)
    np.testing.assert_allclose(flat.denoise(x, t), x + t**2 * score, rtol=1e-9)
    np.testing.assert_allclose(flat.velocity(x, t), -t * score, rtol=1e-9)


def test_a_model_may_begin_the_way_back(pair):
    begin = gm.joint(b=dist.Normal(3.0, 1.0).expand([2]), a=dist.Normal(-3.0, 1.0))
    flat = pair.flat
    family = FlatFamily(flat.process, flat.denoiser, flat.layout, begin)
    drawn = begin.sample(jax.random.key(4))
    np.testing.assert_array_equal(family.start(jax.random.key(4)), [drawn["a"], *drawn["b"]])


def test_points_have_no_score_before_the_first_time_of_the_process():
    points = gm.noise({"x": np.array([0.0, 1.0])}, gm.VP())
    assert points.flat.first == gm.VP().t_min > 0.0


def test_its_width_is_that_of_the_narrowest_component_or_none_that_is_known():
    parts = dist.MultivariateNormal(jnp.zeros((2, 2)), jnp.stack([jnp.eye(2), jnp.diag(jnp.array([0.25, 4.0]))]))
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts))
    np.testing.assert_allclose(gm.noise(model, gm.VP()).flat.width, 0.5, rtol=1e-6)
    assert gm.noise(np.ones((3, 2)), gm.VP()).flat.width == 0.0
