"""gmdsl in the table of scale, and what each case is compared with where that is gmdsl, too."""

import resource

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from contenders import scale_models

QUIET = {"progress": False, "chains": 1}


def regression(case):
    x, y = scale_models.regression(case)
    model = gm.joint(
        a=dist.Normal(0.0, 5.0),
        b=dist.Normal(0.0, 5.0),
        s=dist.HalfNormal(2.0),
        x=gm.data(x),
        y=lambda a, b, s, x: dist.Normal(a + b * x, s),
    )
    return model.condition(y=y)


def sampling(case, seed=0):
    return gm.sample(
        regression(case), gm.NUTS(), chains=4, draws=case["draws"], warmup=case["draws"], seed=seed, progress=False
    )


def check(case):
    """`gm.check` of a run."""
    tree, model = sampling(case), regression(case)

    def run(seed):
        del seed
        assert gm.check(tree, model).findings

    return run


def unknowns(case):
    scale = scale_models.scales(case)
    if not case["hierarchical"]:
        return gm.joint(scale=gm.data(scale), x=lambda scale: dist.Normal(0.0, scale))
    count = case["unknowns"]
    model = gm.joint(
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfNormal(1.0),
        x=lambda mu, tau: dist.Normal(mu, tau).expand([count]),
        y=lambda x: dist.Normal(x, 1.0),
    )
    return model.condition(y=scale)


def leapfrog(case):
    """Leapfrog steps of NUTS, 63 to a draw, as the step size is far too small for a U-turn."""
    model, sampler = unknowns(case), gm.NUTS(step_size=1e-4, max_tree_depth=6)

    def run(seed):
        tree = gm.sample(model, sampler, draws=40, warmup=0, seed=seed, **QUIET)
        return {"work": float(tree["sample_stats"]["n_steps"].sum())}

    return run


def gradient(case):
    """Gradients of the same density in a loop; each step reads the value, too."""
    target = gm.compile(unknowns(case)).target

    @jax.jit
    def climb(target, x):
        def step(_, at):
            x, total = at
            value, score = target.log_density_and_score(x)
            return x + 1e-6 * score, total + value

        return jax.lax.fori_loop(0, 500, step, (x, 0.0))

    def run(seed):
        jax.block_until_ready(climb(target, jnp.full(target.dim, 0.1 + 0.01 * seed / 1000)))
        return {"work": 500.0}

    return run


def process(case):
    """Value and gradient of a latent Gaussian process."""
    squared, y, at = scale_models.process(case)
    count = case["points"]
    model = gm.joint(
        lengthscale=dist.LogNormal(0.0, 1.0),
        amplitude=dist.HalfNormal(1.0),
        squared=gm.data(squared),
        f=lambda lengthscale, amplitude, squared: dist.MultivariateNormal(
            jnp.zeros(count),
            covariance_matrix=amplitude**2 * jnp.exp(-0.5 * squared / lengthscale**2) + 1e-3 * jnp.eye(count),
        ),
        y=(lambda f: dist.Poisson(jnp.exp(f))) if case["noise"] == "Poisson" else (lambda f: dist.Normal(f, 0.1)),
    )
    density = gm.compile(model.condition(y=y)).target
    evaluate = jax.jit(lambda density, at: density.log_density_and_score(at))

    def run(seed):
        for _ in range(50):
            value, score = evaluate(density, at)
        return {"work": 50.0, "value": float(value), "slope": float(jnp.linalg.norm(score))}

    return run


def names(case):
    """A run of many named scalars."""
    model = gm.joint(**{f"x{i}": dist.Normal(0.1 * i, 1.0) for i in range(case["names"])})
    return lambda seed: _sampled(model, seed)


def one_array(case):
    """The same as one array."""
    means = 0.1 * np.arange(case["names"])
    model = gm.joint(means=gm.data(means.astype(np.float32)), x=lambda means: dist.Normal(means, 1.0))
    return lambda seed: _sampled(model, seed)


def named_chain(case):
    """A chain of labels, each with a name of its own, summed out; its posterior of one mean is sampled."""
    start, steps, means = scale_models.transitions()
    count, y = case["labels"], scale_models.emitted(case)
    nodes = {
        "m": dist.Normal(0.0, 1.0),
        "means": gm.data(means),
        "steps": gm.data(steps),
        "k0": dist.Categorical(start),
    }
    for i in range(1, count):
        nodes[f"k{i}"] = gm.given(f"k{i - 1}", "steps", _next)
    for i in range(count):
        nodes[f"y{i}"] = gm.given(f"k{i}", "m", "means", _emission)
    model = gm.joint(nodes).condition(**{f"y{i}": y[i] for i in range(count)})
    return _chain_run(model.marginalize(*(f"k{i}" for i in range(count))))


def array_chain(case):
    """The same chain as one array."""
    (start, steps, means), count = scale_models.transitions(), case["labels"]
    model = gm.joint(
        m=dist.Normal(0.0, 1.0),
        means=gm.data(means),
        steps=gm.data(steps),
        k=gm.scan(
            lambda before, steps: dist.Categorical(steps[before]),
            first=dist.Categorical(jnp.asarray(start)),
            length=count,
        ),
        y=lambda k, m, means: dist.Normal(m + means[k], 1.0),
    )
    return _chain_run(model.condition(y=scale_models.emitted(case)).marginalize("k"))


def _next(before, steps):
    return dist.Categorical(steps[before])


def _emission(label, m, means):
    return dist.Normal(m + means[label], 1.0)


def _chain_run(model):
    return lambda seed: _sampled(model, seed)


def _sampled(model, seed):
    gm.sample(model, gm.NUTS(), draws=50, warmup=50, seed=seed, **QUIET)
    return {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0}


def models(case):
    """Different small models, one after the other; what the process holds after them."""
    made = [0]

    def run(seed):
        del seed
        for _ in range(case["models"]):
            made[0] += 1
            shape = 1.0 + 0.01 * made[0]
            model = gm.energy(lambda x, shape=shape: jnp.sum(jnp.abs(x) ** (1.0 + shape)), x=gm.Real(2))
            gm.sample(model, gm.MALA(), draws=20, warmup=20, progress=False)
        with open("/proc/self/maps") as lines, open("/proc/self/statm") as pages:
            maps, resident = sum(1 for _ in lines), int(pages.read().split()[1])
        found = {"maps": float(maps), "memory": resident * resource.getpagesize() / 2**20}
        return {"work": float(case["models"]), **found}

    return run


OURS = {"rows": check, "unknowns": leapfrog, "process": process, "names": names, "chain": named_chain, "models": models}
PEERS = {"rows": lambda case: lambda seed: sampling(case, seed) and None, "unknowns": gradient, "names": one_array}
PEERS |= {"chain": array_chain}
CONTENDERS = {"run": lambda case: OURS[case["what"]](case), "peer": lambda case: PEERS[case["what"]](case)}
