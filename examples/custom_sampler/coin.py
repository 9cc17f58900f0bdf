"""The bias of a coin after eight flips, by a sampler of one's own."""

import numpy as np
import numpyro.distributions as dist
from random_walk import RandomWalk

import gmdsl as gm

flips = np.array([1, 0, 1, 1, 0, 1, 1, 1])
coin = gm.joint(p=dist.Beta(2.0, 2.0), flip=lambda p: dist.Bernoulli(p).expand([8])).condition(flip=flips)

tree = gm.sample(coin, RandomWalk(), draws=5000, seed=0, progress=False)
exact = (2 + flips.sum()) / (4 + len(flips))
print(f"posterior mean {float(tree['posterior']['p'].mean()):.3f}, exact {exact:.3f}")
print("acceptance", float(tree["sample_stats"]["acceptance_rate"].mean()))
print(gm.check(tree))
assert abs(float(tree["posterior"]["p"].mean()) - exact) < 0.02
