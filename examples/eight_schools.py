"""A hierarchical model with a funnel: what a check says, and the form that cures it."""

import arviz as az
import numpyro.distributions as dist

import gmdsl as gm

effects = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]
errors = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]

centred = gm.joint(
    mu=dist.Normal(0.0, 5.0),
    tau=dist.HalfCauchy(5.0),
    theta=lambda mu, tau: dist.Normal(mu, tau).expand([8]),
    y=lambda theta, sigma: dist.Normal(theta, sigma),
    sigma=gm.data(errors),
    dims={"theta": ["school"], "y": ["school"]},
    coords={"school": list("ABCDEFGH")},
).condition(y=effects)

non_centred = gm.joint(
    mu=dist.Normal(0.0, 5.0),
    tau=dist.HalfCauchy(5.0),
    z=dist.Normal(0.0, 1.0).expand([8]),
    theta=lambda mu, tau, z: mu + tau * z,
    y=lambda theta, sigma: dist.Normal(theta, sigma),
    sigma=gm.data(errors),
    dims={"theta": ["school"], "y": ["school"]},
    coords={"school": list("ABCDEFGH")},
).condition(y=effects)

for name, model in (("centred", centred), ("non-centred", non_centred)):
    tree = gm.sample(model, gm.NUTS(), seed=0, progress=False, log_likelihood=True)
    print(f"\n{name}\n{gm.check(tree)}")

print(az.summary(tree, var_names=["mu", "tau", "theta"]))
print(az.loo(gm.predict(tree, non_centred)))
