import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.models.mistaken import mistaken

RING = gm.energies.ring()


@pytest.mark.parametrize(
    "call",
    [
        lambda: gm.temper(RING, RING.reference),
        lambda: gm.temper(RING),
        lambda: gm.temper_data(RING),
        lambda: gm.sample(RING),
        lambda: gm.sample(RING, gm.NUTS()),
        lambda: gm.log_z(RING, gm.AIS(gm.MALA())),
        lambda: gm.compile(RING),
        lambda: gm.lint(RING),
    ],
)
def test_a_known_target_is_refused_with_the_model_that_it_holds(call):
    with pytest.raises(gm.SpecError, match=r"KnownTarget; its model is \.model"):
        call()


def test_other_things_are_named():
    assert mistaken(None) == "NoneType"
    assert mistaken(dist.Normal) == "the class Normal"
