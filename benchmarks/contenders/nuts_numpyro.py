"""NumPyro in the table of NUTS: its whole run inside one `jit`, which spares later calls its retracing."""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS

from contenders import targets


def eight_schools():
    """A hierarchy, non-centred."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
    with numpyro.plate("schools", 8):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        theta = numpyro.deterministic("theta", mu + tau * z)
        numpyro.sample("y", dist.Normal(theta, targets.ERRORS), obs=targets.EFFECTS)


def correlated():
    """A normal."""
    numpyro.sample("x", dist.MultivariateNormal(targets.zeros(), scale_tril=targets.root()))


def logistic():
    """A regression."""
    X, y = targets.logistic()
    beta = numpyro.sample("beta", dist.Normal(0.0, 1.0).expand([31]).to_event(1))
    numpyro.sample("y", dist.Bernoulli(logits=X @ beta), obs=y)


def funnel():
    """Neal's funnel, non-centred."""
    v = numpyro.sample("v", dist.Normal(0.0, 3.0))
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([9]).to_event(1))
    numpyro.deterministic("x", jnp.exp(0.5 * v) * z)


def volatility():
    """A random walk of the log-variance, non-centred."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 2.0))
    scale = numpyro.sample("scale", dist.HalfNormal(0.5))
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([100]).to_event(1))
    h = numpyro.deterministic("h", mu + scale * jnp.cumsum(z))
    numpyro.sample("y", dist.Normal(0.0, jnp.exp(0.5 * h)), obs=targets.returns())


MODELS = {
    "eight schools": eight_schools,
    "correlated": correlated,
    "logistic": logistic,
    "funnel": funnel,
    "volatility": volatility,
}


def sampler(case):
    """Four chains side by side, settings as they come."""
    kernel = NUTS(MODELS[case["target"]])
    settings = {"num_warmup": case["draws"], "num_samples": case["draws"], "num_chains": 4}
    return MCMC(kernel, chain_method="vectorized", progress_bar=False, **settings)


def jitted(case):
    """The run under one `jit`."""
    mcmc = sampler(case)

    @jax.jit
    def whole(key):
        mcmc.run(key)
        return mcmc.get_samples(group_by_chain=True)

    return lambda seed: targets.found(case["target"], whole(jax.random.key(seed)))


def plain(case):
    """`MCMC.run` as its users write it."""
    mcmc = sampler(case)

    def run(seed):
        mcmc.run(jax.random.key(seed))
        return targets.found(case["target"], mcmc.get_samples(group_by_chain=True))

    return run


CONTENDERS = {"jitted": jitted, "plain": plain}
