"""Far out in unconstrained coordinates a density is zero, not NaN; a model's own NaN stays."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.far_out import FarOut, limit
from gmdsl.diagnose.lint_rules.improper import improper

RADII = np.array([-1e6, -1e4, -1e3, -110.0, -90.0, -60.0, -45.0, -30.0, 30.0, 45.0, 60.0, 90.0, 110.0, 1e3, 1e4, 1e6])
FAMILIES = {
    "AsymmetricLaplace": lambda: dist.AsymmetricLaplace(0.0, 1.0, 0.7),
    "Beta": lambda: dist.Beta(0.5, 0.7),
    "BetaProportion": lambda: dist.BetaProportion(0.3, 2.0),
    "Cauchy": lambda: dist.Cauchy(0.0, 1.0),
    "Chi2": lambda: dist.Chi2(5.0),
    "Dagum": lambda: dist.Dagum(2.0, 1.0, 1.5),
    "Dirichlet": lambda: dist.Dirichlet(jnp.array([0.5, 0.7, 2.0])),
    "DoublyTruncatedPowerLaw": lambda: dist.DoublyTruncatedPowerLaw(-2.0, 1.0, 5.0),
    "Exponential": lambda: dist.Exponential(2.0),
    "Gamma below one": lambda: dist.Gamma(0.3, 1.0),
    "Gamma": lambda: dist.Gamma(3.0, 1.0),
    "Gompertz": lambda: dist.Gompertz(1.0, 1.0),
    "Gumbel": lambda: dist.Gumbel(0.0, 1.0),
    "HalfCauchy": lambda: dist.HalfCauchy(1.0),
    "HalfNormal": lambda: dist.HalfNormal(1.0),
    "InverseGamma": lambda: dist.InverseGamma(2.0, 1.0),
    "Kumaraswamy": lambda: dist.Kumaraswamy(0.5, 2.0),
    "LKJ": lambda: dist.LKJ(3, 1.0),
    "LKJCholesky": lambda: dist.LKJCholesky(3, 1.0),
    "Laplace": lambda: dist.Laplace(0.0, 1.0),
    "Levy": lambda: dist.Levy(0.0, 1.0),
    "LogNormal": lambda: dist.LogNormal(0.0, 1.0),
    "LogUniform": lambda: dist.LogUniform(0.1, 10.0),
    "Logistic": lambda: dist.Logistic(0.0, 1.0),
    "LowerTruncatedPowerLaw": lambda: dist.LowerTruncatedPowerLaw(-2.0, 1.0),
    "MultivariateStudentT": lambda: dist.MultivariateStudentT(3.0, jnp.zeros(2), jnp.eye(2)),
    "Pareto": lambda: dist.Pareto(1.0, 2.0),
    "RelaxedBernoulli": lambda: dist.RelaxedBernoulli(jnp.array(0.5), probs=0.3),
    "SoftLaplace": lambda: dist.SoftLaplace(0.0, 1.0),
    "StudentT": lambda: dist.StudentT(3.0, 0.0, 1.0),
    "TruncatedCauchy": lambda: dist.TruncatedCauchy(0.0, 1.0, low=0.0),
    "TruncatedNormal": lambda: dist.TruncatedNormal(0.0, 1.0, low=0.0),
    "VonMises": lambda: dist.VonMises(0.0, 1.0),
    "Weibull": lambda: dist.Weibull(1.0, 2.0),
    "Wishart": lambda: dist.Wishart(4.0, scale_matrix=jnp.eye(2)),
    "WishartCholesky": lambda: dist.WishartCholesky(4.0, scale_matrix=jnp.eye(2)),
    "a mixture of Gammas": lambda: dist.MixtureSameFamily(
        dist.Categorical(probs=jnp.array([0.3, 0.7])), dist.Gamma(jnp.array([0.3, 3.0]), 1.0)
    ),
}


def far(dim):
    rays = np.random.default_rng(0).normal(size=(6, dim))
    lines = [*np.eye(dim), *(rays / np.linalg.norm(rays, axis=1, keepdims=True))]
    return np.array([radius * line for line in lines for radius in RADII])


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_density_is_never_nan_far_out(family, double):
    with jax.enable_x64(double):
        target = gm.compile(gm.joint(x=FAMILIES[family]())).target
        x = jnp.asarray(far(target.dim), float)
        found = np.asarray(jax.vmap(target.log_density)(x))
    assert (found < np.inf).all()  # neither NaN nor +inf


@pytest.mark.parametrize("family", ["Gamma below one", "Gamma", "Weibull", "InverseGamma", "Levy", "Wishart"])
def test_near_values_are_those_of_the_distribution(family):
    distribution = FAMILIES[family]()
    density = gm.compile(gm.joint(x=distribution))
    x = np.random.default_rng(1).uniform(-3.0, 3.0, (50, density.dim)).astype(np.float32)
    value, found = jax.vmap(density.target.decode)(x)
    bijection = dist.biject_to(distribution.support)
    u = x[:, 0] if distribution.event_dim == 0 else x
    jacobian = jax.vmap(bijection.log_abs_det_jacobian)(u, jax.vmap(bijection)(u))
    np.testing.assert_allclose(found, distribution.log_prob(value["x"]) + jacobian, rtol=1e-4)


def test_a_child_of_a_scale_that_has_become_zero_has_no_density():
    target = gm.compile(
        gm.joint(s=dist.HalfNormal(1.0), y=lambda s: dist.Normal(0.0, s).expand([3])).condition(y=[1.0, 0.0, 2.0])
    ).target
    assert [float(target.log_density(jnp.array([u]))) for u in (-1e3, -110.0, 1e3)] == [-np.inf] * 3


def test_a_nan_of_the_model_at_usual_values_stays():
    target = gm.compile(gm.energy(lambda x: jnp.where(x > 5.0, jnp.nan, x), x=gm.Positive())).target
    assert np.isnan(target.log_density(jnp.array([2.0])))
    assert np.isnan(target.log_density(jnp.array([limit(np.float32) - 1.0])))
    assert float(target.log_density(jnp.array([limit(np.float32) + 1.0]))) == -np.inf


def test_a_nan_of_a_real_variable_stays_however_far():
    target = gm.compile(gm.energy(lambda x, y: jnp.sqrt(x) + y, x=gm.Real(), y=gm.Positive())).target
    assert np.isnan(target.log_density(jnp.array([-1e6, 0.0])))


def test_a_path_of_models_is_not_nan_far_out():
    from gmdsl.compiler.flat_path import compile_path

    gamma, other = gm.joint(x=dist.Gamma(3.0, 1.0)), gm.joint(x=dist.Gamma(2.0, 2.0))
    target = compile_path(gm.temper(gamma, other)).at(jnp.array(0.5))
    found = np.asarray(jax.vmap(target.log_density)(jnp.asarray(RADII, jnp.float32)[:, None]))
    assert not np.isnan(found).any()
    for u, value in zip(RADII, found, strict=True):
        if abs(u) <= 45:  # half of both log-densities, and the logarithm of the slope of exp(u)
            exact = u + 0.5 * (stats.gamma.logpdf(np.exp(u), 3.0) + stats.gamma.logpdf(np.exp(u), 2.0, scale=0.5))
            np.testing.assert_allclose(value, exact, rtol=1e-5)
    assert (found[RADII > 90] == -np.inf).all()


@pytest.mark.parametrize("sampler", [gm.NUTS(), gm.HMC(steps=5), gm.MALA(), gm.BarkerMH(), gm.RandomWalk(), gm.Slice()])
def test_samplers_turn_back_from_where_there_is_no_density(sampler):
    model = gm.joint(x=dist.Gamma(3.0, 1.0))
    tree = gm.sample(model, sampler, chains=4, draws=500, warmup=500, seed=0, progress=False, init={"x": 1e15})
    assert not tree["sample_stats"]["nan_evaluations"].values.any()
    assert np.isfinite(tree["posterior"]["x"].values).all()


def test_a_density_that_grows_far_out_is_still_called_improper():
    growing = gm.energy(lambda x: -(x**2), x=gm.Positive())
    assert improper(growing).status == "failed"


@pytest.mark.parametrize("runs", [1, 3, 8, 9, 40])
def test_the_farthest_entry_is_found_among_the_mapped_ones_alone(runs):
    nodes = {}
    for i in range(runs):
        nodes[f"plain{i}"], nodes[f"scale{i}"] = dist.Normal(0.0, 1.0).expand([3]), dist.HalfNormal(1.0).expand([2])
    plan = gm.compile(gm.joint(nodes)).target.program.plan
    found, x = FarOut(plan), np.random.default_rng(0).normal(size=plan.dim).astype("float32")
    scales = np.concatenate([x[slot.start : slot.stop] for slot in plan.slots if slot.name.startswith("scale")])
    assert found.farthest(jnp.asarray(x)) == np.abs(scales).max()
    x[found.mapped.argmax()] = np.nan  # is not far out: the density of the model says what it is
    assert not found.farthest(jnp.asarray(x)) > 0.0


def test_long_vectors_are_not_read_where_few_entries_are_mapped():
    model = gm.joint(tau=dist.HalfNormal(1.0), x=lambda tau: dist.Normal(0.0, tau).expand([1000]))
    found = FarOut(gm.compile(model).target.program.plan)
    jaxpr = jax.make_jaxpr(found.farthest)(jnp.zeros(1001))
    assert max(eqn.outvars[0].aval.size for eqn in jaxpr.eqns) == 1
