"""Hand-written JAX in the table of scale: the density of a latent Gaussian process."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln

from contenders import scale_models


def log_density(case, at, squared, y):
    """Up to no constant: that of gmdsl's model."""
    count = case["points"]
    lengthscale, amplitude, f = jnp.exp(at[0]), jnp.exp(at[1]), at[2:]
    covariance = amplitude**2 * jnp.exp(-0.5 * squared / lengthscale**2) + 1e-3 * jnp.eye(count)
    factor = jnp.linalg.cholesky(covariance)
    z = solve_triangular(factor, f, lower=True)
    prior = -0.5 * z @ z - jnp.log(jnp.diag(factor)).sum() - 0.5 * count * np.log(2.0 * np.pi)
    prior += -0.5 * at[0] ** 2 - 0.5 * np.log(2.0 * np.pi) - 0.5 * amplitude**2 + 0.5 * np.log(2.0 / np.pi) + at[1]
    if case["noise"] == "Poisson":
        return prior + jnp.sum(y * f - jnp.exp(f) - gammaln(y + 1.0))
    return prior + jnp.sum(-0.5 * ((y - f) / 0.1) ** 2 - np.log(0.1) - 0.5 * np.log(2.0 * np.pi))


def process(case):
    """Its value and gradient."""
    squared, y, at = map(jnp.asarray, scale_models.process(case))
    evaluate = jax.jit(jax.value_and_grad(lambda at, squared, y: log_density(case, at, squared, y)))

    def run(seed):
        for _ in range(50):
            value, score = evaluate(at, squared, y)
        return {"work": 50.0, "value": float(value), "slope": float(jnp.linalg.norm(score))}

    return run


CONTENDERS = {"process": process}
