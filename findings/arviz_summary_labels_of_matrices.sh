#!/usr/bin/env bash
# version: arviz 1.3.0, arviz-stats 1.3.3, arviz-base 1.3.1
# behaviour: `summary` gives elements of a matrix the labels of other elements, and `mean` returns numbers rounded to two digits.
#
# A matrix `b` with the axes (row, k) stands behind a vector `a` with the axis (k,), as the slopes of a model stand behind its
# scales. The rows of the table are then labelled as if the matrix were its transpose: "b[r0, y]" shows the element
# [1, 0]. Means, R-hat and effective sizes are those of the other element. With the matrix first, or with
# `fmt="xarray"`, all is right. The choice comes from the order of `var_names`, too.
# `az.mean(tree)` looks like xarray's mean and is rounded: 123.456 comes back as 120.
# ArviZ 1.3 needs Python 3.12; the environment is made by uv.
# Seen: "b[r0, y]" 30.0 where the element [0, 1] is 10.0; 10.0 with the matrix first. mean of numbers at 123.456: 120.0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
uv venv -q --python 3.12 "$work/env"
uv pip install -q --python "$work/env/bin/python" arviz==1.3.0 arviz-stats==1.3.3 arviz-base==1.3.1
"$work/env/bin/python" - <<'PY'
import arviz as az, arviz_base, arviz_stats, numpy as np, xarray
print("version: arviz-stats", arviz_stats.__version__, "arviz-base", arviz_base.__version__, "xarray", xarray.__version__)
noise = 1e-3 * np.random.default_rng(0).normal(size=(4, 100, 1, 1))
a = np.zeros((4, 100, 3)) + noise[..., 0]
b = 10.0 * np.arange(6.0).reshape(2, 3) + noise
dims, coords = {"a": ["k"], "b": ["row", "k"]}, {"k": ["x", "y", "z"], "row": ["r0", "r1"]}
def mean_of(order):
    tree = arviz_base.from_dict({"posterior": {n: {"a": a, "b": b}[n] for n in order}}, dims=dims, coords=coords)
    return float(az.summary(tree, kind="stats").loc["b[r0, y]", "mean"])
found = mean_of("ab"), mean_of("ba")
tree = arviz_base.from_dict({"posterior": {"c": 123.456 + noise[..., 0, 0]}})
rounded = float(az.mean(tree)["c"])
print("behaviour: label b[r0, y], true mean 10:", found, "; mean of numbers at 123.456:", rounded)
assert arviz_stats.__version__ == "1.3.3"
assert abs(found[0] - 30.0) < 0.01 and abs(found[1] - 10.0) < 0.01
assert abs(rounded - 123.456) > 0.01
PY
