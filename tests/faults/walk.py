"""The user's script of the tests of this folder: the sampler of program 9, slowed down so that it can be killed."""

import os
import pathlib
import sys
import time

import jax
import jax.numpy as jnp

import gmdsl as gm
import gmdsl.run.chains.setup as setup
import tests.conftest  # noqa: F401  one thread, compiled programs kept
from gmdsl.run.progress import Progress

WARMUP, DRAWS, BLOCK = 200, 300, 20
SETTINGS = {"chains": 8, "warmup": WARMUP, "draws": DRAWS, "seed": 4, "progress": False}


class RandomWalk(gm.Sampler):
    step_size: float = 0.5
    adapts = gm.adapt.StepSize(target_accept=0.234)

    def step(self, key, target, x):
        key_move, key_accept = jax.random.split(key)
        proposal = x + self.step_size * jax.random.normal(key_move, x.shape)
        log_ratio = target.log_density(proposal) - target.log_density(x)
        return gm.metropolis(key_accept, x, proposal, log_ratio)


def model():
    """A skewed density with a scale, in four dimensions."""
    return gm.energy(
        lambda s, x: s + jnp.sum(jnp.exp(x) - 0.7 * x) / s + jnp.sum(x[1:] * x[:-1]), s=gm.Positive(), x=gm.Real(3)
    )


if __name__ == "__main__":
    path, place = sys.argv[1], os.environ.get("GMDSL_PROCESS", "0/1").split("/")[0]
    pathlib.Path(f"{path}.pid-{place}").write_text(str(os.getpid()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    setup.CAPACITY = BLOCK
    advance = Progress.advance
    Progress.advance = lambda *args: (advance(*args), time.sleep(0.03))
    mesh = gm.mesh() if "mesh" in sys.argv else None
    how = {"checkpoint_every": BLOCK, "mesh": mesh}
    if "again" in sys.argv and pathlib.Path(path).exists():
        gm.resume(path, model(), RandomWalk(), progress=False, **how)
    else:
        gm.sample(model(), RandomWalk(), store=path, **how, **SETTINGS)
