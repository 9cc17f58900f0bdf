#!/usr/bin/env bash
# version: numpyro 0.22.0, jax 0.12.0.1
# behaviour: `log_density` of a model with `scan` takes JAX arrays for its latent sites, and fails on NumPy arrays.
#
# Everywhere else NumPy arrays and JAX arrays are one. The values of a site inside `scan` are indexed by a traced step, which
# NumPy arrays cannot be: TracerArrayConversionError from numpyro/contrib/control_flow/scan.py, without the name of the site.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q numpyro==0.22.0 jax==0.12.0.1 jaxlib==0.12.0.1
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PY'
import jax, jax.numpy as jnp, numpy as np, numpyro, numpyro.distributions as dist
from numpyro.contrib.control_flow import scan
from numpyro.infer.util import log_density
print("version: numpyro", numpyro.__version__)
def model():
    def step(level, _):
        level = numpyro.sample("x", dist.Normal(level, 1.0))
        return level, None
    scan(step, 0.0, None, length=3)
values = np.array([1.0, 2.0, 3.0], np.float32)
right = float(log_density(model, (), {}, {"x": jnp.asarray(values)})[0])
try:
    log_density(model, (), {}, {"x": values})
    failed = ""
except jax.errors.TracerArrayConversionError as error:
    failed = type(error).__name__
print("behaviour:", "JAX array", right, "NumPy array", failed)
assert numpyro.__version__ == "0.22.0"
assert abs(right + 4.2568) < 1e-3 and failed == "TracerArrayConversionError"
PY
