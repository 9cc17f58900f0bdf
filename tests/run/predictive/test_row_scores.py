"""Rows with gaps, and rows of energies, against closed forms and enumeration."""

import itertools

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats
from scipy.special import logsumexp

import gmdsl as gm

pytestmark = pytest.mark.usefixtures("x64")

NAN = np.nan
C = np.array([[2.0, 0.6, 0.1], [0.6, 1.5, -0.2], [0.1, -0.2, 1.0]])
M = np.array([0.3, -1.0, 0.5])
GAPPY = np.array([[0.2, NAN, 1.0], [0.1, 0.4, -0.3], [NAN, NAN, NAN], [NAN, 2.0, NAN]])
T = np.array([[0.9, 0.1], [0.3, 0.7]])
PATHS = np.array(list(itertools.product(range(2), repeat=4)))


def gaussian(rows, mean=M, covariance=C):
    """The law of the coordinates that are there."""
    found = []
    for row in rows:
        there = np.flatnonzero(~np.isnan(row))
        law = None if not len(there) else stats.multivariate_normal(mean[there], covariance[np.ix_(there, there)])
        found.append(0.0 if law is None else law.logpdf(row[there]))
    return np.array(found)


def test_missing_elements_of_independent_and_of_joint_gaussians_drop_out():
    x = np.array([0.0, 1.0, 2.0, -1.0])
    apart = gm.joint(x=gm.input(gm.Real()), y=lambda x: dist.Normal(x, 1.3).expand([3]))
    exact = np.nansum(stats.norm.logpdf(GAPPY, x[:, None], 1.3), 1)
    np.testing.assert_allclose(gm.log_likelihood(apart, {"x": x, "y": GAPPY}), exact, rtol=1e-12)
    joint = gm.joint(m=gm.data(M), c=gm.data(C), y=lambda m, c: dist.MultivariateNormal(m, c))
    np.testing.assert_allclose(gm.log_likelihood(joint, {"y": GAPPY}), gaussian(GAPPY), rtol=1e-10)
    np.testing.assert_allclose(gm.log_likelihood(joint, {"y": GAPPY[0]}), gaussian(GAPPY[:1])[0], rtol=1e-10)


def test_missing_counts_drop_out_and_stay_whole_numbers():
    model = gm.joint(y=dist.Poisson(2.5).expand([3]))
    rows = np.array([[1.0, NAN, 3.0], [0.0, 2.0, 5.0]])
    exact = np.nansum(np.where(np.isnan(rows), NAN, stats.poisson(2.5).logpmf(np.nan_to_num(rows))), 1)
    np.testing.assert_allclose(gm.log_likelihood(model, {"y": rows}), exact, rtol=1e-12)
    with pytest.raises(gm.SpecError, match="lies outside"):
        gm.log_likelihood(model, {"y": np.array([[-1.0, NAN, 3.0]])})


def test_gaps_in_sequences_of_a_path_that_was_summed_out():
    model = gm.joint(
        T=gm.data(T), mu=gm.param(np.array([0.0, 2.0])), y=lambda k, mu: dist.Normal(mu[k], 1.0),
        k=gm.scan(lambda b, T: dist.Categorical(T[b]), first=dist.Categorical(jnp.ones(2) / 2), length=4),
    ).marginalize("k")  # fmt: skip
    rows = np.array([[0.1, NAN, 2.0, 1.0], [NAN, NAN, 1.0, NAN], [0.3, 1.8, 2.0, 0.1]])
    prior = np.log(0.5) + np.log(T)[PATHS[:, :-1], PATHS[:, 1:]].sum(1)
    exact = [logsumexp(prior + np.nansum(stats.norm.logpdf(row, 2.0 * PATHS, 1.0), 1)) for row in rows]
    np.testing.assert_allclose(gm.log_likelihood(model, {"y": rows}), exact, rtol=1e-12)


def test_gaps_in_a_gaussian_that_others_read_are_integrated_through():
    model = gm.joint(z=dist.Normal(0.5, 1.0).expand([2]), y=lambda z: dist.Normal(z[0] - 2.0 * z[1], 0.7))
    slope = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -2.0]])
    covariance = slope @ slope.T + np.diag([0.0, 0.0, 0.49])
    found = gm.log_likelihood(model, {"z": GAPPY[:, :2], "y": GAPPY[:, 2]})
    np.testing.assert_allclose(found, gaussian(GAPPY, slope @ np.array([0.5, 0.5]), covariance), rtol=1e-10)


def test_labels_that_some_rows_lack_are_summed_out_there():
    model = gm.joint(k=dist.Bernoulli(0.3), y=lambda k: dist.Normal(3.0 * k, 1.0))
    rows = {"k": [1.0, NAN, NAN, 0.0], "y": [2.5, 1.0, NAN, NAN]}
    parts = [np.log(0.7) + stats.norm.logpdf(1.0), np.log(0.3) + stats.norm.logpdf(1.0, 3.0)]
    exact = [np.log(0.3) + stats.norm.logpdf(2.5, 3.0), logsumexp(parts), 0.0, np.log(0.7)]
    np.testing.assert_allclose(gm.log_likelihood(model, rows), exact, rtol=1e-12)


def test_rows_of_a_quadratic_energy_have_its_constant_at_their_inputs_and_may_have_gaps():
    precision = np.linalg.inv(C)
    energy = gm.energy(
        lambda y, x, P: 0.5 * (1.0 + x**2) * (y - x) @ P @ (y - x), y=gm.Real(3), x=gm.input(gm.Real()),
        P=gm.data(precision),
    )  # fmt: skip
    x = np.array([0.0, 1.0, 2.0, -1.0])
    rows = np.array([gaussian(r[None], np.full(3, a), C / (1 + a**2))[0] for r, a in zip(GAPPY, x, strict=True)])
    np.testing.assert_allclose(gm.log_likelihood(energy, {"x": x, "y": GAPPY}), rows, rtol=1e-9)
    full = gm.log_likelihood(energy, {"x": x, "y": np.tile(GAPPY[1], (4, 1))})
    exact = [gaussian(GAPPY[1:2], np.full(3, a), C / (1 + a**2))[0] for a in x]
    np.testing.assert_allclose(full, exact, rtol=1e-9)


@pytest.mark.parametrize("summed", [True, False])
def test_an_energy_of_labels_with_emissions_is_normalised_over_the_labels_alone(summed):
    chain = gm.energy(lambda k: -0.8 * jnp.sum(k[1:] == k[:-1]) - 0.3 * jnp.sum(k), k=gm.Categorical(2, 4))
    model = chain * gm.joint(k=gm.input(gm.Categorical(2, 4)), y=lambda k: dist.Normal(2.0 * k, 1.0))
    rows = np.array([[0.1, NAN, 2.0, 1.0], [0.3, 1.8, 2.0, 0.1]])
    prior = 0.8 * (PATHS[:, :-1] == PATHS[:, 1:]).sum(1) + 0.3 * PATHS.sum(1)
    prior = prior - logsumexp(prior)
    terms = [prior + np.nansum(stats.norm.logpdf(row, 2.0 * PATHS, 1.0), 1) for row in rows]
    if summed:
        exact, given = [logsumexp(row) for row in terms], {}
        model = model.marginalize("k")
    else:
        exact, given = [row[5] for row in terms], {"k": PATHS[5]}
    np.testing.assert_allclose(gm.log_likelihood(model, {"y": rows, **given}), exact, rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "rows", "message"),
    [
        (gm.energy(lambda y: y**4, y=gm.Real()), {"y": [1.0]}, "neither discrete nor quadratic. Estimate the constant"),
        (gm.energy(lambda y: -(y**2), y=gm.Real()), {"y": [1.0]}, "has no integral at the inputs of row 0"),
        (gm.energy(lambda s: -jnp.sum(s), s=gm.Spin(2)), {"s": [[1.0, NAN]]}, "s is not drawn by a conditional of its"),
        (
            gm.joint(z=dist.Gamma(2.0, 1.0), y=lambda z: dist.Normal(z, 1.0)),
            {"z": [1.0, NAN], "y": [1.0, 2.0]},
            r"z is missing in some rows. marginalize\('z'\): no exact rule applies",
        ),
    ],
)
def test_what_has_no_exact_score_is_refused_with_the_way(model, rows, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.log_likelihood(model, rows)
