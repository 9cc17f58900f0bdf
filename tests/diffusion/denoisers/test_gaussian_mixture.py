import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.diffusion.denoisers.gaussian_mixture import GaussianMixtureDenoiser
from gmdsl.diffusion.noised import Noised

WEIGHTS = np.array([0.2, 0.5, 0.3])
MEANS = np.random.default_rng(0).normal(size=(3, 2)) * 2
ROOTS = np.random.default_rng(1).normal(size=(3, 2, 2))
COVS = ROOTS @ ROOTS.transpose(0, 2, 1) + 0.2 * np.eye(2)


def family(process=None, covariances=COVS):
    source = GaussianMixtureDenoiser(jnp.log(WEIGHTS), jnp.asarray(MEANS), jnp.asarray(covariances))
    return Noised(gm.VP() if process is None else process, source, (("x", gm.Real(2)),))


def by_hand(process, x, t):
    """log p_t, E[x_0 | x_t] and the score, component by component with matrix inverses."""
    alpha, noise = float(process.alpha(t)), float(process.sigma(t)) ** 2
    totals = [alpha**2 * c + noise * np.eye(2) for c in COVS]
    terms = np.array([stats.multivariate_normal(alpha * m, c).logpdf(x) for m, c in zip(MEANS, totals, strict=True)])
    terms = terms + np.log(WEIGHTS)
    share = np.exp(terms - np.logaddexp.reduce(terms))
    pull = [np.linalg.solve(c, x - alpha * m) for m, c in zip(MEANS, totals, strict=True)]
    mean = sum(r * (m + alpha * c @ p) for r, m, c, p in zip(share, MEANS, COVS, pull, strict=True))
    return np.logaddexp.reduce(terms), mean, -sum(r * p for r, p in zip(share, pull, strict=True))


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(20.0), gm.Cosine()], ids=lambda p: type(p).__name__)
def test_density_denoiser_and_score_are_those_of_the_noised_components(process, x64):
    found = family(process)
    for t in (0.01 * process.t_max, 0.4 * process.t_max, process.t_max):
        for x in np.array([[0.0, 0.5], [-4.0, 1.0]]):
            log_density, mean, score = by_hand(process, x, t)
            np.testing.assert_allclose(found.log_density(x, t), log_density, rtol=1e-10)
            np.testing.assert_allclose(found.denoise(x, t), mean, rtol=1e-10)
            np.testing.assert_allclose(found.score(x, t), score, rtol=1e-9, atol=1e-12)


def test_at_time_zero_it_is_the_mixture_itself(x64):
    found, x = family(), np.array([0.3, -0.7])
    exact = np.log(
        sum(w * stats.multivariate_normal(m, c).pdf(x) for w, m, c in zip(WEIGHTS, MEANS, COVS, strict=True))
    )
    np.testing.assert_allclose(found.log_density(x, 0.0), exact, rtol=1e-12)
    np.testing.assert_allclose(found.denoise(x, 0.0), x, rtol=1e-9)
    assert found.flat.first == 0.0


def test_singular_covariances_are_defined_above_zero_only(x64):
    flat = np.array([[1.0, 0.0], [0.0, 0.0]])
    found = family(covariances=np.stack([flat] * 3))
    assert found.flat.first == gm.VP().t_min
    alpha, noise = float(gm.VP().alpha(0.1)), float(gm.VP().sigma(0.1)) ** 2
    laws = [stats.multivariate_normal(alpha * m, alpha**2 * flat + noise * np.eye(2)) for m in MEANS]
    exact = np.log(sum(w * law.pdf(np.zeros(2)) for w, law in zip(WEIGHTS, laws, strict=True)))
    np.testing.assert_allclose(found.log_density(np.zeros(2), 0.1), exact, rtol=1e-9)
    clean = found.denoise(np.array([0.0, 0.1]), 1e-4)
    assert np.abs(clean[1] - MEANS[:, 1]).min() < 1e-6  # the second coordinate of the data takes three values
    with pytest.raises(gm.SpecError, match=r"at\(0\)"):
        found.at(0.0)


def test_each_component_is_seen_apart(x64):
    found, x, t = family(), jnp.array([0.3, -0.7]), 0.3
    parts = found.denoiser.components(found.process, x, t)
    assert parts.log_density.shape == (3,)
    np.testing.assert_allclose(jax.nn.logsumexp(parts.log_density), found.log_density(x, t), rtol=1e-12)
    for score, clean in zip(parts.score, parts.denoised, strict=True):
        np.testing.assert_allclose(found.process.denoised(x, score, t), clean, rtol=1e-9)


def test_the_frozen_law_agrees_with_the_family(x64):
    found, x = family(), np.array([0.3, -0.7])
    density = gm.compile(found.at(0.3))
    np.testing.assert_allclose(density.log_density({"x": x}), found.log_density(x, 0.3), rtol=1e-12)
    np.testing.assert_allclose(density.score({"x": x})["x"], found.score(x, 0.3), rtol=1e-10)


def test_far_away_the_density_does_not_underflow():
    """Single precision at 1,000 standard deviations, against double precision by hand."""
    found, x = family(), np.array([1e3, -1e3])
    log_density, _, score = by_hand(gm.VP(), x, 0.05)
    np.testing.assert_allclose(found.log_density(x, 0.05), log_density, rtol=1e-4)
    np.testing.assert_allclose(found.score(x, 0.05), score, rtol=1e-4)
