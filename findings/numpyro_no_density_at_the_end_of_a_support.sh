#!/usr/bin/env bash
# version: numpyro 0.22.0, jax 0.12.0.1, scipy 1.16.3
# behaviour: an exponential, a half-normal and a Gamma(1, b) law give log-density -inf to 0, which their own draws can be.
#
# The supports are open at 0, and `log_prob` is -inf outside of a support. A waiting time of 0, in data that were rounded,
# therefore makes a whole likelihood -inf, where SciPy, and NumPyro itself with `validate_args=False`, give the density at the
# end (log 2 at the rate 2). Without validation Gamma(1, b) at 0 is NaN instead: 0 times log 0. Draws of the
# exponential law in single precision are 0 about once in 5 million.
# Seen: Exponential(2).log_prob(0) = -inf, without validation 0.693; Gamma(1, 2) -inf, without validation NaN; SciPy 0.693;
# draws of the law that are 0, with log-density -inf.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q numpyro==0.22.0 jax==0.12.0.1 jaxlib==0.12.0.1 scipy==1.16.3
JAX_PLATFORMS=cpu "$work/env/bin/python" -W ignore - <<'PY'
import jax, numpy as np, numpyro, numpyro.distributions as dist
from scipy import stats
print("version: numpyro", numpyro.__version__)
laws = {"Exponential": (dist.Exponential, (2.0,)), "HalfNormal": (dist.HalfNormal, (1.0,)), "Gamma": (dist.Gamma, (1.0, 2.0))}
found = {n: (float(k(*a).log_prob(0.0)), float(k(*a, validate_args=False).log_prob(0.0))) for n, (k, a) in laws.items()}
scipy = {"Exponential": stats.expon.logpdf(0, scale=0.5), "HalfNormal": stats.halfnorm.logpdf(0), "Gamma": stats.gamma.logpdf(0, 1, scale=0.5)}
draws = np.concatenate([np.asarray(dist.Exponential(2.0).sample(jax.random.key(i), (2**23,))) for i in range(12)])
zeros = draws[draws == 0.0]
print("behaviour: at 0 (default, without validation):", found, "| SciPy:", scipy, "| draws that are 0:", len(zeros))
assert numpyro.__version__ == "0.22.0"
assert all(default == -np.inf for default, _ in found.values())
assert abs(found["Exponential"][1] - scipy["Exponential"]) < 1e-6 and abs(found["HalfNormal"][1] - scipy["HalfNormal"]) < 1e-6
assert np.isnan(found["Gamma"][1]) and abs(scipy["Gamma"] - np.log(2.0)) < 1e-12
assert len(zeros) > 0 and float(dist.Exponential(2.0).log_prob(zeros[0])) == -np.inf
PY
