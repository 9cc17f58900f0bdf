"""Targets without the coordinates that have no density: the same law of the rest."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.compiler.without_density import WithFilledElements, WithoutElements, coordinates, without_density

GONE = np.array([False, False, True])


def target():
    def rows():
        numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("s", dist.HalfNormal(1.0).expand([2]).mask(jnp.array([True, False])))

    return gm.compile(gm.from_numpyro_model(rows)).target


def test_the_coordinates_are_found_and_named(x64):
    assert coordinates(target()) == ["mu", "s[0]", "s[1]"]
    np.testing.assert_array_equal(without_density(target()), GONE)
    assert not without_density(gm.compile(gm.joint(x=dist.Normal(0.0, 1.0))).target).any()


def test_chains_move_the_rest_under_its_own_law(x64):
    moving, x = WithoutElements(target(), jnp.array([0, 1])), jnp.array([0.3, -0.2])
    rest = gm.compile(gm.joint(mu=dist.Normal(0.0, 1.0), s=dist.HalfNormal(1.0).expand([1]))).target
    np.testing.assert_allclose(moving.score(x), rest.score(x), rtol=1e-12)
    np.testing.assert_array_equal(moving.drawn(x), [0.3, -0.2, 0.0])
    np.testing.assert_array_equal(moving.started(moving.drawn(x)), x)


def test_samplers_that_know_places_see_a_normal_in_their_place(x64):
    filled, x = WithFilledElements(target(), jnp.asarray(GONE)), jnp.array([0.3, -0.2, 1.7])
    moving = WithoutElements(target(), jnp.array([0, 1]))
    np.testing.assert_allclose(filled.score(x), [*moving.score(x[:2]), -1.7], rtol=1e-12)
    np.testing.assert_array_equal(filled.drawn(x), [0.3, -0.2, 0.0])
