import numpyro.distributions as dist
import pytest

import gmdsl as gm


@pytest.fixture
def path():
    return gm.temper(gm.energy(lambda x: 2.0 * (x - 2.0) ** 2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 1.0)))


def test_several_methods_give_an_agreement_table(path):
    table = gm.log_z(path, [gm.AIS(gm.MALA(), particles=500, temperatures=20), gm.AIS(gm.HMC(), particles=500)])
    assert table.worst < 4.5
    assert "largest gap" in str(table)
    assert len(str(table).splitlines()) == 5
    assert str(table).splitlines()[-1].startswith("log Z = ")
