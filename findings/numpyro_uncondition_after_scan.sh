#!/usr/bin/env bash
# version: numpyro 0.22.0, jax 0.12.0.1
# behaviour: `uncondition` redraws the observed sites of a `scan` after the scan has run, each step given the data.
#
# The handler promises draws that ignore the observations. The steps of a `scan` run with the observations in place, and only
# the stacked site is drawn anew afterwards. Where a step reads the value before it, a "prior" draw follows the data one step
# behind: for y_t ~ Normal(y_{t-1} / 2, 0.01) from 0 and data 10, 20, 30 the prior is near 0 everywhere.
# Seen: 0, 5, 10 (to 0.05).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q numpyro==0.22.0 jax==0.12.0.1 jaxlib==0.12.0.1
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PY'
import jax.numpy as jnp, numpyro, numpyro.distributions as dist
from numpyro import handlers
from numpyro.contrib.control_flow import scan
print("version: numpyro", numpyro.__version__)
def model(y):
    def step(last, value):
        now = numpyro.sample("y", dist.Normal(0.5 * last, 0.01), obs=value)
        return now, None
    scan(step, 0.0, y)
site = handlers.trace(handlers.uncondition(handlers.seed(model, 0))).get_trace(jnp.array([10.0, 20.0, 30.0]))["y"]
print("behaviour:", "drawn", site["value"], "observed", site["is_observed"])
assert numpyro.__version__ == "0.22.0" and not site["is_observed"]
assert jnp.abs(site["value"] - jnp.array([0.0, 5.0, 10.0])).max() < 0.05
PY
