"""Whether exact draws of a target have the moments that it states."""

import jax
import numpy as np
from scipy.stats import norm

FALSE_ALARM = 1e-4  # for all numbers of one target together


def assert_draws_agree(target, count=20_000, seed=0):
    """Holds means, and mean squared deviations, of draws against the truths, by z-scores."""
    drawn = target.draw(jax.random.key(seed), count)
    scores = []
    for name, mean in target.mean.items():
        found = np.asarray(drawn[name], float)
        assert found.shape == (count, *mean.shape)
        squared = (found - mean) ** 2
        for values, truth in ((found, mean), (squared, target.variance[name])):
            spread = values.std(axis=0)
            moves = spread > 1e-9  # the square of a spin without a field does not
            np.testing.assert_allclose(values.mean(axis=0)[~moves], truth[~moves], atol=1e-9)
            scores.append(((values.mean(axis=0) - truth)[moves] / spread[moves] * np.sqrt(count)).ravel())
    z = np.concatenate(scores)
    assert np.abs(z).max() < norm.isf(FALSE_ALARM / 2 / len(z))


def log_densities(model, **points):
    """Log-densities of a model at points, one a row."""
    import gmdsl as gm

    return jax.vmap(gm.compile(model).log_density)(points)
