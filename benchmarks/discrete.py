"""How many variables `gm.Gibbs` draws per second, and how many one at a time by the density at each value.

Runs are whole calls of `gm.sample` on all cores, the second of their kind, so that nothing is compiled; the median of
some rounds. Updates per second of wall time are told, and per second of a core: what other programs take is not in
these. Where a field is a product with a matrix, the multiplications and additions of an update are told: together with
what a core does of them in such a product they bound the rate. Table and picture go to `docs/performance/`.

    uv run --group test python benchmarks/discrete.py                    # the table, some minutes
    uv run --group test python benchmarks/discrete.py --only "Ising" --out /tmp/here    # the cases with that word
"""

import argparse
import json
import os
import pathlib
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import peers

import gmdsl as gm

GOAL = 1e8  # updates per second of any energy of pairs, and
ISING = 1e9  # of an Ising model, on two cores
FLOPS = {"Boltzmann machine": 2 * 2 * 784 * 500 / 1284, "dense glass": 2 * 512 + 2 * 16}  # of an update
SIDE = 64
RNG = np.random.default_rng(0)


class OneAtATime(gm.Sampler):
    """Each element in turn, by the density at all of its values."""

    def bound(self, density: Any) -> "OneAtATime":
        return self

    def step(self, key: Any, target: Any, state: Any) -> Any:
        counts, first, gap = (jnp.asarray(column) for column in zip(*target.states, strict=True))
        most = max(one[0] for one in target.states)

        def one(i: Any, x: Any) -> Any:
            values = first[i] + gap[i] * jnp.minimum(jnp.arange(most), counts[i] - 1)
            heights = jax.vmap(lambda value: target.log_density(x.at[i].set(value)))(values)
            heights = jnp.where(jnp.arange(most) < counts[i], heights, -jnp.inf)
            return x.at[i].set(values[jax.random.categorical(jax.random.fold_in(key, i), heights)])

        return jax.lax.fori_loop(0, target.dim, one, state), {}


def torus(s):
    return s * (jnp.roll(s, 1, 0) + jnp.roll(s, 1, 1))


def chain(count):
    """A ring of named spins."""
    names = [f"s{i:04}" for i in range(count)]
    bonds = " + ".join(f"{a} * {b}" for a, b in zip(names, names[1:] + names[:1], strict=True))
    return gm.energy(eval(f"lambda {', '.join(names)}: -0.4 * ({bonds})"), **dict.fromkeys(names, gm.Spin()))


def graph(count, edges):
    pairs = RNG.integers(0, count, (edges, 2))
    pairs = gm.data(pairs[pairs[:, 0] != pairs[:, 1]])
    return gm.energy(lambda s, e: -0.3 * jnp.sum(s[e[:, 0]] * s[e[:, 1]]), s=gm.Spin(count), e=pairs)


def cases():
    """Triples: the model, chains, sweeps of one draw."""
    ising = gm.energy(lambda s: -0.4 * torus(s).sum(), s=gm.Spin(SIDE, SIDE))
    data = gm.energy(lambda s, b: -b * torus(s).sum(), s=gm.Spin(SIDE, SIDE), b=gm.data(0.4))
    normal = RNG.normal(size=(2, SIDE, SIDE))
    glass = gm.energy(
        lambda s, J: jnp.sum(J[0] * s * jnp.roll(s, 1, 0) + J[1] * s * jnp.roll(s, 1, 1)),
        s=gm.Spin(SIDE, SIDE), J=gm.data(normal),
    )  # fmt: skip
    machine = gm.energy(
        lambda v, h, W: -(v @ W @ h), v=gm.Binary(784), h=gm.Binary(500), W=gm.data(0.05 * RNG.normal(size=(784, 500)))
    )
    dense = gm.energy(lambda s, J: -(s @ J @ s), s=gm.Spin(500), J=gm.data(0.03 * RNG.normal(size=(500, 500))))
    equal = lambda s: jnp.sum(s == jnp.roll(s, 1, 0)) + jnp.sum(s == jnp.roll(s, 1, 1))  # noqa: E731
    potts = gm.energy(lambda s: -0.7 * equal(s), s=gm.Categorical(3, SIDE, SIDE))
    potts_data = gm.energy(lambda s, b: -b * equal(s), s=gm.Categorical(3, SIDE, SIDE), b=gm.data(0.7))
    two = gm.energy(lambda s: -0.8 * equal(s), s=gm.Spin(SIDE, SIDE))
    clock = gm.energy(
        lambda s: -0.7 * jnp.sum(jnp.cos(0.4 * jnp.pi * (s - jnp.roll(s, 1, 0))) + 1.0 * (s == jnp.roll(s, 1, 1))),
        s=gm.Categorical(5, SIDE, SIDE),
    )
    return {
        "Ising 64 x 64, 128 chains": (ising, 128, 200),
        "Ising 64 x 64, 1024 chains": (ising, 1024, 100),
        "Ising 64 x 64, 16 chains": (ising, 16, 200),
        "Ising 64 x 64, 16 chains, a sweep a draw": (ising, 16, 1),
        "Ising 64 x 64, strength as data, 128 chains": (data, 128, 100),
        "1,024 named spins in a ring, 128 chains": (chain(1024), 128, 200),
        "glass 64 x 64, normal couplings, 128 chains": (glass, 128, 20),
        "graph of 4,096 spins, 8,192 edges, 128 chains": (graph(4096, 8192), 128, 10),
        "Boltzmann machine 784 + 500, 128 chains": (machine, 128, 10),
        "dense glass of 500 spins, 128 chains": (dense, 128, 10),
        "Potts 64 x 64, 3 states, 128 chains": (potts, 128, 20),
        "Potts 64 x 64, 3 states, strength as data, 128 chains": (potts_data, 128, 20),
        "equal neighbours 64 x 64, 2 states, 128 chains": (two, 128, 100),
        "clock and Potts 64 x 64, 5 states, 128 chains": (clock, 128, 10),
    }


def rate(model, sampler, chains, draws, sweeps):
    """Updates per second, and per second of a core, of one run."""
    began, used = time.perf_counter(), time.process_time()
    gm.sample(model, sampler, chains=chains, draws=draws, warmup=0, progress=False)
    updates = chains * draws * sweeps * gm.compile(model).dim
    return updates / (time.perf_counter() - began), updates / (time.process_time() - used)


def measured(name, model, chains, sweeps, rounds):
    """The row of a case."""
    gibbs = (model, gm.Gibbs(sweeps=sweeps), chains, 20, sweeps)
    other = (model, OneAtATime(), min(chains, 4), 1, 1)
    rate(*gibbs), rate(*other)
    wall, core = (statistics.median(column) for column in zip(*(rate(*gibbs) for _ in range(rounds)), strict=True))
    flops = next((number for word, number in FLOPS.items() if word in name), None)
    return {"case": name, "wall": wall, "core": core, "flops": flops, "one at a time": rate(*other)[0]}


def text(rows):
    """The table in Markdown."""
    lines = [
        "| case | updates/s, wall | updates/s of a core | flop per update | one at a time, wall |",
        f"|{'---|' * 5}",
    ]
    for row in rows:
        flops = "" if row["flops"] is None else f"{row['flops']:.0f}"
        lines.append(
            f"| {row['case']} | {row['wall']:.2g} | {row['core']:.2g} | {flops} | {row['one at a time']:.2g} |"
        )
    load = os.getloadavg()[0]
    note = f"Load of the machine at the end: {load:.1f}. Above the number of its cores, wall time was"
    return "\n".join([*lines, "", f"{note} shared with others.", "", f"Measured on: {peers.described()}.", ""])


def picture(rows, path):
    """Updates per second of a core, with both goals for two of them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1 + 0.3 * len(rows)))
    places = range(len(rows))[::-1]
    axes.barh(places, [row["core"] for row in rows], color="tab:blue")
    for goal in (GOAL, ISING):
        axes.axvline(goal / 2, color="black", lw=1)
    axes.set(xscale="log", xlabel="updates per second of a core; lines: half of the goals for two")
    axes.set_yticks(places, [row["case"] for row in rows], size=7)
    figure.tight_layout()
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "docs/performance")
    asked, rows = parser.parse_args(), []
    for name, (model, chains, sweeps) in cases().items():
        if asked.only in name:
            rows.append(measured(name, model, chains, sweeps, asked.rounds))
            print(f"{name}: {rows[-1]['wall']:.2g} updates/s, {rows[-1]['core']:.2g} of a core", flush=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "discrete.json").write_text(json.dumps(rows, indent=1) + "\n")
    (asked.out / "discrete.txt").write_text(text(rows))
    picture(rows, asked.out / "discrete.png")


if __name__ == "__main__":
    main()
