"""Which sampler for which target: effective draws per evaluation and per second, and what `gm.check` says.

Every sampler of chains runs on every target with the settings that a user would give, for about the same number of
evaluations of the score (or, where none is used, of the log-density); all chains start from the prior of the driver.
Truths are known, so that a sampler that is sure and wrong shows: `off` is the largest distance of a mean or a mean
square from its truth, in standard deviations of the target.

    uv run --group test python benchmarks/samplers.py            # the table of docs/howto/choose_a_sampler.md
    uv run --group test python benchmarks/samplers.py --short    # a tenth of the work, to see that it runs
"""

import argparse
import pathlib
import time
import warnings

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm

TABLE = pathlib.Path(__file__).parent.parent / "docs" / "howto" / "choose_a_sampler.txt"
EVALUATIONS = 200_000  # of all chains after warm-up, about


def skewed():
    """Positive and real, two dimensions."""
    return gm.joint(a=dist.Gamma(3.0, 2.0), b=lambda a: dist.Normal(a, 1.0))


def correlated(dim=50):
    """A Gaussian whose scales differ by ten and whose neighbours are correlated."""
    scales = np.geomspace(0.3, 3.0, dim)
    covariance = 0.9 ** np.abs(np.subtract.outer(np.arange(dim), np.arange(dim))) * np.outer(scales, scales)
    return gm.joint(x=dist.MultivariateNormal(np.zeros(dim), covariance))


def isotropic(dim=250):
    """Many independent variables of unlike scales."""
    return gm.joint(x=dist.Normal(jnp.zeros(dim), jnp.geomspace(0.3, 3.0, dim)))


def bent():
    """A banana: the scale across depends on where along it one is."""
    return gm.joint(z=dist.Normal(0.0, 2.0), w=lambda z: dist.Normal(0.5 * z**2, 0.5))


def funnel():
    """Neal's funnel as it stands: the scale of nine variables is the exponential of the first."""
    return gm.joint(v=dist.Normal(0.0, 3.0), x=lambda v: dist.Normal(0.0, jnp.exp(0.5 * v)).expand([9]))


def apart():
    """Two narrow modes ten standard deviations apart, of weights 0.7 and 0.3."""
    return gm.mixture(
        [0.7, 0.3],
        gm.joint(x=dist.Normal(0.0, 0.5).expand([2])),
        gm.joint(x=dist.Normal(5.0, 0.5).expand([2])),
    )


TARGETS = (skewed, correlated, isotropic, bent, funnel, apart)


def samplers():
    """The samplers and their chains; names as users write them."""
    low, dense = gm.adapt.LowRankMetric(), gm.adapt.DenseMetric()
    return {
        "NUTS()": (gm.NUTS(), 4),
        "NUTS(metric=Dense)": (gm.NUTS(metric=dense), 4),
        "NUTS(metric=LowRank)": (gm.NUTS(metric=low), 4),
        "ChEESHMC()": (gm.ChEESHMC(), 32),
        "HMC()": (gm.HMC(), 4),
        "MCLMC(adjusted=True)": (gm.MCLMC(adjusted=True), 4),
        "MCLMC()": (gm.MCLMC(), 4),
        "UnderdampedLangevin(adjusted=True)": (gm.UnderdampedLangevin(adjusted=True), 4),
        "MALA()": (gm.MALA(), 4),
        "BarkerMH()": (gm.BarkerMH(), 4),
        "Slice()": (gm.Slice(), 4),
        "RandomWalk()": (gm.RandomWalk(), 4),
    }


def measured(make, sampler, chains, share):
    """One row: effective draws, evaluations, seconds, distance from the truth, status."""
    model, truth = make(), make().sample(jax.random.key(1), 50_000)
    steps = 1
    for _ in range(2):  # a short run tells how many evaluations a draw takes
        draws = max(20, min(20_000, int(EVALUATIONS * share / chains / steps)))
        began = time.perf_counter()
        tree = gm.sample(model, sampler, chains=chains, draws=draws, warmup=1000, progress=False)
        seconds = time.perf_counter() - began
        stats = tree["sample_stats"]
        steps = float(stats["n_steps"].mean()) if "n_steps" in stats else 1.0
        steps *= 2.0 if isinstance(sampler, gm.MCLMC) else 1.0  # its integrator takes two scores in a step
    least, off = np.inf, 0.0
    for name in model.free:
        values = tree["posterior"][name].values.astype(float).reshape(chains, draws, -1)
        exact = np.asarray(truth[name], float).reshape(len(truth[name]), -1)
        centre, scale = exact.mean(0), exact.std(0)
        for power in (1, 2):
            z, wanted = ((values - centre) / scale) ** power, 0.0 if power == 1 else 1.0
            off = max(off, np.abs(z.mean((0, 1)) - wanted).max())
            least = min(least, *(float(az.ess(z[:, :, j])) for j in range(0, z.shape[2], max(1, z.shape[2] // 20))))
    return least, draws * chains * steps, seconds, off, gm.check(tree, model).status


def main():
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the work; nothing is written")
    parser.add_argument("--targets", default="", help="names of targets, separated by commas")
    short, wanted = (given := parser.parse_args()).short, given.targets.split(",") if given.targets else None
    warnings.simplefilter("ignore")
    lines = [f"{'target':<11}{'sampler':<36}{'ESS per 1000 evaluations':>25}{'ESS per second':>16}{'off':>7}  status"]
    for make in TARGETS:
        if wanted and make.__name__ not in wanted:
            continue
        for name, (sampler, chains) in samplers().items():
            if make is isotropic and "Dense" in name:
                continue  # a matrix is wasted on independent variables, and slow
            least, evaluations, seconds, off, status = measured(make, sampler, chains, 0.1 if short else 1.0)
            rate = f"{1000 * least / evaluations:>25.2f}{least / seconds:>16.0f}"
            lines.append(f"{make.__name__:<11}{name:<36}{rate}{off:>7.2f}  {status}")
            print(lines[-1], flush=True)
        lines.append("")
    if not short and not wanted:
        TABLE.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
