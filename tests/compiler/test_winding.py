"""Angles that are wound: the density is normalised, the law of the angle exact, and no cut keeps chains apart."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.integrate import quad
from scipy.special import ive
from scipy.stats import kstest, norm

import gmdsl as gm
from gmdsl.compiler.winding import Winding, density_of_chains


def towards(loc, concentration):
    return gm.joint(a=dist.VonMises(loc, concentration))


def mixture():
    parts = dist.VonMises(jnp.array([3.0, -1.0]), jnp.array([4.0, 2.0]))
    return gm.joint(a=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts))


def resultant(loc, concentration):
    """E[cos a] and E[sin a]."""
    return ive(1, concentration) / ive(0, concentration) * np.array([np.cos(loc), np.sin(loc)])


@pytest.mark.parametrize("concentration", [0.1, 1.0, 5.0])
def test_the_density_on_the_line_is_normalised_and_that_of_the_angle(concentration):
    with jax.enable_x64(True):
        target = density_of_chains(towards(3.1, concentration)).moved
        one = jax.jit(lambda u: jnp.exp(target.log_density(jnp.array([u]))))
        turns = np.arange(-20, 21) * 2 * np.pi
        total = sum(quad(lambda u: float(one(u)), t - np.pi, t + np.pi, epsabs=1e-10)[0] for t in turns)
        angles = np.linspace(-3.1, 3.1, 7)
        summed = np.array([sum(float(one(a + t)) for t in turns) for a in angles])
        wanted = np.exp(np.asarray(dist.VonMises(3.1, concentration).log_prob(angles)))
    assert abs(total - 1.0) < 1e-6
    np.testing.assert_allclose(summed, wanted, rtol=1e-6)


def test_the_score_is_smooth_across_the_cut():
    target = density_of_chains(towards(3.1, 5.0)).moved
    u = jnp.linspace(np.pi - 0.2, np.pi + 0.2, 40)[:, None]
    score = np.asarray(jax.vmap(target.score)(u))[:, 0]
    slope = -5.0 * np.sin(np.asarray(u)[:, 0] - 3.1)
    np.testing.assert_allclose(score, slope, atol=0.06)  # the rest is the slope of the weight, below 1/6


def test_draws_are_in_the_coordinates_of_the_model_and_starts_come_back():
    model = gm.joint(s=dist.HalfNormal(1.0), a=dist.VonMises(0.0, 1.0).expand([3]))
    density = density_of_chains(model)
    values = {"s": jnp.array(0.7), "a": jnp.array([-3.0, 0.1, 3.1])}
    x = density.unconstrain(values)
    u = density.moved.started(x)
    np.testing.assert_allclose(u[jnp.asarray(density.moved.places)], values["a"], atol=1e-5)
    for turned in (u, u + jnp.array([0.0, 2 * np.pi, -2 * np.pi, 4 * np.pi])):
        np.testing.assert_allclose(density.constrain(density.moved.drawn(turned))["a"], values["a"], atol=2e-5)


def test_models_without_angles_are_moved_as_they_are():
    density = density_of_chains(gm.joint(x=dist.Normal(0.0, 1.0)))
    assert not isinstance(density.moved, Winding)


@pytest.mark.parametrize("sampler", [gm.NUTS(), gm.MALA(), gm.HMC(steps=5)], ids=["NUTS", "MALA", "HMC"])
@pytest.mark.parametrize(("loc", "concentration"), [(3.1, 5.0), (0.0, 0.1), (3.14, 50.0)])
def test_directions_are_sampled_and_found_right(loc, concentration, sampler):
    model = towards(loc, concentration)
    tree = gm.sample(model, sampler, chains=4, draws=1000, seed=1, progress=False)
    found = gm.check(tree, model)
    assert found.status == "ok", str(found)
    angles = tree["posterior"]["a"].values
    exact, sizes = resultant(loc, concentration), 800.0  # effective draws, at least
    for values, mean in zip((np.cos(angles), np.sin(angles)), exact, strict=True):
        assert abs(values.mean() - mean) < 4.0 * values.std() / np.sqrt(sizes)
    thin = angles[:, ::10].ravel()
    assert kstest(thin, dist_cdf(loc, concentration)).pvalue > 1e-4


def dist_cdf(loc, concentration):
    grid = np.linspace(-np.pi, np.pi, 20_001)
    density = np.exp(concentration * (np.cos(grid - loc) - 1.0))
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return lambda a: np.interp(a, grid, cumulative / cumulative[-1])


def test_two_modes_on_the_circle_have_their_weights():
    model = mixture()
    tree = gm.sample(model, gm.NUTS(), chains=4, draws=4000, seed=0, progress=False)
    angles = tree["posterior"]["a"].values
    exact = 0.3 * resultant(3.0, 4.0) + 0.7 * resultant(-1.0, 2.0)
    means = np.array([np.cos(angles).mean(), np.sin(angles).mean()])
    np.testing.assert_allclose(means, exact, atol=4 * 0.75 / np.sqrt(1500))
    assert gm.check(tree, model).status == "ok"


def test_a_latent_direction_is_found_beside_the_cut():
    """The posterior is a von Mises law again: vectors of the concentrations add up."""
    model = gm.joint(m=dist.VonMises(3.0, 2.0), y=lambda m: dist.VonMises(m, 4.0).expand([3])).condition(
        y=[3.1, -3.0, -2.9]
    )
    tree = gm.sample(model, gm.NUTS(), chains=4, draws=2000, seed=0, progress=False)
    pull = 2.0 * np.exp(3.0j) + 4.0 * np.exp(1j * np.array([3.1, -3.0, -2.9])).sum()
    exact = resultant(np.angle(pull), abs(pull))
    angles = tree["posterior"]["m"].values
    spread = 1.0 / np.sqrt(abs(pull))
    np.testing.assert_allclose([np.cos(angles).mean(), np.sin(angles).mean()], exact, atol=4 * spread / np.sqrt(2000))
    assert gm.check(tree, model).status == "ok"


def test_the_log_density_that_is_recorded_is_that_of_the_model():
    model = towards(3.1, 5.0)
    tree = gm.sample(model, gm.NUTS(), chains=2, draws=50, warmup=200, seed=0, progress=False)
    free = tree["unconstrained_posterior"]["a"].values
    lp = jax.vmap(gm.compile(model).target.log_density)(jnp.asarray(free.reshape(-1, 1)))
    np.testing.assert_allclose(tree["sample_stats"]["lp"].values.ravel(), lp, atol=1e-3)


def test_blocks_and_angles_go_together():
    model = gm.joint(a=dist.VonMises(3.1, 5.0), x=lambda a: dist.Normal(jnp.cos(a), 0.5))
    sampler = gm.blocks({"a": gm.NUTS(), "x": gm.NUTS()})
    tree = gm.sample(model, sampler, chains=4, draws=1000, seed=0, progress=False)
    mean = resultant(3.1, 5.0)[0]
    error = float(norm.isf(1e-4)) * 0.55 / np.sqrt(600)
    assert abs(float(tree["posterior"]["x"].mean()) - mean) < error


def test_the_integral_of_an_angle_is_what_it_was():
    found = gm.log_normalizer(gm.energy(lambda a: -2.0 * jnp.cos(a - 3.1), a=gm.Circle()))
    assert abs(float(found) - np.log(2 * np.pi * ive(0, 2.0)) - 2.0) < 1e-6
