"""Error of log Z and of moments against work: thirteen methods on ten targets, twenty seeds.

    uv run --group test python benchmarks/frontier.py          # about an hour; writes docs/performance/frontier.*
    uv run --group test python benchmarks/frontier.py --seeds 4 --targets ring,funnel --out /tmp/frontier

Rows of the table that are not asked for stay as they were measured.

Work is counted, not timed: evaluations of the density or of its gradient, of all particles, chains and copies
together, warm-up included. Errors are root mean squares over seeds: of log Z in nats, of means in standard deviations.
A run whose own verdict is not "ok" is marked by an empty symbol; it gives no confident number.
"""

import argparse
import json
import pathlib
import time

import jax
import numpy as np

import gmdsl as gm
from gmdsl.compiler.flat_path import compile_path
from gmdsl.samplers.metropolis_within_gibbs import separate_terms

PARTICLES, CHAINS, DRAWS, WARMUP = 1000, 4, 1000, 500
E = gm.energies
TARGETS = {
    "GMM-40": lambda: E.gmm40(),
    "students": lambda: E.students([[-4.0, 0.0], [3.0, 2.0]], df=5.0),
    "many well 2": lambda: E.many_well(2),
    "many well 32": lambda: E.many_well(32),
    "funnel": lambda: E.funnel(10),
    "banana": lambda: E.banana(2),
    "Müller-Brown": lambda: E.mueller_brown(),
    "ring": lambda: E.ring(),
    "rings": lambda: E.rings(),
    "phi-4 chain": lambda: E.phi4(8),
}
HMC, MALA, SHARE = gm.HMC(steps=5, target_accept=0.8), gm.MALA(), gm.adapt.EffectiveSize(0.9)
METHODS = {
    "importance sampling": gm.ImportanceSampling(20 * PARTICLES),
    "AIS, MALA": gm.AIS(MALA, PARTICLES),
    "AIS, HMC": gm.AIS(HMC, PARTICLES, temperatures=60),
    "SMC, random walk": gm.SMC(gm.RandomWalk(), PARTICLES, SHARE, steps=10),
    "SMC, MALA": gm.SMC(MALA, PARTICLES, SHARE, steps=5),
    "SMC, HMC": gm.SMC(HMC, PARTICLES, SHARE, steps=1),
    "SMC, HMC, long": gm.SMC(HMC, PARTICLES, SHARE, steps=8),
    "SMC, HMC, waste-free": gm.SMC(HMC, PARTICLES, SHARE, steps=4, waste_free=True),
    "SMC, within Gibbs": gm.SMC(gm.MetropolisWithinGibbs(sweeps=2), PARTICLES, SHARE, steps=1),
    "SMC, HMC, equal rejection": gm.SMC(HMC, PARTICLES, gm.adapt.EqualRejection(0.1), steps=2),
    "tempering, MALA": gm.ParallelTempering(MALA, temperatures=10),
    "tempering, HMC": gm.ParallelTempering(HMC, temperatures=10),
    "NUTS and a bridge": gm.NUTS(),
}


def evaluations(method, found, tree, path):
    """How often a method evaluates the density or its gradient; a new state and a ratio of densities count one each."""
    if isinstance(method, gm.ImportanceSampling):
        return method.particles
    if isinstance(method, gm.NUTS):
        return float(sum(tree[g]["n_steps"].sum() for g in ("sample_stats", "warmup_sample_stats"))) + CHAINS * DRAWS
    per_move = method.move.steps if isinstance(method.move, gm.HMC) else 1
    if isinstance(method.move, gm.MetropolisWithinGibbs):
        per_move = 2 * method.move.sweeps * colours(path)
    if isinstance(method, gm.ParallelTempering):
        return CHAINS * (DRAWS + WARMUP) * len(method.betas) * (method.steps * per_move + 2)
    stages = len(found.curve["betas"]) - 1
    moved = method.particles // (method.steps + 1) if getattr(method, "waste_free", False) else method.particles
    pilot = 100 * (4 * per_move + 2) if isinstance(method, gm.AIS) else 0
    return stages * (moved * (method.steps * per_move + 1) + method.particles + pilot)


def colours(path):
    """How many evaluations it takes to propose every coordinate once."""
    end = compile_path(path)
    return len(separate_terms(end.at(0.5), jax.numpy.ones(end.dim)).colours)


def one(target, method, seed):
    """One run: error of log Z, errors of means in standard deviations, evaluations, verdict."""
    path = gm.temper(target.model, target.reference)
    if isinstance(method, gm.NUTS):
        settings = {"chains": CHAINS, "draws": DRAWS, "warmup": WARMUP, "seed": seed, "progress": False}
        tree = gm.sample(target.model, method, init=target.reference, **settings)
        found = gm.log_z(tree, target.model, seed=seed)
        value, status = found.log_z, found.status
    else:
        settings = {"chains": CHAINS, "draws": DRAWS, "warmup": WARMUP, "progress": False}
        tree = gm.sample(path, method, seed=seed, **settings)
        walks = not isinstance(method, gm.ParallelTempering)
        found = gm.log_z(path, method, seed=seed) if walks else None  # the same run again, with its curve
        value, status = tree.attrs["log_z"], found.status if found else tree.attrs["log_z_status"]
    gaps = [
        (tree["posterior"][name].values.mean(axis=(0, 1)) - mean) / np.sqrt(target.variance[name])
        for name, mean in (target.mean or {}).items()
        if target.variance and name in target.variance
    ]
    moments = float(np.sqrt(np.mean(np.concatenate([np.ravel(gap) for gap in gaps]) ** 2))) if gaps else np.nan
    return {
        "log_z": value - target.log_z,
        "mean": moments,
        "work": evaluations(method, found, tree, path),
        "ok": status == "ok",
    }


def table(seeds, targets, methods):
    """All runs, by target and method."""
    rows = []
    for name in targets:
        target = TARGETS[name]()
        for label in methods:
            began = time.perf_counter()
            try:
                runs = [one(target, METHODS[label], seed) for seed in range(seeds)]
            except gm.SpecError as error:
                print(f"{name:14s} {label:26s} refused: {error}", flush=True)
                continue
            row = {"target": name, "method": label, "runs": runs, "seconds": time.perf_counter() - began}
            rows.append({**row, **summary(runs)})
            print("{target:14s} {method:26s} log Z {log_z:7.3f}  means {mean:6.3f}  work {work:10.3g}  ok {ok:4.2f}"
                  "  {seconds:5.1f} s".format(**rows[-1]), flush=True)  # fmt: skip
            jax.clear_caches()
    return rows


def in_order(rows, before):
    """The rows, and those of an earlier table that were not measured again."""
    known = json.loads(before.read_text()) if before.exists() else []
    found = {(row["target"], row["method"]): row for row in known + rows}
    return [found[target, label] for target in TARGETS for label in METHODS if (target, label) in found]


def summary(runs):
    """Root mean squares over seeds, infinite where a run has no number; median work; share of verdicts "ok"."""
    errors = np.array([[run["log_z"], run["mean"]] for run in runs], float)
    errors = np.sqrt(np.mean(np.where(np.isnan(errors), np.nan, errors) ** 2, axis=0))
    work, fine = np.median([run["work"] for run in runs]), np.mean([run["ok"] for run in runs])
    return {"log_z": errors[0], "mean": errors[1], "work": work, "ok": fine}


def picture(rows, path):
    """Error of log Z against work, one panel for each target."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import matplotlib.ticker

    names = list(dict.fromkeys(row["target"] for row in rows))
    labels = list(dict.fromkeys(row["method"] for row in rows))
    colours = {label: plt.get_cmap("tab20")(i) for i, label in enumerate(labels)}
    figure, axes = plt.subplots(2, -(-len(names) // 2), figsize=(14, 6), squeeze=False, sharex=True, sharey=True)
    for axis, name in zip(axes.ravel(), names, strict=False):
        for row in (row for row in rows if row["target"] == name and np.isfinite(row["log_z"])):
            colour = colours[row["method"]]
            face = colour if row["ok"] >= 0.5 else "none"
            axis.plot(
                row["work"], max(row["log_z"], 1e-4), "o", color=colour, markerfacecolor=face, label=row["method"]
            )
        axis.set(xscale="log", yscale="log", title=name)
        axis.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    for axis in axes[-1]:
        axis.set_xlabel("evaluations")
    for axis in axes[:, 0]:
        axis.set_ylabel("error of log Z, nats")
    handles = [plt.Line2D([], [], marker="o", linestyle="", color=colours[label]) for label in labels]
    figure.legend(handles, labels, loc="lower center", ncols=6, fontsize=8)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(path, dpi=90)


def text(rows):
    """The table in Markdown."""
    lines = [
        "| target | method | error of log Z | error of means | evaluations | verdict ok |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['target']} | {r['method']} | {r['log_z']:.3f} | {r['mean']:.3f} | {r['work']:.2g} | {r['ok']:.0%} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--methods", default=";".join(METHODS), help="separated by semicolons")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "docs/performance")
    asked = parser.parse_args()
    rows = table(asked.seeds, asked.targets.split(","), asked.methods.split(";"))
    asked.out.mkdir(parents=True, exist_ok=True)
    rows = in_order(rows, asked.out / "frontier.json")
    (asked.out / "frontier.json").write_text(json.dumps(rows, indent=1))
    (asked.out / "frontier.txt").write_text(text(rows))
    picture(rows, asked.out / "frontier.png")


if __name__ == "__main__":
    main()
