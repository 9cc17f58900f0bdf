import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm

SEEDS = range(40)
COVARIANCE = [[0.04, 0.03, 0.0], [0.03, 0.09, 0.0], [0.0, 0.0, 0.01]]


def disc(radius):
    """Mass of the standard normal law of two variables within a radius."""
    return 1.0 - np.exp(-(radius**2) / 2.0)


@pytest.fixture(scope="module")
def conjugate():
    """A normal mean of three correlated data given its prior, and the log evidence."""
    covariance = np.array(COVARIANCE)
    y = np.array([0.7, -0.2, 1.1])
    model = gm.joint(
        c=gm.data(covariance),
        m=dist.Normal(0.0, 1.0).expand([3]).to_event(1),
        y=lambda m, c: dist.MultivariateNormal(m, covariance_matrix=c),
    )
    exact = stats.multivariate_normal(np.zeros(3), covariance + np.eye(3)).logpdf(y)
    return model.condition(y=y), exact


@pytest.fixture(scope="module")
def plateaus():
    """Likelihoods 50, 1, 1/e and 0 on rings around the middle of a standard normal law."""

    def log_likelihood(x):
        radius = jnp.linalg.norm(x)
        return jnp.where(
            radius < 0.2, jnp.log(50.0), jnp.where(radius < 1.0, 0.0, jnp.where(radius < 2.0, -1.0, -jnp.inf))
        )

    prior = gm.joint(x=dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    target = gm.energy(lambda x: -log_likelihood(x) - dist.Normal(0.0, 1.0).log_prob(x).sum(), x=gm.Real(2))
    exact = 50.0 * disc(0.2) + disc(1.0) - disc(0.2) + np.exp(-1.0) * (disc(2.0) - disc(1.0))
    return gm.temper(target, prior), np.log(exact)


def covered(path, exact, **settings):
    """How many of forty intervals of two standard errors hold the truth, and the z-score of the mean of Z."""
    found = [gm.log_z(path, gm.NestedSampling(**settings), seed=seed) for seed in SEEDS]
    gaps = np.array([one.log_z - exact for one in found])
    assert all(one.status == "ok" for one in found)
    ratio = np.exp(gaps)
    held = sum(abs(gap) < 2.0 * one.standard_error for gap, one in zip(gaps, found, strict=True))
    return held, (ratio.mean() - 1.0) / (ratio.std() / np.sqrt(len(ratio)))


def test_two_standard_errors_cover_and_z_is_unbiased_on_a_conjugate_posterior(conjugate):
    """At a coverage of 0.95, 31 or fewer of 40 have a chance of 1e-4."""
    held, z = covered(*conjugate, live=100)
    assert held > 31
    assert abs(z) < 4.5


@pytest.mark.parametrize("deleted", [5, 50])
def test_plateaus_are_climbed_with_the_stated_error(plateaus, deleted):
    """Deleting the points of a plateau without labels gives each of them another volume: log Z is off by 1 and more."""
    held, z = covered(*plateaus, live=100, deleted=deleted)
    assert held > 31
    assert abs(z) < 4.5


def test_a_flat_likelihood_has_no_error(conjugate):
    prior = gm.joint(x=dist.Normal(0.0, 1.0))
    found = gm.log_z(gm.temper(prior, prior), gm.NestedSampling(live=100))
    assert abs(found.log_z) < 1e-3 > found.standard_error
    assert found.ess > 100


def test_ten_dimensions_by_draws_and_by_weights():
    """N(1, 0.1^2) in each of ten coordinates, without its constant: H is about 18 nats."""
    target = gm.energy(lambda x: 0.5 * jnp.sum(((x - 1.0) / 0.1) ** 2), x=gm.Real(10))
    path = gm.temper(target, gm.joint(x=dist.Normal(0.0, 1.0).expand([10]).to_event(1)))
    sampler = gm.NestedSampling(live=300)
    found = gm.log_z(path, sampler, seed=3)
    assert found.status == "ok"
    assert 0.2 < found.standard_error < 0.35
    assert abs(found.log_z - 10 * np.log(0.1 * np.sqrt(2 * np.pi))) < 4.5 * found.standard_error
    tree = gm.sample(path, sampler, seed=3)
    assert tree.attrs["log_z"] == pytest.approx(found.log_z)
    assert gm.check(tree, target)["weights"].status == "ok"
    particles = tree["particles"]
    weight = np.exp(particles["log_weight"].values[0] - found.log_z)
    assert weight.mean() == pytest.approx(1.0, abs=1e-3)
    x = particles["x"].values[0]
    mean, size = weight @ x / weight.sum(), found.ess
    assert size > 1000
    assert (abs(mean - 1.0) < 4.5 * 0.1 / np.sqrt(size / 3)).all()  # neighbours are alike: fewer count than ESS
    drawn = tree["posterior"]["x"].values[0]
    assert drawn.shape == x.shape
    assert "log_weight" not in tree["posterior"]
    assert (abs(drawn.std(axis=0) - 0.1) < 0.015).all()
    assert x.std(axis=0).min() > 0.15  # the dead points themselves are much wider


def test_the_curve_holds_the_temperatures_between(conjugate):
    posterior, exact = conjugate
    curve = gm.log_z(posterior, gm.NestedSampling(live=200), seed=1).curve
    y, covariance = np.asarray(posterior.observed["y"]), np.asarray(COVARIANCE)
    half = stats.multivariate_normal(np.zeros(3), 2.0 * covariance + np.eye(3)).logpdf(y)
    norm = np.log(np.linalg.det(2 * np.pi * covariance)) / 2.0
    half += np.log(np.linalg.det(2 * np.pi * 2.0 * covariance)) / 2.0 - 0.5 * norm
    assert curve["log_z"][0] == 0.0
    assert curve["betas"][10] == pytest.approx(0.5)
    assert abs(curve["log_z"][10] - half) < 4.5 * 0.15
    assert abs(curve["log_z"][20] - exact) < 4.5 * 0.2


def test_two_modes_keep_their_shares():
    """0.8 and 0.2 of the mass at 2 and -2, each of width 0.1 where the prior has 3."""
    wells = gm.energy(
        lambda x: -jnp.logaddexp(jnp.log(0.8) - 50 * jnp.sum((x - 2) ** 2), jnp.log(0.2) - 50 * jnp.sum((x + 2) ** 2)),
        x=gm.Real(2),
    )
    path = gm.temper(wells, gm.joint(x=dist.Normal(0.0, 3.0).expand([2]).to_event(1)))
    sampler = gm.NestedSampling(live=500)
    trees = [gm.sample(path, sampler, seed=seed) for seed in range(8)]
    z = np.array([tree.attrs["log_z"] for tree in trees])
    assert abs(z.mean() - np.log(2 * np.pi * 0.01)) < 4.5 * 0.11 / np.sqrt(8)
    left = np.array([(tree["posterior"]["x"].values[..., 0] < 0).mean() for tree in trees])
    assert abs(left.mean() - 0.2) < 4.5 * max(left.std(ddof=1), 0.02) / np.sqrt(8)


def test_a_prior_on_the_half_line_and_tails_that_reach_past_it():
    """Inverse Gamma(3, 1) from a wide LogNormal; InverseGamma(1, 1) from a half normal, which has lighter tails."""
    wide = gm.joint(s=dist.LogNormal(0.0, 1.5))
    inside = gm.energy(lambda s: 4.0 * jnp.log(s) + 1.0 / s, s=gm.Positive())  # Z = Gamma(3) = 2
    found = gm.log_z(gm.temper(inside, wide), gm.NestedSampling())
    assert found.status == "ok"
    assert abs(found.log_z - np.log(2.0)) < 4.5 * found.standard_error < 0.5
    beyond = gm.energy(lambda s: 2.0 * jnp.log(s) + 1.0 / s, s=gm.Positive())
    lost = gm.log_z(gm.temper(beyond, gm.joint(s=dist.HalfNormal(3.0))), gm.NestedSampling(live=200))
    assert lost.status == "suspect"


def test_what_is_not_finished_or_not_mixed_is_suspect(conjugate):
    posterior = conjugate[0]
    short = gm.log_z(posterior, gm.NestedSampling(live=100, nats=3.0))
    assert short.status == "suspect"
    assert "nats=" in short.verdict.advice
    target = gm.energy(lambda x: 0.5 * jnp.sum(((x - 1.0) / 0.1) ** 2), x=gm.Real(10))
    path = gm.temper(target, gm.joint(x=dist.Normal(0.0, 1.0).expand([10]).to_event(1)))
    tree = gm.sample(path, gm.NestedSampling(live=100, steps=2))
    assert tree.attrs["log_z_status"] == "suspect"
    found = gm.check(tree)["weights"]
    assert found.status == "suspect"
    assert "steps=" in found.advice


def test_it_agrees_with_blackjax(conjugate):
    """The same posterior by BlackJAX's nested slice sampling, within 4.5 errors of both."""
    blackjax = pytest.importorskip("blackjax")
    posterior, _ = conjugate
    density = gm.compile(posterior)
    prior = lambda x: dist.Normal(0.0, 1.0).log_prob(x).sum()  # noqa: E731
    likelihood = lambda x: density.log_density({"m": x}) - prior(x)  # noqa: E731
    algorithm = blackjax.nss(logprior_fn=prior, loglikelihood_fn=likelihood, num_delete=20, num_inner_steps=10)
    state = algorithm.init(jax.random.normal(jax.random.key(0), (200, 3)))
    step, dead, key = jax.jit(algorithm.step), [], jax.random.key(1)
    for _ in range(200):
        key, now = jax.random.split(key)
        state, info = step(now, state)
        dead.append(np.asarray(info.particles.loglikelihood))
    heights = np.concatenate(dead)
    log_volume = -np.cumsum(np.tile(1.0 / (200 - np.arange(20)), 200))
    theirs = np.log(np.sum(np.exp(heights) * -np.diff(np.exp(np.append(0.0, log_volume)))))
    ours = gm.log_z(posterior, gm.NestedSampling(live=200), seed=2)
    assert abs(ours.log_z - theirs) < 4.5 * np.sqrt(2.0) * ours.standard_error


def test_settings_out_of_range_and_discrete_variables_are_refused():
    for settings, told in (
        ({"live": 5}, "live=5"),
        ({"live": 100, "deleted": 60}, "at most 50"),
        ({"steps": 0}, "steps=0"),
        ({"share": 1.5}, "share=1.5"),
        ({"nats": 0.0}, "nats=0.0"),
    ):
        with pytest.raises(gm.SpecError, match=told):
            gm.NestedSampling(**settings)
    model = gm.joint(
        z=dist.Categorical(jnp.array([0.3, 0.7])), y=lambda z: dist.Normal(jnp.array([-1.0, 2.0])[z], 1.0)
    ).condition(y=0.3)
    with pytest.raises(gm.SpecError, match="z was declared .*marginalize\\('z'\\)"):
        gm.log_z(model, gm.NestedSampling())
    with pytest.raises(gm.SpecError, match="a path is needed first"):
        gm.log_z(gm.energy(lambda x: x**2, x=gm.Real()), gm.NestedSampling())


@pytest.mark.parametrize("power", [1.0, 1.3])
def test_an_infinite_constant_is_suspect_where_the_numbers_of_single_precision_end(power):
    unit = dist.Uniform(0.0, 1.0)
    target = gm.joint(s=unit) * gm.energy(lambda s: power * jnp.log(s), s=gm.Interval(0.0, 1.0))
    found = gm.log_z(gm.temper(target, gm.joint(s=unit)), gm.NestedSampling(live=100))
    assert found.status == "suspect"
    assert "heavier tails" in found.verdict.evidence


def test_a_finite_one_is_not():
    unit = dist.Uniform(0.0, 1.0)
    target = gm.joint(s=unit) * gm.energy(lambda s: 0.5 * jnp.log(s), s=gm.Interval(0.0, 1.0))
    found = gm.log_z(gm.temper(target, gm.joint(s=unit)), gm.NestedSampling(live=200))
    assert found.status == "ok"
    assert abs(found.log_z - np.log(2.0)) < 4.5 * found.standard_error
