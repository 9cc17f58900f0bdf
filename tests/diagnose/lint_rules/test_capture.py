import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.diagnose.lint_rules.capture import capture

WEIGHTS = np.array([1.0, 2.0, 3.0])


def test_what_a_function_closes_over_is_listed_by_node():
    with pytest.warns(gm.CaptureWarning):
        model = gm.energy(lambda x: jnp.sum(WEIGHTS * x**2), x=gm.Real(3))
    found = capture(model)
    assert found.status == "note"
    assert found.evidence == "energy(x) closes over WEIGHTS (array)"


def test_numbers_are_no_state():
    scale = 2.0
    assert capture(gm.energy(lambda x: scale * x @ x, x=gm.Real(3))).status == "ok"


def test_an_array_that_is_captured_is_evaluated_in_both_precisions():
    with pytest.warns(gm.CaptureWarning):
        model = gm.energy(lambda x: jnp.sum(WEIGHTS * x**2), x=gm.Real(3))
    gm.compile(model).log_density({"x": jnp.ones(3)})
    assert all("not examined" not in f.evidence for f in gm.lint(model).findings)
