#!/usr/bin/env bash
# version: numpyro 0.22.0, jax 0.12.0.1
# behaviour: `Geometric(1.0)` gives -inf to each of its own draws, and an impossible Bernoulli outcome keeps mass, on one side.
#
# At probability one a geometric variable is 0 for sure: log-probability 0. NumPyro returns -inf there, so a mixture or a
# zero-inflated model with that edge as one of its states loses the state. `Bernoulli` clamps probabilities at
# the smallest number on one side and at one minus the rounding error on the other: an outcome that cannot happen has
# log-probability -87.3 where the probability is 0 and -15.9 where it is 1. A few observations with 1e-7 each
# are enough to bring a state back that the data exclude.
# Seen: Geometric(1.0).log_prob(0) = -inf; Bernoulli(0.0).log_prob(1) = -87.3; Bernoulli(1.0).log_prob(0) = -15.9.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q numpyro==0.22.0 jax==0.12.0.1 jaxlib==0.12.0.1
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PY'
import jax, jax.numpy as jnp, numpyro, numpyro.distributions as dist
print("version: numpyro", numpyro.__version__)
sure = dist.Geometric(1.0)
draws = sure.sample(jax.random.key(0), (100,))
found = [float(sure.log_prob(0)), float(dist.Bernoulli(0.0).log_prob(1)), float(dist.Bernoulli(1.0).log_prob(0))]
print("behaviour: draws of Geometric(1.0):", set(map(float, draws)), "log-probabilities:", found)
assert numpyro.__version__ == "0.22.0"
assert bool(jnp.all(draws == 0)) and found[0] == -float("inf")
assert abs(found[1] + 87.34) < 0.1 and abs(found[2] + 15.94) < 0.1
PY
