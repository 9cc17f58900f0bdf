#!/usr/bin/env bash
# version: jax 0.12.0.1, jaxlib 0.12.0.1
# behaviour: a tree structure is neither equal nor unequal to an object of another type, and cannot be compared with None.
#
# A cache that keeps the structure of the last argument and starts from a placeholder, `if jax.tree.structure(x) != last: retrace()`,
# never retraces: both `==` and `!=` of a structure and a string, a number or a tuple are False. With None as the placeholder the
# comparison raises TypeError instead of being False, so `structure in [None, ...]` does, too. A key that may be a structure or
# something else needs a tag of its own, or `not (a == b)`.
# Seen: `structure == "x"` False, `structure != "x"` False, `structure == None` TypeError.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q jax==0.12.0.1 jaxlib==0.12.0.1
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PY'
import jax, jaxlib
print("version: jax", jax.__version__, "jaxlib", jaxlib.__version__)
structure = jax.tree.structure({"weights": 1.0})
found = {repr(other): (structure == other, structure != other) for other in ("x", 3, (1,))}
try:
    structure == None  # noqa: E711
    raised = False
except TypeError:
    raised = True
print("behaviour: (equal, unequal):", found, "| None raises:", raised)
assert jax.__version__ == "0.12.0.1"
assert all(pair == (False, False) for pair in found.values())
assert raised
assert structure == jax.tree.structure({"weights": 2.0}) and structure != jax.tree.structure([1.0])
PY
