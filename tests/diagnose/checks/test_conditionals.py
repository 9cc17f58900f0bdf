"""Labels are compared with their full conditionals; truths are exact enumerations."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.density import Density
from gmdsl.diagnose.checks.conditionals import certain, conditionals, judged
from gmdsl.diagnose.positions import Positions

LABELS = gm.Gibbs()


def mixture(y):
    """Two components at unknown places in order, and a label for each datum."""
    places = dist.TransformedDistribution(
        dist.Normal(0.0, 3.0).expand([2]).to_event(1), dist.transforms.OrderedTransform()
    )
    return gm.joint(
        mu=places,
        z=dist.Categorical(jnp.array([0.5, 0.5])).expand([len(y)]),
        y=lambda mu, z: dist.Normal(mu[z], 1.0),
    ).condition(y=y)


def pair(coupling):
    """Two spins that pull each other."""
    return gm.energy(lambda s: -coupling * s[0] * s[1] - 0.3 * s[0], s=gm.Spin(2))


def exact(model, states, rng, shape):
    """Independent draws of a small discrete model, as positions."""
    heights = np.array([float(Density(model).target.log_density(jnp.asarray(s, jnp.float32))) for s in states])
    share = np.exp(heights - heights.max())
    return Positions(np.array(states, float)[rng.choice(len(states), size=shape, p=share / share.sum())])


SPINS = [(a, b) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]


def test_the_shares_are_the_full_conditionals():
    model = pair(0.7)
    at = exact(model, SPINS, np.random.default_rng(0), (2, 20))
    found = conditionals(Density(model), at)
    up = 1.0 / (1.0 + np.exp(-2.0 * (0.7 * at.x[..., 1] + 0.3)))
    np.testing.assert_allclose(found.shares[..., 0, 1], up, rtol=1e-5)


def test_independent_draws_of_the_truth_agree_in_199_of_200_sets():
    rng, model = np.random.default_rng(1), pair(1.2)
    density = Density(model)
    found = [judged(conditionals(density, exact(model, SPINS, rng, (4, 100))), density).status for _ in range(200)]
    assert found.count("suspect") <= 1


@pytest.mark.parametrize("other", [0.3, 1.6])
def test_draws_of_another_coupling_are_suspect(other):
    density = Density(pair(0.9))
    at = exact(pair(other), SPINS, np.random.default_rng(2), (4, 500))
    assert judged(conditionals(density, at), density).status == "suspect"


def test_an_element_that_is_stuck_is_not_certain_and_one_with_nowhere_to_go_is():
    model = gm.energy(lambda s: -0.2 * s[0] - 9.0 * s[1] - 0.1 * s[2], s=gm.Spin(3))
    rng = np.random.default_rng(3)
    x = np.ones((4, 300, 3))
    x[..., 2] = rng.choice([-1.0, 1.0], size=(4, 300), p=[0.45, 0.55])
    found = conditionals(Density(model), Positions(x))
    assert certain(found)[:, :2].tolist() == [[False, True]] * 4
    assert judged(found, Density(model)).evidence.startswith("s[0]: ")


def test_values_that_are_seldom_taken_are_counted_and_not_averaged():
    """A label that leaves its value twice in 4,000 draws, as it should, has no normal mean."""
    model = gm.energy(lambda s: -4.0 * s[0] - 0.1 * s[1], s=gm.Spin(2))
    rng = np.random.default_rng(4)
    for _ in range(40):
        x = np.stack([np.where(rng.random((4, 100)) < 1 / (1 + np.exp(8.0)), -1.0, 1.0)] * 2, axis=-1)
        x[..., 1] = np.where(rng.random((4, 100)) < 1 / (1 + np.exp(0.2)), -1.0, 1.0)
        assert judged(conditionals(Density(model), Positions(x)), Density(model)).status == "ok"


@pytest.mark.parametrize("seed", range(3))
def test_a_mixture_with_clear_data_is_ok(seed):
    rng = np.random.default_rng(0)
    model = mixture(np.concatenate([rng.normal(-2, 1, 8), rng.normal(2, 1, 12)]))
    sampler = gm.blocks({"z": LABELS, "mu": gm.NUTS()})
    tree = gm.sample(model, sampler, chains=4, draws=1000, seed=seed, progress=False)
    found = gm.check(tree, model)
    assert found.status == "ok", str(found)
    assert found["full conditionals"].status == "ok"
    assert gm.check(tree).status == "ok"


class Frozen(gm.Gibbs):
    """Draws all labels but the first five."""

    def step(self, key, target, state):
        new, stats = super().step(key, target, state)
        return jnp.concatenate([state[:5], new[5:]]), stats


class Hasty(gm.Gibbs):
    """Draws labels from a density that is too flat."""

    def step(self, key, target, state):
        old, (cold, stats) = state, super().step(key, target, state)
        flip = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.1, old.shape)
        return jnp.where(flip, 1.0 - cold, cold), stats


@pytest.mark.parametrize("sampler", [Frozen(), Hasty()])
def test_wrong_samplers_of_labels_are_caught(sampler):
    rng = np.random.default_rng(0)
    model = mixture(np.concatenate([rng.normal(-0.7, 1, 8), rng.normal(0.7, 1, 12)]))
    blocks = gm.blocks({"z": sampler, "mu": gm.NUTS()})
    tree = gm.sample(model, blocks, chains=4, draws=1000, seed=0, progress=False)
    assert gm.check(tree, model).status in ("suspect", "failed")
