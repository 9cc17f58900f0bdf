import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.core.random.keys import chain_words
from gmdsl.run.chains import block
from gmdsl.run.chains.block import start_chains
from gmdsl.run.chains.kernel import make_kernel


@pytest.fixture
def posterior():
    model = gm.joint(m=dist.Normal(0.0, 1.0), s=dist.HalfNormal(1.0), y=lambda m, s: dist.Normal(m, s).expand([3]))
    return model.condition(y=[0.5, 1.0, -0.3])


@pytest.mark.filterwarnings("ignore::gmdsl.core.errors.NaNWarning")  # so short a warm-up overflows now and then
@pytest.mark.parametrize("sampler", [gm.NUTS(), gm.MALA(), gm.HMC(), gm.RandomWalk(), gm.Langevin(0.01)])
def test_chains_side_by_side_equal_chains_one_after_the_other(posterior, sampler, x64):
    runs = [
        gm.sample(posterior, sampler, draws=30, warmup=20, chain_mode=mode, progress=False)["posterior"]
        for mode in ("vmap", "map", "tile")
    ]
    for name in ("m", "s"):
        for other in runs[1:]:
            np.testing.assert_allclose(runs[0][name].values, other[name].values, rtol=1e-6, atol=1e-6)


def test_a_run_does_not_depend_on_how_it_is_cut_into_blocks(posterior, monkeypatch):
    whole = gm.sample(posterior, gm.NUTS(), draws=40, warmup=60, progress=False)
    monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 7)
    cut = gm.sample(posterior, gm.NUTS(), draws=40, warmup=60, progress=False)
    np.testing.assert_array_equal(whole["posterior"]["m"].values, cut["posterior"]["m"].values)
    np.testing.assert_array_equal(whole["sample_stats"]["n_steps"].values, cut["sample_stats"]["n_steps"].values)


@pytest.mark.filterwarnings("ignore::gmdsl.core.errors.NaNWarning")  # an untuned step overflows now and then
def test_thinning_keeps_every_so_many_draws_of_the_same_chain(posterior):
    every = gm.sample(posterior, gm.MALA(), draws=60, warmup=0, progress=False)["posterior"]["m"].values
    third = gm.sample(posterior, gm.MALA(), draws=20, warmup=0, thin=3, progress=False)["posterior"]["m"].values
    np.testing.assert_array_equal(third, every[:, 2::3])


def test_more_draws_continue_the_same_chain(posterior):
    short = gm.sample(posterior, gm.HMC(), draws=20, warmup=50, progress=False)["posterior"]["m"].values
    longer = gm.sample(posterior, gm.HMC(), draws=50, warmup=50, progress=False)["posterior"]["m"].values
    np.testing.assert_array_equal(short, longer[:, :20])


def test_each_chain_and_seed_has_its_own_randomness(posterior):
    draws = gm.sample(posterior, gm.MALA(), draws=5, warmup=0, init={"m": 0.0, "s": 1.0}, progress=False)
    other = gm.sample(posterior, gm.MALA(), draws=5, warmup=0, init={"m": 0.0, "s": 1.0}, seed=1, progress=False)
    ends = draws["posterior"]["m"].values[:, -1]
    assert len(set(ends.tolist())) == 4
    assert not np.array_equal(ends, other["posterior"]["m"].values[:, -1])
    assert jax.random.key(0).shape == ()


class Flagging(gm.Sampler):
    """Diverges at every third step."""

    def init(self, key, target, x):
        return {"x": x, "n": jnp.int32(0)}

    def position(self, state):
        return state["x"]

    def step(self, key, target, state):
        n = state["n"] + 1
        return {"x": state["x"] + 1.0, "n": n}, {"diverging": n % 3 == 0, "n": n}


def test_thinned_records_keep_the_flags_of_the_steps_between_them(posterior):
    stats = gm.sample(posterior, Flagging(), draws=4, warmup=0, thin=4, progress=False)["sample_stats"]
    assert stats["n"].values[0].tolist() == [4, 8, 12, 16]
    assert stats["diverging"].values[0].tolist() == [True, True, True, True]
    stats = gm.sample(posterior, Flagging(), draws=4, warmup=0, thin=2, progress=False)["sample_stats"]
    assert stats["diverging"].values[0].tolist() == [False, True, True, False]


@pytest.mark.parametrize("sampler", [gm.Langevin(0.1), gm.NUTS(), gm.SGLD(0.1)], ids=lambda s: type(s).__name__)
def test_a_start_is_evaluated_once(sampler):
    """The check of a start and the state of the sampler share one evaluation."""
    density = gm.compile(gm.energy(lambda x: jnp.cosh(x[0]) + x[1] ** 2, x=gm.Real(2)))
    kernel, arrays = make_kernel(density.target, sampler, "vmap", 10, 1)
    target, x = density.target, np.array([[0.5, 1.0]], np.float32)
    start = lambda x: start_chains(kernel, target, arrays, chain_words(0, range(1)), x)  # noqa: E731
    assert str(jax.make_jaxpr(start)(x)).count("name=_density_and_score") == 1
    carry, lp, smooth = start(x)
    np.testing.assert_allclose(lp, [-np.cosh(0.5) - 1.0], rtol=1e-6)
    np.testing.assert_allclose(carry.state.score, [[-np.sinh(0.5), -2.0]], rtol=1e-6)
    assert smooth.all()


class Wide(eqx.Module):
    """Kernels of more places than patches are taken of, and a loop over layers, which no rule of a density enters."""

    first: eqx.nn.Conv2d
    kernels: jax.Array

    def __call__(self, x):
        def layer(y, kernel):
            return jnp.tanh(jax.lax.conv_general_dilated(y[None], kernel, (1, 1), "SAME")[0]), None

        y = jax.lax.scan(layer, self.first(x[None]), self.kernels)[0]
        return jnp.sum(y**2) + 0.5 * jnp.sum(x**2)


def wide():
    kernels = 0.2 * jax.random.normal(jax.random.key(1), (2, 2, 2, 3, 3))
    return gm.energy(Wide(eqx.nn.Conv2d(1, 2, 12, padding="SAME", key=jax.random.key(0)), kernels), x=gm.Real(14, 14))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("sampler", [gm.Langevin(0.01), gm.HMC(steps=3)], ids=["Langevin", "HMC"])
def test_convolutions_left_in_the_steps_have_the_order_that_is_fast_inside_a_loop(sampler, monkeypatch):
    programs, plain = [], block.run_block

    def noted(*given):
        programs.append(plain.lower(*given).as_text())
        return plain(*given)

    monkeypatch.setattr("gmdsl.run.chains.loop.run_block", noted)
    settings = {"draws": 5, "warmup": 0, "init": {"x": np.zeros((14, 14))}, "progress": False, "chain_mode": "vmap"}
    ours = gm.sample(wide(), sampler, **settings)["posterior"]["x"].values
    orders = set(re.findall(r"dim_numbers = (\S+, .*?->\[.*?\])", programs[0]))
    assert orders == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}
    monkeypatch.setattr(block, "with_fast_convolutions", lambda function: function)
    plain.clear_cache()
    as_written = gm.sample(wide(), sampler, **settings)["posterior"]["x"].values
    plain.clear_cache()
    assert orders != set(re.findall(r"dim_numbers = (\S+, .*?->\[.*?\])", programs[-1]))
    np.testing.assert_allclose(ours, as_written, rtol=1e-3, atol=1e-4)
