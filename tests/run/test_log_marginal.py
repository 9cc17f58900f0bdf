"""Evidences by weighted particles against closed forms and quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.core.random.keys import row_seed
from tests.cases.scoring import load
from tests.cases.test_latent import factor_analysis
from tests.objectives.test_elbo import decoder, stated

METHODS = {
    "HMC": gm.AIS(gm.HMC(steps=5), particles=1000, temperatures=40),
    "MALA": gm.AIS(gm.MALA(), particles=1000, temperatures=60),
    "importance": gm.ImportanceSampling(20_000),
}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@each_method
@pytest.mark.parametrize("name", ["ppca_5x2", "factor_4x2"])
def test_the_evidence_of_linear_gaussian_data_is_found_from_the_prior(name, method, x64):
    """Six data: all |z| < 4 but in one of 2,600 seeds; and their sum."""
    arrays = load("latent", name).arrays
    found = gm.log_marginal(factor_analysis(arrays), x=arrays["X"][:6], method=method)
    gaps = np.array([z.log_z for z in found]) - arrays["logp"][:6]
    errors = np.array([z.standard_error for z in found])
    assert (np.abs(gaps) < 4 * errors).all()
    assert abs(gaps.sum()) < 4 * np.sqrt((errors**2).sum())
    assert errors.max() < 0.1


@pytest.mark.parametrize("method", [METHODS["MALA"], METHODS["importance"]], ids=["MALA", "importance"])
@pytest.mark.parametrize("name", ["ppca_5x2", "factor_4x2"])
def test_the_evidence_is_the_same_from_a_guide_and_with_less_error(name, method, x64):
    arrays = load("latent", name).arrays
    model, guide = factor_analysis(arrays), gm.given("x", stated(arrays))
    found = gm.log_marginal(model, x=arrays["X"][:6], method=method, guide=guide)
    gaps = np.array([z.log_z for z in found]) - arrays["logp"][:6]
    errors = np.array([z.standard_error for z in found])
    assert (np.abs(gaps) < 4 * errors).all()
    assert errors.max() < 0.05
    from_prior = gm.log_marginal(model, x=arrays["X"][0], method=gm.ImportanceSampling(20_000))
    with_guide = gm.log_marginal(model, x=arrays["X"][0], method=gm.ImportanceSampling(20_000), guide=guide)
    assert with_guide.standard_error < 0.7 * from_prior.standard_error


def test_with_the_exact_posterior_as_guide_there_is_no_error_at_all(x64):
    model = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0))
    guide = gm.joint(x=gm.input(gm.Real()), z=lambda x: dist.Normal(0.5 * x, 0.5**0.5))
    found = gm.log_marginal(model, x=1.3, method=gm.ImportanceSampling(100), guide=guide)
    assert found.log_z == pytest.approx(float(dist.Normal(0.0, 2.0**0.5).log_prob(1.3)), rel=1e-12)
    assert found.ess == pytest.approx(100)


@pytest.mark.parametrize("method", [METHODS["HMC"]], ids=["HMC"])
def test_the_evidence_of_a_decoder_is_that_of_quadrature(method, x64):
    """Eight data whose posteriors are curved: all |z| < 4.2 but in one of 4,700 seeds."""
    arrays = load("latent", "tanh_decoder_2d").arrays
    found = gm.log_marginal(decoder(arrays), x=arrays["X"][:8], method=method)
    gaps = np.array([z.log_z for z in found]) - arrays["logp"][:8]
    errors = np.array([z.standard_error for z in found])
    assert (np.abs(gaps) < 4.2 * errors).all(), gaps / errors
    assert errors.max() < 0.1


def test_the_mean_logarithm_of_the_weights_is_a_lower_bound_that_annealing_tightens(x64):
    """Jensen: the mean log-weight stays below log p(x), and comes nearer with more temperatures."""
    arrays = load("latent", "ppca_5x2").arrays
    prior = gm.joint(z=dist.Normal(0.0, 1.0).expand([2]))
    posterior = gm.temper(factor_analysis(arrays).condition(x=arrays["X"][0]), prior)
    gaps = []
    for temperatures in (2, 40):
        tree = gm.sample(posterior, gm.AIS(gm.MALA(), particles=2000, temperatures=temperatures, power=2.0))
        log_weight = tree["particles"]["log_weight"].values.ravel()
        gaps.append(arrays["logp"][0] - log_weight.mean())
        assert gaps[-1] > -4 * log_weight.std() / np.sqrt(2000)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.4


def test_the_curve_is_that_of_the_tempered_likelihood(x64):
    """log Z of p(z) p(x | z)^beta at eleven betas; 4000 particles, 20 temperatures, equally spaced."""
    case = load("latent", "ppca_5x2")
    exact, datum = case.meta["ais_path_datum0"], case.arrays["X"][0]
    method = gm.AIS(gm.MALA(), particles=4000, temperatures=20, power=1.0)
    curve = gm.log_marginal(factor_analysis(case.arrays), x=datum, method=method).curve
    np.testing.assert_allclose(curve["betas"][::2], exact["betas"], atol=1e-12)
    np.testing.assert_allclose(curve["log_z"][::2], exact["log_Z_beta"], atol=0.15)


def test_a_mixture_prior_has_the_evidence_of_its_two_sides():
    parts = [gm.joint(z=dist.Normal(mean, 0.5)) for mean in (-2.0, 2.0)]
    model = gm.mixture([0.3, 0.7], *parts) * gm.joint(z=gm.input(gm.Real()), x=lambda z: dist.Normal(z, 0.5))
    found = gm.log_marginal(model, x=0.4, method=gm.ImportanceSampling(50_000))
    sides = [dist.Normal(mean, 0.5**0.5).log_prob(0.4) for mean in (-2.0, 2.0)]
    exact = np.logaddexp(np.log(0.3) + sides[0], np.log(0.7) + sides[1])
    assert abs(found.log_z - exact) < 4 * found.standard_error
    assert found.standard_error < 0.02


def test_hidden_and_observed_variables_may_be_several_and_constrained():
    """s ~ Gamma(3, 2) is the precision of two data: Student's law; what is observed already counts as data."""
    model = gm.joint(
        s=dist.Gamma(3.0, 2.0), a=lambda s: dist.Normal(0.0, s**-0.5), b=lambda s: dist.Normal(0.0, s**-0.5)
    )
    exact = dist.MultivariateStudentT(6.0, jnp.zeros(2), (2.0 / 3.0) ** 0.5 * jnp.eye(2)).log_prob(
        jnp.array([0.4, -1.1])
    )
    for method in (METHODS["MALA"], METHODS["importance"]):
        first = gm.log_marginal(model, a=0.4, b=-1.1, method=method)
        again = gm.log_marginal(model.condition(a=0.4), {"b": -1.1}, method=method)
        assert abs(first.log_z - exact) < 4 * first.standard_error
        assert first.log_z == again.log_z


def test_rows_are_estimated_each_on_its_own_with_seeds_of_their_own():
    model = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0))
    method = gm.ImportanceSampling(1000)
    rows = gm.log_marginal(model, x=np.array([0.1, 0.2]), method=method, seed=5)
    assert isinstance(rows, list)
    single = gm.log_marginal(model, x=0.2, method=method, seed=row_seed(5, 1))
    assert rows[1].log_z == pytest.approx(single.log_z, rel=1e-6)


def test_other_data_compile_nothing(compilations):
    model = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0))
    for x in (0.1, 0.7):
        before = len(compilations)
        gm.log_marginal(model, x=x, method=METHODS["MALA"])
        compiled = len(compilations) - before
    assert compiled == 0


def test_what_cannot_be_estimated_is_named():
    model = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0))
    method = gm.ImportanceSampling(100)
    with pytest.raises(gm.SpecError, match="nothing is hidden"):
        gm.log_marginal(model, x=1.0, z=0.0, method=method)
    with pytest.raises(gm.SpecError, match="nothing is observed"):
        gm.log_marginal(model, method=method)
    with pytest.raises(gm.SpecError, match=r"log_marginal\(y=...\)"):
        gm.log_marginal(model, y=1.0, method=method)
    with pytest.raises(gm.SpecError, match="a model is needed first"):
        gm.log_marginal(lambda z: z, x=1.0, method=method)
    with pytest.raises(gm.SpecError, match="Estimate both constants by gm.log_z"):
        gm.log_marginal(model * gm.energy(lambda z: z**4, z=gm.Real()), x=1.0, method=method)
    with pytest.raises(gm.SpecError, match="the draws of a chain carry no weights"):
        gm.log_marginal(model, x=1.0, method=gm.NUTS())
    with pytest.raises(gm.SpecError, match="guide"):
        gm.log_marginal(model, x=1.0, method=method, guide=gm.given("y", lambda y: dist.Normal(y, 1.0)))
    pair = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0), y=lambda z: dist.Normal(z, 1.0))
    with pytest.raises(gm.SpecError, match="the lengths differ"):
        gm.log_marginal(pair, x=np.zeros(3), y=np.zeros(4), method=method)


def test_a_datum_beside_rows_is_named():
    pair = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0), y=lambda z: dist.Normal(z, 1.0))
    with pytest.raises(gm.SpecError, match="one row per datum"):
        gm.log_marginal(pair, x=np.zeros(3), y=0.0, method=gm.ImportanceSampling(100))


def test_a_discrete_hidden_variable_is_named():
    model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(k, 1.0))
    with pytest.raises(gm.SpecError, match="k is discrete"):
        gm.log_marginal(model, x=1.0, method=gm.AIS(gm.MALA()))


def test_the_guide_that_a_fit_leaves_behind_is_one():
    model = gm.joint(z=dist.Normal(0.0, 1.0).expand([1]), m=gm.param(0.0), x=lambda z, m: dist.Normal(z + m, 0.5))
    x = np.random.default_rng(0).normal(1.0, 1.2, size=(200, 1))
    encoder = gm.nets.GaussianEncoder(1, 1, width=16, key=jax.random.key(0))
    fit = gm.fit(model, {"x": x}, gm.ELBO(gm.given("x", encoder)), steps=800, progress=False)
    found = gm.log_marginal(fit.model, x=x[0], method=gm.ImportanceSampling(2000), guide=fit.learned.guide)
    exact = dist.Normal(fit.model.params["m"].value, 1.25**0.5).log_prob(x[0]).sum()
    assert abs(found.log_z - exact) < 4 * found.standard_error
    assert found.ess > 1000
