import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm

pytestmark = pytest.mark.usefixtures("x64")


def model(count):
    return gm.joint(
        mu=dist.Normal(0.0, 2.0), s=dist.HalfNormal(1.0), y=lambda mu, s: dist.Normal(mu, s).expand([count])
    )


Y, COUNTS = np.array([0.4, 1.9, -0.6]), np.array([3, 0, 2])


def test_whole_numbers_count_as_repeated_rows():
    weighted = gm.compile(model(3).condition(y=Y).weight(y=COUNTS))
    repeated = gm.compile(model(5).condition(y=np.repeat(Y, COUNTS)))
    at = {"mu": 0.3, "s": 0.8}
    found, expected = weighted.log_density_and_score(at), repeated.log_density_and_score(at)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
    for name in at:
        np.testing.assert_allclose(found[1][name], expected[1][name], rtol=1e-13)


def test_one_number_weights_every_row_and_weights_multiply():
    at = {"mu": 0.3, "s": 0.8}
    prior = stats.norm(0, 2).logpdf(0.3) + stats.halfnorm.logpdf(0.8)
    terms = stats.norm(0.3, 0.8).logpdf(Y)
    half = model(3).condition(y=Y).weight(y=0.5)
    np.testing.assert_allclose(gm.compile(half).log_density(at), prior + 0.5 * terms.sum(), rtol=1e-13)
    both = gm.compile(half.weight(y=[1.0, 2.0, 0.0]))
    np.testing.assert_allclose(both.log_density(at), prior + 0.5 * terms[0] + terms[1], rtol=1e-13)


def test_gaps_and_weights_combine_in_either_way_of_reading():
    y = np.array([0.4, np.nan, -0.6])
    both = model(3).condition(y=y, missing="marginalise").weight(y=[2.0, 5.0, 1.0])
    rest = model(2).condition(y=y[[0, 2]]).weight(y=[2.0, 1.0])
    at = {"mu": 0.3, "s": 0.8}
    np.testing.assert_allclose(gm.compile(both).log_density(at), gm.compile(rest).log_density(at), rtol=1e-13)
    other = gm.compile(both).with_data(y=[np.nan, 0.1, 0.2]).log_density(at)
    expected = gm.compile(model(2).condition(y=[0.1, 0.2]).weight(y=[5.0, 1.0])).log_density(at)
    np.testing.assert_allclose(other, expected, rtol=1e-13)


def test_a_weight_of_zero_takes_out_a_row_that_cannot_be():
    uniform = gm.joint(b=dist.HalfNormal(1.0), y=lambda b: gm.truncated(dist.Normal(0, 1), 0.0, b).expand([2]))
    density = gm.compile(uniform.condition(y=[0.5, 9.0]).weight(y=[1.0, 0.0]))
    found, score = density.log_density_and_score({"b": 1.0})
    mass = stats.norm.cdf(1.0) - 0.5
    np.testing.assert_allclose(found, stats.halfnorm.logpdf(1.0) + stats.norm.logpdf(0.5) - np.log(mass), rtol=1e-12)
    np.testing.assert_allclose(score["b"], -1.0 - stats.norm.pdf(1.0) / mass, rtol=1e-12)


def test_new_weights_of_one_shape_compile_nothing(compilations):
    known, at = model(3).condition(y=Y), {"mu": 0.3, "s": 0.8}
    gm.compile(known.weight(y=[1.0, 2.0, 3.0])).log_density(at)
    before = len(compilations)
    gm.compile(known.weight(y=[2.0, 2.0, 0.5])).log_density(at)
    assert len(compilations) == before


def test_a_weighted_model_is_not_normalised_and_renames():
    weighted = model(3).condition(y=Y).weight(y=2.0).rename(y="seen", mu="m")
    assert not weighted.capabilities().normalized
    assert [f.name for f in weighted.factors][-1] == "p(seen | m, s) ** weights"
    energy = gm.energy(lambda x: x**2, x=gm.Real()).condition(x=1.0)
    with pytest.raises(gm.SpecError, match="x is not drawn by a conditional of its own"):
        energy.weight(x=1.0)
