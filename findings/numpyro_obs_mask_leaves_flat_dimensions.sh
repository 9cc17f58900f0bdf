#!/usr/bin/env bash
# version: numpyro 0.22.0, jax 0.12.0.1
# behaviour: `obs_mask=` leaves latent dimensions without any density.
#
# `numpyro.sample("y", ..., obs=y, obs_mask=mask)` makes a latent "y_unobserved" of the full shape, also where y was observed.
# At these places its density is masked to zero, so the log-density does not change at all along them: the joint is
# improper in as many dimensions as there are observed values. Draws of "y_unobserved" there belong to no law, and
# their summaries and R-hat say nothing.
# Seen: shape (3,) for one missing value; log-density the same at 0 and at 1e6 for the two observed places.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q numpyro==0.22.0 jax==0.12.0.1 jaxlib==0.12.0.1
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PY'
import jax.numpy as jnp, numpyro, numpyro.distributions as dist
from numpyro.infer.util import log_density
print("version: numpyro", numpyro.__version__)
def model(y, seen):
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(mu, 1.0), obs=y, obs_mask=seen)
data = (jnp.array([1.0, 2.0, 0.0]), jnp.array([True, True, False]))
near, far = (log_density(model, data, {}, {"mu": 0.3, "y_unobserved": jnp.array([x, -x, 0.5])})[0] for x in (0.0, 1e6))
shape = numpyro.handlers.trace(numpyro.handlers.seed(model, 0)).get_trace(*data)["y_unobserved"]["value"].shape
print("behaviour:", "shape", shape, "log-density", near, far)
assert numpyro.__version__ == "0.22.0"
assert shape == (3,) and near == far
PY
