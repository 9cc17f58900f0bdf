#!/usr/bin/env bash
# version: numpyro 0.22.0, jax 0.12.0.1
# behaviour: at an observed 0 or 1, `Beta` has the right log-density and a gradient of zero by its concentrations.
#
# With a concentration of one the end belongs to the support and log p(0 | 1, b) = log b, with the slope 1 / b. NumPyro takes
# the value at the end behind `stop_gradient`, so its slope there is 0: density and score of a model with such data belong
# to two different posteriors. Unadjusted Langevin steps and optimisers follow the wrong one. `Dirichlet` with a share of
# zero and a concentration of one is NaN instead.
# Seen: log p(0 | 1, 7.25) = 1.981 (log 7.25), slope 0.0 where a difference quotient gives 0.138; Dirichlet NaN.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q numpyro==0.22.0 jax==0.12.0.1 jaxlib==0.12.0.1
JAX_PLATFORMS=cpu JAX_ENABLE_X64=1 "$work/env/bin/python" - <<'PY'
import jax, jax.numpy as jnp, math, numpyro, numpyro.distributions as dist
print("version: numpyro", numpyro.__version__)
at_zero = lambda b: dist.Beta(1.0, b).log_prob(0.0)
quotient = (at_zero(7.5) - at_zero(7.0)) / 0.5
share = dist.Dirichlet(jnp.array([1.0, 2.0, 2.0])).log_prob(jnp.array([0.0, 0.4, 0.6]))
found = float(at_zero(7.25)), float(jax.grad(at_zero)(7.25)), float(quotient), float(share)
print("behaviour: log-density, its gradient, a difference quotient, Dirichlet:", found)
assert numpyro.__version__ == "0.22.0"
assert abs(found[0] - math.log(7.25)) < 1e-6 and found[1] == 0.0 and abs(found[2] - 1 / 7.25) < 1e-3 and math.isnan(found[3])
PY
