import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.exact.gaps import makes, may_have_gaps, missing_factor
from gmdsl.exact.missing import Missing
from gmdsl.exact.missing_power import MissingPower

Y = np.array([0.3, np.nan])


def nodes():
    return gm.joint(k=dist.Bernoulli(0.4), y=lambda k: dist.Normal(k, 1.0).expand([2]))


def test_gaps_are_found_under_powers_weights_and_behind_labels():
    seen = nodes().condition(y=Y, missing="marginalise")
    for model in (seen, seen**2.0, seen.marginalize("k"), seen.marginalize("k") ** 2.0, seen.weight(y=[1.0, 2.0])):
        found = missing_factor(model, "y")
        assert isinstance(found, Missing)
        assert may_have_gaps(model) >= {"y"}
        assert [makes(factor, "y") for factor in model.factors].count(True) == 1
    after = (nodes() ** 2.0).condition(y=Y, missing="marginalise")
    assert isinstance(missing_factor(after, "y"), MissingPower)
    assert may_have_gaps(after) == {"y"}
    assert missing_factor(nodes(), "y") is None
