#!/usr/bin/env bash
# version: jax 0.12.0.1, numpyro 0.22.0, scipy 1.18.1
# behaviour: in double precision the log-density of `BetaBinomial` jumps by 1e-6 where a parameter passes 8.
#
# `jax.scipy.special.betaln` changes its formula where the larger argument is 8, to one that is right to about 1e-6, while the other
# is right to 1e-14. A difference quotient across the jump is nonsense, a comparison with SciPy at 1e-9 fails for models with
# `BetaBinomial` alone, and a million observations are off by a nat. `Beta` goes by `gammaln` and is right.
# Seen: error of betaln(2.5, x) 1e-15 at x = 7.999 and 1.3e-6 at x = 8.001.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q numpyro==0.22.0 jax==0.12.0.1 jaxlib==0.12.0.1 scipy==1.18.1
JAX_PLATFORMS=cpu JAX_ENABLE_X64=1 "$work/env/bin/python" - <<'PY'
import jax, numpyro, numpyro.distributions as dist, scipy, scipy.special, scipy.stats
from jax.scipy.special import betaln
print("version: jax", jax.__version__, "numpyro", numpyro.__version__, "scipy", scipy.__version__)
error = [abs(float(betaln(2.5, x)) - scipy.special.betaln(2.5, x)) for x in (7.999, 8.001)]
law = [abs(float(dist.BetaBinomial(2.5, b, 4).log_prob(1)) - scipy.stats.betabinom(4, 2.5, b).logpmf(1)) for b in (1.0, 8.001)]
print("behaviour: errors of betaln:", error, "of BetaBinomial:", law)
assert jax.__version__ == "0.12.0.1"
assert error[0] < 1e-13 and 1e-7 < error[1] < 1e-5
assert law[0] < 1e-12 and law[1] > 1e-8
PY
