"""Stated errors cover: on targets of known truth a number is inside two errors, or refused in words."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import special, stats

import gmdsl as gm

SMALL = np.diff(stats.norm.cdf([0.5, 0.51]))[0]
NORMAL, WIDE = dist.Normal(0.0, 1.0), dist.Normal(0.0, 3.0)
RUNS = 200  # of the slow tests
LEAST = 0.94  # of runs that are inside two stated errors, or refused


def one(law):
    return gm.joint(x=law)


# model, function, truth; infinity where there is no mean
MEANS = {
    "square": (one(dist.Normal(1.0, 2.0)), lambda v: v["x"] ** 2, 5.0),
    "interval": (one(NORMAL), lambda v: 1.0 * ((v["x"] > 0.5) & (v["x"] < 0.51)), SMALL),
    "kink": (one(NORMAL), lambda v: jnp.abs(v["x"] - 0.3), stats.norm.expect(lambda x: abs(x - 0.3), epsabs=1e-12)),
    "student": (one(dist.StudentT(2.1, 0.0, 1.0)), lambda v: v["x"] ** 2, 21.0),
    "cauchy": (one(dist.Cauchy(0.0, 1.0)), lambda v: jnp.abs(v["x"]), np.inf),
    "oscillation": (one(dist.Cauchy(0.0, 1.0)), lambda v: jnp.cos(3.0 * v["x"]), np.exp(-3.0)),
    "pareto": (one(dist.Pareto(1.0, 1.0)), lambda v: v["x"], np.inf),
    "inverse": (one(dist.Beta(1.5, 2.0)), lambda v: 1.0 / v["x"], 5.0),
    "pole": (one(NORMAL), lambda v: 1.0 / jnp.abs(v["x"]), np.inf),
    "slab": (one(NORMAL.expand([2])), lambda v: 1.0 * ((v["x"][0] > 0.5) & (v["x"][0] < 0.51)),
             SMALL),
    "disc": (one(NORMAL.expand([2])), lambda v: 1.0 * (v["x"] @ v["x"] < 0.25), 1.0 - np.exp(-0.125)),
    "mixture": (gm.joint(k=dist.Bernoulli(0.25), x=lambda k: dist.Normal(5.0 * k, 0.01 + k)),
                lambda v: v["x"] * v["k"], 1.25),
}  # fmt: skip

CONSTANTS = {
    "spike": (lambda x: jnp.where(jnp.abs(x - 0.3) < 0.01, 0.0, 50.0) + 0.0005 * x**2, -3.912068),
    "heavy": (lambda x: 0.6 * jnp.log1p(x**2), 0.5 * np.log(np.pi) + special.gammaln(0.1) - special.gammaln(0.6)),
    "cauchy": (lambda x: jnp.log1p(x**2), np.log(np.pi)),
    "normal": (lambda x: 0.5 * x**2, 0.5 * np.log(2 * np.pi)),
    "box": (lambda x: jnp.where(jnp.abs(x - 1.0) < 2.0, 0.0, jnp.inf), np.log(4.0)),
    "improper": (lambda x: 0.5 * jnp.log1p(x**2), np.inf),
}


def funnel():
    return gm.joint(v=WIDE, x=lambda v: dist.Normal(0.0, jnp.exp(v / 2)).expand([9]))


def double_well():
    well = gm.energy(lambda x: x**4 - 6.0 * x**2 - 0.5 * x, x=gm.Real())
    return well, float(gm.log_normalizer(well))


def many_wells():
    well = gm.energy(lambda x: jnp.sum(x**4 - 6.0 * x**2 - 0.5 * x), x=gm.Real(32))
    return well, 32 * double_well()[1]


IMPORTANCE, ANNEALED = gm.ImportanceSampling(1000), gm.AIS(gm.HMC(steps=5), particles=300, temperatures=40)
EVIDENCES = {
    "near": (lambda: (one(dist.Normal(0.5, 0.8)), 0.0), one(NORMAL), IMPORTANCE),
    "narrower": (lambda: (one(dist.Normal(0.0, 0.7).expand([10])), 0.0), one(NORMAL.expand([10])), IMPORTANCE),
    "skewed": (lambda: (one(dist.Gumbel(0.0, 1.0)), 0.0), one(dist.StudentT(2.0, 0.0, 2.0)), IMPORTANCE),
    "wells": (double_well, one(dist.Normal(0.0, 2.0)), ANNEALED),
    "away": (lambda: (one(dist.Normal(1.0, 1.5).expand([2])), 0.0), one(WIDE.expand([2])), ANNEALED),
    "correlated": (
        lambda: (gm.energy(lambda x: 0.5 * x @ x + 0.9 * x[0] * x[1], x=gm.Real(2)), np.log(2 * np.pi / np.sqrt(0.19))),
        one(WIDE.expand([2])), ANNEALED),
    "positive": (lambda: (gm.energy(lambda x: 3.0 * x - jnp.log(x), x=gm.Positive()), -np.log(9.0)),
                 one(dist.Exponential(1.0)), IMPORTANCE),
    "student": (lambda: (one(dist.StudentT(5.0, 0.0, 1.0)), 0.0), one(dist.StudentT(3.0, 0.0, 1.0)), IMPORTANCE),
    "funnel": (lambda: (funnel(), 0.0), gm.joint(v=NORMAL, x=NORMAL.expand([9])), ANNEALED),
    "wider": (lambda: (one(WIDE), 0.0), one(NORMAL), IMPORTANCE),
    "tails": (lambda: (one(dist.StudentT(3.0, 0.0, 1.0)), 0.0), one(NORMAL), ANNEALED),
    "many wells": (many_wells, one(WIDE.expand([32])), gm.AIS(gm.HMC(steps=5), particles=16, temperatures=20)),
}  # fmt: skip
NASTY = {"funnel", "wider", "tails", "many wells"}


def covered(estimate, error, truth):
    return bool(np.all(np.abs(estimate - truth) <= 2.0 * error + 1e-7 * np.abs(truth)))


def mean_is_covered(name, method=None, seed=0):
    model, function, truth = MEANS[name]
    try:
        found = gm.expectation(model, function, method, seed=seed)
    except gm.SpecError as error:
        return "does not seem to exist" in str(error)
    return "suspect" in found.method or (np.isfinite(truth) and covered(found.value, found.error, truth))


@pytest.mark.parametrize("name", MEANS)
def test_the_error_of_a_mean_by_quadrature_covers(name):
    assert mean_is_covered(name)
    if np.isfinite(MEANS[name][2]):
        assert gm.expectation(*MEANS[name][:2]).error < 0.02 * abs(MEANS[name][2])


@pytest.mark.parametrize("name", CONSTANTS)
def test_the_error_of_a_constant_by_quadrature_covers(name):
    energy, truth = CONSTANTS[name]
    model = gm.energy(energy, x=gm.Real())
    if np.isfinite(truth):
        found = gm.log_normalizer(model)
        assert covered(found.log_z, found.error, truth)
        assert found.error < 1e-6
    else:
        with pytest.raises(gm.SpecError, match="improper"):
            gm.log_normalizer(model)


def evidence_is_covered(name, seeds):
    """The share of runs inside two errors or refused, and the share that is not refused."""
    make, reference, sampler = EVIDENCES[name]
    target, truth = make()
    path = gm.temper(target, reference)
    found = [gm.log_z(path, sampler, seed=seed) for seed in seeds]
    good = [z.status == "ok" for z in found]
    assert all(gm.check(z).status == z.status for z in found[:3])
    inside = [not ok or covered(z.log_z, z.standard_error, truth) for ok, z in zip(good, found, strict=True)]
    return np.mean(inside), np.mean(good)


@pytest.mark.parametrize(
    ("name", "runs"), [("near", 40), ("student", 40), ("wider", 40), ("funnel", 4), ("many wells", 3)]
)
def test_the_error_of_log_z_covers_or_is_refused(name, runs):
    inside, good = evidence_is_covered(name, range(runs))
    assert inside >= 0.85  # at a rate of 0.05, seven of forty are outside in 0.1 % of such tests
    assert good <= 0.2 if name in NASTY else good >= 0.8


@pytest.mark.slow
def test_the_error_of_log_z_covers_over_many_seeds():
    found = {name: evidence_is_covered(name, range(100, 100 + RUNS)) for name in EVIDENCES}
    assert np.mean([inside for inside, _ in found.values()]) >= LEAST, found
    for name, (inside, good) in found.items():
        assert inside >= LEAST - 3.0 * np.sqrt(LEAST * (1 - LEAST) / RUNS), name
        assert good <= 0.2 if name in NASTY else good >= 0.8, name


@pytest.mark.slow
def test_the_error_of_log_marginal_covers():
    model = gm.joint(z=dist.Normal(0.0, 1.0).expand([2]), x=lambda z: dist.Normal(z[0] + z[1], 0.5))
    data = np.random.default_rng(0).normal(0.0, 1.5, 200)
    found = gm.log_marginal(model, x=data.astype(np.float32), method=gm.ImportanceSampling(500))
    exact = stats.norm.logpdf(data, 0.0, np.sqrt(2.25))
    inside = [z.status != "ok" or covered(z.log_z, z.standard_error, t) for z, t in zip(found, exact, strict=True)]
    assert np.mean([z.status == "ok" for z in found]) > 0.5
    assert np.mean(inside) >= LEAST - 0.02


@pytest.mark.slow
def test_the_error_of_independent_draws_covers():
    shares = {
        name: np.mean([mean_is_covered(name, gm.MonteCarlo(2000), seed) for seed in range(RUNS)]) for name in MEANS
    }
    assert np.mean(list(shares.values())) >= LEAST, shares


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM()])
def test_a_likelihood_by_the_flow_is_within_its_tolerance_of_the_density(process):
    model, x = two_modes()
    family = gm.noise(model, process)
    exact = np.asarray(jax.vmap(gm.compile(model).log_density)({"x": x}))
    found = gm.log_likelihood(family, x, prior=family.at(process.t_max))
    np.testing.assert_allclose(found, exact, atol=2e-3)  # 1e-5 a step, some hundred steps


@pytest.mark.slow
def test_a_likelihood_with_random_directions_is_unbiased():
    model, x = two_modes()
    family = gm.noise(model, gm.VP())
    exact = np.asarray(jax.vmap(gm.compile(model).log_density)({"x": x}))
    prior = family.at(family.process.t_max)
    found = np.stack([gm.log_likelihood(family, x, prior=prior, probes=4, seed=seed) for seed in range(RUNS)])
    z = (found.mean(0) - exact) / (found.std(0, ddof=1) / np.sqrt(RUNS))
    assert np.mean(np.abs(z) <= 2.0) >= LEAST - 3.0 * np.sqrt(LEAST * (1 - LEAST) / len(x)), z
    assert abs(z.mean()) * np.sqrt(len(x)) < 4.0  # at a rate of 6e-5


def two_modes():
    """A mixture in three dimensions, and 40 draws of it."""
    parts = [one(dist.Normal(mean, 0.5).expand([3])) for mean in (-2.0, 2.0)]
    rng = np.random.default_rng(0)
    x = rng.choice([-2.0, 2.0], size=(40, 1), p=[0.3, 0.7]) + 0.5 * rng.normal(size=(40, 3))
    return gm.mixture([0.3, 0.7], *parts), x
