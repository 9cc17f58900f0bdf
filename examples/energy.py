"""An energy-based model: declare, compile, sample by three samplers, compare with the exact moment."""

import arviz as az
import jax.numpy as jnp
import numpy as np

import gmdsl as gm

ring = gm.energy(lambda x: 4.0 * (jnp.linalg.norm(x) - 2.0) ** 2, x=gm.Real(2))
density = gm.compile(ring)
print("log-density at (1, 2):", float(density.log_density({"x": jnp.array([1.0, 2.0])})))
print("score at (1, 2):      ", density.score({"x": jnp.array([1.0, 2.0])})["x"])

radius = np.linspace(0.0, 6.0, 20_001)
weight = radius * np.exp(-4.0 * (radius - 2.0) ** 2)
exact = (radius * weight).sum() / weight.sum()
print(f"mean radius, exact by quadrature: {exact:.4f}")

for sampler in (gm.NUTS(), gm.HMC(), gm.MALA()):
    tree = gm.sample(ring, sampler, draws=2000, seed=0, progress=False)
    draws = np.linalg.norm(tree["posterior"]["x"].values, axis=-1)
    error = draws.std() / np.sqrt(float(az.ess(draws, method="mean")))
    print(f"{type(sampler).__name__:<5} {draws.mean():.4f} +- {error:.4f}, {gm.check(tree).status}")
    assert abs(draws.mean() - exact) < 5 * error
