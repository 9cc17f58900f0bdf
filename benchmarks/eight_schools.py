"""Time to the first result and to later ones: NUTS on the non-centred eight schools, 4 x (1000 + 1000).

Run without arguments for the table. With `--contender NAME` it is one process of the table and
prints JSON: seconds of the first call after imports, median seconds of later calls (new seeds),
compilations in them, and the smallest ESS.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)
CONTENDERS = ("gmdsl", "control", "numpyro", "numpyro-jit", "blackjax")
LATER = 7


def gmdsl_run():
    """gmdsl: the user's line, tree of results included."""
    import numpyro.distributions as dist
    import xarray  # noqa: F401

    import gmdsl as gm

    def run(seed):
        model = gm.joint(
            mu=dist.Normal(0.0, 5.0),
            tau=dist.HalfCauchy(5.0),
            z=dist.Normal(0.0, 1.0).expand([8]),
            theta=lambda mu, tau, z: mu + tau * z,
            y=lambda theta, sigma: dist.Normal(theta, sigma),
            sigma=gm.data(ERRORS),
        )
        tree = gm.sample(model.condition(y=EFFECTS), gm.NUTS(), seed=seed, progress=False)
        return {name: tree["posterior"][name].values for name in ("mu", "tau", "theta")}

    _ = gm.sample, gm.joint, gm.NUTS, gm.data  # lazy names: imports come before the clock
    return run


def numpyro_parts():
    """NumPyro's MCMC object and its data; fresh arrays at each call trip its cache."""
    import numpy as np
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS

    def model(y, sigma):
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
        with numpyro.plate("J", 8):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            theta = numpyro.deterministic("theta", mu + tau * z)
            numpyro.sample("y", dist.Normal(theta, sigma), obs=y)

    kernel = NUTS(model)
    mcmc = MCMC(kernel, num_warmup=1000, num_samples=1000, num_chains=4, chain_method="vectorized", progress_bar=False)
    return mcmc, np.array(EFFECTS), np.array(ERRORS)


def numpyro_run():
    """NumPyro as its users write it, draws on the host."""
    import jax
    import numpy as np

    mcmc, y, sigma = numpyro_parts()

    def run(seed):
        mcmc.run(jax.random.PRNGKey(seed), y, sigma)
        return {k: np.asarray(v) for k, v in mcmc.get_samples(group_by_chain=True).items()}

    return run


def numpyro_jit_run():
    """NumPyro with its whole run inside one jit, which spares later calls its retracing."""
    import jax
    import numpy as np

    mcmc, y, sigma = numpyro_parts()

    @jax.jit
    def whole(key):
        mcmc.run(key, y, sigma)
        return mcmc.get_samples(group_by_chain=True)

    return lambda seed: {k: np.asarray(v) for k, v in whole(jax.random.PRNGKey(seed)).items()}


def blackjax_run():
    """BlackJAX: window adaptation and NUTS, vmapped, jitted once, draws on the host."""
    import blackjax
    import jax
    import jax.numpy as jnp
    import numpy as np

    y, sigma = jnp.array(EFFECTS), jnp.array(ERRORS)

    def log_density(x):
        mu, tau, z = x["mu"], jnp.exp(x["log_tau"]), x["z"]
        norm = jax.scipy.stats.norm.logpdf
        prior = norm(mu, 0.0, 5.0) + norm(z).sum() + jnp.log(2.0) + jax.scipy.stats.cauchy.logpdf(tau, 0.0, 5.0)
        return prior + x["log_tau"] + norm(y, mu + tau * z, sigma).sum()

    def chain(key):
        key_start, key_warm, key_run = jax.random.split(key, 3)
        start = jax.random.uniform(key_start, (10,), minval=-2.0, maxval=2.0)
        position = {"mu": start[0], "log_tau": start[1], "z": start[2:]}
        (state, tuned), _ = blackjax.window_adaptation(blackjax.nuts, log_density).run(key_warm, position, 1000)
        kernel = blackjax.nuts(log_density, **tuned)

        def step(state, key):
            state, _ = kernel.step(key, state)
            return state, state.position

        _, positions = jax.lax.scan(step, state, jax.random.split(key_run, 1000))
        return positions

    jitted = jax.jit(jax.vmap(chain))

    def run(seed):
        x = {k: np.asarray(v) for k, v in jitted(jax.random.split(jax.random.key(seed), 4)).items()}
        tau = np.exp(x["log_tau"])
        return {"mu": x["mu"], "tau": tau, "theta": x["mu"][..., None] + tau[..., None] * x["z"]}

    return run


def contender(name):
    """One process of the table."""
    makers = {"numpyro": numpyro_run, "numpyro-jit": numpyro_jit_run, "blackjax": blackjax_run}
    run = makers.get(name, gmdsl_run)()
    from arviz_stats import ess
    from jax import monitoring

    compiled = []
    monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    began = time.perf_counter()
    draws = run(0)
    first = time.perf_counter() - began
    del compiled[:]
    later, cpu = [], []
    for seed in range(1, LATER + 1):
        began, before = time.perf_counter(), time.process_time()
        draws = run(seed)
        later.append(time.perf_counter() - began)
        cpu.append(time.process_time() - before)
    smallest = min(float(ess(part, chain_axis=0, draw_axis=1)) for part in _scalars(draws))
    return {
        "first": first,
        "later": statistics.median(later),
        "cpu": statistics.median(cpu),
        "compilations": len(compiled),
        "ess": smallest,
    }


def _scalars(draws):
    for value in draws.values():
        flat = value.reshape(*value.shape[:2], -1)
        yield from (flat[..., i] for i in range(flat.shape[-1]))


def python_of(name):
    """The interpreter of a contender; None when it is not installed."""
    if name != "blackjax":
        return sys.executable
    path = HERE / ".venv-blackjax" / "bin" / "python"
    return str(path) if path.exists() else None


def table(rounds):
    """Runs all contenders in turn and prints medians and ratios to gmdsl."""
    found = {name: [] for name in CONTENDERS if python_of(name)}
    for name in CONTENDERS:
        if name not in found:
            print(f"{name}: not installed, skipped (see benchmarks/README.md)")
    for _ in range(rounds):
        for name, rows in found.items():
            done = subprocess.run(
                [python_of(name), __file__, "--contender", name], capture_output=True, text=True, check=True
            )
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    base = {key: statistics.median(row[key] for row in found["gmdsl"]) for key in ("first", "later")}
    heads = (
        "contender",
        "first call s",
        "x gmdsl",
        "later calls s (min to max)",
        "x gmdsl",
        "compilations later",
        "min ESS",
    )
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, rows in found.items():
        first, later = (statistics.median(row[key] for row in rows) for key in ("first", "later"))
        span = f"{min(r['later'] for r in rows):.3f} to {max(r['later'] for r in rows):.3f}"
        ess = statistics.median(row["ess"] for row in rows)
        print(
            f"| {name} | {first:.2f} | {first / base['first']:.2f} | {later:.3f} ({span}) |"
            f" {later / base['later']:.2f} | {rows[0]['compilations']} | {ess:.0f} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contender", choices=CONTENDERS)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(contender(options.contender)))
    else:
        table(options.rounds)
