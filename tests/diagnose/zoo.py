"""Models without a mistake in them, on which no rule may say anything."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def schools():
    return gm.joint(
        mu=dist.Normal(0.0, 5.0), tau=dist.HalfCauchy(5.0), theta=lambda mu, tau: dist.Normal(mu, tau).expand([8]),
        y=lambda theta, sigma: dist.Normal(theta, sigma), sigma=gm.data(ERRORS),
    ).condition(y=EFFECTS)  # fmt: skip


def logistic():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 4))
    labels = (rng.uniform(size=200) < 0.5).astype(int)
    model = gm.joint(
        b=dist.Normal(0.0, 2.0).expand([4]), y=lambda b, x: dist.Bernoulli(logits=x @ b), x=gm.data(inputs)
    )
    return model.condition(y=labels)


def clean():
    """Models by name."""
    return {
        "eight schools, centred": schools(),
        "ring": gm.energy(lambda x: 4.0 * (jnp.linalg.norm(x) - 2.0) ** 2, x=gm.Real(2)),
        "logistic regression": logistic(),
        "mixture": gm.mixture([0.7, 0.3], gm.joint(x=dist.Normal(-2.0, 1.0)), gm.joint(x=dist.Normal(3.0, 0.5))),
        "correlation": gm.joint(r=dist.LKJCholesky(3, 2.0)),
        "simplex": gm.joint(p=dist.Dirichlet(jnp.array([1.0, 2.0, 3.0]))),
        "beta": gm.joint(p=dist.Beta(0.5, 0.5)),
        "bounds that move": gm.joint(a=dist.Uniform(0.0, 1.0), b=lambda a: dist.Uniform(0.0, a + 1.0)),
        "Cauchy": gm.joint(x=dist.Cauchy(0.0, 1.0).expand([3])),
        "Cauchy in four dimensions": gm.joint(x=dist.MultivariateStudentT(1.0, jnp.zeros(4), jnp.eye(4))),
        "half-Cauchy": gm.joint(x=dist.HalfCauchy(5.0)),
        "horseshoe": gm.joint(
            each=dist.HalfCauchy(1.0).expand([4]), t=dist.HalfCauchy(1.0), b=lambda each, t: dist.Normal(0.0, each * t)
        ),
        "funnel": gm.joint(v=dist.Normal(0.0, 3.0), x=lambda v: dist.Normal(0.0, jnp.exp(v / 2.0)).expand([9])),
        "scales": gm.joint(x=dist.Gamma(2.0, 3.0), y=dist.LogNormal(0.0, 1.0), z=dist.InverseGamma(2.0, 1.0)),
        "Laplace": gm.joint(x=dist.Laplace(0.0, 1.0).expand([3])),
        "Pareto": gm.joint(x=dist.Pareto(1.0, 1.5)),
        "angle": gm.joint(x=dist.VonMises(0.0, 2.0)),
        "banana": gm.energy(lambda x: 0.005 * x[0] ** 2 + 0.5 * (x[1] + 0.03 * x[0] ** 2 - 3.0) ** 2, x=gm.Real(2)),
    }
