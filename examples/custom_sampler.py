"""A sampler of your own: one class, one method; warm-up, chains and export come for nothing."""

import jax
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm


class RandomWalk(gm.Sampler):
    """Random-walk Metropolis on the flat, unconstrained vector."""

    step_size: float = 0.5
    adapts = gm.adapt.StepSize(target_accept=0.234)

    def step(self, key, target, x):
        """One transition."""
        key_move, key_accept = jax.random.split(key)
        proposal = x + self.step_size * jax.random.normal(key_move, x.shape)
        log_ratio = target.log_density(proposal) - target.log_density(x)
        return gm.metropolis(key_accept, x, proposal, log_ratio)


flips = np.array([1, 0, 1, 1, 0, 1, 1, 1])
coin = gm.joint(p=dist.Beta(2.0, 2.0), flip=lambda p: dist.Bernoulli(p).expand([8])).condition(flip=flips)

tree = gm.sample(coin, RandomWalk(), draws=5000, seed=0, progress=False)
exact = (2 + flips.sum()) / (4 + len(flips))
print(f"posterior mean {float(tree['posterior']['p'].mean()):.3f}, exact {exact:.3f}")
print("acceptance", float(tree["sample_stats"]["acceptance_rate"].mean()))
print(gm.check(tree))
assert abs(float(tree["posterior"]["p"].mean()) - exact) < 0.02
