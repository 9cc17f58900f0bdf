"""Clean runs are not called wrong: at most one in a hundred of 400, each by a sampler that fits its target."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

SEEDS = range(20)
RATE = 0.01

rng = np.random.default_rng(0)
SLOPES = rng.normal(size=(100, 3))
LINE = SLOPES @ np.array([1.0, -0.5, 0.2]) + 0.5 * rng.normal(size=100)
YES = (SLOPES @ np.array([1.0, -0.5, 0.2]) + rng.logistic(size=100) > 0).astype(int)
COUNTS = rng.poisson(4.0, size=30)
GROUPS = rng.normal(np.repeat(rng.normal(size=8), 5).reshape(8, 5), 1.0)
TWO = np.concatenate([rng.normal(-2, 1, 8), rng.normal(2, 1, 12)])
ANGLES = rng.vonmises(3.0, 4.0, size=20)


def ordered():
    return dist.TransformedDistribution(
        dist.Normal(0.0, 3.0).expand([2]).to_event(1), dist.transforms.OrderedTransform()
    )


def bowl():
    return gm.energy(lambda x: 0.5 * jnp.sum((x / jnp.array([0.5, 1.0, 2.0])) ** 2), x=gm.Real(3))


def noncentred():
    return gm.joint(
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfNormal(2.0),
        unit=dist.Normal(0.0, 1.0).expand([8]),
        y=lambda mu, tau, unit: dist.Normal(mu + tau * unit, 1.0),
    ).condition(y=GROUPS[:, 0])


def line():
    return gm.joint(
        a=gm.data(SLOPES),
        w=dist.Normal(0.0, 1.0).expand([3]),
        s=dist.HalfNormal(1.0),
        y=lambda a, w, s: dist.Normal(a @ w, s),
    ).condition(y=LINE)


def yes():
    return gm.joint(
        a=gm.data(SLOPES), w=dist.Normal(0.0, 1.0).expand([3]), y=lambda a, w: dist.Bernoulli(logits=a @ w)
    ).condition(y=YES)


def labels():
    return gm.joint(
        mu=ordered(),
        z=dist.Categorical(jnp.array([0.5, 0.5])).expand([20]),
        y=lambda mu, z: dist.Normal(mu[z], 1.0),
    ).condition(y=TWO)


def direction():
    return gm.joint(
        m=dist.VonMises(0.0, 0.5), k=dist.Gamma(4.0, 1.0), y=lambda m, k: dist.VonMises(m, k).expand([20])
    ).condition(y=ANGLES)


def spins():
    return gm.energy(lambda s: -0.2 * jnp.sum(s * jnp.roll(s, 1)) - 0.5 * s[0] - 6.0 * s[1], s=gm.Spin(12))


# name: the model, the sampler, draws per chain
RUNS = {
    "normal": (lambda: gm.joint(x=dist.Normal(2.0, 3.0)), gm.NUTS(), 500),
    "normals, scaled": (bowl, gm.NUTS(), 500),
    "normals by HMC": (bowl, gm.HMC(steps=8), 500),
    "normals by MALA": (bowl, gm.MALA(), 2000),
    "normals by Langevin": (lambda: gm.joint(x=dist.Normal(0.0, 1.0).expand([2])), gm.Langevin(0.2), 5000),
    "Gamma": (lambda: gm.joint(x=dist.Gamma(3.0, 1.0)), gm.NUTS(), 500),
    "Gamma with a pole": (lambda: gm.joint(x=dist.Gamma(0.3, 1.0)), gm.NUTS(), 1000),
    "inverse Gamma": (lambda: gm.joint(x=dist.InverseGamma(3.0, 1.0)), gm.NUTS(), 500),
    "Beta": (lambda: gm.joint(x=dist.Beta(0.7, 2.0)), gm.NUTS(), 500),
    "Student's t": (lambda: gm.joint(x=dist.StudentT(4.0, 0.0, 1.0)), gm.NUTS(), 1000),
    "truncated normal": (lambda: gm.joint(x=dist.TruncatedNormal(0.0, 1.0, low=0.5)), gm.NUTS(), 500),
    "Dirichlet": (lambda: gm.joint(x=dist.Dirichlet(jnp.array([0.5, 0.7, 2.0]))), gm.NUTS(), 1000),
    "Wishart": (lambda: gm.joint(x=dist.Wishart(5.0, scale_matrix=jnp.eye(2))), gm.NUTS(), 500),
    "hierarchy": (noncentred, gm.NUTS(), 500),
    "regression": (line, gm.NUTS(), 500),
    "logistic regression": (yes, gm.HMC(steps=8), 500),
    "counts": (
        lambda: gm.joint(r=dist.Gamma(2.0, 0.5), y=lambda r: dist.Poisson(r).expand([30])).condition(y=COUNTS),
        gm.NUTS(),
        500,
    ),
    "a direction": (direction, gm.NUTS(), 1000),
    "mixture with labels": (labels, gm.blocks({"z": gm.Gibbs(), "mu": gm.NUTS()}), 1000),
    "spins": (spins, gm.Gibbs(), 1000),
}


def alarms(name):
    """What `gm.check` calls wrong, by seed."""
    make, sampler, draws = RUNS[name]
    model, found = make(), {}
    for seed in SEEDS:
        warmup = 500 if draws <= 500 else 1000
        tree = gm.sample(model, sampler, chains=4, draws=draws, warmup=warmup, seed=seed, progress=False)
        report = gm.check(tree, model)
        if report.status != "ok":
            found[seed] = [f"{f.name}: {f.evidence}" for f in report.findings if f.status in ("suspect", "failed")]
    return found


@pytest.mark.slow
def test_clean_runs_are_called_wrong_at_most_once_in_a_hundred():
    found = {name: alarms(name) for name in RUNS}
    count = sum(len(seeds) for seeds in found.values())
    assert count <= RATE * len(RUNS) * len(SEEDS), {name: seeds for name, seeds in found.items() if seeds}
