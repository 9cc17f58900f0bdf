"""What long and wide runs cost: streaming with checkpoints, memory against length, time against chains.

Run `uv run --group test python benchmarks/long_runs.py` (some minutes; `--scale 0.01` tries it out). Each run is a
fresh process that compiles on a short run first and prints JSON. Rounds are interleaved, each runs every contender
once, in turning order; ratios are medians over rounds, and "memory again" is the control: the same program once more.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import numpy as np
import numpyro.distributions as dist

import gmdsl as gm

ROWS, WIDTH = 1000, 25
CONTENDERS = {"memory": None, "memory again": None, "store": 0, "store, every 100 draws": 100}


def logistic():
    """A logistic regression; a step of NUTS costs about what a small applied model's does."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, WIDTH))
    y = (rng.uniform(size=ROWS) < 1.0 / (1.0 + np.exp(-x @ rng.normal(size=WIDTH) / 3.0))).astype(int)
    model = gm.joint(b=dist.Normal(0.0, 1.0).expand([WIDTH]), y=lambda b, x: dist.Bernoulli(logits=x @ b), x=gm.data(x))
    return model.condition(y=y)


def run(chains, draws, every, width):
    """One run in this process, after a short one that compiles everything."""
    wide = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(width)) if width else None
    model, sampler = (wide, gm.RandomWalk()) if width else (logistic(), gm.NUTS())
    settings = {"chains": chains, "progress": False, "checkpoint_every": every or None}
    with tempfile.TemporaryDirectory() as folder:
        paths = [None if every is None else pathlib.Path(folder) / name for name in ("short.zarr", "run.zarr")]
        gm.sample(model, sampler, draws=20, warmup=20, store=paths[0], **settings)
        wall, cpu = time.perf_counter(), time.process_time()
        gm.sample(model, sampler, draws=draws, warmup=500, seed=1, store=paths[1], **settings)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak}))


def fresh(chains, draws, every, width=0):
    """The same in a fresh process."""
    words = ["--child", json.dumps([chains, draws, every, width])]
    done = subprocess.run([sys.executable, "-W", "ignore", __file__, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def streaming(rounds, draws):
    """Cost of streaming and commits against the same run in memory."""
    found = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        names = list(CONTENDERS)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            found[name].append(fresh(4, draws, CONTENDERS[name]))
    print(f"NUTS on a logistic regression, 4 x (500 + {draws}), medians of {rounds} rounds\n")
    print("| contender | wall s | x memory | CPU s | x memory |\n|---|---|---|---|---|")
    for name, runs in found.items():
        cells = []
        for clock in ("wall", "cpu"):
            ratios = [one[clock] / base[clock] for one, base in zip(runs, found["memory"], strict=True)]
            cells += [f"{np.median([one[clock] for one in runs]):.2f}", f"{np.median(ratios):.3f}"]
        print(f"| {name} | {' | '.join(cells)} |")


def memory(draws):
    """Peak memory against length."""
    print("\nRandomWalk in 200 dimensions, 8 chains: peak memory of the process, MB\n")
    print("| draws | numbers drawn, MB | in memory | stored |\n|---|---|---|---|")
    for times in (1, 4, 16):
        peaks = [fresh(8, draws * times, every, 200)["peak"] for every in (None, 0)]
        print(f"| {draws * times} | {draws * times * 8 * 200 * 4 / 2**20:.0f} | {peaks[0]:.0f} | {peaks[1]:.0f} |")


def width(rounds, draws):
    """Time against the number of chains."""
    counts, found = (4, 8, 16, 32, 64), {}
    for _ in range(rounds):
        for chains in counts:
            found.setdefault(chains, []).append(fresh(chains, draws, None)["cpu"])
    print(f"\nNUTS on the logistic regression, 500 + {draws} draws: medians of {rounds} rounds\n")
    print("| chains | CPU s | CPU s per chain |\n|---|---|---|")
    for chains, seconds in found.items():
        print(f"| {chains} | {np.median(seconds):.2f} | {np.median(seconds) / chains:.3f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="length of the runs")
    parser.add_argument("--only", choices=("streaming", "memory", "width"), help="one of the three")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run(*json.loads(options.child))
    else:
        parts = {
            "streaming": lambda: streaming(options.rounds, max(50, int(200_000 * options.scale))),
            "memory": lambda: memory(max(100, int(10_000 * options.scale))),
            "width": lambda: width(options.rounds, max(50, int(1000 * options.scale))),
        }
        for name, part in parts.items():
            if options.only in (None, name):
                part()
