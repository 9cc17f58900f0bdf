"""From the start of a process to the first draws on the host: imports, compilation and all.

    uv run --group test python benchmarks/startup.py

Every run is a fresh process of one of the scripts below, timed from before it is started until its last line has run;
rounds are interleaved. `empty` is a process without kept programs, `kept` one that finds those of an earlier process
(gmdsl keeps them by itself, for the others JAX's cache is switched on). A script that says so times its call after all
imports itself.
"""

import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import harness
import peers
import report
import run

SCRIPTS = {
    "import gmdsl": "import gmdsl",
    "import jax": "import jax",
    "gmdsl Langevin": """
import gmdsl as gm, jax.numpy as jnp
ring = gm.energy(lambda x: 4.0 * (jnp.linalg.norm(x) - 2.0) ** 2, x=gm.Real(2))
tree = gm.sample(ring, gm.Langevin(step_size=0.01), chains=100, draws=100, warmup=0, progress=False)
assert tree["posterior"]["x"].values.shape == (100, 100, 2)
""",
    "hand Langevin": """
import jax, jax.numpy as jnp, numpy as np
score = jax.vmap(jax.grad(lambda x: -4.0 * (jnp.linalg.norm(x) - 2.0) ** 2))
@jax.jit
def run(key, x):
    def step(x, key):
        x = x + 0.005 * score(x) + 0.1 * jax.random.normal(key, x.shape)
        return x, x
    return jax.lax.scan(step, x, jax.random.split(key, 100))[1]
start = np.random.default_rng(0).uniform(-2, 2, (100, 2)).astype("float32")
assert np.asarray(run(jax.random.key(0), start)).shape == (100, 100, 2)
""",
    "gmdsl NUTS": """
from contenders.nuts_gmdsl import eight_schools
import gmdsl as gm
tree = gm.sample(eight_schools(), gm.NUTS(), draws=100, warmup=100, progress=False)
assert tree["posterior"]["theta"].values.shape == (4, 100, 8)
""",
    "numpyro NUTS": """
from contenders.nuts_numpyro import MCMC, NUTS, eight_schools
import jax, numpy as np
mcmc = MCMC(NUTS(eight_schools), num_warmup=100, num_samples=100, num_chains=4, chain_method="vectorized",
            progress_bar=False)
mcmc.run(jax.random.key(0))
assert np.asarray(mcmc.get_samples(group_by_chain=True)["theta"]).shape == (4, 100, 8)
""",
    "gmdsl first call": """
import json, time, contenders.nuts_gmdsl as module
run = module.CONTENDERS["nuts"]({"target": "eight schools", "draws": 1000})
wall, cpu = time.perf_counter(), time.process_time()
run(0)
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
""",
    "numpyro first call": """
import json, time, contenders.nuts_numpyro as module
run = module.CONTENDERS["jitted"]({"target": "eight schools", "draws": 1000})
wall, cpu = time.perf_counter(), time.process_time()
run(0)
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
""",
}
ROUNDS = 15
END = "\nimport json, time\nprint(json.dumps([time.time(), time.process_time()]))"
IMPORT, ULA = "import", "to Langevin draws, 100 chains x 100 steps"
NUTS, CALL = "to NUTS draws, eight schools, 4 x 200", "first call after imports, eight schools, 4 x 2000"
# case, row, script, whether programs are kept, goal: least ratio to the case's first row, most seconds
ROWS = (
    (IMPORT, "gmdsl", "import gmdsl", False, None, None),
    (IMPORT, "jax", "import jax", False, None, None),
    (f"{ULA}, empty", "gmdsl", "gmdsl Langevin", False, None, None),
    (f"{ULA}, empty", "hand-written", "hand Langevin", False, 1 / 1.2, None),
    (f"{ULA}, kept", "gmdsl", "gmdsl Langevin", True, None, None),
    (f"{ULA}, kept", "hand-written", "hand Langevin", True, 1 / 1.2, None),
    (f"{NUTS}, empty", "gmdsl", "gmdsl NUTS", False, None, None),
    (f"{NUTS}, empty", "control: gmdsl again", "gmdsl NUTS", False, None, None),
    (f"{NUTS}, empty", "numpyro", "numpyro NUTS", False, 1 / 0.75, None),
    (f"{NUTS}, kept", "gmdsl", "gmdsl NUTS", True, None, None),
    (f"{NUTS}, kept", "numpyro", "numpyro NUTS", True, 1.0, None),
    (f"{CALL}, empty", "gmdsl", "gmdsl first call", False, None, 2.5),
    (f"{CALL}, empty", "numpyro, under one jit", "numpyro first call", False, None, None),
    (f"{CALL}, kept", "gmdsl", "gmdsl first call", True, None, 0.7),
    (f"{CALL}, kept", "numpyro, under one jit", "numpyro first call", True, None, None),
)
NOTES = (
    "Fresh processes until the last line has run, rounds interleaved; `empty` without kept programs, `kept` with those"
    " of an earlier process. Ratios are to the first row of each case: medians over rounds, intervals by ranks.",
    "Goals for gmdsl: at most 1.2 times the hand-written script, 0.75 times NumPyro (1 with kept programs), a first"
    " call of 2.5 s, and of 0.7 s in a second process.",
)


def timed(script, cache):
    """Seconds by the wall and the processor of one fresh process; of the call alone where the script tells them."""
    keep = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"} if cache else {}
    if cache and script.startswith("gmdsl"):
        keep = {"GMDSL_CACHE": cache}
    path = os.pathsep.join([str(peers.HERE), os.environ.get("PYTHONPATH", "")])
    variables = peers.surroundings(**keep, PYTHONPATH=path)
    told = "print(" in SCRIPTS[script]
    began = time.time()
    command = [peers.interpreter(peers.OWN), "-c", SCRIPTS[script] + ("" if told else END)]
    done = subprocess.run(command, env=variables, cwd=peers.HERE, capture_output=True, text=True)
    if done.returncode:
        raise harness.ContenderError(f"{script}:\n{done.stderr[-2000:]}")
    wall, cpu = json.loads(done.stdout)
    wall = wall if told else wall - began
    return {"wall": wall, "cpu": cpu, "work": 1.0}


def table(quick=False, wanted=lambda name: True):
    """The table."""
    kept = [row for row in ROWS if wanted(row[0])]
    found = {row: [] for row in kept}
    with tempfile.TemporaryDirectory() as folder:
        caches = {row: str(pathlib.Path(folder) / row[2].replace(" ", "-")) if row[3] else None for row in kept}
        for script in {row[2] for row in kept}:
            timed(script, None)  # modules are compiled
        for row in kept:
            if row[3]:
                timed(row[2], caches[row])  # the earlier process
        for i in range(1 if quick else ROUNDS):
            for row in kept if i % 2 == 0 else kept[::-1]:
                found[row].append(timed(row[2], caches[row]))
                print(f"round {i + 1}: {row[0]}: {row[1]}, {found[row][-1]['wall']:.2f} s", flush=True)
    first = {row[0]: row for row in reversed(kept)}
    rows = [summary(row, found[row], found[first[row[0]]]) for row in kept]
    title = "From the start of a process to draws"
    return report.Table("startup", title, "s", 1.0, "wall", rows, [], {"range": ("range s", "{}")}, NOTES)


def summary(row, own, base):
    """A row of the table; of the base itself without a ratio."""
    case, name, _, _, goal, most = row
    walls = [answer["wall"] for answer in own]
    found = {"case": case, "name": name, "goal": goal, "most": most, "pairs": list(zip(base, own, strict=True))}
    found |= harness.medians(own)
    found["medians"]["range"] = f"{min(walls):.2f} to {max(walls):.2f}"
    if most is not None:
        found["reached"] = statistics.median(walls) <= most
    if own is not base:
        for clock in ("cpu", "wall"):
            found[f"{clock} ratio"] = harness.ratio([(a[clock], b[clock]) for a, b in zip(base, own, strict=True)])
    return found


if __name__ == "__main__":
    run.main("startup")
