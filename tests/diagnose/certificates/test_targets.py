import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.diagnose.certificates.targets import TARGETS, banana, skewed, touching

DRAWS = 100_000


def flat_draws(model):
    density = gm.compile(model)
    values = model.sample(jax.random.key(3), DRAWS)
    return density.target, jax.vmap(density.unconstrain)({name: values[name] for name in density.free})


@pytest.mark.parametrize("make", TARGETS)
def test_draws_have_the_law_of_the_density_by_steins_identity(make, x64):
    target, x = flat_draws(make())
    score = jax.vmap(target.score)(x)
    # E[score] = 0 and E[x_i score_j] = -1 where i = j, else 0; a false alarm in 1e-4 of all runs.
    products = x[:, :, None] * score[:, None, :] + jnp.eye(target.dim)
    for values in (score, products.reshape(DRAWS, -1)):
        z = values.mean(0) / (values.std(0) / np.sqrt(DRAWS))
        assert np.abs(z).max() < 4.8


def test_every_target_is_asymmetric(x64):
    for make, coordinate in ((skewed, 0), (skewed, 1), (banana, 2), (touching, 0)):
        x = np.asarray(flat_draws(make())[1][:, coordinate])
        x = np.sort(x - x.mean())
        mirrored = 1.0 - np.searchsorted(x, -x) / DRAWS
        assert np.abs(mirrored - np.arange(DRAWS) / DRAWS).max() > 0.02  # five times what chance gives
