import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.diagnose.lint_rules.discrete import discrete


def test_free_labels_are_named_and_observed_ones_are_not():
    model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(k, 1.0))
    found = discrete(model)
    assert found.status == "suspect"
    assert "marginalize('k')" in found.advice
    assert discrete(model.condition(k=1)).status == "ok"
    assert discrete(model.marginalize("k")).status == "ok"
