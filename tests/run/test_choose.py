import re

import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.run.choose import choose


def real():
    return gm.joint(x=dist.Normal(0.0, 1.0), s=dist.HalfNormal(1.0))


def mixed():
    return gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(2.0 * k, 1.0))


def spins():
    return gm.energy(lambda s: -0.3 * (s[0] * s[1]).astype(float), s=gm.Spin(2))


@pytest.mark.parametrize(
    ("model", "kind", "reason"),
    [
        (real, gm.NUTS, "every free variable is a real number"),
        (spins, gm.Gibbs, r"every free variable is discrete; \.marginalize\('s'\) is better"),
        (mixed, gm.Blocks, r"NUTS for x, Gibbs for k: .* \.marginalize\('k'\)"),
        (lambda: mixed().condition(k=1), gm.NUTS, "real number"),
        (lambda: gm.temper(real(), real()), gm.AIS, "annealed"),
        (lambda: gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.VP()), gm.ReverseSDE, "backwards"),
    ],
)
def test_the_sampler_fits_the_model_and_the_reason_is_told(model, kind, reason):
    sampler, told = choose(model())
    assert isinstance(sampler, kind)
    assert re.search(reason, told)


def test_many_chains_learn_together():
    sampler, told = choose(real(), chains=32)
    assert isinstance(sampler, gm.ChEESHMC)
    assert told == "ChEESHMC: 32 chains of 2 real numbers learn one trajectory length together"
    assert isinstance(choose(real(), chains=15)[0], gm.NUTS)
    assert isinstance(choose(mixed(), chains=32)[0], gm.Blocks)


def test_many_variables_take_a_sampler_whose_cost_grows_little_with_them():
    wide = gm.joint(s=dist.HalfNormal(1.0), x=lambda s: dist.Normal(0.0, s).expand([499]))
    sampler, told = choose(wide)
    assert isinstance(sampler, gm.MCLMC)
    assert sampler.adjusted
    assert told == "MCLMC, adjusted: it takes fewer evaluations than NUTS for 500 real numbers"
    assert isinstance(choose(wide.condition(s=1.0))[0], gm.NUTS)
    assert isinstance(choose(wide, chains=32)[0], gm.ChEESHMC)


def test_sampling_without_a_sampler_is_sampling_with_the_chosen_one(capsys):
    settings = {"chains": 2, "draws": 20, "warmup": 20, "seed": 4}
    chosen = gm.sample(mixed(), **settings)
    assert "gm.sample chose NUTS for x, Gibbs for k" in capsys.readouterr().err
    assert chosen.attrs["sampler_reason"] == chosen["posterior"].attrs["sampler_reason"] == choose(mixed())[1]
    named = gm.sample(mixed(), choose(mixed())[0], progress=False, **settings)
    assert jnp.array_equal(named["posterior"]["x"].values, chosen["posterior"]["x"].values)
    gm.sample(real(), progress=False, **settings)
    assert capsys.readouterr().err == ""


def test_what_is_no_model_is_refused():
    with pytest.raises(gm.SpecError, match="a model is needed first, not int"):
        gm.sample(3)
