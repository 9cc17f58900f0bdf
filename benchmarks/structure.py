"""What a run is made of, counted and not timed: traces, compilations, operations and bytes of the compiled programs.

Run `uv run --group test python benchmarks/structure.py` for the table. `tests/benchmarks/test_structure.py` holds the
numbers to their bounds in CI: a program that doubles its work fails there on any machine, however noisy.
"""

import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.compiler.program import Program
from gmdsl.core.random.keys import as_keys, chain_words, step_key
from gmdsl.core.random.normal import standard_normal
from gmdsl.run.chains.batching import choose_mode
from gmdsl.run.chains.block import run_block
from gmdsl.run.chains.setup import RunPlan, prepared
from gmdsl.run.chains.starts import started
from gmdsl.run.chains.tiles import WIDEST, tile_size

ANGLES = np.arange(8) * 2 * np.pi / 8
CENTRES = 4.0 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1).astype("float32")
EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)
THIN = 10


def mixture_energy(x, centres):
    """Eight equal Gaussians on a circle."""
    return -jax.nn.logsumexp(-2.0 * jnp.sum((x[None] - centres) ** 2, -1))


def mixture(centres=CENTRES):
    return gm.energy(mixture_energy, x=gm.Real(2), centres=gm.data(centres))


def eight_schools(effects=EFFECTS):
    model = gm.joint(
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfCauchy(5.0),
        z=dist.Normal(0.0, 1.0).expand([8]),
        theta=lambda mu, tau, z: mu + tau * z,
        y=lambda theta, sigma: dist.Normal(theta, sigma),
        sigma=gm.data(ERRORS),
    )
    return model.condition(y=effects)


def counted(make, again, sampler, **settings):
    """Traces of the density and compilations of a first call, of one with new data and of one with new lengths."""
    compiled, traced, decode = [], [], Program.decode

    def counting(self, *args, **kwargs):
        traced.append(self)
        return decode(self, *args, **kwargs)

    def listen(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    Program.decode, rows = counting, {}
    try:
        calls = {"first": make(), "new data": again(), "new length": make()}
        for name, model in calls.items():
            lengths = {**settings, "draws": settings["draws"] + 7} if name == "new length" else settings
            gm.sample(model, sampler, progress=False, **lengths)
            rows[name] = {"traces": len(traced), "compilations": len(compiled)}
            del traced[:], compiled[:]
    finally:
        Program.decode = decode
        jax.monitoring.unregister_event_duration_listener(listen)
    return rows


def program_of_a_block(model, sampler, chains, thin=THIN):
    """Operations and bytes of one step of all chains of a tile, as XLA counts the compiled block."""
    density = gm.compile(model)
    mode = choose_mode(sampler, chains, None)
    setup = prepared(density, sampler, RunPlan(chains, 1, 0, 0, thin, mode))
    phases, target = np.zeros(setup.kernel.capacity * thin, np.int8), density.target
    block = run_block.lower(
        setup.kernel, target, setup.keys, started(setup, None),
        jnp.int32(0), jnp.int32(1), phases,
    )  # fmt: skip
    return _counts(block.compile())


def hand_written(energy, dim, chains):
    """The same for a Langevin loop by hand, with gmdsl's noise, as XLA does not count JAX's loop of rounds."""
    slope = jax.vmap(jax.grad(energy))

    @jax.jit
    def run(words, x, steps):
        def step(i, x):
            noise = jax.vmap(lambda words: standard_normal(step_key(as_keys(words), i), (dim,), x.dtype))(words)
            return x - 0.005 * slope(x) + 0.1 * noise

        return jax.lax.fori_loop(0, steps, step, x)

    words = jnp.asarray(chain_words(0, range(chains)))
    return _counts(run.lower(words, jnp.zeros((chains, dim)), jnp.int32(3)).compile())


def _counts(compiled):
    found = compiled.cost_analysis()
    names = {"flops": "flops", "transcendentals": "transcendentals", "bytes": "bytes accessed"}
    return {name: found.get(key, 0.0) for name, key in names.items()}


def langevin(chains):
    """Counts of gmdsl's step against the hand-written one, at the width that runs side by side."""
    tile = chains if chains <= WIDEST else tile_size(chains)
    ours = program_of_a_block(mixture(), gm.Langevin(step_size=0.01), chains)
    theirs = hand_written(lambda x: mixture_energy(x, CENTRES), 2, tile)
    return {"gmdsl": ours, "hand-written": theirs, "flops ratio": ours["flops"] / theirs["flops"]}


def main():
    warnings.simplefilter("ignore")
    table = {f"Langevin, {n} chains": langevin(n) for n in (1, 100, 10_000)}
    short = {"chains": 4, "draws": 20, "warmup": 20}
    table["NUTS, eight schools"] = counted(eight_schools, lambda: eight_schools(EFFECTS[::-1]), gm.NUTS(), **short)
    table["Langevin, mixture"] = counted(mixture, lambda: mixture(CENTRES[::-1]), gm.Langevin(0.01), **short)
    print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
