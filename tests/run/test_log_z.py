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


def test_what_gives_no_constant_is_refused_before_time_is_spent(path):
    with pytest.raises(gm.SpecError, match="there is no method"):
        gm.log_z(path, [])
    with pytest.raises(gm.SpecError, match=r"log_z\(\.\.\., NUTS\(\.\.\.\)\): the draws of a chain carry no weights"):
        gm.log_z(path, [gm.AIS(gm.MALA()), gm.NUTS()])
    with pytest.raises(gm.SpecError, match="at least 4 draws"):
        gm.log_z(path, gm.ParallelTempering(gm.MALA(), temperatures=2), draws=2)
    with pytest.raises(gm.SpecError, match="seed"):
        gm.log_z(path, gm.SMC(gm.MALA()), seed="one")


def test_a_missing_method_is_asked_for():
    with pytest.raises(gm.SpecError, match=r"a method is needed second, such as gm\.SMC"):
        gm.log_z(gm.temper(gm.energy(lambda x: x**2, x=gm.Real()), gm.joint(x=dist.Normal(0, 1))))
