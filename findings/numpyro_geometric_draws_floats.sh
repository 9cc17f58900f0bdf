#!/usr/bin/env bash
# version: numpyro 0.22.0, jax 0.12.0.1
# behaviour: `dist.Geometric` draws floats, though its support is discrete; its discrete neighbours draw integers.
#
# Code that tells discrete sites by the dtype of a draw, or that uses a draw as an index, goes wrong for this one family.
# Seen: Geometric float32, Poisson int32, NegativeBinomial2 int32, all with `support.is_discrete`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q numpyro==0.22.0 jax==0.12.0.1 jaxlib==0.12.0.1
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PY'
import jax, numpyro, numpyro.distributions as dist
print("version: numpyro", numpyro.__version__)
laws = {"Geometric": dist.Geometric(0.3), "Poisson": dist.Poisson(2.0), "NegativeBinomial2": dist.NegativeBinomial2(2.0, 1.0)}
found = {name: str(law.sample(jax.random.key(0)).dtype) for name, law in laws.items()}
print("behaviour:", found)
assert numpyro.__version__ == "0.22.0"
assert all(law.support.is_discrete for law in laws.values())
assert found == {"Geometric": "float32", "Poisson": "int32", "NegativeBinomial2": "int32"}
PY
