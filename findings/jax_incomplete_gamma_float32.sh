#!/usr/bin/env bash
# version: jax 0.12.0.1, scipy 1.18.1
# behaviour: in float32 `jax.scipy.special.gammainc(1_000_500, 1e6)` is not near its value 0.3087, and the derivative of
# `log_ndtr` at -5000 is not near 5000, though all arguments are exact in float32; both without a warning.
#
# Probabilities of counts near a million and scores of normal tails go wrong in single precision, the default of JAX.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q jax==0.12.0.1 jaxlib==0.12.0.1 scipy==1.18.1
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PY'
import jax, scipy, scipy.special as exact
from jax.scipy.special import gammainc, log_ndtr
print("version: jax", jax.__version__, "scipy", scipy.__version__)
below, right = float(gammainc(1_000_500.0, 1e6)), float(exact.gammainc(1_000_500.0, 1e6))
slope = float(jax.grad(log_ndtr)(-5000.0))
print(f"behaviour: gammainc {below} for {right}; slope of log_ndtr {slope} for 5000.0002")
assert (jax.__version__, scipy.__version__) == ("0.12.0.1", "1.18.1")
assert abs(right - 0.3087) < 1e-3
assert abs(below - right) > 0.1
assert abs(slope - 5000.0) > 100.0
PY
