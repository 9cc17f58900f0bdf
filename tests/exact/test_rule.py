import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.graph.order import reads_of


def test_what_is_computed_from_a_variable_is_found_through_steps():
    model = gm.joint(
        z=dist.Normal(0.0, 1.0),
        other=dist.Normal(0.0, 1.0),
        c=lambda b, other: b + other,
        b=lambda z: 2.0 * z,
        d=lambda other: other,
        x=lambda c: dist.Normal(c, 1.0),
    )
    assert reads_of(model, ("z",)) == {"z", "b", "c"}
    assert reads_of(model, ("x",)) == {"x"}
