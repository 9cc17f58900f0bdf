"""How often `gm.check` calls a clean run suspect, and how often it sees a planted fault.

uv run --group test python benchmarks/false_alarms.py             # 204 clean runs
uv run --group test python benchmarks/false_alarms.py --faults    # 20 runs of each fault
"""

import argparse
import collections
import json
import time
import warnings

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def targets():
    """Models on which NUTS and HMC are known to be right."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 4))
    labels = (rng.uniform(size=200) < 1.0 / (1.0 + np.exp(-inputs @ np.array([1.0, -2.0, 0.5, 0.0])))).astype(int)
    covariance = np.full((5, 5), 0.7) + 0.3 * np.eye(5)
    schools = gm.joint(
        mu=dist.Normal(0.0, 5.0), tau=dist.HalfCauchy(5.0), z=dist.Normal(0.0, 1.0).expand([8]),
        y=lambda mu, tau, z, sigma: dist.Normal(mu + tau * z, sigma), sigma=gm.data(ERRORS),
    )  # fmt: skip
    logistic = gm.joint(
        b=dist.Normal(0.0, 2.0).expand([4]), y=lambda b, x: dist.Bernoulli(logits=x @ b), x=gm.data(inputs)
    )
    return {
        "normal": gm.joint(x=dist.MultivariateNormal(jnp.zeros(5), jnp.asarray(covariance))),
        "skewed": gm.joint(x=dist.Gamma(2.0, 3.0).expand([3]), y=dist.LogNormal(0.0, 0.8)),
        "student": gm.joint(x=dist.StudentT(5.0, 0.0, 1.0).expand([3])),
        "schools": schools.condition(y=EFFECTS),
        "logistic": logistic.condition(y=labels),
        "ring": gm.energy(lambda x: 4.0 * (jnp.linalg.norm(x) - 2.0) ** 2, x=gm.Real(2)),
    }


def clean(runs, draws):
    """Statuses of every finding over clean runs."""
    references = {
        "normal": gm.joint(x=dist.Normal(0.0, 2.0).expand([5]).to_event(1)),
        "student": gm.joint(x=dist.StudentT(3.0, 0.0, 2.0).expand([3])),
        "ring": gm.joint(x=dist.Normal(0.0, 3.0).expand([2]).to_event(1)),
    }
    found = collections.defaultdict(collections.Counter)
    each = collections.defaultdict(collections.Counter)
    for name, model in targets().items():
        for sampler in (gm.NUTS(), gm.HMC()):
            for seed in range(runs):
                tree = gm.sample(model, sampler, draws=draws, warmup=draws, seed=seed, progress=False)
                report = gm.check(tree, model, reference=references.get(name))
                each[f"{name} {type(sampler).__name__}"][report.status] += 1
                found["whole report"][report.status] += 1
                for finding in report.findings:
                    found[finding.name][finding.status] += 1
                    if finding.status in ("suspect", "failed"):
                        print(f"{name} {type(sampler).__name__} {seed} {finding.name}: {finding.evidence}", flush=True)
    return {"findings": found, "runs": each}


def planted(runs, draws):
    """Which finding sees which fault, in how many runs. The fault is in the draws or in the model."""
    found = collections.defaultdict(collections.Counter)
    bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    wide = gm.joint(x=dist.Normal(0.0, 8.0))
    wells = gm.energy(
        lambda x: -jnp.logaddexp(jnp.log(0.7) - 2.0 * (x - 6.0) ** 2, jnp.log(0.3) - 2.0 * (x + 6.0) ** 2), x=gm.Real()
    )
    trap = gm.energy(lambda x: 0.5 * (x + 0.35) ** 2 + jnp.where(x > 0.0, jnp.sqrt(x), 0.0), x=gm.Real())
    flat = gm.energy(lambda x: 0.0 * jnp.sum(x), x=gm.Real(2))
    ridge = gm.energy(lambda x: (x[0] - x[1]) ** 2, x=gm.Real(2))
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        settings = {"draws": draws, "warmup": draws, "seed": seed, "progress": False}

        def note(fault, tree, model, reference=None):
            report = gm.check(tree, model, reference=reference)
            found[fault]["any"] += report.status != "ok"
            for finding in report.findings:
                found[fault][finding.name] += finding.status in ("suspect", "failed")

        for fault, change in {
            "mean off by 0.1 sd": lambda x: x + 0.1 * np.array([1.0, 0.0]),
            "variance 10 % small": lambda x: x * np.sqrt(0.9),
            "one chain stands still": lambda x: np.concatenate([np.repeat(x[:1, :1], draws, 1), x[1:]]),
            "one chain elsewhere by 0.5 sd": lambda x: x + 0.5 * np.array([1.0, 0, 0, 0])[:, None, None],
        }.items():
            tree = gm.sample(bowl, gm.NUTS(), **settings)
            for group in ("posterior", "unconstrained_posterior"):
                tree[group]["x"].values[:] = change(tree[group]["x"].values.copy())
            note(fault, tree, bowl)
        start = {"x": rng.uniform(5.5, 6.5, 4).astype(np.float32)}
        note("a mode dropped (0.3 of the mass)", gm.sample(wells, gm.MALA(), init=start, **settings), wells, wide)
        start = {"x": rng.uniform(0.2, 1.0, 4).astype(np.float32)}
        note("NaN gradient for x < 0", gm.sample(trap, gm.NUTS(), init=start, **settings), trap)
        note("flat density", gm.sample(flat, gm.NUTS(), **settings), flat)
        note("improper along a ridge", gm.sample(ridge, gm.NUTS(), **settings), ridge)
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore", gm.NaNWarning)
    parser = argparse.ArgumentParser()
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--draws", type=int, default=1000)
    given = parser.parse_args()
    began = time.perf_counter()
    table = planted(given.runs or 20, given.draws) if given.faults else clean(given.runs or 17, given.draws)
    print(json.dumps(table, indent=1), f"{time.perf_counter() - began:.0f} s")
