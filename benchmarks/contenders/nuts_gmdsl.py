"""gmdsl in the table of NUTS: what a user would write; the model is declared in the first call, as for the peers."""

import functools

import jax.numpy as jnp
import numpyro.distributions as dist
import xarray  # noqa: F401  (a lazy import of gmdsl's; imports come before the clock)

import gmdsl as gm
from contenders import targets


def eight_schools():
    """A hierarchy, non-centred."""
    model = gm.joint(
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfCauchy(5.0),
        z=dist.Normal(0.0, 1.0).expand([8]),
        theta=lambda mu, tau, z: mu + tau * z,
        y=lambda theta, sigma: dist.Normal(theta, sigma),
        sigma=gm.data(targets.ERRORS),
    )
    return model.condition(y=targets.EFFECTS)


def correlated():
    """A normal."""
    return gm.joint(x=dist.MultivariateNormal(targets.zeros(), scale_tril=targets.root()))


def logistic():
    """A regression."""
    X, y = targets.logistic()
    model = gm.joint(
        X=gm.data(X),
        beta=dist.Normal(0.0, 1.0).expand([31]),
        y=lambda X, beta: dist.Bernoulli(logits=X @ beta),
    )
    return model.condition(y=y)


def funnel():
    """Neal's funnel, non-centred."""
    return gm.joint(v=dist.Normal(0.0, 3.0), z=dist.Normal(0.0, 1.0).expand([9]), x=lambda v, z: jnp.exp(0.5 * v) * z)


def volatility():
    """A random walk of the log-variance, non-centred."""
    model = gm.joint(
        mu=dist.Normal(0.0, 2.0),
        scale=dist.HalfNormal(0.5),
        z=dist.Normal(0.0, 1.0).expand([100]),
        h=lambda mu, scale, z: mu + scale * jnp.cumsum(z),
        y=lambda h: dist.Normal(0.0, jnp.exp(0.5 * h)),
    )
    return model.condition(y=targets.returns())


MODELS = {
    "eight schools": eight_schools,
    "correlated": correlated,
    "logistic": logistic,
    "funnel": funnel,
    "volatility": volatility,
}


def sample(case, sampler, **settings):
    """`gm.sample`, in the first call from the declaration, to the tree."""
    declared = functools.cache(MODELS[case["target"]])

    def run(seed):
        tree = gm.sample(declared(), sampler, seed=seed, progress=False, **settings)
        return targets.found(case["target"], {name: array.values for name, array in tree["posterior"].items()})

    return run


CONTENDERS = {
    "nuts": lambda case: sample(case, gm.NUTS(), draws=case["draws"], warmup=case["draws"]),
    "chees": lambda case: sample(case, gm.ChEESHMC(), chains=64, draws=case["draws"], warmup=3 * case["draws"] // 10),
}
_ = gm.sample, gm.joint, gm.NUTS, gm.ChEESHMC, gm.data  # lazy names
